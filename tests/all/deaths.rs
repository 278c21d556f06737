//! Namespaces that die.

use super::support::api::{Api, How, Kind, Observer};
use super::support::nsid::anonymous;
use super::support::*;

both! {
    the_last_process_ends
    the_last_mount_goes
    a_namespace_kept_by_a_descriptor_is_not_dead
}

fn the_last_process_ends<A: Api>() {
    sandbox();
    let sleeper = Sleeper::new();
    let netns = kernel::netns(sleeper.namespace("net")).unwrap();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    drop(sleeper);
    let event = watcher.until_netns(Kind::NetnsDel, netns);
    assert!(!event.replayed);
    assert_eq!(watcher.api.open_netns().unwrap_err(), libc::EINVAL);
}

fn the_last_mount_goes<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    let blue = kernel::netns("/run/netns/blue").unwrap();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    ip_netns(&["del", "blue"]);
    watcher.until_netns(Kind::NetnsDel, blue);
}

fn a_namespace_kept_by_a_descriptor_is_not_dead<A: Api>() {
    sandbox();
    let sleeper = Sleeper::new();
    let (netns, kept) =
        (kernel::netns(sleeper.namespace("net")).unwrap(), std::fs::File::open(sleeper.namespace("net")));
    let mut watcher = Observer::<A>::open_synced(&How::all());
    drop(sleeper);
    watcher.resync();
    assert!(watcher.believes(netns));
    drop(kept.unwrap());
    watcher.until_netns(Kind::NetnsDel, netns);
    drop(anonymous());
}
