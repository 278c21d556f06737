//! The stream of feature `tokio`, in the runtimes that programs have.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::api::{Ev, Kind, Kind::*, from_rust, readable};
use crate::support::grammar::Checker;
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::{EventStream, Options, Watcher};
use tokio::runtime::{Builder, Runtime};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test in each kind of runtime; the threads of the second are in the sandbox too.
fn in_each_runtime<F: Future<Output = ()> + Send + 'static>(body: fn() -> F) {
    sandbox();
    current_thread().block_on(body());
    sandbox();
    let runtime = multi_thread();
    runtime.block_on(runtime.spawn(body())).unwrap();
}

/// A stream whose every event is checked against the grammar.
struct Observed {
    stream: EventStream,
    checker: Checker,
}

impl Observed {
    fn open(options: &Options) -> Self {
        Self { stream: Watcher::named(options).unwrap().into_stream().unwrap(), checker: Checker::default() }
    }

    /// The next item, within the deadline.
    async fn item(&mut self) -> Option<nswatch::Result<nswatch::Event>> {
        tokio::time::timeout(DEADLINE, self.stream.next()).await.expect("nothing in time")
    }

    async fn next(&mut self) -> Ev {
        let event = from_rust(&self.item().await.expect("the end").unwrap());
        self.checker.feed(&event);
        event
    }

    async fn expect(&mut self, expected: &[(Kind, &str)]) {
        for &(kind, name) in expected {
            assert_eq!(self.next().await.brief(), (kind, name.to_owned()));
        }
    }

    async fn until(&mut self, kind: Kind) -> Ev {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Asserts that no event is pending: the stream says so, also after the reactor ran, and so does the descriptor.
    async fn expect_nothing(&mut self) {
        for _ in 0..3 {
            tokio::select! {
                biased;
                event = self.stream.next() => panic!("{event:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(!readable(self.stream.get_ref().as_raw_fd(), Duration::ZERO), "readable, but no event follows");
    }

    fn expect_truth(&self, dir: impl AsRef<Path>) {
        assert_eq!(self.checker.believed(), kernel::names(dir));
    }
}

/// Runs work that waits for other processes and threads where it does not stop the reactor.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn name(i: usize) -> String {
    format!("name-{i:05}")
}

fn path(i: usize) -> String {
    format!("{RUN_NETNS}/name-{i:05}")
}

#[test]
fn events_come_in_order() {
    in_each_runtime(|| async {
        beside(|| ip_netns(&["add", "before"])).await;
        let mut o = Observed::open(&Options::new());
        o.expect(&[(Created, "before"), (Ready, "before"), (Synced, "")]).await;
        for _ in 0..20 {
            o.expect_nothing().await;
            beside(|| ip_netns(&["add", "blue"])).await;
            o.expect(&[(Created, "blue"), (Ready, "blue")]).await;
            o.expect_truth(RUN_NETNS);
            beside(|| ip_netns(&["del", "blue"])).await;
            o.expect(&[(Deleted, "blue")]).await;
        }
        o.expect_nothing().await;
    });
}

/// Another thread makes names; each wakes the waiting task, and only the reactor wakes it.
#[test]
fn a_waiting_task_is_woken() {
    in_each_runtime(|| async {
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new());
        o.expect(&[(Synced, "")]).await;
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let maker = std::thread::spawn(move || {
            for i in 0..500 {
                placeholder(path(i));
                // one at a time: no event comes that would wake the task for the previous one
                receiver.recv().unwrap();
            }
        });
        for i in 0..500 {
            o.expect(&[(Created, &name(i))]).await;
            sender.send(()).unwrap();
        }
        maker.join().unwrap();
    });
}

/// A losing branch of select! takes no event with it.
#[test]
fn a_cancelled_wait_loses_nothing() {
    in_each_runtime(|| async {
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new());
        o.expect(&[(Synced, "")]).await;
        let make = || {
            for i in 0..2000 {
                placeholder(path(i));
                if i % 10 == 0 {
                    std::thread::yield_now();
                }
            }
        };
        // not before a wait was cancelled, or all could be there before the first one
        let mut maker = None;
        let (mut taken, mut cancelled) = (0, 0);
        let end = std::time::Instant::now() + DEADLINE;
        while taken < 2000 {
            assert!(std::time::Instant::now() < end, "{taken} taken, {cancelled} cancelled");
            tokio::select! {
                biased;
                event = o.stream.next() => {
                    assert_eq!(from_rust(&event.unwrap().unwrap()).brief(), (Created, name(taken)));
                    taken += 1;
                }
                () = tokio::task::yield_now() => {
                    cancelled += 1;
                    maker.get_or_insert_with(|| std::thread::spawn(make));
                }
            }
        }
        maker.unwrap().join().unwrap();
        o.expect_nothing().await;
    });
}

/// More events than the kernel's queue holds, while nobody reads.
#[test]
fn a_storm_is_recovered() {
    in_each_runtime(|| async {
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new());
        o.expect(&[(Synced, "")]).await;
        let queue: usize =
            std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        beside(move || (0..queue + 100).for_each(|i| placeholder(path(i)))).await;
        o.until(Overflow).await;
        o.until(Synced).await;
        o.expect_truth(RUN_NETNS);
        o.expect_nothing().await;
    });
}

/// A task that always has an event lets other tasks run.
#[test]
fn a_storm_starves_nobody() {
    sandbox();
    make_dir(RUN_NETNS);
    (0..10_000).for_each(|i| placeholder(path(i)));
    let runtime = current_thread();
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&turns);
    runtime.block_on(async move {
        tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut o = Observed::open(&Options::new());
        let storm = tokio::spawn(async move {
            for _ in 0..10_000 {
                o.next().await;
            }
        });
        storm.await.unwrap();
    });
    assert!(turns.load(Ordering::Relaxed) > 50, "{turns:?} turns");
}

#[test]
fn mounts_wake_it_by_each_backend() {
    let aio = Restriction::without_sys_admin();
    let bare =
        Restriction::none().failing(libc::SYS_io_setup, libc::EPERM).failing(libc::SYS_fanotify_init, libc::EPERM);
    for (rights, shows) in [(Restriction::none(), ""), (aio, ""), (bare, "/mountinfo")] {
        let body = move || {
            sandbox();
            make_dir(RUN_NETNS);
            placeholder("/run/netns/waits");
            let runtime = current_thread();
            let opened = || runtime.block_on(async { Observed::open(&Options::new()) });
            let mut o = elsewhere(&rights, opened);
            runtime.block_on(o.expect(&[(Created, "waits"), (Synced, "")]));
            let watches = kernel::listens_to(o.stream.get_ref().as_raw_fd());
            assert!(shows.is_empty() || watches.iter().any(|fd| fd.ends_with(shows)), "{watches:?}");
            for i in 0..50 {
                placeholder(path(i));
                elsewhere(&rights, || runtime.block_on(o.expect(&[(Created, &name(i))])));
                // the task waits before the mount is made: otherwise it takes the event at once, and needs no wake-up
                let waits = async {
                    let (made, mount) = tokio::join!(o.next(), beside(move || mount_new_netns(path(i))));
                    let () = mount;
                    made
                };
                assert_eq!(runtime.block_on(waits).brief(), (Ready, name(i)));
            }
            runtime.block_on(o.expect_nothing());
        };
        std::thread::spawn(body).join().unwrap();
    }
}

#[test]
fn an_error_is_returned_and_loses_nothing() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/before");
    let runtime = current_thread();
    let mut o = runtime.block_on(async { Observed::open(&Options::new().dir_events(true)) });
    runtime.block_on(o.until(Synced));
    rename(RUN_NETNS, "/run/away");
    rename("/run/away", RUN_NETNS);
    elsewhere(&Restriction::none().failing(libc::SYS_openat, libc::EMFILE), || {
        for _ in 0..3 {
            let error = runtime.block_on(o.item()).unwrap().unwrap_err();
            assert_eq!((error.errno(), error.is_final()), (libc::EMFILE, false));
        }
    });
    placeholder("/run/netns/after");
    runtime.block_on(async {
        while o.checker.names.len() < 2 {
            o.next().await;
        }
        o.expect_truth(RUN_NETNS);
        o.expect_nothing().await;
    });
}

#[test]
fn it_ends_where_the_watcher_ends() {
    in_each_runtime(|| async {
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new().parent(false));
        o.expect(&[(Synced, "")]).await;
        std::fs::remove_dir(RUN_NETNS).unwrap();
        o.expect(&[(DirDeleted, "")]).await;
        let error = o.item().await.unwrap().unwrap_err();
        assert_eq!((error.errno(), error.is_final()), (libc::ENOENT, true));
        for _ in 0..3 {
            assert!(o.item().await.is_none());
        }
    });
}

#[test]
fn a_resync_is_reported_through_it() {
    in_each_runtime(|| async {
        beside(|| ip_netns(&["add", "blue"])).await;
        let mut o = Observed::open(&Options::new());
        o.until(Synced).await;
        o.expect_nothing().await;
        unmount("/run/netns/blue");
        o.stream.resync().unwrap();
        o.expect(&[(Detached, "blue"), (Synced, "")]).await;
    });
}

#[test]
fn two_watchers_are_waited_for_at_once() {
    in_each_runtime(|| async {
        make_dir("/run/one");
        make_dir(RUN_NETNS);
        let mut one = Observed::open(&Options::new().dir("/run/one").unwrap());
        let mut other = Observed::open(&Options::new());
        let mut ids = Watcher::nsid(&Options::new()).unwrap().into_stream().unwrap();
        one.expect(&[(Synced, "")]).await;
        other.expect(&[(Synced, "")]).await;
        assert_eq!(from_rust(&ids.next().await.unwrap().unwrap()).kind, Synced);
        let namespace = nsid::anonymous();
        let maker = std::thread::spawn(move || {
            for i in 0..200 {
                placeholder(format!("/run/one/name-{i:05}"));
                placeholder(path(i));
            }
            nswatch::nsid::assign(&namespace, Some(7)).unwrap();
        });
        let (mut of_one, mut of_other, mut assigned) = (0, 0, false);
        while (of_one, of_other, assigned) != (200, 200, true) {
            tokio::select! {
                event = one.next() => {
                    assert_eq!(event.brief(), (Created, name(of_one)));
                    of_one += 1;
                }
                event = other.next() => {
                    assert_eq!(event.brief(), (Created, name(of_other)));
                    of_other += 1;
                }
                event = ids.next(), if !assigned => {
                    assert_eq!(from_rust(&event.unwrap().unwrap()).id(), (NsidNew, -1, 7));
                    assigned = true;
                }
            }
        }
        maker.join().unwrap();
    });
}

/// With a reader thread and a queue behind it.
#[test]
fn a_queue_is_read_through_it() {
    in_each_runtime(|| async {
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new().queue(4, nswatch::Policy::DropNewest).unwrap());
        o.expect(&[(Synced, "")]).await;
        beside(|| (0..1000).for_each(|i| placeholder(path(i)))).await;
        o.until(Overflow).await;
        o.until(Synced).await;
        // events after the queue has recovered
        while o.checker.names.len() < 1000 {
            o.next().await;
        }
        o.expect_truth(RUN_NETNS);
    });
}

#[test]
fn the_watcher_can_be_taken_back() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/blue");
    let runtime = current_thread();
    let o = runtime.block_on(async {
        let mut o = Observed::open(&Options::new());
        o.expect(&[(Created, "blue")]).await;
        o
    });
    let mut watcher = o.stream.into_inner();
    drop(runtime);
    assert_eq!(from_rust(&watcher.next_event().unwrap().unwrap()).kind, Synced);
    assert_eq!(watcher.next_event().unwrap(), None);
    assert!(!readable(watcher.as_raw_fd(), Duration::ZERO));
    placeholder("/run/netns/green");
    assert_eq!(from_rust(&watcher.wait(Some(DEADLINE)).unwrap().unwrap()).brief(), (Created, "green".to_owned()));
    // and moved to another runtime
    let runtime = current_thread();
    let mut o = Observed { stream: runtime.block_on(async { watcher.into_stream() }).unwrap(), checker: o.checker };
    o.checker.names.insert(b"green".to_vec(), None);
    placeholder("/run/netns/red");
    runtime.block_on(o.expect(&[(Created, "red")]));
}

#[test]
fn it_ends_with_its_runtime() {
    sandbox();
    let first = current_thread();
    let mut o = first.block_on(async { Observed::open(&Options::new()) });
    drop(first);
    current_thread().block_on(async {
        let error = o.item().await.unwrap().unwrap_err();
        assert_eq!((error.errno(), error.is_final()), (libc::ECANCELED, true));
        assert_eq!(error.to_string(), "cannot wait for an event: the tokio runtime of the stream has shut down");
        assert!(o.item().await.is_none());
    });
}

#[test]
fn it_is_a_stream_that_tasks_can_move() {
    fn check<S: futures_core::Stream<Item = nswatch::Result<nswatch::Event>> + Send + Unpin>() {}
    check::<EventStream>();
}

#[test]
#[should_panic(expected = "runtime")]
fn outside_a_runtime_it_panics() {
    sandbox();
    Watcher::named(&Options::new()).unwrap().into_stream().map(drop).unwrap();
}
