//! Makes every system call of a watcher of all namespaces fail, by every errno that matters, at open and later. The
//! call returns an errno or takes another way; no death is invented, no descriptor or thread is lost, and after the
//! fault the events add up to the kernel's state. Other tests make namespaces meanwhile: these compare their own.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::alone;
use crate::support::api::{Api, C, Ev, How, Kind, Rust, readable};
use crate::support::grammar::{Checker, Id};
use crate::support::nsid::anonymous;
use crate::support::thread::{FSTATAT, Restriction, SEND, elsewhere};
use crate::support::*;
use libc::c_long;
use nswatch::capi::options::NSW_PREPARE;

/// The calls that strace shows in a watcher's life, but for those that only the allocator, the C library and threads
/// need (without mmap(2) the standard library aborts a thread that starts), and close(2), whose failure has no remedy.
const CALLS: [(c_long, &str); 38] = [
    (libc::SYS_openat, "openat"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_statx, "statx"),
    (FSTATAT, "newfstatat"),
    (libc::SYS_fstatfs, "fstatfs"),
    (libc::SYS_readlinkat, "readlinkat"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_name_to_handle_at, "name_to_handle_at"),
    (libc::SYS_open_by_handle_at, "open_by_handle_at"),
    (LISTNS, "listns"),
    (libc::SYS_capget, "capget"),
    (libc::SYS_socket, "socket"),
    (libc::SYS_bind, "bind"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_setsockopt, "setsockopt"),
    (libc::SYS_getsockopt, "getsockopt"),
    (SEND, "send"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_unshare, "unshare"),
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_eventfd2, "eventfd2"),
    (libc::SYS_timerfd_create, "timerfd_create"),
    (libc::SYS_timerfd_settime, "timerfd_settime"),
    (libc::SYS_fanotify_init, "fanotify_init"),
    (libc::SYS_fanotify_mark, "fanotify_mark"),
    (libc::SYS_io_setup, "io_setup"),
    (libc::SYS_io_submit, "io_submit"),
    (libc::SYS_io_getevents, "io_getevents"),
    (libc::SYS_perf_event_open, "perf_event_open"),
];
const LISTNS: c_long = 470;

/// A limit or a signal answers nothing, so the watcher may lose nothing by it. All other errnos are an answer, which
/// counts as long as it is given.
const SHORTAGES: [i32; 6] = [libc::EMFILE, libc::ENOMEM, libc::ENOSPC, libc::ENOBUFS, libc::EINTR, libc::EAGAIN];

/// One of each kind: a shortage, a refusal, and the kernel's answer about a namespace, which a failed call does not
/// give.
const SOME: [i32; 3] = [libc::ENOMEM, libc::EPERM, libc::ENOENT];

/// The further errnos that the library handles in a way of their own when this call fails. An errno that it handles
/// like one of [`SOME`] is not tried at each call.
const fn particular(call: c_long) -> &'static [i32] {
    match call {
        libc::SYS_openat | libc::SYS_socket => &[libc::EMFILE, libc::EACCES],
        libc::SYS_statx | FSTATAT | libc::SYS_readlinkat | libc::SYS_name_to_handle_at => {
            &[libc::EACCES, libc::ENOSYS, libc::EINVAL]
        }
        libc::SYS_open_by_handle_at | libc::SYS_fanotify_init | libc::SYS_perf_event_open => {
            &[libc::EMFILE, libc::EACCES, libc::EINVAL]
        }
        libc::SYS_epoll_create1 | libc::SYS_eventfd2 | libc::SYS_timerfd_create => &[libc::EMFILE],
        libc::SYS_epoll_ctl | libc::SYS_fanotify_mark | libc::SYS_unshare => &[libc::ENOSPC, libc::EINVAL],
        libc::SYS_clone => &[libc::ENOSPC, libc::EAGAIN, libc::EINVAL],
        libc::SYS_clone3 | libc::SYS_io_setup | libc::SYS_io_submit => &[libc::EAGAIN],
        SEND | libc::SYS_recvmsg | libc::SYS_recvmmsg => &[libc::ENOBUFS, libc::EINTR, libc::EAGAIN, libc::EINVAL],
        libc::SYS_ppoll | libc::SYS_write | libc::SYS_io_getevents => &[libc::EINTR, libc::EAGAIN, libc::EINVAL],
        // EINTR would never end here
        libc::SYS_read => &[libc::EAGAIN, libc::EINVAL],
        LISTNS | libc::SYS_ioctl | libc::SYS_timerfd_settime => &[libc::ENOSYS, libc::EINVAL],
        _ => &[libc::EINVAL],
    }
}

/// All in parallel, since each mostly waits for the kernel to clean up namespaces. All but the first run in a pid
/// namespace, where a census does not read the descriptors of the host's processes.
#[test]
fn all_system_calls_fail() {
    let _alone = alone();
    std::thread::scope(|scope| {
        scope.spawn(|| run_alone("all::alone_with_every_right", &["env"]));
        for test in ["prepared", "without_privilege", "by_asking", "by_opening", "elsewhere"] {
            if test == "by_asking" && !kernel::shows_deaths_by_cookie() {
                skipped("without a post only Linux 6.18 shows deaths");
                continue;
            }
            scope.spawn(move || {
                run_alone(&format!("all::alone_{test}"), &UNSEEN);
            });
        }
    });
}

#[test]
#[ignore = "alone"]
fn alone_with_every_right() {
    matrix::<Rust>(&How::all(), Restriction::none, || {}, particular);
}

const fn nothing(_: c_long) -> &'static [i32] {
    &[]
}

#[test]
#[ignore = "alone"]
fn alone_prepared() {
    matrix::<C>(&How::all().flags(NSW_PREPARE), Restriction::none, || {}, nothing);
}

#[test]
#[ignore = "alone"]
fn alone_without_privilege() {
    matrix::<C>(&How::all(), Restriction::powerless, || {}, nothing);
}

/// Nothing reports deaths: the watcher checks each namespace.
#[test]
#[ignore = "alone"]
fn alone_by_asking() {
    let asks = || Restriction::none().failing(libc::SYS_unshare, libc::EPERM).failing_user_namespace(libc::EPERM);
    matrix::<Rust>(&How::all(), asks, || {}, nothing);
}

/// Before Linux 6.18 the watcher must open a namespace to identify it.
#[test]
#[ignore = "alone"]
fn alone_by_opening() {
    let opens = || Restriction::without_sys_admin().failing(libc::SYS_name_to_handle_at, libc::EOPNOTSUPP);
    matrix::<C>(&How::all(), opens, || {}, nothing);
}

/// The failing calls come from another network and mount namespace, without any privilege.
#[test]
#[ignore = "alone"]
fn alone_elsewhere() {
    let leave = || {
        unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS).unwrap();
        Restriction::powerless().apply();
    };
    matrix::<Rust>(&How::all(), Restriction::none, leave, nothing);
}

fn matrix<A: Api>(how: &How, rights: fn() -> Restriction, leave: fn(), more: fn(c_long) -> &'static [i32]) {
    sandbox();
    make_dir(RUN_NETNS);
    for (call, name) in CALLS {
        for &errno in SOME.iter().chain(more(call)) {
            let what = format!("{name} fails with {errno}");
            at_open::<A>(how, rights().failing(call, errno), errno, &what);
            running::<A>(how, rights, leave, (call, errno), &what);
        }
    }
}

/// The namespaces of the test, living and dead, by name.
#[derive(Default)]
struct Truth {
    living: Vec<(&'static str, Id)>,
    dead: Vec<(&'static str, Id)>,
    kept: Vec<(&'static str, OwnedFd)>,
}

impl Truth {
    /// Mounts a new one.
    fn mount(&mut self, name: &'static str) {
        let path = format!("{RUN_NETNS}/{name}");
        placeholder(&path);
        mount_new_netns(&path);
        self.living.push((name, kernel::netns(&path).unwrap()));
    }

    /// Makes one that only a descriptor keeps alive.
    fn keep(&mut self, name: &'static str) {
        let namespace = anonymous();
        self.living.push((name, kernel::netns_of(&namespace.try_clone().unwrap().into()).unwrap()));
        self.kept.push((name, namespace));
    }

    fn kill(&mut self, name: &'static str) {
        let (path, before) = (format!("{RUN_NETNS}/{name}"), self.kept.len());
        self.kept.retain(|(kept, _)| *kept != name);
        if self.kept.len() == before {
            unmount(&path);
            std::fs::remove_file(&path).unwrap();
        }
        let at = self.living.iter().position(|(known, _)| *known == name).unwrap();
        self.dead.push(self.living.remove(at));
    }

    fn clear(mut self) {
        while let Some((name, _)) = self.living.last().copied() {
            self.kill(name);
        }
    }

    /// Asserts that an event does not invent a death. Before Linux 6.18 a living namespace may have the numbers of a
    /// dead one.
    fn permits(&self, event: &Ev, what: &str) {
        let has = |some: &[(&str, Id)]| some.iter().any(|(_, id)| is_same(*id, event.netns()));
        let is_false = event.kind == Kind::NetnsDel && has(&self.living) && !has(&self.dead);
        assert!(!is_false, "{what}: {event:?}, which exists: {:?}", self.living);
    }

    /// The namespaces that a consumer has wrong.
    fn wrong(&self, checker: &Checker) -> Vec<(&'static str, Id)> {
        let believes = |id: Id| checker.netns.iter().any(|known| is_same(*known, id));
        let missed = self.living.iter().filter(|(_, id)| !believes(*id));
        let lives = |dead: Id| self.living.iter().any(|(_, id)| is_same(*id, dead));
        let kept = self.dead.iter().filter(|(_, id)| checker.netns.contains(id) && !lives(*id));
        missed.chain(kept).copied().collect()
    }
}

/// An event has no cookie where the kernel gives none.
fn is_same(a: Id, b: Id) -> bool {
    (a.0, a.1) == (b.0, b.1) && (a.2 == b.2 || a.2 == 0 || b.2 == 0)
}

fn at_open<A: Api>(how: &How, restriction: Restriction, errno: i32, what: &str) {
    let mut truth = Truth::default();
    truth.mount("old");
    truth.keep("kept");
    let before = (kernel::open_fds(), kernel::threads());
    match elsewhere(&restriction, || A::open(how)) {
        Ok(mut api) => converge(&mut api, &mut Checker::default(), &truth, true, what),
        Err(error) => assert!([errno, libc::EOPNOTSUPP].contains(&error), "{what} at open: errno {error}"),
    }
    expect_as_before(before, what);
    truth.clear();
}

/// The kernel may close a thread's descriptors after the join.
fn expect_as_before(before: (usize, usize), what: &str) {
    let end = Instant::now() + DEADLINE;
    while (kernel::open_fds(), kernel::threads()) != before {
        let now = (kernel::open_fds(), kernel::threads());
        assert!(Instant::now() < end, "{what}: descriptors and threads {now:?}, not {before:?}");
        std::thread::yield_now();
    }
}

fn running<A: Api>(how: &How, rights: fn() -> Restriction, leave: fn(), (call, errno): (c_long, i32), what: &str) {
    let mut truth = Truth::default();
    truth.mount("old");
    truth.mount("gone");
    truth.keep("kept");
    let before = (kernel::open_fds(), kernel::threads());
    let mut checker = Checker::default();
    // a watcher opened with few rights keeps its backends
    let mut api = elsewhere(&rights(), || A::open(how)).unwrap();
    elsewhere(&rights(), || converge(&mut api, &mut checker, &truth, false, "before the fault"));
    let held = kernel::open_fds();
    truth.kill("gone");
    truth.keep("third");
    truth.mount("new");
    // a resync repairs mistakes and would hide them: most runs do without
    let looks = errno == libc::ENOMEM || !SHORTAGES.contains(&errno);
    elsewhere(&Restriction::none(), || {
        let home = std::fs::read_link("/proc/thread-self/ns/mnt").unwrap();
        leave();
        let is_away = std::fs::read_link("/proc/thread-self/ns/mnt").unwrap() != home;
        rights().failing(call, errno).apply();
        for turn in 0..12 {
            let result = match turn % 3 {
                0 => api.wait(Some(Duration::ZERO)),
                1 if turn == 7 && looks => api.resync().map(|()| None),
                _ => api.next(),
            };
            match result {
                Ok(event) => event.iter().for_each(|event| {
                    truth.permits(event, what);
                    checker.feed(event);
                }),
                Err(error) => {
                    let is_expected = [errno, libc::EOPNOTSUPP].contains(&error) || is_away && error == libc::EXDEV;
                    assert!(is_expected, "{what}: errno {error}");
                }
            }
        }
    });
    // the watcher believed the answer while it was given; a resync finds that it has changed
    let ask = !SHORTAGES.contains(&errno);
    elsewhere(&rights(), || converge(&mut api, &mut checker, &truth, ask, what));
    // and the watcher still works
    truth.kill("new");
    truth.mount("after");
    elsewhere(&rights(), || converge(&mut api, &mut checker, &truth, false, what));
    // each mechanism may exist by now, and "third" belongs to the test
    assert!(kernel::open_fds() <= held + 1 + 5, "{what}: descriptors are left open");
    drop(api);
    truth.kill("third");
    expect_as_before(before, what);
    truth.clear();
}

/// Reads until the events add up to the truth and no event is pending.
fn converge<A: Api>(api: &mut A, checker: &mut Checker, truth: &Truth, ask: bool, what: &str) {
    let end = Instant::now() + DEADLINE;
    let mut asked = !ask;
    loop {
        if let Some(event) = api.wait(Some(Duration::from_millis(2))).unwrap_or_else(|e| panic!("{what}: {e}")) {
            truth.permits(&event, what);
            checker.feed(&event);
        } else if !asked {
            api.resync().unwrap_or_else(|e| panic!("{what}: {e}"));
            asked = true;
        } else if truth.wrong(checker).is_empty() && checker.open_overflows == 0 && !readable(api.fd(), Duration::ZERO)
        {
            return;
        }
        assert!(Instant::now() < end, "{what}: wrong about {:?}", truth.wrong(checker));
    }
}
