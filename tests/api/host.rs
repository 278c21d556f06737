//! The process around a watcher: a child of fork(2), and a reader thread that hangs. `host.c` has more, for C; Rust's
//! types rule out the rest. Each test runs in a process of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::resources::{expect_resources, resources};
use crate::support::api::{Api, C, How, Kind::*, Observer, Rust, options};
use crate::support::thread::stopped_once;
use crate::support::*;
use nswatch::capi::options::{NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_OLDEST};
use nswatch::{Error, EventKind, Watcher};

#[test]
fn a_child_cannot_use_a_watcher_of_its_parent() {
    // where no other process makes namespaces
    run_alone("host::alone_child", &UNSEEN);
}

#[test]
fn a_reader_that_hangs_is_left_alone() {
    run_alone("host::alone_hanging_reader", &[]);
}

/// Runs a closure in a child of fork(2).
fn in_child(body: impl FnOnce()) {
    // SAFETY: the other threads of this process wait, and the test is about the child.
    match unsafe { libc::fork() } {
        0 => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: no pointers.
            unsafe { libc::_exit(result.is_err().into()) }
        }
        child => {
            let mut status = -1;
            // SAFETY: one number, which is ours.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}

/// All namespaces only without a queue: its thread has those of others open for a moment, and a child inherits them.
fn hows() -> [How; 5] {
    let queued = |policy, how| How { queue: Some((10, policy)), ..how };
    [
        How::default(),
        How::nsid(),
        How::all(),
        queued(NSW_QUEUE_BLOCK, How::default()),
        queued(NSW_QUEUE_DROP_OLDEST, How::nsid()),
    ]
}

fn open(how: &How) -> Watcher {
    Rust::open(how).unwrap().watcher
}

#[test]
#[ignore = "run by a_child_cannot_use_a_watcher_of_its_parent"]
fn alone_child() {
    sandbox();
    make_dir(RUN_NETNS);
    symlink("/proc/self/ns/net", "/run/netns/blue");
    let refused = |result: Option<Error>| assert_eq!(result.map(|error| error.errno()), Some(libc::ECHILD));
    for how in hows() {
        let before = resources();
        let mut opened = Some(open(&how));
        let watcher = opened.as_mut().unwrap();
        watcher.wait(Some(DEADLINE)).unwrap().expect("an event");
        let known = watcher.stats().known;
        // a child cannot close a namespace that a reader thread has open at the fork
        let end = std::time::Instant::now() + DEADLINE;
        while !kernel::are_asleep("nswatch") {
            assert!(std::time::Instant::now() < end, "the reader never rests");
            std::thread::yield_now();
        }
        in_child(|| {
            let mut watcher = opened.take().unwrap();
            refused(watcher.next_event().err());
            refused(watcher.wait(None).err());
            refused(watcher.resync().err());
            refused(watcher.next().and_then(Result::err));
            assert_eq!(watcher.stats().known, known);
            if how.source == How::default().source {
                refused(watcher.open_netns(&open(&how).find_ready()).err());
            }
            drop(watcher);
            assert_eq!(kernel::open_fds(), before.0, "{how:?}: {:?}", kernel::open_files());
        });
        let mut watcher = opened.unwrap();
        if how.source == How::default().source {
            // the kernel still reports mounts to the parent
            placeholder("/run/netns/red");
            let mut until = |is_it: fn(&EventKind) -> bool| {
                while !is_it(watcher.wait(Some(DEADLINE)).unwrap().expect("the child has ended the reports").kind()) {}
            };
            until(|kind| matches!(kind, EventKind::Created(name) if name == "red"));
            mount_new_netns("/run/netns/red");
            until(|kind| matches!(kind, EventKind::Ready(name, _) if name == "red"));
            unmount("/run/netns/red");
            std::fs::remove_file("/run/netns/red").unwrap();
        }
        watcher.resync().unwrap();
        let mut synced = false;
        while !synced {
            let event = watcher.wait(Some(DEADLINE)).unwrap().expect("an event");
            synced = *event.kind() == EventKind::Synced;
        }
        let mut channel = Some(watcher.into_channel().unwrap());
        in_child(|| {
            let channel = channel.take().unwrap();
            refused(channel.resync().err());
            assert_eq!(channel.stats().known, known);
        });
        let channel = channel.unwrap();
        channel.resync().unwrap();
        while *channel.receiver().recv_timeout(DEADLINE).unwrap().unwrap().last().unwrap().kind() != EventKind::Synced {
        }
        drop(channel);
        expect_resources(before, "after it was closed");
    }
}

trait FindReady {
    fn find_ready(self) -> nswatch::Event;
}

impl FindReady for Watcher {
    fn find_ready(self) -> nswatch::Event {
        let is_ready = |event: &nswatch::Event| matches!(event.kind(), EventKind::Ready(..));
        self.map(Result::unwrap).find(is_ready).expect("a namespace")
    }
}

/// As on a filesystem that does not answer: the thread is stopped in a statx(2). Closing does not wait for ever, and
/// when the thread goes on, it frees everything.
#[test]
#[ignore = "run by a_reader_that_hangs_is_left_alone"]
fn alone_hanging_reader() {
    /// Closes a watcher while its thread hangs; returns how long that took.
    fn close_while_it_hangs<T>(open: impl FnOnce() -> T) -> Duration {
        let armed = AtomicBool::new(false);
        let (hangs, until_it_hangs) = channel();
        let (closed, until_closed) = channel();
        let meanwhile = || {
            hangs.send(()).unwrap();
            until_closed.recv_timeout(DEADLINE).expect("closing waits for a thread that hangs");
        };
        stopped_once(&armed, libc::SYS_statx, meanwhile, || {
            let watcher = open();
            armed.store(true, Ordering::Release);
            placeholder("/run/netns/on-a-server-that-is-gone");
            until_it_hangs.recv_timeout(DEADLINE).expect("the thread looks at the name");
            let start = Instant::now();
            drop(watcher);
            let took = start.elapsed();
            armed.store(false, Ordering::Release);
            closed.send(()).unwrap();
            took
        })
    }
    for policy in [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_OLDEST] {
        let how = How { queue: Some((10, policy)), ..How::default() };
        sandbox();
        make_dir(RUN_NETNS);
        let before = resources();
        let synced = || {
            let mut o = Observer::<C>::open(&how);
            o.until(Synced, "");
            o.api
        };
        for with_channel in [false, true] {
            let took = match with_channel {
                false => close_while_it_hangs(synced),
                true => close_while_it_hangs(|| channel_of(&how)),
            };
            assert!(took < DEADLINE / 4, "{took:?}");
            expect_resources(before, "after the thread went on");
            std::fs::remove_file("/run/netns/on-a-server-that-is-gone").unwrap();
        }
    }
}

fn until_synced(channel: &nswatch::EventChannel) {
    let is_synced = |batch: &[nswatch::Event]| batch.iter().any(|event| *event.kind() == EventKind::Synced);
    while !is_synced(&channel.receiver().recv_timeout(DEADLINE).unwrap().unwrap()) {}
}

fn channel_of(how: &How) -> nswatch::EventChannel {
    // the thread of the channel, which waits for the names
    let without_queue = How { queue: None, ..how.clone() };
    let channel = Watcher::named(&options(&without_queue)).unwrap().into_channel().unwrap();
    until_synced(&channel);
    channel
}
