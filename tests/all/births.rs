//! Namespaces that exist at open, and those made later.

use super::support::api::{Api, How, Kind, Observer};
use super::support::nsid::anonymous;
use super::support::*;
use nswatch::capi::options::NSW_NO_REPLAY;

both! {
    existing_namespaces_are_replayed
    a_name_is_found_by_its_mount
    a_process_is_found
    a_resync_reports_namespaces_that_were_not_replayed
}

fn existing_namespaces_are_replayed<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let sleeper = Sleeper::new();
    let (blue, of_process) =
        (kernel::netns("/run/netns/blue").unwrap(), kernel::netns(sleeper.namespace("net")).unwrap());
    let own = kernel::netns("/proc/thread-self/ns/net").unwrap();
    let watcher = Observer::<A>::open_synced(&How::all());
    assert!(watcher.log.iter().all(|event| event.replayed || event.kind != Kind::NetnsNew));
    let found =
        |netns| watcher.log.iter().find(|event| event.kind == Kind::NetnsNew && event.netns() == netns).unwrap();
    assert_eq!(found(blue).path.as_deref(), Some("/run/netns/blue".as_ref()));
    assert_eq!(found(of_process).pid, sleeper.pid() as i32);
    assert_eq!(found(of_process).path.clone().unwrap(), sleeper.namespace("net"));
    assert!(watcher.believes(own));
}

fn a_name_is_found_by_its_mount<A: Api>() {
    sandbox();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    ip_netns(&["add", "blue"]);
    let blue = kernel::netns("/run/netns/blue").unwrap();
    let event = watcher.until_netns(Kind::NetnsNew, blue);
    assert!(!event.replayed);
    let opened = std::fs::File::from(watcher.api.open_netns().unwrap());
    assert_eq!(kernel::netns_of(&opened), Some(blue));
}

fn a_process_is_found<A: Api>() {
    sandbox();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    let sleeper = Sleeper::new();
    let netns = kernel::netns(sleeper.namespace("net")).unwrap();
    let event = watcher.until_netns(Kind::NetnsNew, netns);
    assert!(!event.replayed);
    assert_eq!(event.pid, sleeper.pid() as i32);
    drop(anonymous());
}

fn a_resync_reports_namespaces_that_were_not_replayed<A: Api>() {
    sandbox();
    let (sleeper, other) = (Sleeper::new(), Sleeper::new());
    let netns = |sleeper: &Sleeper| kernel::netns(sleeper.namespace("net")).unwrap();
    let (first, second) = (netns(&sleeper), netns(&other));
    let mut watcher = Observer::<A>::open(&How::all().flags(NSW_NO_REPLAY));
    // the watcher does not report the end of an unreported namespace
    drop(other);
    ip_netns(&["add", "blue"]);
    watcher.until_netns(Kind::NetnsNew, kernel::netns("/run/netns/blue").unwrap());
    // before Linux 6.18 a later one can have its numbers
    assert!(!watcher.believes(first) && (!watcher.believes(second) || !kernel::has_cookie()));
    watcher.resync();
    assert!(watcher.believes(first) && !watcher.checker.dead.contains(&second));
    drop(sleeper);
    watcher.until_netns(Kind::NetnsDel, first);
}
