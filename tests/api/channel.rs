//! The channel: events beside those of other channels, and a thread that ends with the channel.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::api::{Ev, Kind, Kind::*, from_rust};
use crate::support::grammar::Checker;
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded, select};
use nswatch::{Event, EventChannel, Options, Policy, Watcher};

type Item = nswatch::Result<Vec<Event>>;

/// A channel whose every event is checked against the grammar.
struct Observed {
    channel: EventChannel,
    /// What is left of the last batch.
    batch: VecDeque<Event>,
    checker: Checker,
}

impl Observed {
    fn open(options: &Options) -> Self {
        Self::new(Watcher::named(options).unwrap().into_channel().unwrap())
    }

    fn new(channel: EventChannel) -> Self {
        Self { channel, batch: VecDeque::new(), checker: Checker::default() }
    }

    fn events(&self) -> &Receiver<Item> {
        self.channel.receiver()
    }

    /// How many events it has.
    fn take(&mut self, item: Item) -> usize {
        let batch = item.unwrap();
        assert!(!batch.is_empty() && self.batch.is_empty());
        self.batch = batch.into();
        self.batch.len()
    }

    fn next_of_batch(&mut self) -> Option<Event> {
        let event = self.batch.pop_front()?;
        self.checker.feed(&from_rust(&event));
        Some(event)
    }

    fn next_event(&mut self) -> Event {
        if self.batch.is_empty() {
            let item = self.events().recv_timeout(DEADLINE).expect("no event in time");
            self.take(item);
        }
        self.next_of_batch().unwrap()
    }

    fn next(&mut self) -> Ev {
        from_rust(&self.next_event())
    }

    fn expect(&mut self, expected: &[(Kind, &str)]) {
        for &(kind, name) in expected {
            assert_eq!(self.next().brief(), (kind, name.to_owned()));
        }
    }

    fn until(&mut self, kind: Kind) -> Ev {
        std::iter::repeat_with(|| self.next()).find(|event| event.kind == kind).unwrap()
    }

    fn error(&self) -> nswatch::Error {
        assert!(self.batch.is_empty());
        self.events().recv_timeout(DEADLINE).expect("no error in time").unwrap_err()
    }

    fn expect_disconnected(&self) {
        assert_eq!(self.events().recv_timeout(DEADLINE).unwrap_err(), RecvTimeoutError::Disconnected);
    }

    fn expect_truth(&self, dir: impl AsRef<Path>) {
        assert_eq!(self.checker.believed(), kernel::names(dir));
    }

    /// Waits until the watcher knows so many names; with a queue it reads by itself.
    fn until_known(&self, known: u64) {
        let end = Instant::now() + DEADLINE;
        while self.channel.stats().known != known || !kernel::are_asleep("nswatch") {
            assert!(Instant::now() < end, "{:?}", self.channel.stats());
            std::thread::yield_now();
        }
    }

    /// Waits until the thread waits for room.
    fn until_full(&self) {
        let end = Instant::now() + DEADLINE;
        while !self.events().is_full() || !kernel::are_asleep("nswatch") {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
    }
}

fn path(i: usize) -> String {
    format!("{RUN_NETNS}/name-{i:05}")
}

/// Runs something that must not hang.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = bounded(1);
    let worker = std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    wait.recv_timeout(DEADLINE).expect("it hangs");
    worker.join().unwrap();
}

#[test]
fn events_come_in_order_beside_others() {
    sandbox();
    make_dir(RUN_NETNS);
    // the watcher would notice a mount on the directory before the queued notices about names
    let mut o = Observed::open(&Options::new().mount_events(false));
    o.expect(&[(Synced, "")]);
    let (send, numbers) = bounded(0);
    let maker = std::thread::spawn(move || {
        for i in 0..500 {
            placeholder(path(i));
            std::fs::remove_file(path(i)).unwrap();
            send.send(i).unwrap();
        }
        ip_netns(&["add", "blue"]);
    });
    let (mut taken, mut number) = (0, 0);
    while (taken, number) != (1000, 500) {
        select! {
            recv(o.events()) -> item => {
                o.take(item.unwrap());
                while taken < 1000 {
                    let Some(event) = o.next_of_batch() else { break };
                    let kind = if taken % 2 == 0 { Created } else { Deleted };
                    assert_eq!(from_rust(&event).brief(), (kind, format!("name-{:05}", taken / 2)));
                    taken += 1;
                }
            }
            recv(numbers) -> i => {
                if i.is_ok() {
                    assert_eq!(i, Ok(number));
                    number += 1;
                }
            }
            default(DEADLINE) => panic!("{taken} events, {number} numbers"),
        }
    }
    maker.join().unwrap();
    o.expect(&[(Created, "blue")]);
    let ready = o.next_event();
    assert_eq!(from_rust(&ready).brief(), (Ready, "blue".to_owned()));
    let opened = std::fs::File::from(o.channel.open_netns(&ready).unwrap());
    assert_eq!(kernel::netns_of(&opened), kernel::netns("/run/netns/blue"));
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.events().try_recv().unwrap_err(), TryRecvError::Empty);
    assert_eq!((o.channel.stats().delivered, o.channel.stats().known), (1003, 1));
}

#[test]
fn a_resync_is_reported_through_it() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let mut o = Observed::open(&Options::new());
    o.until(Synced);
    unmount("/run/netns/blue");
    o.channel.resync().unwrap();
    o.expect(&[(Detached, "blue"), (Synced, "")]);
    // requested while the thread waits for room
    placeholder(path(0));
    o.until_full();
    placeholder(path(1));
    o.channel.resync().unwrap();
    o.expect(&[(Created, "name-00000"), (Created, "name-00001"), (Synced, "")]);
}

#[test]
fn the_kernel_queues_for_a_slow_consumer() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observed::open(&Options::new());
    o.expect(&[(Synced, "")]);
    let queue: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    (0..2 * queue).for_each(|i| placeholder(path(i)));
    o.until(Overflow);
    o.until(Synced);
    o.expect_truth(RUN_NETNS);
}

#[test]
fn a_slow_consumer_gets_batches() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observed::open(&Options::new());
    o.expect(&[(Synced, "")]);
    placeholder(path(0));
    o.until_full();
    (1..1000).for_each(|i| placeholder(path(i)));
    let mut lengths = Vec::new();
    for known in [1, 257, 513, 769, 1000] {
        let item = o.events().recv_timeout(DEADLINE).unwrap();
        lengths.push(o.take(item));
        while o.next_of_batch().is_some() {}
        assert_eq!(o.checker.names.len(), known, "{lengths:?}");
    }
    assert_eq!(lengths, [1, 256, 256, 256, 231]);
    o.expect_truth(RUN_NETNS);
}

/// The error is the item after the batch.
#[test]
fn an_error_comes_after_the_events_before_it() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observed::open(&Options::new().parent(false));
    o.expect(&[(Synced, "")]);
    placeholder(path(0));
    o.until_full();
    placeholder(path(1));
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    o.until(DirDeleted);
    assert_eq!(o.checker.names.len(), 0);
    assert_eq!(o.error().errno(), libc::ENOENT);
    o.expect_disconnected();
}

#[test]
fn a_queue_keeps_its_policy() {
    for (policy, first) in [(Policy::Block, Created), (Policy::DropNewest, Created), (Policy::DropOldest, Overflow)] {
        sandbox();
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&Options::new().queue(10, policy).unwrap());
        o.expect(&[(Synced, "")]);
        // one is in the channel, and so belongs to the consumer
        placeholder(path(0));
        o.until_full();
        (1..200).for_each(|i| placeholder(path(i)));
        if policy != Policy::Block {
            o.until_known(200);
        }
        o.expect(&[(Created, "name-00000")]);
        assert_eq!(o.next().kind, first, "{policy:?}");
        if policy == Policy::Block {
            while o.checker.names.len() < 200 {
                assert_eq!(o.next().kind, Created);
            }
        } else {
            o.until(Synced);
        }
        o.expect_truth(RUN_NETNS);
        assert_eq!(o.channel.stats().dropped == 0, policy == Policy::Block);
    }
}

#[test]
fn the_end_of_the_watch_is_reported() {
    for options in [Options::new(), Options::new().queue(10, Policy::Block).unwrap()] {
        sandbox();
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&options.parent(false));
        o.expect(&[(Synced, "")]);
        std::fs::remove_dir(RUN_NETNS).unwrap();
        o.expect(&[(DirDeleted, "")]);
        let error = o.error();
        assert_eq!((error.errno(), error.is_final()), (libc::ENOENT, true));
        o.expect_disconnected();
        assert_eq!(o.channel.resync().unwrap_err().errno(), libc::ENOENT);
    }
}

/// The channel returns a lasting error once more each time the consumer has taken the previous one.
#[test]
fn an_error_waits_for_the_consumer() {
    sandbox();
    make_dir(RUN_NETNS);
    let watcher = Watcher::named(&Options::new()).unwrap();
    // the thread inherits the restrictions of the one that starts it
    let channel = elsewhere(&Restriction::none().failing(libc::SYS_openat, libc::EMFILE), || watcher.into_channel());
    let mut o = Observed::new(channel.unwrap());
    o.expect(&[(Synced, "")]);
    rename(RUN_NETNS, "/run/away");
    rename("/run/away", RUN_NETNS);
    for _ in 0..3 {
        o.until_full();
        let error = o.error();
        assert_eq!((error.errno(), error.is_final()), (libc::EMFILE, false));
    }
}

#[test]
fn it_ends_while_it_waits_for_an_event() {
    sandbox();
    let mut o = Observed::open(&Options::new());
    o.expect(&[(Synced, "")]);
    let clone = o.events().clone();
    let end = Instant::now() + DEADLINE;
    while !kernel::are_asleep("nswatch") {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    in_time(|| drop(o));
    assert_eq!(clone.try_recv().unwrap_err(), TryRecvError::Disconnected);
}

#[test]
fn it_ends_while_it_waits_for_room() {
    for options in [Options::new(), Options::new().queue(1, Policy::Block).unwrap()] {
        sandbox();
        make_dir(RUN_NETNS);
        (0..100).for_each(|i| placeholder(path(i)));
        let o = Observed::open(&options);
        o.until_full();
        let clone = o.events().clone();
        in_time(|| drop(o));
        assert!(clone.recv_timeout(Duration::ZERO).is_ok(), "the channel lost its event");
        assert_eq!(clone.try_recv().unwrap_err(), TryRecvError::Disconnected);
    }
}

#[test]
fn clones_share_the_events() {
    sandbox();
    make_dir(RUN_NETNS);
    let o = Observed::open(&Options::new());
    let consumers = [o.events().clone(), o.events().clone()].map(|events| {
        std::thread::spawn(move || {
            events.iter().flat_map(|batch| batch.unwrap()).map(|event| from_rust(&event)).collect::<Vec<_>>()
        })
    });
    (0..1000).for_each(|i| placeholder(path(i)));
    let end = Instant::now() + DEADLINE;
    while o.channel.stats().delivered < 1001 || !o.events().is_empty() {
        assert!(Instant::now() < end, "{:?}", o.channel.stats());
        std::thread::yield_now();
    }
    drop(o);
    let mut all: Vec<_> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
    all.sort_by_key(|event| (event.time_ns, event.text()));
    let mut checker = Checker::default();
    all.iter().for_each(|event| checker.feed(event));
    assert_eq!(checker.believed(), kernel::names(RUN_NETNS));
}

#[test]
#[cfg(feature = "panic-on-demand")]
fn a_panic_of_its_thread_is_reported() {
    for options in [Options::new(), Options::new().queue(10, Policy::Block).unwrap()] {
        sandbox();
        make_dir(RUN_NETNS);
        let mut o = Observed::open(&options);
        o.expect(&[(Synced, "")]);
        placeholder("/run/netns/nswatch-panic");
        let error = o.error();
        assert_eq!((error.errno(), error.is_final()), (libc::ENOTRECOVERABLE, true));
        o.expect_disconnected();
        for _ in 0..2 {
            assert_eq!(o.channel.resync().unwrap_err().errno(), libc::ENOTRECOVERABLE);
            assert_eq!(o.channel.stats().delivered, 1);
        }
        in_time(|| drop(o));
    }
}
