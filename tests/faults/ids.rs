//! Makes every system call of a watcher of nsids fail, by every errno that matters, at open and later. The call returns
//! an errno or takes another way; no descriptor is lost, and after the fault the events add up to the kernel's state.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::alone;
use crate::support::api::{Api, C, How, Kind, Rust, readable};
use crate::support::grammar::Checker;
use crate::support::nsid::{anonymous, inside, living};
use crate::support::thread::{Restriction, SEND, elsewhere};
use crate::support::*;
use libc::c_long;
use nswatch::capi::options::NSW_ALL_NSID;
use nswatch::nsid;

/// The calls that strace shows in a watcher's life, but for those that only the allocator and the C library need, and
/// close(2), whose failure has no remedy.
const CALLS: [(c_long, &str); 16] = [
    (libc::SYS_socket, "socket"),
    (libc::SYS_bind, "bind"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_setsockopt, "setsockopt"),
    (libc::SYS_getsockopt, "getsockopt"),
    (SEND, "send"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_eventfd2, "eventfd2"),
];

/// A limit or a signal answers nothing, so the watcher may lose nothing by it.
const SHORTAGES: [i32; 6] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC, libc::ENOBUFS, libc::EINTR];
/// An answer, which counts as long as it is given.
const ANSWERS: [i32; 3] = [libc::EACCES, libc::EPERM, libc::ENOSYS];
/// The kernel's answers about nsids: a system call that fails with one of these has answered nothing.
const DECEPTIVE: [i32; 2] = [libc::ENOENT, libc::EINVAL];

#[test]
fn ids_here() {
    matrix::<Rust>(&How::nsid(), || {}, &[SHORTAGES.as_slice(), &ANSWERS, &DECEPTIVE].concat());
}

#[test]
fn ids_in_peers_too() {
    let errnos = [[libc::ENOMEM, libc::EINTR, libc::EPERM].as_slice(), &DECEPTIVE].concat();
    matrix::<C>(&How::nsid().flags(NSW_ALL_NSID), || {}, &errnos);
}

/// The failing calls come from another network and mount namespace, without any privilege.
#[test]
fn ids_for_a_caller_elsewhere() {
    let leave = || {
        unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS).unwrap();
        Restriction::powerless().apply();
    };
    matrix::<C>(&How::nsid(), leave, &[[libc::ENOMEM, libc::EPERM].as_slice(), &DECEPTIVE].concat());
}

fn matrix<A: Api>(how: &How, leave: fn(), errnos: &[i32]) {
    let _alone = alone();
    for (call, name) in CALLS {
        for &errno in errnos {
            if (call, errno) == (libc::SYS_openat, libc::EINTR) {
                // the standard library retries until the signals end, and these never do
                continue;
            }
            let what = format!("{name} fails with {errno}");
            sandbox();
            at_open::<A>(how, call, errno, &what);
            sandbox();
            running::<A>(how, leave, (call, errno), &what);
        }
    }
}

/// A peer with an nsid here, and a peer of its own with an nsid there.
fn peer(here: i32, there: i32) -> [OwnedFd; 2] {
    let (peer, its) = (anonymous(), anonymous());
    nsid::assign(&peer, Some(here)).unwrap();
    inside(&peer, || nsid::assign(&its, Some(there)).unwrap());
    [peer, its]
}

fn at_open<A: Api>(how: &How, call: c_long, errno: i32, what: &str) {
    let peers = [(1, peer(1, 4))];
    let fds = kernel::open_fds();
    match elsewhere(&Restriction::none().failing(call, errno), || A::open(how)) {
        Ok(mut api) => converge(&mut api, how, &mut Checker::default(), &peers, true, what),
        Err(error) => assert!(error == errno, "{what} at open: errno {error}"),
    }
    assert_eq!(kernel::open_fds(), fds, "{what} at open: descriptors are left open");
}

fn running<A: Api>(how: &How, leave: fn(), (call, errno): (c_long, i32), what: &str) {
    let fds = kernel::open_fds();
    let mut peers = vec![(1, peer(1, 4)), (2, peer(2, 5))];
    let mut checker = Checker::default();
    let mut api = A::open(how).unwrap();
    converge(&mut api, how, &mut checker, &peers, false, "before the fault");
    let held = kernel::open_fds();
    // one dies, another one gets its nsid, and a third one comes
    peers.remove(1);
    peers.push((3, peer(3, 6)));
    peers.push((2, peer_of_a_free_id(2, 7)));
    // a resync repairs mistakes and would hide them: most runs do without
    let looks = errno == libc::ENOMEM || ANSWERS.contains(&errno);
    elsewhere(&Restriction::none(), || {
        leave();
        Restriction::none().failing(call, errno).apply();
        for turn in 0..20 {
            let result = match turn % 3 {
                0 => api.wait(Some(Duration::ZERO)),
                1 if turn == 10 && looks => api.resync().map(|()| None),
                _ => api.next(),
            };
            match result {
                Ok(event) => event.iter().for_each(|event| {
                    let gone = (event.kind, event.origin, event.nsid);
                    // the dead one here, and its own peers
                    let is_gone = matches!(gone, (Kind::NsidDel, -1, 2) | (Kind::NsidDel, 2, _));
                    assert!(event.kind != Kind::NsidDel || is_gone, "{what}: {event:?}, which exists");
                    checker.feed(event);
                }),
                Err(error) => assert!(error == errno, "{what}: errno {error}"),
            }
        }
    });
    // the watcher believed the answer while it was given; a resync finds that it has changed
    let ask = ANSWERS.contains(&errno);
    converge(&mut api, how, &mut checker, &peers, ask, what);
    // and the watcher still works
    peers.push((9, peer(9, 8)));
    converge(&mut api, how, &mut checker, &peers, false, what);
    assert_eq!(kernel::open_fds(), held + 2 * (peers.len() - 2), "{what}: descriptors are left open");
    drop((api, peers));
    assert_eq!(kernel::open_fds(), fds, "{what}: descriptors are left open at the end");
}

/// As [`peer`], once the kernel has taken the nsid from its previous owner.
fn peer_of_a_free_id(here: i32, there: i32) -> [OwnedFd; 2] {
    let end = Instant::now() + DEADLINE;
    let (peer, its) = (anonymous(), anonymous());
    while let Err(error) = nsid::assign(&peer, Some(here)) {
        assert!(error.errno() == libc::EEXIST && Instant::now() < end, "{error}");
        std::thread::yield_now();
    }
    inside(&peer, || nsid::assign(&its, Some(there)).unwrap());
    [peer, its]
}

/// Reads until the events add up to the truth and no event is pending.
fn converge<A: Api>(
    api: &mut A,
    how: &How,
    checker: &mut Checker,
    peers: &[(i32, [OwnedFd; 2])],
    ask: bool,
    what: &str,
) {
    let mut truth: BTreeSet<(i32, i32)> = living(0..16).into_iter().map(|nsid| (-1, nsid)).collect();
    if how.flags & NSW_ALL_NSID != 0 {
        for (id, [peer, _]) in peers {
            truth.extend(inside(peer, || living(0..16)).into_iter().map(|nsid| (*id, nsid)));
        }
    }
    let end = Instant::now() + DEADLINE;
    let mut asked = !ask;
    loop {
        if let Some(event) = api.wait(Some(Duration::from_millis(2))).unwrap_or_else(|e| panic!("{what}: {e}")) {
            checker.feed(&event);
        } else if !asked {
            api.resync().unwrap();
            asked = true;
        } else if checker.nsids == truth && checker.open_overflows == 0 && !readable(api.fd(), Duration::ZERO) {
            return;
        }
        assert!(Instant::now() < end, "{what}: the events give {:?}, the kernel {truth:?}", checker.nsids);
    }
}
