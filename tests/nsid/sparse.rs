//! More nsids than the kernel lists: the library finds all of them, or reports that it does not.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use crate::support::api::{Api, C, How, Kind::*, Observer, Rust};
use crate::support::nsid::{anonymous, inside, list_id};
use crate::support::*;
use nswatch::capi::nsid as cn;
use nswatch::capi::watcher::{NSW_STAT_KNOWN, NSW_STAT_OVERFLOWS};
use nswatch::nsid;

/// So many in a row: more than any kernel lists at once.
const DENSE: i32 = 1200;
const SPARSE: i32 = 100;
const GAP: i32 = 1000;

fn assign(nsid: i32) -> OwnedFd {
    let namespace = anonymous();
    nsid::assign(&namespace, Some(nsid)).unwrap();
    namespace
}

/// Hidden namespaces by their nsids: only a socket keeps each, so no process shows it, nor listns(2).
type Hidden = BTreeMap<i32, UdpSocket>;

fn hide(nsid: i32) -> UdpSocket {
    inside(&assign(nsid), || UdpSocket::bind("[::]:0").unwrap())
}

#[test]
fn unlisted_ids_are_found_or_the_list_is_incomplete() {
    sandbox();
    // one descriptor each
    let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: the structure is read during the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return skipped("the limit of open files is below 4096");
    }
    let _dense: Vec<OwnedFd> = (0..DENSE).map(assign).collect();
    let cut_short = (list_id().len() as i32) < DENSE;

    // one that is visible, however far away, and one that this process itself keeps
    ip_netns(&["add", "far"]);
    ip_netns(&["set", "far", "2147483647"]);
    let _kept = assign(900_000);
    let mut all: Vec<i32> = (0..DENSE).chain([900_000, i32::MAX]).collect();
    assert!(nsid::list().unwrap() == all);
    let o = Observer::<Rust>::open_synced(&How::nsid());
    assert!(o.believed_ids() == all);
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), 0);
    drop(o);

    // others that are hidden
    let sparse: Vec<i32> = (1..=SPARSE).map(|n| DENSE + n * GAP).collect();
    let mut hidden: Hidden = sparse.iter().map(|nsid| (*nsid, hide(*nsid))).collect();
    all.extend(&sparse);
    all.sort_unstable();
    let mut count = 99;
    // SAFETY: the count is writable, and no room is stated.
    let rc = unsafe { cn::nsid_list(std::ptr::null_mut(), 0, &mut count) };
    if !cut_short {
        assert_eq!((nsid::list().unwrap(), rc, count), (all.clone(), 0, all.len()));
        let o = Observer::<Rust>::open_synced(&How::nsid());
        assert_eq!((o.believed_ids(), o.api.stat(NSW_STAT_OVERFLOWS)), (all, 0));
        return;
    }
    assert_eq!(nsid::list().unwrap_err().errno(), libc::EOVERFLOW);
    assert_eq!((rc, count), (-libc::EOVERFLOW, 99));
    let known = watches::<C>(&mut hidden, &all, DENSE + SPARSE * GAP);
    all.retain(|nsid| ![known, DENSE + SPARSE * GAP].contains(nsid));
    watches::<Rust>(&mut hidden, &all, DENSE + (SPARSE - 1) * GAP);
}

/// `last` is an nsid that the watcher does not find. Returns one that it found.
fn watches<A: Api>(hidden: &mut Hidden, all: &[i32], last: i32) -> i32 {
    let mut o = Observer::<A>::open_synced(&How::nsid());
    let said = &o.log[o.log.len() - 2];
    assert_eq!((said.kind, said.dropped), (Overflow, 0));
    let found = o.believed_ids();
    assert!(found.iter().all(|nsid| all.contains(nsid)));
    assert!(found.contains(&i32::MAX) && found.contains(&900_000) && !found.contains(&last), "{found:?}");
    assert_eq!(o.api.stat(NSW_STAT_KNOWN), found.len() as u64);
    o.expect_nothing();

    // notifications are right about known, unknown and new nsids
    let known = *found.iter().find(|nsid| **nsid > DENSE).unwrap();
    drop(hidden.remove(&known));
    o.expect_ids(&[(NsidDel, known)]);
    drop(hidden.remove(&last));
    let new = assign(5_000_000);
    o.expect_ids(&[(NsidNew, 5_000_000)]);
    drop(new);
    o.expect_ids(&[(NsidDel, 5_000_000)]);
    o.expect_nothing();

    // a resync removes nothing
    let before = o.believed_ids();
    assert_eq!(o.api.resync(), Ok(()));
    let events: Vec<_> = o.drain().into_iter().map(|event| event.kind).collect();
    assert_eq!(events[events.len() - 2..], [Overflow, Synced]);
    assert!(before.iter().all(|nsid| o.believed_ids().contains(nsid)));
    assert_eq!(o.api.stat(NSW_STAT_OVERFLOWS), 2);
    o.expect_nothing();
    known
}
