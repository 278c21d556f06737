//! Names that settle before they are told.

use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;

both! {
    what_comes_and_goes_is_never_told
    what_stays_is_told_when_its_time_is_over
    what_was_replaced_is_told_once
    what_flaps_is_told_all_the_same
    a_resync_waits_for_nothing
    a_directory_that_goes_waits_for_nothing
}

fn watched<A: Api>(settle_ms: u32) -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    Observer::open_synced(&How { settle_ms, ..How::default() })
}

/// A window that ends in no test, however slow the machine.
const LONG: u32 = 3_600_000;

fn what_comes_and_goes_is_never_told<A: Api>() {
    let mut o = watched::<A>(LONG);
    placeholder("/run/netns/brief");
    o.expect_nothing();
    std::fs::remove_file("/run/netns/brief").unwrap();
    placeholder("/run/netns/lasting");
    o.expect_nothing();
    // tells what is held back
    o.api.resync().unwrap();
    o.expect(&[(Created, "lasting"), (Synced, "")]);
}

fn what_stays_is_told_when_its_time_is_over<A: Api>() {
    let mut o = watched::<A>(50);
    ip_netns(&["add", "blue"]);
    let events = o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(Some((events[1].dev, events[1].ino, events[1].cookie)), kernel::netns("/run/netns/blue"));
    o.expect_nothing();
}

fn what_was_replaced_is_told_once<A: Api>() {
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

fn what_flaps_is_told_all_the_same<A: Api>() {
    let mut o = watched::<A>(20);
    let mut told = 0;
    let end = std::time::Instant::now() + DEADLINE;
    while told < 5 {
        placeholder("/run/netns/flapping");
        if readable(o.api.fd(), Duration::ZERO) {
            told += o.drain().len();
        }
        std::fs::remove_file("/run/netns/flapping").unwrap();
        if readable(o.api.fd(), Duration::ZERO) {
            told += o.drain().len();
        }
        assert!(std::time::Instant::now() < end, "starved: told {told}");
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
