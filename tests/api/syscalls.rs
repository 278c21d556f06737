//! A watcher makes no system call after open but those that docs/syscalls.md lists: these tests record the calls in a
//! watcher's life, and then install a filter that kills at any other.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::support::api::{Api, C, How, Kind::*, Observer, Rust, readable};
use crate::support::nsid::anonymous;
use crate::support::thread::{Restriction, kill_unless, record};
use crate::support::*;
use libc::c_long;
use nswatch::capi::options::{NSW_ALL_NSID, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_PREPARE, NSW_QUEUE_BLOCK};
use nswatch::nsid;

const LIST: &str = include_str!("../../docs/syscalls.md");

macro_rules! calls {
    ($($call:ident => $number:expr,)*) => { &[$((stringify!($call), $number)),*] };
}

/// The numbers of the calls, by name.
const NUMBERS: &[(&str, c_long)] = calls! {
    brk => libc::SYS_brk,
    capget => libc::SYS_capget,
    clock_gettime => libc::SYS_clock_gettime,
    clone => libc::SYS_clone,
    clone3 => libc::SYS_clone3,
    bind => libc::SYS_bind,
    connect => libc::SYS_connect,
    close => libc::SYS_close,
    epoll_ctl => libc::SYS_epoll_ctl,
    eventfd2 => libc::SYS_eventfd2,
    exit => libc::SYS_exit,
    fanotify_init => libc::SYS_fanotify_init,
    fanotify_mark => libc::SYS_fanotify_mark,
    fcntl => libc::SYS_fcntl,
    fstatfs => libc::SYS_fstatfs,
    futex => libc::SYS_futex,
    geteuid => libc::SYS_geteuid,
    getdents64 => libc::SYS_getdents64,
    getpid => libc::SYS_getpid,
    getsockopt => libc::SYS_getsockopt,
    gettid => libc::SYS_gettid,
    inotify_add_watch => libc::SYS_inotify_add_watch,
    inotify_rm_watch => libc::SYS_inotify_rm_watch,
    io_destroy => libc::SYS_io_destroy,
    io_getevents => libc::SYS_io_getevents,
    io_setup => libc::SYS_io_setup,
    io_submit => libc::SYS_io_submit,
    ioctl => libc::SYS_ioctl,
    listmount => 458,
    listns => 470,
    lseek => libc::SYS_lseek,
    madvise => libc::SYS_madvise,
    mmap => libc::SYS_mmap,
    mprotect => libc::SYS_mprotect,
    mremap => libc::SYS_mremap,
    munmap => libc::SYS_munmap,
    name_to_handle_at => libc::SYS_name_to_handle_at,
    newfstatat => libc::SYS_newfstatat,
    open_by_handle_at => libc::SYS_open_by_handle_at,
    openat => libc::SYS_openat,
    perf_event_open => libc::SYS_perf_event_open,
    pidfd_open => libc::SYS_pidfd_open,
    ppoll => libc::SYS_ppoll,
    read => libc::SYS_read,
    readlinkat => libc::SYS_readlinkat,
    recvmmsg => libc::SYS_recvmmsg,
    recvmsg => libc::SYS_recvmsg,
    prctl => libc::SYS_prctl,
    rseq => libc::SYS_rseq,
    rt_sigprocmask => libc::SYS_rt_sigprocmask,
    sched_getaffinity => libc::SYS_sched_getaffinity,
    sendto => libc::SYS_sendto,
    set_robust_list => libc::SYS_set_robust_list,
    setsockopt => libc::SYS_setsockopt,
    sigaltstack => libc::SYS_sigaltstack,
    socket => libc::SYS_socket,
    statmount => 457,
    statx => libc::SYS_statx,
    tgkill => libc::SYS_tgkill,
    timerfd_settime => libc::SYS_timerfd_settime,
    uname => libc::SYS_uname,
    unshare => libc::SYS_unshare,
    wait4 => libc::SYS_wait4,
    write => libc::SYS_write,
};

/// The calls in a section of the list: the line that begins with its name and a colon.
fn listed(sections: &[&str]) -> BTreeSet<c_long> {
    let numbers: BTreeMap<&str, c_long> = NUMBERS.iter().copied().collect();
    let line = |section: &&str| LIST.lines().find_map(|line| line.strip_prefix(section)?.strip_prefix(": "));
    let lines = sections.iter().map(|section| line(section).unwrap_or_else(|| panic!("no section {section}")));
    // the calls of the channel that gives the thread its jobs
    let of_the_test = [libc::SYS_sched_yield];
    lines.flat_map(str::split_whitespace).map(|name| numbers[name]).chain(of_the_test).collect()
}

fn names(calls: &BTreeSet<c_long>) -> Vec<String> {
    let name = |call: &c_long| NUMBERS.iter().find(|(_, number)| number == call).map(|(name, _)| (*name).to_owned());
    calls.iter().map(|call| name(call).unwrap_or_else(|| format!("number {call}"))).collect()
}

type Job<A> = Box<dyn FnOnce(&mut Observer<A>) + Send>;

/// A watcher in a thread of its own.
struct Confined<A> {
    fd: RawFd,
    jobs: Sender<Job<A>>,
    done: Receiver<()>,
}

impl<A: Api + 'static> Confined<A> {
    /// A thread runs `before`, opens the watcher, runs `then`, and uses the watcher.
    fn open(how: How, before: impl FnOnce() + Send + 'static, then: impl FnOnce() + Send + 'static) -> Self {
        let (jobs, todo) = channel::<Job<A>>();
        let (finished, done) = channel();
        let (opened, fd) = channel();
        std::thread::spawn(move || {
            before();
            let mut o = Observer::<A>::open(&how);
            opened.send(o.api.fd()).unwrap();
            then();
            for job in todo {
                job(&mut o);
                finished.send(()).unwrap();
            }
            drop(o);
            // after the test has failed nobody waits
            finished.send(()).ok();
        });
        Self { fd: fd.recv().expect("not opened"), jobs, done }
    }

    fn run(&self, job: impl FnOnce(&mut Observer<A>) + Send + 'static) {
        self.jobs.send(Box::new(job)).unwrap();
        self.done.recv().expect("the thread of the watcher failed");
    }

    fn expect(&self, expected: &'static [(api::Kind, &'static str)]) {
        self.run(|o| drop(o.expect(expected)));
    }

    fn resync(&self) {
        self.run(|o| {
            o.api.resync().unwrap();
            o.until(Synced, "");
        });
    }

    /// Closes the watcher.
    fn close(self) {
        drop(self.jobs);
        self.done.recv().expect("closing failed");
    }
}

/// A name links to a thread, which ends.
fn task_lives<A: Api + 'static>(c: &Confined<A>, flags: u32) {
    let (started, task) = channel();
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        started.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        ended.recv().ok();
    });
    symlink(format!("/proc/{}/ns/net", task.recv().unwrap().display()), "/run/netns/task");
    c.run(|o| drop(o.until(Ready, "task")));
    drop(end);
    thread.join().unwrap();
    // such a kernel has pidfds of threads
    if flags & NSW_MOUNT_EVENTS != 0 && kernel::has_cookie() {
        c.run(|o| drop(o.until(Detached, "task")));
    }
}

/// The life of a watcher of names.
fn names_live<A: Api + 'static>(c: &Confined<A>, flags: u32) {
    c.run(|o| drop(o.until(Synced, "")));
    for _ in 0..2 {
        placeholder("/run/netns/blue");
        c.expect(&[(Created, "blue")]);
        mount_new_netns("/run/netns/blue");
        c.run(|o| {
            o.expect(&[(Ready, "blue")]);
            drop(o.api.open_netns().unwrap());
        });
        if flags & NSW_MOUNT_EVENTS != 0 {
            mount_new_netns("/run/netns/blue");
            c.expect(&[(Ready, "blue")]);
            unmount("/run/netns/blue");
            c.expect(&[(Ready, "blue")]);
        }
        unmount("/run/netns/blue");
        std::fs::remove_file("/run/netns/blue").unwrap();
        c.run(|o| drop(o.until(Deleted, "blue")));
    }
    task_lives(c, flags);
    symlink("old", "/run/netns/link");
    symlink("/proc/self/ns/uts", "/run/netns/other");
    run("mkfifo", &["/run/netns/fifo"]);
    c.run(|o| drop(o.until(Created, "fifo")));
    rename("/run/netns/fifo", "/run/netns/pipe");
    c.run(|o| drop(o.until(Deleted, "fifo")));
    make_dir("/run/new");
    exchange("/run/new", RUN_NETNS);
    c.run(|o| drop(o.until(DirCreated, "")));
    exchange("/run/new", RUN_NETNS);
    c.run(|o| drop(o.until(DirCreated, "")));
    c.run(|o| drop(o.until(Created, "pipe")));
    c.run(|o| drop(o.drain()));
    let most: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for number in 0..most / 2 + 1000 {
        let path = format!("{RUN_NETNS}/storm{number}");
        placeholder(&path);
        std::fs::remove_file(&path).unwrap();
    }
    c.run(|o| {
        o.until(Overflow, "");
        o.until(Synced, "");
    });
    c.resync();
    c.run(|o| drop(o.drain()));
    assert!(!readable(c.fd, std::time::Duration::ZERO));
}

/// The life of a watcher of nsids.
fn ids_live<A: Api + 'static>(c: &Confined<A>) {
    c.run(|o| drop(o.until(Synced, "")));
    let peers: Vec<_> = (0..500).map(|_| anonymous()).collect();
    for peer in &peers[..20] {
        nsid::assign(peer, None).unwrap();
    }
    c.run(|o| drop(o.until_id(NsidNew, -1, 19)));
    for peer in &peers[20..] {
        nsid::assign(peer, None).unwrap();
    }
    c.run(|o| drop(o.until_id(NsidNew, -1, 499)));
    c.resync();
    drop(peers);
    c.run(|o| drop(o.until_id(NsidDel, -1, 7)));
    c.resync();
}

/// The life of a watcher of namespaces with and without a name.
fn namespaces_live<A: Api + 'static>(c: &Confined<A>, reports: bool) {
    c.run(|o| drop(o.until(Synced, "")));
    for _ in 0..2 {
        placeholder("/run/netns/blue");
        mount_new_netns("/run/netns/blue");
        let netns = kernel::netns("/run/netns/blue").unwrap();
        c.run(move |o| {
            o.until_netns(NetnsNew, netns);
            drop(o.api.open_netns().unwrap());
        });
        unmount("/run/netns/blue");
        std::fs::remove_file("/run/netns/blue").unwrap();
        c.run(move |o| {
            let end = Instant::now() + DEADLINE;
            while o.believes(netns) {
                assert!(Instant::now() < end, "the watcher does not report the death");
                if reports {
                    o.until_netns(NetnsDel, netns);
                } else {
                    o.resync();
                }
            }
        });
    }
    let kept: Vec<std::fs::File> = (0..500).map(|_| anonymous().into()).collect();
    let sleeper = Sleeper::new();
    c.resync();
    // without privilege the namespace of the process is not visible
    let netns = kernel::netns_of(&kept[7]).unwrap();
    c.run(move |o| assert!(o.believes(netns)));
    drop((kept, sleeper));
    if reports {
        c.run(move |o| {
            while o.believes(netns) {
                o.next();
            }
        });
    }
    c.resync();
    c.run(|o| drop(o.drain()));
}

/// Plays a life once while recording, and once under the filter that kills.
fn check<A: Api + 'static>(
    how: &How,
    [before, later]: [&Restriction; 2],
    sections: &[&str],
    life: impl Fn(&Confined<A>),
) {
    let allowed = listed(sections);
    let calls = Arc::new(Mutex::new(BTreeSet::new()));
    let recording = Arc::new(AtomicBool::new(false));
    let record = {
        let (calls, recording, before) = (Arc::clone(&calls), Arc::clone(&recording), before.clone());
        move || {
            before.apply();
            record(&calls, &recording);
        }
    };
    stage();
    let (then, on) = (later.clone(), Arc::clone(&recording));
    let then = move || {
        then.apply();
        on.store(true, Ordering::Release);
    };
    let c = Confined::open(how.clone(), record, then);
    life(&c);
    c.close();
    recording.store(false, Ordering::Release);
    let unlisted: BTreeSet<_> = calls.lock().unwrap().difference(&allowed).copied().collect();
    assert_eq!(names(&unlisted), [""; 0], "not listed for {sections:?}");
    if how.queue.is_none() {
        stage();
        let (before, then) = (before.clone(), later.clone());
        let then = move || {
            then.apply();
            kill_unless(&allowed.into_iter().collect::<Vec<_>>());
        };
        let c = Confined::open(how.clone(), move || before.apply(), then);
        life(&c);
        c.close();
    }
}

fn stage() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/old");
    mount_new_netns("/run/netns/old");
}

fn named<A: Api + 'static>(flags: u32, restrictions: [&Restriction; 2], sections: &[&str]) {
    let flags = flags | NSW_DIR_EVENTS;
    for settle_ms in [0, 1] {
        // the watcher reports nothing that comes and goes within the window
        let settle_ms = if flags & NSW_MOUNT_EVENTS != 0 { 0 } else { settle_ms };
        let how = How { settle_ms, ..How::default().flags(flags) };
        check::<A>(&how, restrictions, &[&["every", "named"], sections].concat(), |c| names_live(c, flags));
    }
}

const NONE: &Restriction = &Restriction::none();

#[test]
fn names_of_a_prepared_watcher() {
    named::<C>(NSW_PREPARE, [NONE; 2], &[]);
    named::<Rust>(NSW_PREPARE | NSW_MOUNT_EVENTS, [NONE; 2], &[]);
}

#[test]
fn names_of_a_prepared_watcher_that_loses_its_privileges() {
    let filter = Restriction::powerless().failing(libc::SYS_io_submit, libc::EPERM);
    for later in [Restriction::powerless(), filter] {
        named::<Rust>(NSW_PREPARE, [NONE, &later], &[]);
        named::<C>(NSW_PREPARE | NSW_MOUNT_EVENTS, [NONE, &later], &[]);
    }
}

#[test]
fn names_of_a_prepared_watcher_without_privileges() {
    let aio = Restriction::without_sys_admin();
    named::<Rust>(NSW_PREPARE, [&aio, NONE], &[]);
    named::<C>(NSW_PREPARE, [&aio.failing(libc::SYS_io_setup, libc::EPERM), NONE], &[]);
}

#[test]
fn names_of_a_watcher_that_is_not_prepared() {
    named::<C>(0, [NONE; 2], &["unprepared"]);
    named::<C>(0, [NONE, &Restriction::powerless()], &["unprepared"]);
    named::<Rust>(NSW_MOUNT_EVENTS, [&Restriction::without_sys_admin(), NONE], &["unprepared"]);
}

#[test]
fn names_that_are_opened() {
    let old = Restriction::none().failing(libc::SYS_name_to_handle_at, libc::EPERM);
    named::<C>(NSW_PREPARE, [&old, NONE], &[]);
    named::<Rust>(NSW_PREPARE, [NONE, &old.failing(libc::SYS_statx, libc::EPERM)], &[]);
}

#[test]
fn names_with_a_queue() {
    let how = How { queue: Some((100, NSW_QUEUE_BLOCK)), ..How::default().flags(NSW_PREPARE | NSW_DIR_EVENTS) };
    check::<C>(&how, [NONE; 2], &["every", "named", "queue"], |c| names_live(c, 0));
}

#[test]
fn ids() {
    for how in [How::nsid(), How::nsid().flags(NSW_ALL_NSID | NSW_PREPARE)] {
        check::<C>(&how.rcvbuf(4096), [NONE; 2], &["every", "nsid"], ids_live);
    }
    let how = How { queue: Some((100, NSW_QUEUE_BLOCK)), ..How::nsid() };
    check::<Rust>(&how, [NONE; 2], &["every", "nsid", "queue"], ids_live);
}

fn all<A: Api + 'static>(flags: u32, restrictions: [&Restriction; 2], sections: &[&str], reports: bool) {
    let how = How::all().flags(flags);
    check::<A>(&how, restrictions, &[&["every", "all"], sections].concat(), |c| namespaces_live(c, reports));
}

#[test]
fn all_of_a_prepared_watcher() {
    all::<C>(NSW_PREPARE, [NONE; 2], &[], true);
    all::<Rust>(NSW_PREPARE, [&Restriction::powerless(), NONE], &[], true);
}

#[test]
fn all_of_a_prepared_watcher_that_loses_its_privileges() {
    let filter = Restriction::powerless().failing(libc::SYS_io_submit, libc::EPERM);
    let handles = Restriction::powerless().failing(libc::SYS_open_by_handle_at, libc::EPERM);
    for later in [Restriction::powerless(), filter, handles] {
        all::<Rust>(NSW_PREPARE, [NONE, &later], &[], true);
    }
}

#[test]
fn all_of_a_prepared_watcher_without_a_post() {
    if !kernel::shows_deaths_by_cookie() {
        return skipped("without a post only Linux 6.18 shows deaths");
    }
    let asks = Restriction::none().failing(libc::SYS_unshare, libc::EPERM).failing_user_namespace(libc::EPERM);
    all::<C>(NSW_PREPARE, [&asks, NONE], &[], false);
}

#[test]
fn all_by_opening() {
    let old = Restriction::none().failing(libc::SYS_name_to_handle_at, libc::EPERM);
    all::<C>(NSW_PREPARE, [&old, NONE], &[], true);
    all::<Rust>(NSW_PREPARE, [NONE, &old.failing(libc::SYS_statx, libc::EPERM)], &[], true);
}

#[test]
fn all_of_a_watcher_that_is_not_prepared() {
    all::<C>(0, [NONE; 2], &["unprepared", "unprepared all"], true);
    all::<Rust>(0, [NONE, &Restriction::powerless()], &["unprepared", "unprepared all"], true);
}

#[test]
fn all_with_a_queue() {
    let how = How { queue: Some((100, NSW_QUEUE_BLOCK)), ..How::all().flags(NSW_PREPARE) };
    check::<C>(&how, [NONE; 2], &["every", "all", "queue"], |c| namespaces_live(c, true));
}
