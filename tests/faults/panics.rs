//! A panic inside the library: a C caller gets an errno, from then on, and can still clean up.
//!
//! Requires the feature `panic-on-demand`, by which a watcher of names panics at a name `nswatch-panic`.
#![cfg(feature = "panic-on-demand")]

use crate::alone;
use crate::support::api::{Api, C, How, Kind::*, Observer, readable};
use crate::support::*;
use nswatch::capi::options::{NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST};

const TROUBLE: &str = "/run/netns/nswatch-panic";

/// Every call on the broken watcher fails in this way, however often.
fn expect_broken(o: &mut Observer<C>) {
    for _ in 0..3 {
        assert_eq!(o.api.next().err(), Some(libc::ENOTRECOVERABLE));
        assert_eq!(o.api.wait(Some(DEADLINE)).err(), Some(libc::ENOTRECOVERABLE));
        assert_eq!(o.api.resync().err(), Some(libc::ENOTRECOVERABLE));
    }
}

#[test]
fn a_panic_is_returned_and_goes_no_further() {
    let _alone = alone();
    sandbox();
    ip_netns(&["add", "blue"]);
    let fds = kernel::open_fds();
    let mut o = Observer::<C>::open(&How::default());
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert!(o.api.open_netns().is_ok());
    o.expect(&[(Synced, "")]);
    placeholder(TROUBLE);
    expect_broken(&mut o);
    assert!(o.api.error().starts_with("nswatch had an internal error"), "{}", o.api.error());
    drop(o);
    assert_eq!(kernel::open_fds(), fds);
}

#[test]
fn a_borrowed_event_outlives_a_panic_of_resync() {
    let _alone = alone();
    sandbox();
    ip_netns(&["add", "blue"]);
    let mut o = Observer::<C>::open(&How::default());
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    placeholder(TROUBLE);
    assert_eq!(o.api.resync(), Err(libc::ENOTRECOVERABLE));
    // the event is still borrowed, but the watcher ignores it
    assert_eq!(o.api.open_netns().err(), Some(libc::ENOTRECOVERABLE));
    expect_broken(&mut o);
}

#[test]
fn another_watcher_goes_on() {
    let _alone = alone();
    sandbox();
    make_dir(RUN_NETNS);
    make_dir("/run/other");
    let mut o = Observer::<C>::open_synced(&How::default());
    let mut other = Observer::<C>::open_synced(&How::dir("/run/other"));
    placeholder(TROUBLE);
    expect_broken(&mut o);
    placeholder("/run/other/blue");
    other.expect(&[(Created, "blue")]);
}

#[test]
fn a_panic_of_the_reader_thread_is_reported() {
    let _alone = alone();
    for policy in [NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST, NSW_QUEUE_DROP_OLDEST] {
        sandbox();
        make_dir(RUN_NETNS);
        let fds = kernel::open_fds();
        let mut o = Observer::<C>::open_synced(&How { queue: Some((10, policy)), ..How::default() });
        ip_netns(&["add", "blue"]);
        o.expect(&[(Created, "blue"), (Ready, "blue")]);
        placeholder(TROUBLE);
        assert!(readable(o.api.fd(), DEADLINE), "a polling consumer is not woken");
        assert_eq!(o.api.wait(Some(DEADLINE)).err(), Some(libc::ENOTRECOVERABLE));
        assert_eq!(o.api.open_netns().err(), Some(libc::ENOTRECOVERABLE));
        expect_broken(&mut o);
        assert!(readable(o.api.fd(), std::time::Duration::ZERO));
        drop(o);
        assert_eq!((kernel::open_fds(), kernel::threads_named("nswatch")), (fds, 0));
    }
}
