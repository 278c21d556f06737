//! Many namespaces, more than the limit, and storms of them. These tests run in a pid namespace of their own, where
//! they see no other process, so they know all namespaces.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::support::api::{Api, C, How, Kind, Observer, Rust, readable};
use super::support::grammar::Id;
use super::support::nsid::{Raw, anonymous, enter, inside, list_id};
use super::support::thread::{Restriction, SEND, elsewhere, stopped_at_each};
use super::support::*;
use nswatch::Feature;
use nswatch::capi::watcher::NSW_STAT_KNOWN;

both! {
    too_many_at_open_are_an_error
    namespaces_left_out_follow
    a_storm_beside_forks
    a_loss_is_recovered
}

fn language<A: 'static>() -> &'static str {
    if std::any::TypeId::of::<A>() == std::any::TypeId::of::<C>() { "c" } else { "rust" }
}

fn own() -> Id {
    kernel::netns("/proc/thread-self/ns/net").unwrap()
}

fn of(file: &File) -> Id {
    kernel::netns_of(file).unwrap()
}

fn too_many_at_open_are_an_error<A: Api>() {
    sandbox();
    let _others = [anonymous(), anonymous()];
    assert_eq!(A::open(&How::all().max_names(2)).err(), Some(libc::E2BIG));
}

fn namespaces_left_out_follow<A: Api + 'static>() {
    run_alone(&format!("limits::alone_left_out_{}", language::<A>()), &UNSEEN);
}

fn a_storm_beside_forks<A: Api + 'static>() {
    run_alone(&format!("limits::alone_storm_{}", language::<A>()), &UNSEEN);
}

fn a_loss_is_recovered<A: Api + 'static>() {
    run_alone(&format!("limits::alone_loss_{}", language::<A>()), &UNSEEN);
}

#[test]
#[ignore = "alone"]
fn alone_left_out_rust() {
    left_out::<Rust>();
}

#[test]
#[ignore = "alone"]
fn alone_left_out_c() {
    left_out::<C>();
}

#[test]
#[ignore = "alone"]
fn alone_storm_rust() {
    storm::<Rust>();
}

#[test]
#[ignore = "alone"]
fn alone_storm_c() {
    storm::<C>();
}

#[test]
#[ignore = "alone"]
fn alone_loss_rust() {
    loss::<Rust>();
}

#[test]
#[ignore = "alone"]
fn alone_loss_c() {
    loss::<C>();
}

/// Takes all events up to the error. (Others on this host fork, so the descriptor may stay readable.)
fn until_too_many<A: Api>(watcher: &mut Observer<A>) {
    while watcher.try_now() != Err(libc::E2BIG) {
        assert!(readable(watcher.api.fd(), DEADLINE), "no error in time");
    }
    assert_ne!(watcher.try_now(), Err(libc::E2BIG), "the same error again");
}

/// The namespaces that exist before a test makes more: its own, and that of the thread that runs the tests.
fn before<A: Api>() -> usize {
    sandbox();
    let known = Observer::<A>::open_synced(&How::all()).checker.netns;
    assert!(known.contains(&own()) && known.len() <= 2, "{known:?}");
    known.len()
}

fn left_out<A: Api>() {
    let before = before::<A>();
    let kept: Vec<File> = (0..2).map(|_| anonymous().into()).collect();
    let mut watcher = Observer::<A>::open_synced(&How::all().max_names(before as u32 + 3));
    assert_eq!(watcher.api.stat(NSW_STAT_KNOWN), before as u64 + 2);
    let more: Vec<File> = (0..2).map(|_| anonymous().into()).collect();
    assert_eq!(watcher.api.resync(), Ok(()));
    until_too_many(&mut watcher);
    assert_eq!(watcher.api.stat(NSW_STAT_KNOWN), before as u64 + 3);
    // the watcher knows one of the two; when another one dies, the other follows
    let (known, left): (Vec<_>, Vec<_>) = more.iter().map(of).partition(|netns| watcher.believes(*netns));
    assert_eq!((known.len(), left.len()), (1, 1));
    drop(kept);
    watcher.until_netns(Kind::NetnsNew, left[0]);
    // the next crossing of the limit returns an error again
    let third = [anonymous(), anonymous(), anonymous()];
    assert_eq!(watcher.api.resync(), Ok(()));
    until_too_many(&mut watcher);
    drop(third);
}

fn storm<A: Api>() {
    const BORN: usize = 1000;
    const KEPT: usize = 20;
    let before = before::<A>();
    let (fds, threads, ids) = (kernel::open_fds(), kernel::threads(), list_id());
    let mut watcher = Observer::<A>::open_synced(&How::all());
    let forks = std::thread::spawn(|| {
        for _ in 0..300 {
            run("true", &[]);
        }
    });
    let mut kept = Vec::new();
    for _ in 0..BORN {
        kept.push(File::from(anonymous()));
        if kept.len() > KEPT {
            kept.remove(kept.len() / 2);
        }
        watcher.drain();
    }
    forks.join().unwrap();
    watcher.resync();
    let alive: BTreeSet<Id> = kept.iter().map(of).collect();
    let others = watcher.checker.netns.difference(&alive).count();
    assert!(alive.is_subset(&watcher.checker.netns) && others >= before, "so far: {:?}", watcher.checker.netns);
    // the kernel cleans up dead namespaces in its own time
    while watcher.checker.netns.len() > before + alive.len() {
        watcher.next();
    }
    assert!(alive.is_subset(&watcher.checker.netns));
    assert_eq!(list_id(), ids, "nsids of the host");
    drop((watcher, kept));
    assert_eq!((kernel::open_fds(), kernel::threads()), (fds, threads));
}

/// A census reads the kernel's notices in between, or there would be no room for more. Here nothing else is pending.
#[test]
#[ignore = "alone"]
fn alone_unread() {
    let before = before::<Rust>();
    elsewhere(&Restriction::none().failing(libc::SYS_perf_event_open, libc::EACCES), || {
        let first = File::from(anonymous());
        let netns = of(&first);
        let first = OwnedFd::from(first);
        let mut watcher = Observer::<Rust>::open_synced(&How::all().max_names(before as u32 + 1));
        let others: Vec<OwnedFd> = (0..200).map(|_| anonymous()).collect();
        // the kernel notifies one namespace after the other, in the order in which they were made
        let mut ids = inside(&others[0], || {
            assert_eq!(Raw::new().assign(&first, 0), 0);
            Observer::<Rust>::open_synced(&How::nsid())
        });
        let (mut first, mut requests) = (Some(first), 0);
        let dies = |_| {
            requests += 1;
            if requests == 100 {
                drop(first.take());
                ids.until_id(Kind::NsidDel, -1, 0);
            }
        };
        // a mount: without births it makes the watcher run a census
        ip_netns(&["add", "blue"]);
        stopped_at_each(&[SEND], dies, || {
            // by AIO, the kernel reports it a moment later
            assert!(readable(watcher.api.fd(), DEADLINE), "the mount woke nobody");
            while readable(watcher.api.fd(), Duration::ZERO) {
                assert!(matches!(watcher.try_now(), Ok(_) | Err(libc::E2BIG)));
            }
        });
        assert!(requests > 100, "no census ran");
        assert!(!watcher.believes(netns), "the watcher knows of the death, and does not report it");
    });
}

#[test]
fn deaths_read_by_a_census_are_reported() {
    run_alone("limits::alone_unread", &UNSEEN);
}

/// The reader waits until the kernel has no room for its notices.
fn loss<A: Api>() {
    let before = before::<A>();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    let kept: Vec<File> = (0..10).map(|_| anonymous().into()).collect();
    for _ in 0..200 {
        std::thread::spawn(|| {
            for _ in 0..100 {
                std::thread::spawn(|| {}).join().unwrap();
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(watcher.api.resync(), Ok(()));
    watcher.until(Kind::Synced, "");
    assert!(watcher.log.iter().any(|event| event.kind == Kind::Overflow) || !Feature::Births.is_available().unwrap());
    let alive: BTreeSet<Id> = kept.iter().map(of).collect();
    assert!(alive.is_subset(&watcher.checker.netns));
    while watcher.checker.netns.len() > before + alive.len() {
        watcher.next();
    }
}

/// A process makes many namespaces at once, and keeps descriptors of them: the watcher reads its descriptors once, not
/// once for each.
#[test]
#[ignore = "alone"]
fn alone_descriptors() {
    const MANY: usize = 200;
    sandbox();
    if !Feature::Births.is_available().unwrap() {
        return skipped("births are not reported here");
    }
    let mut watcher = Observer::<Rust>::open_synced(&How::all());
    let before = watcher.checker.netns.len();
    let kept: Vec<OwnedFd> = (0..MANY).map(|_| anonymous()).collect();
    let mut reads = 0;
    stopped_at_each(
        &[libc::SYS_readlinkat],
        |_| reads += 1,
        || {
            while watcher.checker.netns.len() < before + kept.len() {
                watcher.next();
            }
        },
    );
    // with births it reads them once or twice; each census reads them again
    assert!(reads < 20 * MANY, "{reads} readlinkat(2)");
}

#[test]
fn descriptors_are_read_once_for_many_births() {
    run_alone("limits::alone_descriptors", &UNSEEN);
}

/// The threads of a process share its descriptors, so the watcher does not read them once for each thread.
#[test]
#[ignore = "alone"]
fn alone_threads() {
    const MANY: usize = 60;
    const DESCRIPTORS: usize = 300;
    sandbox();
    if !Feature::Births.is_available().unwrap() {
        return skipped("births are not reported here");
    }
    let own = File::open("/proc/self/ns/uts").unwrap();
    let _descriptors: Vec<File> = (0..DESCRIPTORS).map(|_| own.try_clone().unwrap()).collect();
    let mut watcher = Observer::<Rust>::open_synced(&How::all());
    let ((made, makes), end) = (channel(), Mutex::new(()));
    std::thread::scope(|scope| {
        let living = end.lock().unwrap();
        for _ in 0..MANY {
            let made = made.clone();
            let end = &end;
            scope.spawn(move || {
                let home = File::open("/proc/thread-self/ns/net").unwrap().into();
                unshare(libc::CLONE_NEWNET).unwrap();
                let _socket = UdpSocket::bind("[::]:0").unwrap();
                enter(&home);
                made.send(()).unwrap();
                drop(made);
                drop(end.lock());
            });
        }
        drop(made);
        assert_eq!(makes.iter().take(MANY).count(), MANY);
        let kept = File::from(anonymous());
        let mut reads = 0;
        let seen = || {
            while !watcher.checker.netns.contains(&of(&kept)) {
                watcher.next();
            }
        };
        stopped_at_each(&[libc::SYS_readlinkat], |_| reads += 1, seen);
        drop(living);
        assert!(reads < MANY * DESCRIPTORS / 2, "{reads} readlinkat(2)");
    });
}

#[test]
fn descriptors_are_read_once_for_many_threads() {
    run_alone("limits::alone_threads", &UNSEEN);
}

/// A thread that does not share the descriptors of its process has one of a namespace that it has left. The threads that
/// made namespaces before it have ended.
#[test]
#[ignore = "alone"]
fn alone_own_descriptors() {
    sandbox();
    if !Feature::Births.is_available().unwrap() {
        return skipped("births are not reported here");
    }
    let mut watcher = Observer::<Rust>::open_synced(&How::all());
    let sockets: Vec<UdpSocket> =
        (0..10).map(|_| inside(&anonymous(), || UdpSocket::bind("[::]:0").unwrap())).collect();
    let ((made, makes), end) = (channel(), Mutex::new(()));
    std::thread::scope(|scope| {
        let living = end.lock().unwrap();
        let end = &end;
        scope.spawn(move || {
            let home = File::open("/proc/thread-self/ns/net").unwrap().into();
            unshare(libc::CLONE_NEWNET | libc::CLONE_FILES).unwrap();
            let kept = File::open("/proc/thread-self/ns/net").unwrap();
            enter(&home);
            made.send(of(&kept)).unwrap();
            drop(end.lock());
        });
        let kept = makes.recv().unwrap();
        while !watcher.checker.netns.contains(&kept) {
            watcher.next();
        }
        drop(living);
    });
    drop(sockets);
}

#[test]
fn descriptors_of_a_thread_are_read() {
    run_alone("limits::alone_own_descriptors", &UNSEEN);
}

/// Namespaces that only sockets keep, of a process with many descriptors: no place of their maker shows them. The watcher
/// looks into the descriptors within its limit for unrequested probes, and this leaves time for the mounts.
#[test]
#[ignore = "alone"]
fn alone_out_of_sight() {
    const DESCRIPTORS: usize = 900;
    sandbox();
    if !Feature::Births.is_available().unwrap() {
        return skipped("births are not reported here");
    }
    let own = File::open("/proc/self/ns/uts").unwrap();
    let _many: Vec<File> = (0..DESCRIPTORS).map(|_| own.try_clone().unwrap()).collect();
    let mut watcher = Observer::<Rust>::open_synced(&How::all());
    let sockets: Vec<UdpSocket> = (0..60)
        .map(|_| {
            watcher.drain();
            inside(&anonymous(), || UdpSocket::bind("[::]:0").unwrap())
        })
        .collect();
    make_dir(RUN_NETNS);
    let path = format!("{RUN_NETNS}/mounted");
    placeholder(&path);
    mount_new_netns(&path);
    let mounted = kernel::netns(&path).unwrap();
    while !watcher.checker.netns.contains(&mounted) {
        watcher.next();
    }
    drop(sockets);
}

#[test]
fn births_out_of_sight_do_not_delay_mounts() {
    run_alone("limits::alone_out_of_sight", &UNSEEN);
}
