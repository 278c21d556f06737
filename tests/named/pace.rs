//! Who may rename the directory can make the watcher look at all names: not more often than it has the time for.

use std::time::Duration;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::*;
use nswatch::capi::options::NSW_DIR_EVENTS;

both! {
    looks_that_others_provoke_must_wait
    a_look_that_is_asked_for_does_not_wait
    one_replacement_is_reported_at_once
}

const OTHER: &str = "/run/other";

/// Two directories of so many names each.
fn two_directories<A: Api>(names: usize) -> Observer<A> {
    sandbox();
    for dir in [RUN_NETNS, OTHER] {
        make_dir(dir);
        (0..names).for_each(|i| placeholder(format!("{dir}/{i}")));
    }
    Observer::open_synced(&How::default().flags(NSW_DIR_EVENTS))
}

/// Exchanges the directories until the watcher does not look at once.
fn provoke<A: Api>(o: &mut Observer<A>) {
    for _ in 0..300 {
        exchange(RUN_NETNS, OTHER);
        if o.drain().is_empty() {
            return;
        }
    }
    panic!("each of 300 replacements made the watcher look at once");
}

fn looks_that_others_provoke_must_wait<A: Api>() {
    let mut o = two_directories::<A>(2000);
    provoke(&mut o);
    assert!(!readable(o.api.fd(), Duration::ZERO), "readable while the look waits");
    // names are reported meanwhile
    placeholder(format!("{OTHER}/new"));
    assert_eq!(o.now().map(|event| event.brief()), Some((Created, "new".to_owned())));
    o.until(DirDeleted, "");
    o.until(DirCreated, "");
    o.until(Created, "1999");
    o.drain();
    o.expect_truth(RUN_NETNS);
}

fn a_look_that_is_asked_for_does_not_wait<A: Api>() {
    let mut o = two_directories::<A>(2000);
    provoke(&mut o);
    o.api.resync().unwrap();
    o.drain();
    assert_eq!(o.log.last().map(|event| event.kind), Some(Synced));
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}

fn one_replacement_is_reported_at_once<A: Api>() {
    // however long it took to look at all of them at open
    let mut o = two_directories::<A>(20_000);
    exchange(RUN_NETNS, OTHER);
    o.drain();
    assert_eq!(o.log.iter().filter(|event| event.kind == DirCreated).count(), 2);
    o.expect_truth(RUN_NETNS);
    o.expect_nothing();
}
