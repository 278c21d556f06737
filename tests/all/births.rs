//! Namespaces that exist when the watcher is opened, and those that are made later.

use super::support::api::{Api, How, Kind, Observer};
use super::support::nsid::anonymous;
use super::support::*;

both! {
    what_exists_is_replayed
    a_name_is_found_by_its_mount
    a_process_is_found
}

fn what_exists_is_replayed<A: Api>() {
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
