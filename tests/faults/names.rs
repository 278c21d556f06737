//! Makes every system call of the library fail, by every errno that matters, at open and later. The call returns an
//! errno or takes another way; no descriptor is lost, and after the fault the events add up to the kernel's state.
//!
//! `tests/named/faults.rs` checks the exact effect of each failure; this matrix leaves none out.

use std::time::Instant;

use crate::alone;
use crate::support::api::{Api, C, Ev, How, Kind, Rust, readable};
use crate::support::grammar::Checker;
use crate::support::thread::{FSTATAT, Restriction, elsewhere};
use crate::support::*;
use libc::c_long;
use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_MOUNT_EVENTS};

const SYS_STATMOUNT: c_long = 457;

/// The calls that strace shows in a watcher's life, but for those that only the allocator, the C library and threads
/// need, and close(2), whose failure has no remedy.
const CALLS: [(c_long, &str); 26] = [
    (libc::SYS_openat, "openat"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_statx, "statx"),
    (FSTATAT, "newfstatat"),
    (libc::SYS_statfs, "statfs"),
    (libc::SYS_fstatfs, "fstatfs"),
    (libc::SYS_readlinkat, "readlinkat"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_eventfd2, "eventfd2"),
    (libc::SYS_timerfd_create, "timerfd_create"),
    (libc::SYS_timerfd_settime, "timerfd_settime"),
    (libc::SYS_inotify_init1, "inotify_init1"),
    (libc::SYS_inotify_add_watch, "inotify_add_watch"),
    (libc::SYS_inotify_rm_watch, "inotify_rm_watch"),
    (libc::SYS_name_to_handle_at, "name_to_handle_at"),
    (libc::SYS_fanotify_init, "fanotify_init"),
    (libc::SYS_fanotify_mark, "fanotify_mark"),
    (libc::SYS_io_submit, "io_submit"),
    (libc::SYS_io_getevents, "io_getevents"),
    (SYS_STATMOUNT, "statmount"),
];

/// A limit or a signal answers nothing, so the watcher may lose nothing by it.
const SHORTAGES: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC, libc::EINTR];
/// An answer, which counts as long as it is given.
const ANSWERS: [i32; 3] = [libc::EACCES, libc::EPERM, libc::ENOSYS];

/// The rights for each mount backend.
fn fanotify() -> Restriction {
    Restriction::none()
}

fn aio() -> Restriction {
    Restriction::without_sys_admin()
}

fn bare() -> Restriction {
    Restriction::without_sys_admin().failing(libc::SYS_io_setup, libc::ENOSYS)
}

/// The place that the failing calls come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Home,
    /// Another root directory, with a directory of the same path.
    Root,
    /// Another mount namespace, where the directory is hidden.
    Mounts,
}

impl Place {
    fn go(self) {
        match self {
            Self::Home => {}
            Self::Root => {
                unshare(libc::CLONE_FS).unwrap();
                std::os::unix::fs::chroot("/run/jail").unwrap();
            }
            Self::Mounts => {
                unshare(libc::CLONE_NEWNS).unwrap();
                mount("nswatch-away", "/run", Some("tmpfs"), 0);
            }
        }
    }
}

#[test]
fn with_fanotify() {
    matrix::<Rust>(fanotify, Place::Home, &[SHORTAGES.as_slice(), &ANSWERS].concat());
}

#[test]
fn with_aio() {
    matrix::<C>(aio, Place::Home, &[libc::ENOMEM, libc::EINTR, libc::EPERM]);
}

#[test]
fn with_bare_mountinfo() {
    matrix::<Rust>(bare, Place::Home, &[libc::ENOMEM, libc::EINTR, libc::EPERM]);
}

/// Before Linux 6.18 the watcher must open a name to identify it.
#[test]
fn with_names_that_are_opened() {
    let opens = || aio().failing(libc::SYS_name_to_handle_at, libc::EOPNOTSUPP);
    matrix::<C>(opens, Place::Home, &[libc::ENOMEM, libc::EINTR]);
}

#[test]
fn from_another_root() {
    matrix::<Rust>(aio, Place::Root, &[libc::ENOMEM, libc::EPERM]);
}

#[test]
fn from_another_mount_namespace() {
    matrix::<C>(fanotify, Place::Mounts, &[libc::ENOMEM, libc::EPERM]);
}

fn matrix<A: Api>(rights: fn() -> Restriction, from: Place, errnos: &[i32]) {
    let _alone = alone();
    sandbox();
    for (call, name) in CALLS {
        for &errno in errnos {
            if (call, errno) == (libc::SYS_openat, libc::EINTR) {
                // the standard library retries until the signals end, and these never do
                continue;
            }
            let what = format!("{name} fails with {errno}");
            if from == Place::Home {
                at_open::<A>(rights().failing(call, errno), &what);
            }
            running::<A>(rights, from, (call, errno), &what);
        }
    }
}

/// A directory with one namespace and one pending name.
fn stage() -> How {
    std::fs::create_dir_all(RUN_NETNS).unwrap();
    std::fs::create_dir_all(format!("/run/jail/{RUN_NETNS}")).unwrap();
    for name in ["old", "gone"] {
        placeholder(format!("{RUN_NETNS}/{name}"));
        mount_new_netns(format!("{RUN_NETNS}/{name}"));
    }
    placeholder("/run/netns/waits");
    How { settle_ms: 1, ..How::default().flags(NSW_MOUNT_EVENTS | NSW_DIR_EVENTS) }
}

fn clear() {
    for entry in std::fs::read_dir(RUN_NETNS).unwrap().flatten() {
        if kernel::netns(entry.path()).is_some() {
            unmount(entry.path());
        }
        std::fs::remove_file(entry.path()).unwrap();
    }
    std::fs::remove_dir(RUN_NETNS).unwrap();
}

fn at_open<A: Api>(restriction: Restriction, what: &str) {
    let how = stage();
    let fds = kernel::open_fds();
    match elsewhere(&restriction, || A::open(&how)) {
        Ok(mut api) => {
            let mut checker = Checker::default();
            converge(&mut api, &mut checker, true, what);
        }
        Err(errno) => assert!(errno > 0, "{what} at open: {errno}"),
    }
    assert_eq!(kernel::open_fds(), fds, "{what} at open: descriptors are left open");
    clear();
}

fn running<A: Api>(rights: fn() -> Restriction, from: Place, (call, errno): (c_long, i32), what: &str) {
    let how = stage();
    let fds = kernel::open_fds();
    let mut checker = Checker::default();
    // a watcher opened with few rights keeps its backend
    let mut api = elsewhere(&rights(), || A::open(&how)).unwrap();
    elsewhere(&rights(), || converge(&mut api, &mut checker, false, "before the fault"));
    let held = kernel::open_fds();
    placeholder("/run/netns/new");
    mount_new_netns("/run/netns/new");
    mount_new_netns("/run/netns/waits");
    unmount("/run/netns/old");
    unmount("/run/netns/gone");
    std::fs::remove_file("/run/netns/gone").unwrap();
    // a resync repairs mistakes and would hide them: most runs do without
    let looks = errno == libc::ENOMEM || ANSWERS.contains(&errno);
    let mut opened = Vec::new();
    elsewhere(&Restriction::none(), || {
        from.go();
        rights().failing(call, errno).apply();
        for turn in 0..20 {
            let result = match turn % 3 {
                0 => api.wait(Some(std::time::Duration::ZERO)),
                1 if turn == 10 && looks => api.resync().map(|()| None),
                _ => api.next(),
            };
            match result {
                Ok(event) => event.iter().for_each(|event| {
                    is_true(event, what);
                    checker.feed(event);
                    opened.extend(api.open_netns().map(|fd| (fd, event.clone())));
                }),
                Err(error) => {
                    let is_away = from != Place::Home && error == libc::EXDEV;
                    assert!(error == errno || is_away, "{what}: errno {error}");
                }
            }
        }
    });
    // the fault must not make the library open another namespace
    for (fd, event) in opened {
        assert_eq!(kernel::netns_of(&fd.into()), Some((event.dev, event.ino, event.cookie)));
    }
    // the watcher believed the answer while it was given; a resync finds that it has changed
    let ask = ANSWERS.contains(&errno);
    elsewhere(&rights(), || converge(&mut api, &mut checker, ask, what));
    // and the watcher still works
    placeholder("/run/netns/after");
    mount_new_netns("/run/netns/after");
    elsewhere(&rights(), || converge(&mut api, &mut checker, false, what));
    // another mount backend may be in use by now, with at most two more descriptors
    assert!(kernel::open_fds() <= held + 2, "{what}: descriptors are left open");
    drop(api);
    assert_eq!(kernel::open_fds(), fds, "{what}: descriptors are left open at the end");
    clear();
}

/// Asserts that an event during the fault does not take "unknown" for "no": nothing that exists is reported as gone.
fn is_true(event: &Ev, what: &str) {
    match (event.kind, event.text().as_str()) {
        (Kind::Deleted, "gone") | (Kind::Detached, "gone" | "old") => {}
        (Kind::Deleted | Kind::Detached | Kind::DirDeleted, _) => panic!("{what}: {event:?}, which exists"),
        _ => {}
    }
}

/// Reads until the events add up to the kernel's state and no event is pending.
fn converge<A: Api>(api: &mut A, checker: &mut Checker, ask: bool, what: &str) {
    let end = Instant::now() + DEADLINE;
    let mut asked = !ask;
    loop {
        if let Some(event) =
            api.wait(Some(std::time::Duration::from_millis(2))).unwrap_or_else(|e| panic!("{what}: {e}"))
        {
            checker.feed(&event);
        } else if !asked {
            api.resync().unwrap();
            asked = true;
        } else if checker.believed() == kernel::names(RUN_NETNS)
            && checker.open_overflows == 0
            && !readable(api.fd(), std::time::Duration::ZERO)
        {
            return;
        }
        let believed = checker.believed();
        assert!(
            Instant::now() < end,
            "{what}: the events give {believed:?}, the kernel {:?}",
            kernel::names(RUN_NETNS)
        );
    }
}
