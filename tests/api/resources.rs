//! Descriptors, threads, and the limits of both. These counts and limits belong to a whole process, so each test runs
//! in a process of its own, as an ignored test.

use std::process::Command;
use std::time::Duration;

use crate::support::api::{Api, C, How, Kind::*, Observer, Rust, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::options::{NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST};

/// Runs an ignored test of this file in a process of its own, through another command if it needs preparation.
fn alone(test: &str, by: &[&str]) {
    run_alone(&format!("resources::{test}"), by);
}

/// In parallel: closing one takes some 20 ms, in which the kernel waits for all its processors to drop an inotify
/// instance.
#[test]
fn a_thousand_watchers_leave_nothing_behind() {
    std::thread::scope(|scope| {
        for test in ["alone_rust_by_fanotify", "alone_rust_by_aio", "alone_c_by_fanotify", "alone_c_by_aio"] {
            scope.spawn(|| alone(test, &[]));
        }
    });
}

#[test]
fn failures_at_open_leave_nothing_behind() {
    alone("alone_failures_at_open", &[]);
}

#[test]
fn files_run_out() {
    alone("alone_files_run_out", &[]);
}

#[test]
fn a_queue_lacks_its_thread_and_its_thread_lacks_files() {
    alone("alone_queues", &[]);
}

#[test]
fn inotify_instances_run_out() {
    let limit = "echo 4 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    let userns = ["unshare", "--user", "--map-root-user", "--mount", "--net"];
    if !Command::new(userns[0]).args(&userns[1..]).arg("true").status().unwrap().success() {
        return skipped("a limit of inotify instances for this test alone requires a user namespace");
    }
    alone("alone_inotify_instances_run_out", &[&userns[..], &["sh", "-c", limit, "sh"]].concat());
}

#[test]
fn links_to_one_mount_leave_nothing_behind() {
    alone("alone_links", &[]);
}

/// Descriptors, threads, and AIO contexts, of which the rings are visible.
pub fn resources() -> (usize, usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (kernel::open_fds(), kernel::threads(), maps.matches("/[aio]").count())
}

/// Makes a namespace and a pending name, so that each watcher listens to mounts too.
fn names() {
    let before = resources();
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/half");
    placeholder("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    expect_resources(before, "after a thread of the test");
}

/// Asserts that all is as before. The descriptors of a joined thread may still be closing.
pub fn expect_resources(before: (usize, usize, usize), when: &str) {
    let end = std::time::Instant::now() + DEADLINE;
    while resources() != before {
        assert!(std::time::Instant::now() < end, "{when}: {:?}, not {before:?}", resources());
        std::thread::yield_now();
    }
}

fn open_and_close<A: Api>(restriction: Restriction) {
    names();
    let before = resources();
    elsewhere(&restriction, || {
        let inside = resources();
        for n in 0..250 {
            let how = if n % 10 == 9 { How::dir("/run/a/b/missing") } else { How::default() };
            let mut o = Observer::<A>::open(&how);
            // closed with and without events left
            if n % 2 == 0 {
                o.until(Synced, "");
                o.expect_nothing();
            }
            // while it lives: no thread, and few descriptors
            let (fds, threads, rings) = resources();
            assert_eq!(threads, inside.1);
            assert!(rings <= 1);
            assert!(fds <= inside.0 + 6, "{} descriptors", fds - inside.0);
        }
        assert_eq!(resources(), inside);
    });
    expect_resources(before, "after all watchers");
}

#[test]
#[ignore = "run by a_thousand_watchers_leave_nothing_behind"]
fn alone_rust_by_fanotify() {
    open_and_close::<Rust>(Restriction::none());
}

#[test]
#[ignore = "run by a_thousand_watchers_leave_nothing_behind"]
fn alone_rust_by_aio() {
    open_and_close::<Rust>(Restriction::without_sys_admin());
}

#[test]
#[ignore = "run by a_thousand_watchers_leave_nothing_behind"]
fn alone_c_by_fanotify() {
    open_and_close::<C>(Restriction::none());
}

#[test]
#[ignore = "run by a_thousand_watchers_leave_nothing_behind"]
fn alone_c_by_aio() {
    open_and_close::<C>(Restriction::without_sys_admin());
}

#[test]
fn channels_leave_nothing_behind() {
    alone("alone_channels", &[]);
}

#[test]
#[ignore = "run by channels_leave_nothing_behind"]
fn alone_channels() {
    use nswatch::{Options, Policy, Watcher};
    names();
    let before = resources();
    for options in [Options::new(), Options::new().queue(2, Policy::DropOldest).unwrap()] {
        for n in 0..50 {
            let channel = Watcher::named(&options).unwrap().into_channel().unwrap();
            // dropped in any state, and while it waits
            for _ in 0..n % 7 {
                channel.receiver().recv_timeout(Duration::from_millis(10)).ok();
            }
            drop(channel);
            expect_resources(before, "after a channel");
        }
    }
}

/// With mount events the watcher keeps which names were on a mount. A lasting mount gets ever new names here: the
/// watcher must not keep them all.
#[test]
#[ignore = "run by links_to_one_mount_leave_nothing_behind"]
fn alone_links() {
    use nswatch::{EventKind, Options, Watcher};
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/stays");
    mount_new_netns("/run/stays");
    let mut watcher = Watcher::named(&Options::new().mount_events(true)).unwrap();
    let mut come_and_go = |names: std::ops::Range<u32>| {
        for n in names {
            let link = format!("/run/netns/link-{n}");
            symlink("/run/stays", &link);
            let mut until = |wanted: fn(&EventKind) -> bool| {
                while !wanted(watcher.wait(Some(DEADLINE)).unwrap().expect("an event").kind()) {}
            };
            until(|kind| matches!(kind, EventKind::Ready(..)));
            std::fs::remove_file(&link).unwrap();
            until(|kind| matches!(kind, EventKind::Deleted(..)));
        }
        // SAFETY: no pointers.
        unsafe { libc::mallinfo2() }.uordblks
    };
    let before = come_and_go(0..500);
    let after = come_and_go(500..4500);
    assert!(after < before + 32 * 1024, "{} bytes more", after - before);
}

#[test]
#[cfg(feature = "tokio")]
fn streams_leave_nothing_behind() {
    alone("alone_streams", &[]);
}

#[test]
#[cfg(feature = "tokio")]
#[ignore = "run by streams_leave_nothing_behind"]
fn alone_streams() {
    use nswatch::{Options, Watcher};
    names();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let before = resources();
        for n in 0..100 {
            let mut stream = Watcher::named(&Options::new()).unwrap().into_stream().unwrap();
            assert_eq!(resources().1, before.1, "a thread");
            for _ in 0..n % 7 {
                // after the fifth event there is none
                tokio::select! {
                    biased;
                    event = stream.next() => drop(event.unwrap().unwrap()),
                    () = tokio::task::yield_now() => {}
                }
            }
            if n % 2 == 0 {
                drop(stream)
            } else {
                drop(stream.into_inner())
            }
            assert_eq!(resources(), before);
        }
    });
}

#[test]
#[ignore = "run by failures_at_open_leave_nothing_behind"]
fn alone_failures_at_open() {
    names();
    let before = resources();
    let calls = [
        libc::SYS_inotify_init1,
        libc::SYS_epoll_create1,
        libc::SYS_eventfd2,
        libc::SYS_epoll_ctl,
        libc::SYS_inotify_add_watch,
        libc::SYS_openat,
        libc::SYS_getdents64,
    ];
    for call in calls {
        elsewhere(&Restriction::none().failing(call, libc::ENOMEM), || {
            for _ in 0..5 {
                assert_eq!(Rust::open(&How::default()).err(), Some(libc::ENOMEM), "{call}");
                assert_eq!(C::open(&How::default()).err(), Some(libc::ENOMEM), "{call}");
            }
        });
        expect_resources(before, &format!("after {call} had failed"));
    }
}

#[test]
#[ignore = "run by a_queue_lacks_its_thread_and_its_thread_lacks_files"]
fn alone_queues() {
    sandbox();
    for policy in [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        make_dir(RUN_NETNS);
        placeholder("/run/netns/old");
        let how = How { queue: Some((1, policy)), ..How::default() };
        let before = resources();
        let no_thread =
            Restriction::none().failing(libc::SYS_clone3, libc::EAGAIN).failing(libc::SYS_clone, libc::EAGAIN);
        assert_eq!(elsewhere(&no_thread, || Rust::open(&how).err()), Some(libc::EAGAIN));
        assert_eq!(elsewhere(&no_thread, || C::open(&how).err()), Some(libc::EAGAIN));
        expect_resources(before, "after no thread could start");

        let mut o = Observer::<Rust>::open_synced(&how);
        make_dir("/run/new");
        placeholder("/run/new/half");
        let most = limit_files(no_more_files());
        exchange("/run/new", RUN_NETNS);
        for _ in 0..3 {
            // the thread retries each time it has reported the failure
            while let Ok(event) = o.try_now().inspect_err(|errno| assert_eq!(*errno, libc::EMFILE)) {
                assert!(event.is_some() || readable(o.api.fd(), DEADLINE), "the failure is not reported");
            }
        }
        limit_files(most);
        while o.checker.believed() != kernel::names(RUN_NETNS) || o.checker.open_overflows > 0 {
            // it may have failed once more before
            if o.try_now().unwrap_or_else(|errno| (errno != libc::EMFILE).then(|| panic!("{errno}"))).is_none() {
                assert!(readable(o.api.fd(), DEADLINE), "believed: {:?}", o.checker.believed());
            }
        }
        drop(o);
        expect_resources(before, "after a queue");
        std::fs::remove_dir_all(RUN_NETNS).unwrap();
        std::fs::remove_dir_all("/run/new").unwrap();
    }
}

/// Sets the descriptor limit of this process; returns the previous limit.
pub fn limit_files(limit: libc::rlim_t) -> libc::rlim_t {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours and lives until the calls return.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
        let before = limits.rlim_cur;
        limits.rlim_cur = limit;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limits), 0);
        before
    }
}

/// The lowest number that a new descriptor would get: as a limit, it allows no new one.
pub fn no_more_files() -> libc::rlim_t {
    use std::os::fd::AsRawFd;
    let next = std::fs::File::open("/dev/null").unwrap();
    next.as_raw_fd() as libc::rlim_t
}

#[test]
#[ignore = "run by files_run_out"]
fn alone_files_run_out() {
    fn run_out<A: Api>() {
        names();
        // at each step of open
        let fds = kernel::open_fds();
        let mut opened = false;
        for more in 0..20 {
            let usual = limit_files(no_more_files() + more);
            let result = A::open(&How::default());
            limit_files(usual);
            match result {
                Ok(watcher) => {
                    drop(watcher);
                    opened = true;
                }
                Err(errno) => assert_eq!((errno, opened), (libc::EMFILE, false), "with {more} descriptors"),
            }
            assert_eq!(kernel::open_fds(), fds);
        }
        assert!(opened);
        // after open
        std::fs::remove_file("/run/netns/half").unwrap();
        let mut o = Observer::<A>::open_synced(&How::default());
        for more in 0..8 {
            o.expect_truth(RUN_NETNS);
            let usual = limit_files(no_more_files() + more);
            placeholder_without_files("/run/netns/half");
            std::fs::rename("/run/netns", "/run/away").unwrap();
            std::fs::rename("/run/away", "/run/netns").unwrap();
            let mut failed = false;
            for _ in 0..50 {
                match o.try_now() {
                    Ok(_) => {}
                    Err(errno) => {
                        assert_eq!(errno, libc::EMFILE);
                        assert!(readable(o.api.fd(), DEADLINE));
                        failed = true;
                    }
                }
            }
            assert!(failed || more > 0, "it needs no descriptor at all?");
            limit_files(usual);
            o.drain();
            o.expect_nothing();
            o.expect_truth(RUN_NETNS);
            mount_new_netns("/run/netns/half");
            o.expect(&[(Ready, "half")]);
            unmount("/run/netns/half");
            std::fs::remove_file("/run/netns/half").unwrap();
            o.expect(&[(Deleted, "half")]);
        }
    }
    run_out::<Rust>();
    run_out::<C>();
}

/// Makes a file while no descriptor can be opened.
fn placeholder_without_files(path: &str) {
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: the string is NUL-terminated and outlives the call.
    assert_eq!(unsafe { libc::mknod(path.as_ptr(), libc::S_IFREG, 0) }, 0);
}

#[test]
#[ignore = "run by inotify_instances_run_out"]
fn alone_inotify_instances_run_out() {
    fn run_out<A: Api>() {
        let mut open = Vec::new();
        let errno = loop {
            match A::open(&How::default()) {
                Ok(watcher) => open.push(watcher),
                Err(errno) => break errno,
            }
            assert!(open.len() <= 4, "the limit has no effect");
        };
        assert_eq!((errno, open.len()), (libc::EMFILE, 4));
        open.pop();
        A::open(&How::default()).map(drop).unwrap();
    }
    names();
    run_out::<Rust>();
    run_out::<C>();
}

#[test]
fn identities_leave_nothing_behind_and_never_take_a_limit_for_an_answer() {
    alone("alone_identities", &[]);
}

#[test]
#[ignore = "run by identities_leave_nothing_behind_and_never_take_a_limit_for_an_answer"]
fn alone_identities() {
    use nswatch::{Netns, census, nsid};
    use std::fs::File;
    use std::path::Path;

    names();
    let (place, other) = (crate::support::nsid::anonymous(), crate::support::nsid::anonymous());
    let blue = Netns::for_name("blue").unwrap();
    nsid::assign(File::open("/run/netns/blue").unwrap(), Some(5)).unwrap();
    let all = || {
        let errno = |error: nswatch::Error| error.errno();
        [
            nsid::get_as_seen_from(&place, &other).map(drop).map_err(errno),
            Netns::for_nsid(5).map(|found| assert!(found.same(&blue))).map_err(errno),
            Netns::for_name("blue").map(drop).map_err(errno),
            Netns::for_pid(std::process::id() as i32).map(drop).map_err(errno),
            blue.open(Some(Path::new("/run/netns/blue"))).map(drop).map_err(errno),
            census().map(drop).map_err(errno),
        ]
    };
    assert_eq!(all(), [Ok(()); 6]);
    let before = resources();
    for _ in 0..500 {
        // also the thread that asks elsewhere: the kernel has cleaned it up too
        assert_eq!(all(), [Ok(()); 6]);
        assert_eq!(resources(), before);
    }
    for more in 0..12 {
        let usual = limit_files(no_more_files() + more);
        let found = all();
        limit_files(usual);
        assert!(found.iter().all(|found| matches!(found, Ok(()) | Err(libc::EMFILE))), "with {more}: {found:?}");
        assert_eq!(resources(), before);
    }
}
