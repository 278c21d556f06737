//! What is told of namespace ids, with real namespaces.

use std::os::fd::OwnedFd;

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::nsid::{Raw, anonymous, enter, inside, list_id, living, message, ports};
use crate::support::*;
use nswatch::capi::options::{NSW_ALL_NSID, NSW_NO_REPLAY};
use nswatch::capi::watcher::{NSW_STAT_DROPPED, NSW_STAT_KNOWN, NSW_STAT_OVERFLOWS};
use nswatch::nsid;

both! {
    what_exists_is_replayed
    without_replay_only_changes_are_told
    a_veth_pair_makes_the_kernel_assign_an_id
    a_moved_device_makes_the_kernel_assign_an_id
    who_asked_explicitly_is_told
    a_named_namespace_dies
    an_anonymous_namespace_dies_with_its_last_descriptor
    the_descriptor_shows_what_there_is
    an_id_given_away_again_is_told_as_gone_and_new
    what_came_and_went_unread_is_told
    a_resync_tells_nothing_that_is_known
    lost_notifications_are_made_good
    a_forged_message_is_ignored
    a_message_to_the_watcher_alone_ends_at_the_sender
    the_watcher_stays_with_its_namespace
    peers_are_heard_of
    a_peer_takes_its_ids_with_it
    an_id_of_its_own_is_no_peer
    there_is_no_namespace_to_open
}

fn name_with_id(name: &str, id: &str) {
    ip_netns(&["add", name]);
    ip_netns(&["set", name, id]);
}

fn what_exists_is_replayed<A: Api>() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "2147483647");
    let o = Observer::<A>::open_synced(&How::nsid());
    let told: Vec<_> = o.log.iter().map(|event| (event.id(), event.replayed)).collect();
    let expected = [((NsidNew, -1, 5), true), ((NsidNew, -1, 2147483647), true), ((Synced, -1, -1), false)];
    assert_eq!(told, expected);
    assert_eq!(o.believed_ids(), list_id());
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 2);
}

fn without_replay_only_changes_are_told<A: Api>() {
    sandbox();
    name_with_id("blue", "5");
    name_with_id("red", "6");
    let mut o = Observer::<A>::open(&How::nsid().flags(NSW_NO_REPLAY));
    o.expect_nothing();
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), 2);
    let other = anonymous();
    nsid::assign(&other, Some(9)).unwrap();
    o.expect_ids(&[(NsidNew, 9)]);
    // the death of what was never told is not told: the next that is told is another's
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
    let told = o.expect_ids(&[(NsidNew, 0)]);
    assert_eq!((told[0].portid, told[0].replayed), (0, false));
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

fn who_asked_explicitly_is_told<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let (raw, namespace) = (Raw::new(), anonymous());
    assert_eq!(raw.assign(&namespace, 7), 0);
    let told = o.expect_ids(&[(NsidNew, 7)]);
    assert_eq!(told[0].portid, raw.portid);
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

fn the_descriptor_shows_what_there_is<A: Api>() {
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

/// A namespace with an id, and a witness that it is dead.
fn born_and_dead<A: Api>(nsid: i32) {
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let namespace = anonymous();
    nsid::assign(&namespace, Some(nsid)).unwrap();
    drop(namespace);
    witness.until_id(NsidDel, -1, nsid);
}

fn an_id_given_away_again_is_told_as_gone_and_new<A: Api>() {
    sandbox();
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let first = anonymous();
    nsid::assign(&first, Some(3)).unwrap();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    drop(first);
    witness.until_id(NsidDel, -1, 3);
    let second = anonymous();
    nsid::assign(&second, Some(3)).unwrap();
    // both are in the queue by now; the kernel has the id, and yet its first owner is told as dead
    let told = o.expect_ids(&[(NsidDel, 3), (NsidNew, 3)]);
    assert!(told.iter().all(|event| !event.replayed));
    o.expect_nothing();
    assert_eq!(o.believed_ids(), [3]);
}

fn what_came_and_went_unread_is_told<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    born_and_dead::<A>(4);
    born_and_dead::<A>(4);
    o.expect_ids(&[(NsidNew, 4), (NsidDel, 4), (NsidNew, 4), (NsidDel, 4)]);
    o.expect_nothing();
}

fn a_resync_tells_nothing_that_is_known<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let namespaces: Vec<OwnedFd> = (0..3).map(|_| anonymous()).collect();
    assign_all(&namespaces);
    assert_eq!(o.api.resync(), Ok(()));
    // what was in the queue is told as news, once
    let told = o.expect_ids(&[(NsidNew, 0), (NsidNew, 1), (NsidNew, 2), (Synced, -1)]);
    assert!(told.iter().all(|event| !event.replayed));
    o.expect_nothing();
    assert_eq!(o.api.resync(), Ok(()));
    o.expect_ids(&[(Synced, -1)]);
    o.expect_nothing();
}

fn lost_notifications_are_made_good<A: Api>() {
    const BORN: usize = 600;
    const DEAD: usize = 400;
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::nsid().rcvbuf(4096));
    let mut witness = Observer::<A>::open_synced(&How::nsid());
    let mut namespaces: Vec<OwnedFd> = (0..BORN).map(|_| anonymous()).collect();
    assign_all(&namespaces);
    // every third survives
    let mut count = 0;
    namespaces.retain(|_| {
        count += 1;
        count % 3 == 0
    });
    let mut deaths = 0;
    while deaths < DEAD {
        let event = witness.next();
        assert_ne!(event.kind, Overflow, "the witness lost something");
        deaths += usize::from(event.kind == NsidDel);
    }
    let truth = living(0..BORN as i32 + 100);
    assert_eq!(truth.len(), BORN - DEAD);

    let overflow = o.until(Overflow, "");
    // each was notified of at birth; what was read of that was told as news
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
        // the kernel's own still arrive
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
    // what happens where the thread is now is not told; what happens where the watcher was opened is
    nsid::assign(&first, Some(1)).unwrap();
    assert_eq!(inside(&here, || nsid::assign(&second, Some(2)).unwrap()), 2);
    o.expect_ids(&[(NsidNew, 2)]);
    assert_eq!(o.api.resync(), Ok(()));
    o.expect_ids(&[(Synced, -1)]);
    drop(second);
    o.expect_ids(&[(NsidDel, 2)]);
    o.expect_nothing();
    // and a question is about where the thread is
    assert_eq!(nsid::list().unwrap(), [1]);
    assert_eq!(nsid::get_for_fd(&first).unwrap(), Some(1));
    assert_eq!(inside(&here, || nsid::get_for_fd(&first).unwrap()), None);
}

fn peers_are_heard_of<A: Api>() {
    sandbox();
    let (peer, before, after) = (anonymous(), anonymous(), anonymous());
    nsid::assign(&peer, Some(5)).unwrap();
    inside(&peer, || nsid::assign(&before, Some(10)).unwrap());
    let mut o = Observer::<A>::open_synced(&How::nsid().flags(NSW_ALL_NSID));
    let told: Vec<_> = o.log.iter().map(|event| event.id()).collect();
    assert_eq!(told, [(NsidNew, -1, 5), (NsidNew, 5, 10), (Synced, -1, -1)]);
    inside(&peer, || nsid::assign(&after, Some(11)).unwrap());
    let event = o.next();
    assert_eq!((event.id(), event.replayed), ((NsidNew, 5, 11), false));
    drop(before);
    assert_eq!(o.next().id(), (NsidDel, 5, 10));

    // a peer that comes brings what is in it, told once, whether it was notified or not
    let second = anonymous();
    inside(&second, || nsid::assign(&after, Some(20)).unwrap());
    nsid::assign(&second, Some(6)).unwrap();
    let late = anonymous();
    inside(&second, || nsid::assign(&late, Some(21)).unwrap());
    let mut told: Vec<_> = (0..3).map(|_| o.next().id()).collect();
    assert_eq!(told.remove(0), (NsidNew, -1, 6));
    told.sort_unstable();
    assert_eq!(told, [(NsidNew, 6, 20), (NsidNew, 6, 21)]);
    o.expect_nothing();
    assert_eq!(o.api.resync(), Ok(()));
    assert_eq!(o.next().kind, Synced);
    o.expect_nothing();

    // a watcher that was not asked to does not hear of peers
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
    // another namespace gets the same id: nothing of the old one sticks to it
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

fn there_is_no_namespace_to_open<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&How::nsid());
    o.until(Synced, "");
    assert_eq!(o.api.open_netns().unwrap_err(), libc::EINVAL);
}
