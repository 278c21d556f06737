//! The reader thread and its queue, under each policy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use crate::support::api::{Api, How, Kind::*, Observer};
use crate::support::*;
use nswatch::capi::options::{NSW_NO_MOUNT_EVENTS, NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST};
use nswatch::capi::watcher::{NSW_STAT_DROPPED, NSW_STAT_KNOWN, NSW_STAT_OVERFLOWS, NSW_STAT_QUEUED};

both! {
    events_pass_in_order
    the_newest_are_dropped_and_recovered
    the_oldest_are_dropped_and_recovered
    a_full_queue_that_blocks_loses_nothing
    a_resync_reaches_the_thread
    resyncs_before_each_event_are_few
    the_end_of_the_watch_is_reported
    the_recovery_reports_names_that_were_not_replayed
    the_end_of_the_watch_is_reported_before_a_resync_fails
    the_end_of_the_watch_is_reported_if_it_was_dropped
    a_full_queue_reports_names_that_were_not_replayed
    synced_follows_the_whole_replay
    it_ends_while_it_waits_for_room
}

const POLICIES: [u32; 3] = [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST];

fn how(capacity: u32, policy: u32) -> How {
    How { queue: Some((capacity, policy)), ..How::default() }
}

fn name(i: usize) -> String {
    format!("{RUN_NETNS}/name-{i:04}")
}

/// Waits until the thread knows so many names, and has passed on all their events.
fn until_known<A: Api>(o: &Observer<A>, known: u64) {
    let end = std::time::Instant::now() + DEADLINE;
    while o.api.stat(NSW_STAT_KNOWN) != known || !kernel::are_asleep("nswatch") {
        assert!(std::time::Instant::now() < end, "known: {}", o.api.stat(NSW_STAT_KNOWN));
        std::thread::yield_now();
    }
}

/// Waits until the thread waits for room, however much it has read by then.
fn until_full<A: Api>(o: &Observer<A>, capacity: u64) {
    let end = std::time::Instant::now() + DEADLINE;
    while o.api.stat(NSW_STAT_QUEUED) != capacity || !kernel::are_asleep("nswatch") {
        assert!(std::time::Instant::now() < end, "queued: {}", o.api.stat(NSW_STAT_QUEUED));
        std::thread::yield_now();
    }
}

fn events_pass_in_order<A: Api>() {
    for policy in POLICIES {
        sandbox();
        let mut o = Observer::<A>::open_synced(&how(1000, policy).flags(NSW_NO_MOUNT_EVENTS));
        ip_netns(&["add", "blue"]);
        o.expect(&[(Created, "blue"), (Ready, "blue")]);
        assert!(o.api.open_netns().is_ok());
        ip_netns(&["del", "blue"]);
        o.expect(&[(Deleted, "blue")]);
        o.expect_nothing();
    }
}

fn the_newest_are_dropped_and_recovered<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&how(10, NSW_QUEUE_DROP_NEWEST));
    (0..100).for_each(|i| placeholder(name(i)));
    until_known(&o, 100);
    assert_eq!(o.api.stat(NSW_STAT_QUEUED), 10);
    let reported = o.until(Overflow, "");
    assert_eq!(o.log.iter().filter(|event| event.kind == Created).count(), 10);
    assert_eq!(reported.dropped, 90);
    o.until(Synced, "");
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    assert_eq!((o.api.stat(NSW_STAT_DROPPED), o.api.stat(NSW_STAT_OVERFLOWS)), (90, 1));
    // the queue has recovered
    std::fs::remove_file(name(7)).unwrap();
    o.expect(&[(Deleted, "name-0007")]);
    o.expect_nothing();
}

fn the_oldest_are_dropped_and_recovered<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&how(10, NSW_QUEUE_DROP_OLDEST));
    (0..100).for_each(|i| placeholder(name(i)));
    until_known(&o, 100);
    assert_eq!(o.next().dropped, 100);
    o.until(Synced, "");
    assert!(o.log.iter().filter(|event| event.kind == Created).all(|event| event.replayed));
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    std::fs::remove_file(name(7)).unwrap();
    o.expect(&[(Deleted, "name-0007")]);
    o.expect_nothing();
}

fn a_full_queue_that_blocks_loses_nothing<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&how(2, NSW_QUEUE_BLOCK));
    for i in 0..500 {
        placeholder(name(i));
        std::fs::remove_file(name(i)).unwrap();
    }
    for i in 0..500 {
        let name = format!("name-{i:04}");
        o.expect(&[(Created, name.as_str()), (Deleted, name.as_str())]);
    }
    o.expect_nothing();
}

fn a_resync_reaches_the_thread<A: Api>() {
    for policy in POLICIES {
        sandbox();
        ip_netns(&["add", "blue"]);
        let mut o = Observer::<A>::open_synced(&how(10, policy));
        unmount("/run/netns/blue");
        o.api.resync().unwrap();
        o.expect(&[(Detached, "blue"), (Synced, "")]);
    }
}

/// Resyncs that are requested faster than events leave neither delay the events nor pile up `Synced`.
fn resyncs_before_each_event_are_few<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::<A>::open_synced(&how(1, NSW_QUEUE_BLOCK));
    (0..100).for_each(|i| placeholder(name(i)));
    for i in 0..100 {
        until_full(&o, 1);
        o.api.resync().unwrap();
        let event = o.now();
        assert_eq!(event.map(|event| event.brief()), Some((Created, format!("name-{i:04}"))));
    }
    placeholder(name(100));
    o.until(Created, "name-0100");
    let synced = o.log.iter().filter(|event| event.kind == Synced).count();
    assert!(synced <= 3, "{synced} times, that at open included");
}

fn the_end_of_the_watch_is_reported<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let flags = nswatch::capi::options::NSW_NO_PARENT;
    let mut o = Observer::<A>::open_synced(&How { flags, ..how(10, NSW_QUEUE_BLOCK) });
    std::fs::remove_dir(RUN_NETNS).unwrap();
    o.expect(&[(DirDeleted, "")]);
    for _ in 0..3 {
        assert_eq!(o.api.wait(Some(DEADLINE)), Err(libc::ENOENT));
        assert_eq!(o.api.resync(), Err(libc::ENOENT));
    }
}

/// After `Synced` the events add up to the kernel's state, whatever caused it.
fn the_recovery_reports_names_that_were_not_replayed<A: Api>() {
    for policy in [NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        ip_netns(&["add", "blue"]);
        let flags = nswatch::capi::options::NSW_NO_REPLAY;
        let mut o = Observer::<A>::open(&How { flags, ..how(2, policy) });
        (0..100).for_each(|i| placeholder(name(i)));
        until_known(&o, 101);
        o.until(Overflow, "");
        o.until(Synced, "");
        o.expect_truth(RUN_NETNS);
        std::fs::remove_file(name(7)).unwrap();
        o.expect(&[(Deleted, "name-0007")]);
        o.expect_nothing();
    }
}

fn the_end_of_the_watch_is_reported_before_a_resync_fails<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let flags = nswatch::capi::options::NSW_NO_PARENT;
    let mut o = Observer::<A>::open_synced(&How { flags, ..how(1, NSW_QUEUE_BLOCK) });
    (0..10).for_each(|i| placeholder(name(i)));
    (0..10).for_each(|i| std::fs::remove_file(name(i)).unwrap());
    std::fs::remove_dir(RUN_NETNS).unwrap();
    until_full(&o, 1);
    o.api.resync().unwrap();
    o.until(DirDeleted, "");
    let end = std::iter::repeat_with(|| o.api.wait(Some(DEADLINE))).find(|result| !matches!(result, Ok(Some(_))));
    assert_eq!(end, Some(Err(libc::ENOENT)));
}

fn the_end_of_the_watch_is_reported_if_it_was_dropped<A: Api>() {
    for policy in [NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        make_dir(RUN_NETNS);
        placeholder(name(0));
        let flags = nswatch::capi::options::NSW_NO_PARENT;
        let mut o = Observer::<A>::open(&How { flags, ..how(1, policy) });
        std::fs::remove_file(name(0)).unwrap();
        std::fs::remove_dir(RUN_NETNS).unwrap();
        until_known(&o, 0);
        o.until(DirDeleted, "");
        let end = std::iter::repeat_with(|| o.api.wait(Some(DEADLINE))).find(|result| !matches!(result, Ok(Some(_))));
        assert_eq!(end, Some(Err(libc::ENOENT)));
    }
}

fn a_full_queue_reports_names_that_were_not_replayed<A: Api>() {
    for policy in [NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        make_dir(RUN_NETNS);
        placeholder("/run/netns/before");
        let flags = nswatch::capi::options::NSW_NO_REPLAY;
        let mut o = Observer::<A>::open(&How { flags, ..how(2, policy) });
        (0..100).for_each(|i| placeholder(name(i)));
        until_known(&o, 101);
        o.until(Synced, "");
        assert!(o.checker.believed().contains_key(&b"before"[..]), "synced, but a name is missing");
    }
}

fn synced_follows_the_whole_replay<A: Api>() {
    for policy in [NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        make_dir(RUN_NETNS);
        (0..5000).for_each(|i| placeholder(name(i)));
        // the queue overflows in the middle of the replay
        let mut o = Observer::<A>::open(&how(4, policy));
        o.until(Synced, "");
        assert_eq!(o.checker.believed().len(), 5000, "synced after half of the replay");
    }
}

fn it_ends_while_it_waits_for_room<A: Api>() {
    for policy in POLICIES {
        sandbox();
        make_dir(RUN_NETNS);
        let o = Observer::<A>::open(&how(1, policy));
        (0..100).for_each(|i| placeholder(name(i)));
        // the thread waits no sooner than the one place is taken
        let end = std::time::Instant::now() + DEADLINE;
        while o.api.stat(NSW_STAT_QUEUED) == 0 {
            assert!(std::time::Instant::now() < end);
            std::thread::yield_now();
        }
        drop(o);
    }
}

/// Locks and conditions that ThreadSanitizer must understand, and one race that it must find: `make sanitize`.
#[test]
#[ignore = "a race on purpose, to see that ThreadSanitizer finds it and nothing else"]
fn a_race_on_purpose() {
    static LOCK: Mutex<bool> = Mutex::new(false);
    static SET: Condvar = Condvar::new();
    static COMING: AtomicBool = AtomicBool::new(false);
    // eight bytes of its own: for so many ThreadSanitizer remembers four accesses
    static mut RACED: u64 = 0;
    let mut guarded = LOCK.lock().unwrap();
    let other = std::thread::Builder::new().name("contender".into()).spawn(|| {
        COMING.store(true, Ordering::Relaxed);
        *LOCK.lock().unwrap() = true;
        SET.notify_one();
        // SAFETY: none; ThreadSanitizer must find this race.
        unsafe { RACED += 1 }
    });
    // until it waits for the lock
    let end = std::time::Instant::now() + DEADLINE;
    while !COMING.load(Ordering::Relaxed) || !kernel::are_asleep("contender") {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
    while !*guarded {
        guarded = SET.wait(guarded).unwrap();
    }
    drop(guarded);
    // SAFETY: none, again.
    unsafe { RACED += 1 }
    other.unwrap().join().unwrap();
    // SAFETY: the other thread has ended.
    assert!(unsafe { RACED } > 0);
}
