//! The descriptor: readable while there is something to be had, whoever polls it, by each means of noticing mounts.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::Feature;
use nswatch::capi::options::{NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS};

both! {
    each_means_is_what_it_is
    mounts_are_noticed_by_fanotify
    mounts_are_noticed_by_aio
    mounts_are_noticed_by_bare_mountinfo
    whatever_is_mounted_or_unmounted_may_make_a_name_ready
    a_poll_does_not_consume_with_fanotify
    a_poll_does_not_consume_with_aio
    a_poll_does_not_consume_with_bare_mountinfo
    one_event_for_each_wake_up
    edges_are_enough_for_who_drains
    a_waiting_consumer_is_woken
    a_wait_ends_in_time
    a_wait_ends_in_time_while_the_kernel_talks
    unrelated_mounts_wake_nobody
    unrelated_mounts_tell_nothing
    the_descriptor_is_what_event_loops_expect
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Fanotify,
    Aio,
    Bare,
}

impl Means {
    /// The rights with which the library chooses this one.
    fn rights(self) -> Restriction {
        match self {
            Means::Fanotify => Restriction::none(),
            Means::Aio => Restriction::without_sys_admin(),
            Means::Bare => Restriction::none()
                .failing(libc::SYS_io_setup, libc::EPERM)
                .failing(libc::SYS_fanotify_init, libc::EPERM),
        }
    }

    /// What these rights give here: before fanotify had mount events the next best.
    fn here(self) -> Self {
        match self {
            Means::Fanotify if !Feature::MountEvents.is_available().unwrap() => Means::Aio,
            other => other,
        }
    }

    /// What the kernel shows in the set while mounts are listened to.
    fn shows(self) -> &'static str {
        match self.here() {
            Means::Fanotify => "anon_inode:[fanotify]",
            Means::Aio => "anon_inode:[eventfd]",
            Means::Bare => "/mountinfo",
        }
    }
}

/// An empty directory, and a watcher that will notice mounts by these means, or by what is here in their place, while a
/// name waits.
fn watched_by<A: Api>(means: Means) -> Observer<A> {
    watched_with(NSW_NO_MOUNT_EVENTS, means)
}

fn watched_with<A: Api>(flags: u32, means: Means) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    // a name that waits lets the library choose
    placeholder("/run/netns/first");
    let mut o = elsewhere(&means.rights(), || Observer::<A>::open_synced(&How::default().flags(flags)));
    let listens = kernel::listens_to(o.api.fd());
    // two: the one of the watcher itself
    let expected = if means.here() == Means::Aio { 2 } else { 1 };
    assert_eq!(listens.iter().filter(|fd| fd.ends_with(means.shows())).count(), expected, "{means:?}: {listens:?}");
    std::fs::remove_file("/run/netns/first").unwrap();
    o.expect(&[(Deleted, "first")]);
    o.expect_nothing();
    o
}

fn each_means_is_what_it_is<A: Api>() {
    for means in [Means::Fanotify, Means::Aio, Means::Bare] {
        std::thread::spawn(move || watched_by::<A>(means).expect_nothing()).join().unwrap();
    }
}

/// Everything that readiness is about.
fn notices_mounts<A: Api>(means: Means) {
    let mut o = watched_by::<A>(means);
    for turn in 0..20 {
        let name = format!("n{turn}");
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        // each time that it begins to listen it may find better means than the last
        elsewhere(&means.rights(), || o.expect(&[(Created, &name)]));
        o.expect_nothing();
        assert!(kernel::listens_to(o.api.fd()).iter().any(|fd| fd.ends_with(means.shows())));
        mount_new_netns(&path);
        o.expect(&[(Ready, &name)]);
        o.expect_nothing();
        o.expect_truth(RUN_NETNS);
    }
    // mounted while it is not listened to, and while it is
    placeholder("/run/netns/stays");
    for turn in 0..20 {
        let name = format!("m{turn}");
        ip_netns(&["add", &name]);
        elsewhere(&means.rights(), || o.until(Ready, &name));
        ip_netns(&["del", &name]);
        o.expect(&[(Deleted, &name)]);
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn mounts_are_noticed_by_fanotify<A: Api>() {
    notices_mounts::<A>(Means::Fanotify);
}

fn mounts_are_noticed_by_aio<A: Api>() {
    notices_mounts::<A>(Means::Aio);
}

fn mounts_are_noticed_by_bare_mountinfo<A: Api>() {
    notices_mounts::<A>(Means::Bare);
}

fn whatever_is_mounted_or_unmounted_may_make_a_name_ready<A: Api>() {
    let each = [Means::Fanotify, Means::Aio, Means::Bare];
    let flags = [0, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS];
    for (means, flags) in each.into_iter().flat_map(|means| flags.map(|flags| (means, flags))) {
        let body = move || {
            let mut o = watched_with::<A>(flags, means);
            // what covers a namespace goes
            placeholder("/run/netns/covered");
            mount_new_netns("/run/netns/covered");
            o.expect(&[(Created, "covered"), (Ready, "covered")]);
            bind("/proc/self/ns/uts", "/run/netns/covered");
            o.resync();
            assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
            unmount("/run/netns/covered");
            o.expect(&[(Ready, "covered")]);
            // what a link leads through comes, and is no namespace itself
            make_dir("/run/tree");
            symlink("/proc/thread-self/ns/net", "/run/tree/ns");
            make_dir("/run/mountpoint");
            symlink("/run/mountpoint/ns", "/run/netns/link");
            o.expect(&[(Created, "link")]);
            o.expect_nothing();
            bind("/run/tree", "/run/mountpoint");
            o.expect(&[(Ready, "link")]);
            // as one piece with what is mounted in it
            mount("whole", "/run/tree", Some("tmpfs"), 0);
            placeholder("/run/tree/ns");
            mount_new_netns("/run/tree/ns");
            make_dir("/run/moved");
            symlink("/run/moved/ns", "/run/netns/moves");
            o.expect(&[(Created, "moves")]);
            o.expect_nothing();
            mount("/run/tree", "/run/moved", None, libc::MS_MOVE);
            o.expect(&[(Ready, "moves")]);
            o.expect_nothing();
            o.expect_truth(RUN_NETNS);
        };
        std::thread::spawn(body).join().unwrap();
    }
}

/// An epoll instance with this one descriptor in it.
fn epoll(fd: RawFd, events: i32) -> OwnedFd {
    // SAFETY: no pointers; the result is checked.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(epoll >= 0);
    let mut event = libc::epoll_event { events: events as u32, u64: 0 };
    // SAFETY: the event is read during the call only; the descriptor is new and nobody else's.
    unsafe {
        assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event), 0);
        OwnedFd::from_raw_fd(epoll)
    }
}

fn epoll_wait(epoll: &OwnedFd, timeout: Duration) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event is passed and counted as one.
    let n = unsafe { libc::epoll_wait(epoll.as_raw_fd(), &mut event, 1, timeout.as_millis() as i32) };
    assert!(n >= 0, "epoll_wait: {}", std::io::Error::last_os_error());
    n == 1
}

/// Gives the calling thread a table of descriptors of its own, with the standard ones alone: select(2) takes no number from
/// 1024 on, and the tests beside this one hold many.
fn few_descriptors() {
    // SAFETY: no pointers. The descriptors that are closed belong to this table alone, and nobody here has any.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_FILES), 0);
        assert_eq!(libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0), 0);
    }
}

fn select(fd: RawFd) -> bool {
    let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the set is large enough for this descriptor, and all pointers live until the call returns.
    unsafe {
        let mut set: libc::fd_set = std::mem::zeroed();
        assert!((fd as usize) < libc::FD_SETSIZE);
        libc::FD_SET(fd, &mut set);
        libc::select(fd + 1, &mut set, std::ptr::null_mut(), std::ptr::null_mut(), &mut now) == 1
    }
}

/// Once readable, it stays so for all, until the event is taken.
fn polls_again<A: Api>(means: Means) {
    few_descriptors();
    let mut o = watched_by::<A>(means);
    let level = epoll(o.api.fd(), libc::EPOLLIN);
    let level_again = epoll(level.as_raw_fd(), libc::EPOLLIN);
    for turn in 0..5 {
        let name = format!("n{turn}");
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        o.expect(&[(Created, &name)]);
        o.expect_nothing();
        mount_new_netns(&path);
        assert!(readable(o.api.fd(), DEADLINE), "no wake-up by {means:?}");
        // polled in vain by everybody: in strictness bare mountinfo is lacking, in what is told it is not
        if means != Means::Bare {
            for _ in 0..5 {
                assert!(readable(o.api.fd(), Duration::ZERO), "poll");
                assert!(select(o.api.fd()), "select");
                assert!(epoll_wait(&level, Duration::ZERO), "epoll");
                assert!(epoll_wait(&level_again, Duration::ZERO), "epoll in epoll");
            }
        }
        assert_eq!(o.now().map(|event| event.brief()), Some((Ready, name)), "{means:?}");
        o.expect_nothing();
        assert!(!select(o.api.fd()) && !epoll_wait(&level, Duration::ZERO));
    }
}

fn a_poll_does_not_consume_with_fanotify<A: Api>() {
    polls_again::<A>(Means::Fanotify);
}

fn a_poll_does_not_consume_with_aio<A: Api>() {
    polls_again::<A>(Means::Aio);
}

fn a_poll_does_not_consume_with_bare_mountinfo<A: Api>() {
    polls_again::<A>(Means::Bare);
}

fn one_event_for_each_wake_up<A: Api>() {
    few_descriptors();
    let mut o = watched_by::<A>(Means::Aio);
    let level = epoll(o.api.fd(), libc::EPOLLIN);
    let names: Vec<_> = (0..10).map(|n| format!("n{n}")).collect();
    names.iter().for_each(|name| ip_netns(&["add", name]));
    let mut told = 0;
    while told < 20 {
        assert!(epoll_wait(&level, DEADLINE), "not readable, but {} events are missing", 20 - told);
        for _ in 0..3 {
            assert!(readable(o.api.fd(), Duration::ZERO) && select(o.api.fd()));
        }
        told += usize::from(o.now().is_some());
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn edges_are_enough_for_who_drains<A: Api>() {
    for means in [Means::Fanotify, Means::Aio] {
        let body = move || {
            let mut o = watched_by::<A>(means);
            let edge = epoll(o.api.fd(), libc::EPOLLIN | libc::EPOLLET);
            assert!(!epoll_wait(&edge, Duration::ZERO));
            let until = |o: &mut Observer<A>, told| {
                while o.briefs().last() != Some(&told) {
                    assert!(epoll_wait(&edge, DEADLINE), "no edge for {told:?} by {means:?}");
                    o.drain();
                }
            };
            for turn in 0..10 {
                let name = format!("n{turn}");
                placeholder(format!("{RUN_NETNS}/{name}"));
                until(&mut o, (Created, name.clone()));
                mount_new_netns(format!("{RUN_NETNS}/{name}"));
                until(&mut o, (Ready, name.clone()));
                o.api.resync().unwrap();
                until(&mut o, (Synced, String::new()));
                ip_netns(&["del", &name]);
                until(&mut o, (Deleted, name));
            }
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn a_waiting_consumer_is_woken<A: Api>() {
    for means in [Means::Fanotify, Means::Aio, Means::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(means);
            for turn in 0..10 {
                let name = format!("n{turn}");
                // made by another while this one waits in the kernel, or is about to, or has just returned
                std::thread::scope(|scope| {
                    scope.spawn(|| ip_netns(&["add", &name]));
                    o.expect(&[(Created, &name), (Ready, &name)]);
                });
            }
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn a_wait_ends_in_time<A: Api>() {
    let mut o = watched_by::<A>(Means::Fanotify);
    let start = std::time::Instant::now();
    assert_eq!(o.api.wait(Some(Duration::from_millis(30))), Ok(None));
    assert!(start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
    assert_eq!(o.api.wait(Some(Duration::ZERO)), Ok(None));
    placeholder("/run/netns/half");
    assert!(o.api.wait(Some(Duration::ZERO)).unwrap().is_some());
}

fn a_wait_ends_in_time_while_the_kernel_talks<A: Api>() {
    let mut o = watched_by::<A>(Means::Fanotify);
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    make_dir("/run/busy");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // wakes the watcher all the time, and tells it nothing
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                bind("/run/busy", "/run/busy");
                unmount("/run/busy");
            }
        });
        let start = std::time::Instant::now();
        let ended = o.api.wait(Some(Duration::from_millis(50)));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(ended, Ok(None));
        assert!(start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    });
}

fn unrelated_mounts_wake_nobody<A: Api>() {
    for means in [Means::Fanotify, Means::Aio, Means::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(means);
            for n in 0..100 {
                placeholder(format!("{RUN_NETNS}/n{n}"));
                bind("/proc/thread-self/ns/net", format!("{RUN_NETNS}/n{n}"));
            }
            while o.checker.names.len() < 100 || o.checker.names.values().any(Option::is_none) {
                o.next();
            }
            o.expect_nothing();
            make_dir("/run/elsewhere");
            for _ in 0..50 {
                bind("/run/elsewhere", "/run/elsewhere");
                assert!(!readable(o.api.fd(), Duration::ZERO), "{means:?}");
                unmount("/run/elsewhere");
                assert!(!readable(o.api.fd(), Duration::ZERO), "{means:?}");
            }
            o.expect_nothing();
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn unrelated_mounts_tell_nothing<A: Api>() {
    for means in [Means::Fanotify, Means::Aio, Means::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(means);
            make_dir("/run/elsewhere");
            placeholder("/run/netns/half");
            o.expect(&[(Created, "half")]);
            for turn in 0..200 {
                bind("/run/elsewhere", "/run/elsewhere");
                unmount("/run/elsewhere");
                if turn % 7 == 0 {
                    o.expect_nothing();
                }
            }
            // more notifications than one read takes
            while o.api.next().unwrap().is_some() || readable(o.api.fd(), Duration::ZERO) {}
            o.expect_nothing();
            mount_new_netns("/run/netns/half");
            o.expect(&[(Ready, "half")]);
            o.expect_nothing();
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn the_descriptor_is_what_event_loops_expect<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::default());
    let fd = o.api.fd();
    // SAFETY: no pointers.
    let (close, status) = unsafe { (libc::fcntl(fd, libc::F_GETFD), libc::fcntl(fd, libc::F_GETFL)) };
    assert_eq!(close & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    assert_eq!(status & libc::O_NONBLOCK, libc::O_NONBLOCK, "Go does not poll it without");
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(o.api.fd(), fd, "the same for life");
}
