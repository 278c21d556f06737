//! What is told of names, with real namespaces.

mod support;

use support::api::{Api, How, Kind::*, Observer};
use support::*;

both! {
    a_namespace_comes_and_goes
}

fn a_namespace_comes_and_goes<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::default());
    ip_netns(&["add", "blue"]);
    let events = o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(Some((events[1].dev, events[1].ino, events[1].ns_id)), kernel::netns("/run/netns/blue"));
    ip_netns(&["del", "blue"]);
    o.expect(&[(Deleted, "blue")]);
    o.expect_nothing();
}
