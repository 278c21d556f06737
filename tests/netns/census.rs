//! The census: every visible namespace, once.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use nswatch::{Netns, census};

use crate::support::nsid::{anonymous, enter};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;

#[test]
fn the_census_sees_each_once() {
    sandbox();
    for name in ["blue", "red"] {
        ip_netns(&["add", name]);
    }
    // a namespace at two places, and one that another mount hides
    placeholder("/run/second");
    bind("/run/netns/blue", "/run/second");
    placeholder("/run/netns/hidden");
    mount_new_netns("/run/netns/hidden");
    let hidden = Netns::for_name("hidden").unwrap();
    bind("/run/netns/red", "/run/netns/hidden");
    let process = Sleeper::new();

    let found = census().unwrap();
    let of = |netns: Netns| {
        let mut sightings = found.iter().filter(|sighting| sighting.netns.same(&netns));
        let one = sightings.next();
        assert!(sightings.next().is_none(), "{netns} twice");
        one
    };
    let paths = |name: &str| of(Netns::for_name(name).unwrap()).unwrap().mounts.clone();
    assert_eq!(paths("blue"), ["/run/netns/blue", "/run/second"].map(std::path::PathBuf::from));
    assert_eq!(paths("red"), ["/run/netns/red", "/run/netns/hidden"].map(std::path::PathBuf::from));
    let nameless = of(Netns::for_pid(process.pid() as i32).unwrap()).unwrap();
    assert_eq!((nameless.pids.as_slice(), nameless.mounts.len()), ([process.pid() as i32].as_slice(), 0));
    // listns(2) shows a namespace that a mount hides; it has no place then
    assert!(of(hidden).is_none_or(|sighting| sighting.mounts.is_empty()));
}

#[test]
fn the_census_sees_a_namespace_kept_by_a_descriptor() {
    sandbox();
    let kept = anonymous();
    let netns = Netns::for_fd(&kept).unwrap();
    let process = Sleeper::new();
    let other = File::open(process.namespace("net")).unwrap();
    let found = census().unwrap();
    let of = |netns: Netns| found.iter().find(|sighting| sighting.netns.same(&netns)).unwrap();
    let seen = of(netns);
    assert!(seen.pids.is_empty() && seen.mounts.is_empty());
    // listns(2) leads to no descriptor
    match &seen.descriptor {
        Some(path) => assert!(netns.open(Some(path)).is_ok(), "{path:?}"),
        None => assert!(kernel::lists_all()),
    }
    // with a better way the census shows no descriptor
    let elsewhere = of(Netns::for_fd(&other).unwrap());
    assert_eq!((elsewhere.pids.as_slice(), &elsewhere.descriptor), ([process.pid() as i32].as_slice(), &None));
    drop(kept);
    // another test may hold a copy for a moment, between fork(2) and execve(2)
    let end = std::time::Instant::now() + DEADLINE;
    while census().unwrap().iter().any(|sighting| sighting.netns.same(&netns)) {
        assert!(std::time::Instant::now() < end, "the namespace still exists");
        std::thread::yield_now();
    }
}

/// The census need not list descriptors whose numbers have no gap.
#[test]
fn the_census_sees_a_descriptor_before_and_after_a_gap() {
    sandbox();
    for number in [3, 9] {
        let kept = anonymous();
        let netns = Netns::for_fd(&kept).unwrap();
        let opened = format!("exec {number}< /proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
        let script = format!("for n in 3 4 5 6 7 8; do eval \"exec $n<&-\"; done; {opened}; echo x; exec cat");
        let mut holder = Command::new("sh");
        let mut holder = holder.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        drop(kept);
        let path = format!("/proc/{}/fd/{number}", holder.id());
        let of = |sighting: &&nswatch::Sighting| sighting.netns.same(&netns);
        let found = census().unwrap().iter().find(of).expect("it is kept").descriptor.clone();
        // listns(2) leads to no descriptor; a test beside this one may hold a copy for a moment
        let is_right = found.map_or(kernel::lists_all(), |found| found == Path::new(&path) || !found.exists());
        assert!(is_right, "{path}");
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

/// So many that two threads share the work.
#[test]
fn the_census_sees_each_of_many_processes_once() {
    sandbox();
    let processes: Vec<Sleeper> = (0..120).map(|_| Sleeper::new()).collect();
    let mut theirs: Vec<_> = processes.iter().map(|process| Netns::for_pid(process.pid() as i32).unwrap()).collect();
    for _ in 0..5 {
        let found = census().unwrap();
        for (netns, process) in theirs.iter().zip(&processes) {
            let mut of = found.iter().filter(|sighting| sighting.netns.same(netns));
            assert_eq!(of.next().map(|sighting| &sighting.pids), Some(&vec![process.pid() as i32]));
            assert!(of.next().is_none());
        }
        let mut all: Vec<_> = found.iter().flat_map(|sighting| &sighting.pids).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a process is in one namespace");
    }
    // the same without a second thread
    let mut without = elsewhere(
        &Restriction::none().failing(libc::SYS_clone3, libc::EPERM).failing(libc::SYS_clone, libc::EPERM),
        || {
            census()
                .unwrap()
                .iter()
                .map(|sighting| sighting.netns)
                .filter(|netns| theirs.contains(netns))
                .collect::<Vec<_>>()
        },
    );
    without.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(without, theirs);
}

/// The number of the process then leads to no descriptor; those of its other threads do.
#[test]
fn the_census_sees_the_descriptors_of_a_process_whose_first_thread_has_ended() {
    sandbox();
    let kept = anonymous();
    let netns = Netns::for_fd(&kept).unwrap();
    // SAFETY: the child starts a thread and ends itself; what it closes belongs to nobody in it.
    let child = unsafe {
        match libc::fork() {
            0 => {
                for fd in (3..1024).filter(|fd| *fd != kept.as_raw_fd()) {
                    libc::close(fd);
                }
                std::thread::spawn(|| {
                    std::thread::sleep(DEADLINE);
                    libc::_exit(0)
                });
                libc::syscall(libc::SYS_exit, 0);
                unreachable!()
            }
            child => child,
        }
    };
    drop(kept);
    let end = std::time::Instant::now() + DEADLINE;
    while std::fs::read_link(format!("/proc/{child}/ns/net")).is_ok() {
        assert!(std::time::Instant::now() < end, "its first thread never ends");
        std::thread::yield_now();
    }
    let seen = census().unwrap().into_iter().find(|sighting| sighting.netns.same(&netns));
    // SAFETY: it has not been waited for, so that the number is its own.
    unsafe {
        assert_eq!(libc::kill(child, libc::SIGKILL), 0);
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
    }
    let descriptor = seen.expect("its descriptor").descriptor;
    assert!(descriptor.map_or(kernel::lists_all(), |path| !path.starts_with(format!("/proc/{child}"))));
}

/// The kernel ends its list of threads early if the thread that it has just listed ends.
#[test]
fn the_census_sees_a_thread_behind_others_that_end() {
    sandbox();
    let other = anonymous();
    let netns = Netns::for_fd(&other).unwrap();
    /// Ends the threads also if the test fails.
    struct End<'a>(&'a AtomicBool, &'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
            self.1.store(false, Ordering::Release);
        }
    }

    let seen = (0..100)
        .filter(|_| {
            let (go, wait) = (AtomicBool::new(false), AtomicBool::new(true));
            let (entered, is_in) = channel();
            thread::scope(|scope| {
                for number in 0..40 {
                    let go = &go;
                    scope.spawn(move || {
                        while !go.load(Ordering::Acquire) {
                            thread::yield_now();
                        }
                        (0..number * 20).for_each(|_| std::hint::spin_loop());
                    });
                }
                let (wait, other) = (&wait, &other);
                scope.spawn(move || {
                    enter(other);
                    entered.send(()).unwrap();
                    while wait.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                });
                let _end = End(&go, wait);
                is_in.recv().unwrap();
                go.store(true, Ordering::Release);
                let found = census().unwrap();
                found.iter().any(|sighting| sighting.netns.same(&netns) && !sighting.pids.is_empty())
            })
        })
        .count();
    assert_eq!(seen, 100);
}
