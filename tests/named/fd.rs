//! The descriptor is readable while an event is pending, for every poller, with each mount backend.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::Feature;
use nswatch::capi::options::{NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS};

both! {
    each_backend_is_in_use
    mounts_are_noticed_by_fanotify
    mounts_are_noticed_by_aio
    mounts_are_noticed_by_bare_mountinfo
    any_mount_change_can_make_a_name_ready
    a_poll_does_not_consume_with_fanotify
    a_poll_does_not_consume_with_aio
    a_poll_does_not_consume_with_bare_mountinfo
    one_event_for_each_wake_up
    edges_suffice_for_a_consumer_that_drains
    a_waiting_consumer_is_woken
    a_wait_ends_in_time
    a_wait_ends_in_time_despite_wake_ups
    unrelated_mounts_wake_nobody
    unrelated_mounts_emit_nothing
    the_descriptor_suits_event_loops
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Fanotify,
    Aio,
    Bare,
}

impl Backend {
    /// The rights with which the library chooses this backend.
    fn rights(self) -> Restriction {
        match self {
            Backend::Fanotify => Restriction::none(),
            Backend::Aio => Restriction::without_sys_admin(),
            Backend::Bare => Restriction::none()
                .failing(libc::SYS_io_setup, libc::EPERM)
                .failing(libc::SYS_fanotify_init, libc::EPERM),
        }
    }

    /// The backend that these rights give here: before fanotify had mount events, the next best.
    fn here(self) -> Self {
        match self {
            Backend::Fanotify if !Feature::MountEvents.is_available().unwrap() => Backend::Aio,
            other => other,
        }
    }

    /// What the kernel shows in the epoll set while the watcher listens to mounts.
    fn shows(self) -> &'static str {
        match self.here() {
            Backend::Fanotify => "anon_inode:[fanotify]",
            Backend::Aio => "anon_inode:[eventfd]",
            Backend::Bare => "/mountinfo",
        }
    }
}

/// Makes an empty directory and a watcher that notices mounts by this backend, or by its fallback here, while a name is
/// pending.
fn watched_by<A: Api>(backend: Backend) -> Observer<A> {
    watched_with(NSW_NO_MOUNT_EVENTS, backend)
}

fn watched_with<A: Api>(flags: u32, backend: Backend) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    // a pending name makes the library choose
    placeholder("/run/netns/first");
    let mut o = elsewhere(&backend.rights(), || Observer::<A>::open_synced(&How::default().flags(flags)));
    let listens = kernel::listens_to(o.api.fd());
    // two: one belongs to the watcher itself
    let expected = if backend.here() == Backend::Aio { 2 } else { 1 };
    assert_eq!(listens.iter().filter(|fd| fd.ends_with(backend.shows())).count(), expected, "{backend:?}: {listens:?}");
    std::fs::remove_file("/run/netns/first").unwrap();
    o.expect(&[(Deleted, "first")]);
    o.expect_nothing();
    o
}

fn each_backend_is_in_use<A: Api>() {
    for backend in [Backend::Fanotify, Backend::Aio, Backend::Bare] {
        std::thread::spawn(move || watched_by::<A>(backend).expect_nothing()).join().unwrap();
    }
}

/// Checks everything that makes the descriptor readable.
fn notices_mounts<A: Api>(backend: Backend) {
    let mut o = watched_by::<A>(backend);
    for turn in 0..20 {
        let name = format!("n{turn}");
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        // each time that the watcher begins to listen it may find a better backend than before
        elsewhere(&backend.rights(), || o.expect(&[(Created, &name)]));
        o.expect_nothing();
        assert!(kernel::listens_to(o.api.fd()).iter().any(|fd| fd.ends_with(backend.shows())));
        mount_new_netns(&path);
        o.expect(&[(Ready, &name)]);
        o.expect_nothing();
        o.expect_truth(RUN_NETNS);
    }
    // mounted while the watcher does not listen, and while it listens
    placeholder("/run/netns/stays");
    for turn in 0..20 {
        let name = format!("m{turn}");
        ip_netns(&["add", &name]);
        elsewhere(&backend.rights(), || o.until(Ready, &name));
        ip_netns(&["del", &name]);
        o.expect(&[(Deleted, &name)]);
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn mounts_are_noticed_by_fanotify<A: Api>() {
    notices_mounts::<A>(Backend::Fanotify);
}

fn mounts_are_noticed_by_aio<A: Api>() {
    notices_mounts::<A>(Backend::Aio);
}

fn mounts_are_noticed_by_bare_mountinfo<A: Api>() {
    notices_mounts::<A>(Backend::Bare);
}

fn any_mount_change_can_make_a_name_ready<A: Api>() {
    let each = [Backend::Fanotify, Backend::Aio, Backend::Bare];
    let flags = [0, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS];
    for (backend, flags) in each.into_iter().flat_map(|backend| flags.map(|flags| (backend, flags))) {
        let body = move || {
            let mut o = watched_with::<A>(flags, backend);
            // the mount that covers a namespace goes
            placeholder("/run/netns/covered");
            mount_new_netns("/run/netns/covered");
            o.expect(&[(Created, "covered"), (Ready, "covered")]);
            bind("/proc/self/ns/uts", "/run/netns/covered");
            o.resync();
            assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
            unmount("/run/netns/covered");
            o.expect(&[(Ready, "covered")]);
            // a mount appears on the path of a link, and is no namespace itself
            make_dir("/run/tree");
            symlink("/proc/thread-self/ns/net", "/run/tree/ns");
            make_dir("/run/mountpoint");
            symlink("/run/mountpoint/ns", "/run/netns/link");
            o.expect(&[(Created, "link")]);
            o.expect_nothing();
            bind("/run/tree", "/run/mountpoint");
            o.expect(&[(Ready, "link")]);
            // in one step with the mounts below it
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

/// Gives the calling thread a descriptor table of its own, with the standard ones only: select(2) takes no number from
/// 1024 on, and parallel tests hold many.
fn few_descriptors() {
    // SAFETY: no pointers. The closed descriptors belong to this table alone, and nothing here owns one.
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

/// Once readable, the descriptor stays so for every poller until the event is taken.
fn polls_again<A: Api>(backend: Backend) {
    few_descriptors();
    let mut o = watched_by::<A>(backend);
    let level = epoll(o.api.fd(), libc::EPOLLIN);
    let level_again = epoll(level.as_raw_fd(), libc::EPOLLIN);
    for turn in 0..5 {
        let name = format!("n{turn}");
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        o.expect(&[(Created, &name)]);
        o.expect_nothing();
        mount_new_netns(&path);
        assert!(readable(o.api.fd(), DEADLINE), "no wake-up by {backend:?}");
        // bare mountinfo is not level-triggered, but its event comes even after other polls
        if backend != Backend::Bare {
            for _ in 0..5 {
                assert!(readable(o.api.fd(), Duration::ZERO), "poll");
                assert!(select(o.api.fd()), "select");
                assert!(epoll_wait(&level, Duration::ZERO), "epoll");
                assert!(epoll_wait(&level_again, Duration::ZERO), "epoll in epoll");
            }
        }
        assert_eq!(o.now().map(|event| event.brief()), Some((Ready, name)), "{backend:?}");
        o.expect_nothing();
        assert!(!select(o.api.fd()) && !epoll_wait(&level, Duration::ZERO));
    }
}

fn a_poll_does_not_consume_with_fanotify<A: Api>() {
    polls_again::<A>(Backend::Fanotify);
}

fn a_poll_does_not_consume_with_aio<A: Api>() {
    polls_again::<A>(Backend::Aio);
}

fn a_poll_does_not_consume_with_bare_mountinfo<A: Api>() {
    polls_again::<A>(Backend::Bare);
}

fn one_event_for_each_wake_up<A: Api>() {
    few_descriptors();
    let mut o = watched_by::<A>(Backend::Aio);
    let level = epoll(o.api.fd(), libc::EPOLLIN);
    let names: Vec<_> = (0..10).map(|n| format!("n{n}")).collect();
    names.iter().for_each(|name| ip_netns(&["add", name]));
    let mut taken = 0;
    while taken < 20 {
        assert!(epoll_wait(&level, DEADLINE), "not readable, but {} events are missing", 20 - taken);
        for _ in 0..3 {
            assert!(readable(o.api.fd(), Duration::ZERO) && select(o.api.fd()));
        }
        taken += usize::from(o.now().is_some());
    }
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
}

fn edges_suffice_for_a_consumer_that_drains<A: Api>() {
    for backend in [Backend::Fanotify, Backend::Aio] {
        let body = move || {
            let mut o = watched_by::<A>(backend);
            let edge = epoll(o.api.fd(), libc::EPOLLIN | libc::EPOLLET);
            assert!(!epoll_wait(&edge, Duration::ZERO));
            let until = |o: &mut Observer<A>, last| {
                while o.briefs().last() != Some(&last) {
                    assert!(epoll_wait(&edge, DEADLINE), "no edge for {last:?} by {backend:?}");
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
    for backend in [Backend::Fanotify, Backend::Aio, Backend::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(backend);
            for turn in 0..10 {
                let name = format!("n{turn}");
                // another thread mounts it while this one waits in the kernel, is about to, or has just returned
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
    let mut o = watched_by::<A>(Backend::Fanotify);
    let start = std::time::Instant::now();
    assert_eq!(o.api.wait(Some(Duration::from_millis(30))), Ok(None));
    assert!(start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
    assert_eq!(o.api.wait(Some(Duration::ZERO)), Ok(None));
    placeholder("/run/netns/half");
    assert!(o.api.wait(Some(Duration::ZERO)).unwrap().is_some());
}

fn a_wait_ends_in_time_despite_wake_ups<A: Api>() {
    let mut o = watched_by::<A>(Backend::Fanotify);
    placeholder("/run/netns/half");
    o.expect(&[(Created, "half")]);
    make_dir("/run/busy");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // wakes the watcher all the time, without an event
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
    for backend in [Backend::Fanotify, Backend::Aio, Backend::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(backend);
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
                assert!(!readable(o.api.fd(), Duration::ZERO), "{backend:?}");
                unmount("/run/elsewhere");
                assert!(!readable(o.api.fd(), Duration::ZERO), "{backend:?}");
            }
            o.expect_nothing();
        };
        std::thread::spawn(body).join().unwrap();
    }
}

fn unrelated_mounts_emit_nothing<A: Api>() {
    for backend in [Backend::Fanotify, Backend::Aio, Backend::Bare] {
        let body = move || {
            let mut o = watched_by::<A>(backend);
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

fn the_descriptor_suits_event_loops<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::default());
    let fd = o.api.fd();
    // SAFETY: no pointers.
    let (close, status) = unsafe { (libc::fcntl(fd, libc::F_GETFD), libc::fcntl(fd, libc::F_GETFL)) };
    assert_eq!(close & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    assert_eq!(status & libc::O_NONBLOCK, libc::O_NONBLOCK, "Go polls it only with O_NONBLOCK");
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(o.api.fd(), fd, "the descriptor never changes");
}
