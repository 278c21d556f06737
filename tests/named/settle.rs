//! Names that settle before the watcher reports them (debounce).

use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;

both! {
    a_short_lived_name_is_never_reported
    a_lasting_name_is_reported_when_its_window_ends
    a_replaced_name_is_reported_once
    a_flapping_name_is_still_reported
    a_resync_waits_for_nothing
    a_directory_that_goes_waits_for_nothing
    events_are_true_when_they_are_reported
    a_name_deleted_by_then_is_not_reported
    a_resync_reports_the_current_state
    an_overflow_reports_the_current_state
    a_directory_that_goes_reports_no_name_that_came
    names_that_came_and_went_use_no_memory
}

fn watched<A: Api>(settle_ms: u32) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    Observer::open_synced(&How { settle_ms, ..How::default() })
}

/// A window longer than any test, however slow the machine.
const LONG: u32 = 3_600_000;

fn a_short_lived_name_is_never_reported<A: Api>() {
    let mut o = watched::<A>(LONG);
    placeholder("/run/netns/brief");
    o.expect_nothing();
    std::fs::remove_file("/run/netns/brief").unwrap();
    placeholder("/run/netns/lasting");
    o.expect_nothing();
    // a resync reports debounced events
    o.api.resync().unwrap();
    o.expect(&[(Created, "lasting"), (Synced, "")]);
}

fn a_lasting_name_is_reported_when_its_window_ends<A: Api>() {
    let mut o = watched::<A>(50);
    ip_netns(&["add", "blue"]);
    let events = o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(Some((events[1].dev, events[1].ino, events[1].cookie)), kernel::netns("/run/netns/blue"));
    o.expect_nothing();
}

fn a_replaced_name_is_reported_once<A: Api>() {
    let mut o = watched::<A>(LONG);
    ip_netns(&["add", "blue"]);
    o.api.resync().unwrap();
    o.expect(&[(Created, "blue"), (Ready, "blue"), (Synced, "")]);
    ip_netns(&["del", "blue"]);
    ip_netns(&["add", "blue"]);
    o.expect_nothing();
    o.api.resync().unwrap();
    let ready = o.expect(&[(Ready, "blue"), (Synced, "")]).remove(0);
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns("/run/netns/blue"));
}

fn a_flapping_name_is_still_reported<A: Api>() {
    let mut o = watched::<A>(20);
    let mut count = 0;
    let end = std::time::Instant::now() + DEADLINE;
    while count < 5 {
        placeholder("/run/netns/flapping");
        if readable(o.api.fd(), Duration::ZERO) {
            count += o.drain().len();
        }
        std::fs::remove_file("/run/netns/flapping").unwrap();
        if readable(o.api.fd(), Duration::ZERO) {
            count += o.drain().len();
        }
        assert!(std::time::Instant::now() < end, "starved: {count} events");
    }
}

fn a_resync_waits_for_nothing<A: Api>() {
    let mut o = watched::<A>(LONG);
    placeholder("/run/netns/blue");
    o.expect_nothing();
    o.api.resync().unwrap();
    o.expect(&[(Created, "blue"), (Synced, "")]);
    std::fs::remove_file("/run/netns/blue").unwrap();
    o.expect_nothing();
    o.api.resync().unwrap();
    o.expect(&[(Deleted, "blue"), (Synced, "")]);
    o.expect_nothing();
}

fn a_directory_that_goes_waits_for_nothing<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    let flags = nswatch::capi::options::NSW_DIR_EVENTS;
    let mut o = Observer::<A>::open_synced(&How { settle_ms: LONG, flags, ..How::default() });
    placeholder("/run/netns/blue");
    o.expect_nothing();
    o.api.resync().unwrap();
    o.until(Synced, "");
    placeholder("/run/netns/green");
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    o.expect(&[(Deleted, "blue"), (DirDeleted, "")]);
    o.expect_nothing();
}

/// Mounts that change within the window, once the name is a namespace.
fn events_are_true_when_they_are_reported<A: Api>() {
    let mut o = watched::<A>(400);
    ip_netns(&["add", "replaced"]);
    ip_netns(&["add", "detached"]);
    // the watcher probes the names now, and not again because of mounts
    assert_eq!(o.drain(), []);
    unmount("/run/netns/replaced");
    mount_new_netns("/run/netns/replaced");
    unmount("/run/netns/detached");
    let events = o.expect(&[(Created, "replaced"), (Ready, "replaced"), (Created, "detached")]);
    assert_eq!(Some((events[1].dev, events[1].ino, events[1].cookie)), kernel::netns("/run/netns/replaced"));
    o.expect_nothing();
    // it is pending, so that the watcher reports its mount
    mount_new_netns("/run/netns/detached");
    o.expect(&[(Ready, "detached")]);
    assert_eq!(o.resync(), []);
}

/// One call does not read all notices, and the deletion of the name comes last.
fn a_name_deleted_by_then_is_not_reported<A: Api>() {
    let mut o = watched::<A>(50);
    placeholder("/run/netns/brief");
    assert_eq!(o.drain(), []);
    for _ in 0..4500 {
        placeholder("/run/netns/noise");
        std::fs::remove_file("/run/netns/noise").unwrap();
    }
    std::fs::remove_file("/run/netns/brief").unwrap();
    // until its window ends, whatever else wakes the consumer
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(o.drain(), []);
    placeholder("/run/netns/after");
    o.expect(&[(Created, "after")]);
}

/// Two settling names: another namespace is mounted over the one, and the other has lost its mount.
fn one_is_replaced_and_one_detached<A: Api>() -> Observer<A> {
    let mut o = watched::<A>(LONG);
    ip_netns(&["add", "replaced"]);
    ip_netns(&["add", "detached"]);
    o.expect_nothing();
    unmount("/run/netns/replaced");
    mount_new_netns("/run/netns/replaced");
    unmount("/run/netns/detached");
    o
}

fn a_resync_reports_the_current_state<A: Api>() {
    let mut o = one_is_replaced_and_one_detached::<A>();
    o.api.resync().unwrap();
    o.until(Synced, "");
    let mut events = o.briefs();
    events.sort();
    let expected = [(Created, "detached"), (Created, "replaced"), (Ready, "replaced"), (Synced, ""), (Synced, "")];
    assert_eq!(events, expected.map(|(kind, name)| (kind, name.to_owned())));
    o.expect_truth(RUN_NETNS);
}

fn an_overflow_reports_the_current_state<A: Api>() {
    let mut o = one_is_replaced_and_one_detached::<A>();
    for _ in 0..9000 {
        placeholder("/run/netns/noise");
        std::fs::remove_file("/run/netns/noise").unwrap();
    }
    o.expect(&[(Created, "detached"), (Created, "replaced"), (Overflow, ""), (Ready, "replaced"), (Synced, "")]);
    o.expect_truth(RUN_NETNS);
}

fn a_directory_that_goes_reports_no_name_that_came<A: Api>() {
    sandbox();
    make_dir("/run/names");
    let mut o = Observer::<A>::open_synced(&How { settle_ms: LONG, ..How::dir("/run/names") });
    placeholder("/run/names/came");
    o.expect_nothing();
    rename("/run/names", "/run/away");
    o.expect_nothing();
}

/// The resident pages of this process.
fn resident_pages() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

fn names_that_came_and_went_use_no_memory<A: Api>() {
    let mut o = watched::<A>(LONG);
    let storm = |o: &mut Observer<A>, turns: std::ops::Range<u32>| {
        for turn in turns {
            for i in 0..1000 {
                let name = format!("/run/netns/{:0>200}", turn * 1000 + i);
                placeholder(&name);
                std::fs::remove_file(&name).unwrap();
            }
            while readable(o.api.fd(), Duration::ZERO) {
                assert_eq!(o.drain(), []);
            }
        }
    };
    storm(&mut o, 0..10);
    let before = resident_pages();
    storm(&mut o, 10..60);
    let grown = resident_pages().saturating_sub(before) * 4;
    // 50000 names of 200 bytes would take over five times as much; other tests of the process run meanwhile
    assert!(grown < 4096, "{grown} KiB");
}
