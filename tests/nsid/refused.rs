//! System calls that are refused after a watcher of nsids was opened: another way, or an error that loses nothing.

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::nsid::anonymous;
use crate::support::thread::{Restriction, SEND, elsewhere};
use crate::support::*;
use nswatch::nsid;

both! {
    notifications_are_received_one_by_one
    a_refused_query_has_no_answer
}

fn notifications_are_received_one_by_one<A: Api>() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
        sandbox();
        let mut o = Observer::<A>::open_synced(&How::nsid());
        let peers: Vec<_> = (0..5).map(|_| anonymous()).collect();
        for peer in &peers {
            nsid::assign(peer, None).unwrap();
        }
        elsewhere(&Restriction::none().failing(libc::SYS_recvmmsg, errno), || {
            o.expect_ids(&[(NsidNew, 0), (NsidNew, 1), (NsidNew, 2), (NsidNew, 3), (NsidNew, 4)]);
            o.expect_nothing();
            assert_eq!(o.resync(), []);
        });
        drop(peers);
        o.until_id(NsidDel, -1, 3);
    }
}

/// A filter may refuse with the very errno by which the kernel answers "the nsid is in use".
fn a_refused_query_has_no_answer<A: Api>() {
    sandbox();
    // so many that the watcher queries each by itself
    let mut peers: Vec<_> = (0..40).map(|_| anonymous()).collect();
    for peer in &peers {
        nsid::assign(peer, None).unwrap();
    }
    let mut o = Observer::<A>::open_synced(&How::nsid());
    drop(peers.remove(7));
    assert!(readable(o.api.fd(), DEADLINE));
    elsewhere(&Restriction::none().failing(SEND, libc::EINVAL), || {
        for _ in 0..3 {
            assert_eq!(o.try_now(), Err(libc::EINVAL));
        }
    });
    o.expect_ids(&[(NsidDel, 7)]);
    o.expect_nothing();
}
