//! Events about nsids, with real namespaces.

use std::os::fd::OwnedFd;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::nsid::{Raw, anonymous, enter, inside, list_id, living, message, ports};
use crate::support::*;
use nswatch::capi::options::{NSW_ALL_NSID, NSW_NO_REPLAY};
use nswatch::capi::watcher::{NSW_STAT_DROPPED, NSW_STAT_KNOWN, NSW_STAT_OVERFLOWS};
use nswatch::nsid;

both! {
    existing_nsids_are_replayed
    without_replay_only_changes_are_reported
    a_veth_pair_makes_the_kernel_assign_an_id
    a_moved_device_makes_the_kernel_assign_an_id
    an_explicit_request_carries_its_port
    a_named_namespace_dies
    an_anonymous_namespace_dies_with_its_last_descriptor
    the_descriptor_is_readable_while_an_event_is_pending
    a_reused_id_is_reported_as_gone_and_new
    unread_births_and_deaths_are_reported
    a_resync_repeats_nothing_known
    lost_notifications_are_recovered
    a_forged_message_is_ignored
    a_message_to_the_watcher_alone_ends_at_the_sender
    the_watcher_stays_with_its_namespace
    peers_are_reported
    a_peer_takes_its_ids_with_it
    an_id_of_its_own_is_no_peer
    no_namespace_can_be_opened
}

fn name_with_id(name: &str, id: &str) {
    ip_netns(&["add", name]);
    ip_netns(&["set", name, id]);
}

fn existing_nsids_are_replayed<A: Api>() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "2147483647");
    let o = Observer::<A>::open_synced(&How::nsid());
    let events: Vec<_> = o.log.iter().map(|event| (event.id(), event.replayed)).collect();
    let expected = [((NsidNew, -1, 5), true), ((NsidNew, -1, 2147483647), true), ((Synced, -1, -1), false)];
    assert_eq!(events, expected);
    assert_eq!(o.believed_ids(), list_id());
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 2);
}

fn without_replay_only_changes_are_reported<A: Api>() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "6");
    let mut o = Observer::<A>::open(&How::nsid().flags(NSW_NO_REPLAY));
    o.expect_nothing();
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 2);
    let other = anonymous();
    nsid::assign(&other, Some(9)).unwrap();
    o.expect_ids(&[(NsidNew, 9)]);
    // nothing reports the death of an unreported namespace: the next event is about another
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    ip_netns(&["del", "blue"]);
    witness.until_id(NsidDel, -1, 5);
    drop(other);
    o.expect_ids(&[(NsidDel, 9)]);
    assert_eq!(o.api.resync(), Ok(()));
    let red = o.expect_ids(&[(NsidNew, 6), (Synced, -1)]);
    assert!(red[0].replayed);
    o.expect_nothing();
}

fn a_veth_pair_makes_the_kernel_assign_an_id<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    ip_netns(&["add", "blue"]);
    o.expect_nothing();
    run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "blue"]);
    let events = o.expect_ids(&[(NsidNew, 0)]);
    assert_eq!((events[0].portid, events[0].replayed), (0, false));
    assert_eq!(o.believed_ids(), list_id());
}

fn a_moved_device_makes_the_kernel_assign_an_id<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    ip_netns(&["add", "blue"]);
    run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
    o.expect_nothing();
    run("ip", &["link", "set", "v1", "netns", "blue"]);
    o.expect_ids(&[(NsidNew, 0)]);
    assert_eq!(o.believed_ids(), list_id());
}

fn an_explicit_request_carries_its_port<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let (raw, namespace) = (Raw::new(), anonymous());
    assert_eq!(raw.assign(&namespace, 7), 0);
    let events = o.expect_ids(&[(NsidNew, 7)]);
    assert_eq!(events[0].portid, raw.portid);
    assert_ne!(raw.portid, 0);
}

fn a_named_namespace_dies<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    name_with_id("blue", "5");
    name_with_id("red", "6");
    o.expect_ids(&[(NsidNew, 5), (NsidNew, 6)]);
    let held: OwnedFd = std::fs::File::open("/run/netns/red").unwrap().into();
    ip_netns(&["del", "red"]);
    ip_netns(&["del", "blue"]);
    // red is kept alive: only blue dies
    o.expect_ids(&[(NsidDel, 5)]);
    o.expect_nothing();
    assert_eq!(list_id(), [6]);
    drop(held);
    o.expect_ids(&[(NsidDel, 6)]);
    o.expect_nothing();
}

fn an_anonymous_namespace_dies_with_its_last_descriptor<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let namespace = anonymous();
    let id = nsid::assign(&namespace, None).unwrap();
    let second = namespace.try_clone().unwrap();
    o.expect_ids(&[(NsidNew, id)]);
    drop(namespace);
    assert_eq!(nsid::get_for_fd(&second).unwrap(), Some(id));
    o.expect_nothing();
    drop(second);
    o.expect_ids(&[(NsidDel, id)]);
}

fn the_descriptor_is_readable_while_an_event_is_pending<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&How::nsid());
    for _ in 0..3 {
        assert!(readable(o.api.fd(), std::time::Duration::ZERO));
    }
    o.until(Synced, "");
    assert!(!readable(o.api.fd(), std::time::Duration::ZERO));
    let namespace = anonymous();
    nsid::assign(&namespace, None).unwrap();
    for _ in 0..3 {
        assert!(readable(o.api.fd(), std::time::Duration::ZERO));
    }
    o.expect_ids(&[(NsidNew, 0)]);
    o.expect_nothing();
}

fn assign_all(namespaces: &[OwnedFd]) {
    for namespace in namespaces {
        nsid::assign(namespace, None).unwrap();
    }
}

/// Assigns an nsid to a new namespace, drops it, and waits by another watcher for its death.
fn born_and_dead<A: Api>(nsid: i32) {
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let namespace = anonymous();
    nsid::assign(&namespace, Some(nsid)).unwrap();
    drop(namespace);
    witness.until_id(NsidDel, -1, nsid);
}

fn a_reused_id_is_reported_as_gone_and_new<A: Api>() {
    sandbox();
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let first = anonymous();
    nsid::assign(&first, Some(3)).unwrap();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    drop(first);
    witness.until_id(NsidDel, -1, 3);
    let second = anonymous();
    nsid::assign(&second, Some(3)).unwrap();
    // both notices are queued; the kernel has the nsid, and yet the watcher reports the death of its first owner
    let events = o.expect_ids(&[(NsidDel, 3), (NsidNew, 3)]);
    assert!(events.iter().all(|event| !event.replayed));
    o.expect_nothing();
    assert_eq!(o.believed_ids(), [3]);
}

fn unread_births_and_deaths_are_reported<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    born_and_dead::<A>(4);
    born_and_dead::<A>(4);
    o.expect_ids(&[(NsidNew, 4), (NsidDel, 4), (NsidNew, 4), (NsidDel, 4)]);
    o.expect_nothing();
}

fn a_resync_repeats_nothing_known<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let namespaces: Vec<OwnedFd> = (0..3).map(|_| anonymous()).collect();
    assign_all(&namespaces);
    assert_eq!(o.api.resync(), Ok(()));
    // a resync reports the queued notices once, not as replayed
    let events = o.expect_ids(&[(NsidNew, 0), (NsidNew, 1), (NsidNew, 2), (Synced, -1)]);
    assert!(events.iter().all(|event| !event.replayed));
    o.expect_nothing();
    assert_eq!(o.api.resync(), Ok(()));
    o.expect_ids(&[(Synced, -1)]);
    o.expect_nothing();
}

fn lost_notifications_are_recovered<A: Api>() {
    const BORN: usize = 600;
    const DEAD: usize = 400;
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid().rcvbuf(4096));
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let mut namespaces: Vec<OwnedFd> = (0..BORN).map(|_| anonymous()).collect();
    assign_all(&namespaces);
    // two of three die
    let mut count = 0;
    namespaces.retain(|_| {
        count += 1;
        count % 3 == 0
    });
    let mut deaths = 0;
    while deaths < DEAD {
        let event = witness.next();
        assert_ne!(event.kind, Overflow, "the witness lost events");
        deaths += usize::from(event.kind == NsidDel);
    }
    let truth = living(0..BORN as i32 + 100);
    assert_eq!(truth.len(), BORN - DEAD);

    let overflow = o.until(Overflow, "");
    // the kernel announced each at birth; the watcher reported those that it read as new
    let read = o.log.iter().filter(|event| event.kind == NsidNew && !event.replayed).count();
    assert_eq!(overflow.dropped as usize, BORN + DEAD - read, "{read} were read");
    assert!(read > 0);
    o.until(Synced, "");
    assert_eq!(o.believed_ids(), truth);
    o.expect_nothing();
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), 1);
    assert_eq!(o.api.stat(NSW_STAT_DROPPED), overflow.dropped);
    drop(namespaces);
    while !o.checker.nsids.is_empty() {
        o.next();
    }
}

fn a_forged_message_is_ignored<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let (raw, namespace) = (Raw::new(), anonymous());
    assert_eq!(raw.assign(&namespace, 7), 0);
    o.expect_ids(&[(NsidNew, 7)]);
    for forged in [message(88, 0, &[(1, 4242)]), message(88, 0, &[(1, 7)]), message(89, 0, &[(1, 7)])] {
        raw.multicast(&forged);
    }
    raw.multicast(&vec![0xff; 60_000]);
    let other = anonymous();
    assert_eq!(raw.assign(&other, 8), 0);
    o.expect_ids(&[(NsidNew, 8)]);
    o.expect_nothing();
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), 0);
}

fn a_message_to_the_watcher_alone_ends_at_the_sender<A: Api>() {
    for flags in [0, NSW_ALL_NSID] {
        sandbox();
        let (raw, namespace) = (Raw::new(), anonymous());
        let before = ports();
        let mut o = Observer::<A>::open_synced(&How::nsid().flags(flags));
        let of_watcher: Vec<_> = ports().into_iter().filter(|port| !before.contains(port)).collect();
        assert_eq!(of_watcher.iter().filter(|(_, listens)| *listens).count(), 1);
        assert_eq!(of_watcher.len(), 2, "one that listens, one that asks");
        for (port, _) in of_watcher {
            assert_eq!(raw.send_to(port, 0, &message(88, 0, &[(1, 4242)])), Err(libc::ECONNREFUSED));
        }
        // the kernel's own messages still arrive
        assert_eq!(raw.assign(&namespace, 7), 0);
        o.expect_ids(&[(NsidNew, 7)]);
        drop(namespace);
        o.expect_ids(&[(NsidDel, 7)]);
        o.expect_nothing();
    }
}

fn the_watcher_stays_with_its_namespace<A: Api>() {
    sandbox();
    let here: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net").unwrap().into();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let elsewhere = anonymous();
    enter(&elsewhere);
    let (first, second) = (anonymous(), anonymous());
    // the watcher reports changes where it was opened, not where the thread is now
    nsid::assign(&first, Some(1)).unwrap();
    assert_eq!(inside(&here, || nsid::assign(&second, Some(2)).unwrap()), 2);
    o.expect_ids(&[(NsidNew, 2)]);
    assert_eq!(o.api.resync(), Ok(()));
    o.expect_ids(&[(Synced, -1)]);
    drop(second);
    o.expect_ids(&[(NsidDel, 2)]);
    o.expect_nothing();
    // and a query concerns the namespace of the thread
    assert_eq!(nsid::list().unwrap(), [1]);
    assert_eq!(nsid::get_for_fd(&first).unwrap(), Some(1));
    assert_eq!(inside(&here, || nsid::get_for_fd(&first).unwrap()), None);
}

fn peers_are_reported<A: Api>() {
    sandbox();
    let (peer, before, after) = (anonymous(), anonymous(), anonymous());
    nsid::assign(&peer, Some(5)).unwrap();
    inside(&peer, || nsid::assign(&before, Some(10)).unwrap());
    let mut o = Observer::<A>::open_synced(&How::nsid().flags(NSW_ALL_NSID));
    let events: Vec<_> = o.log.iter().map(|event| event.id()).collect();
    assert_eq!(events, [(NsidNew, -1, 5), (NsidNew, 5, 10), (Synced, -1, -1)]);
    inside(&peer, || nsid::assign(&after, Some(11)).unwrap());
    let event = o.next();
    assert_eq!((event.id(), event.replayed), ((NsidNew, 5, 11), false));
    drop(before);
    assert_eq!(o.next().id(), (NsidDel, 5, 10));

    // a new peer brings its nsids, each reported once, whether the kernel announced it or not
    let second = anonymous();
    inside(&second, || nsid::assign(&after, Some(20)).unwrap());
    nsid::assign(&second, Some(6)).unwrap();
    let late = anonymous();
    inside(&second, || nsid::assign(&late, Some(21)).unwrap());
    let mut events: Vec<_> = (0..3).map(|_| o.next().id()).collect();
    assert_eq!(events.remove(0), (NsidNew, -1, 6));
    events.sort_unstable();
    assert_eq!(events, [(NsidNew, 6, 20), (NsidNew, 6, 21)]);
    o.expect_nothing();
    assert_eq!(o.api.resync(), Ok(()));
    assert_eq!(o.next().kind, Synced);
    o.expect_nothing();

    // without the flag a watcher does not report peers
    let mut deaf = Observer::<A>::open_synced(&How::nsid());
    let more = anonymous();
    inside(&peer, || nsid::assign(&more, Some(12)).unwrap());
    assert_eq!(o.next().id(), (NsidNew, 5, 12));
    deaf.expect_nothing();
}

fn a_peer_takes_its_ids_with_it<A: Api>() {
    sandbox();
    let (peer, in_peer) = (anonymous(), anonymous());
    let mut o = Observer::<A>::open_synced(&How::nsid().flags(NSW_ALL_NSID));
    nsid::assign(&peer, Some(5)).unwrap();
    assert_eq!(o.next().id(), (NsidNew, -1, 5));
    inside(&peer, || nsid::assign(&in_peer, Some(10)).unwrap());
    assert_eq!(o.next().id(), (NsidNew, 5, 10));
    drop(peer);
    assert_eq!(o.next().id(), (NsidDel, 5, 10));
    assert_eq!(o.next().id(), (NsidDel, -1, 5));
    o.expect_nothing();
    // another namespace gets the same nsid: nothing of the old one remains
    let other = anonymous();
    nsid::assign(&other, Some(5)).unwrap();
    assert_eq!(o.next().id(), (NsidNew, -1, 5));
    o.expect_nothing();
}

fn an_id_of_its_own_is_no_peer<A: Api>() {
    sandbox();
    let here: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net").unwrap().into();
    let first = anonymous();
    nsid::assign(&first, Some(1)).unwrap();
    let mut o = Observer::<A>::open_synced(&How::nsid().flags(NSW_ALL_NSID));
    nsid::assign(&here, Some(40)).unwrap();
    assert_eq!(o.until_id(NsidNew, -1, 40).origin, -1);
    let second = anonymous();
    nsid::assign(&second, Some(2)).unwrap();
    assert_eq!(o.next().id(), (NsidNew, -1, 2));
    drop(second);
    assert_eq!(o.next().id(), (NsidDel, -1, 2));
    assert_eq!(o.api.resync(), Ok(()));
    assert_eq!(o.next().kind, Synced);
    o.expect_nothing();
    assert_eq!(o.believed_ids(), list_id());
}

fn no_namespace_can_be_opened<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&How::nsid());
    o.until(Synced, "");
    assert_eq!(o.api.open_netns().unwrap_err(), libc::EINVAL);
}
