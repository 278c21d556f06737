//! What the source asks the kernel, and what the answers mean: how things are *now*, whatever was notified.
//!
//! It asks and remembers; it tells nothing and changes nothing of what is believed.

use std::collections::BTreeSet;

use super::request::{Listing, Refusal};
use super::sockets::Kernel;
use super::state::{Id, Ids, Seen};
use super::{Notice, Nsid, What};
use crate::error::Result;

const ASK: &str = "ask who has a namespace id";
const LIST: &str = "list the namespace ids";

/// To answer one question takes as long as to list so many ids. (In the simulation, which has few, no longer than one.)
const QUESTION: usize = if cfg!(test) { 1 } else { 8 };

/// What the kernel says of the ids here that the inbox is about, after all that is in the inbox.
#[derive(Debug)]
pub(super) struct Inquiry {
    /// Living or dying, as far as a list was asked for.
    pub(super) listed: Ids,
    /// Those that were asked about and live, in ascending order.
    living: Vec<i32>,
}

impl Inquiry {
    pub(super) fn lives(&self, nsid: i32) -> bool {
        self.living.binary_search(&nsid).is_ok()
    }
}

/// What can be known of a peer.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Ids(Ids),
    /// It may not be asked: what it notifies is all that is known.
    Closed,
    Gone,
}

impl From<Listing> for Ids {
    fn from(listing: Listing) -> Self {
        Self { ids: listing.ids.iter().map(|listed| listed.nsid).collect(), until: listing.until }
    }
}

/// How many ids after the end of a list are asked for at most, besides those that were heard of: whoever may assign
/// ids can choose a high one, and must not make a look long by it.
const WALK: i32 = 1 << 14;

impl<K: Kernel> Nsid<K> {
    /// Everything that there is.
    pub(super) fn see(&mut self) -> Result<Seen> {
        let mut seen = Seen { own: self.ask_here()?.ids, peers: Vec::new() };
        if self.peers {
            for nsid in seen.own.clone() {
                match self.ask_peer(nsid)? {
                    Peer::Ids(ids) => seen.peers.push((nsid, ids)),
                    Peer::Gone => seen.peers.push((nsid, Ids::none())),
                    Peer::Closed => {}
                }
            }
        }
        Ok(seen)
    }

    /// Whether the id is assigned now; `None`: nobody will say.
    pub(super) fn truth(&mut self, id: Id) -> Result<Option<bool>> {
        match id.origin() {
            None => self.is_assigned(id.nsid()).map(Some),
            Some(peer) => Ok(match self.ask_peer(peer)? {
                Peer::Ids(ids) => ids.has(id.nsid()),
                Peer::Gone => Some(false),
                Peer::Closed => None,
            }),
        }
    }

    /// Whether a living namespace has the id here. One that is dying has it still, but the kernel does not say so.
    pub(super) fn lives(&mut self, nsid: i32) -> Result<bool> {
        self.kernel.exists(nsid).map_err(|refusal| refusal.doing(ASK))
    }

    /// Those of the ids that a living namespace has here.
    fn living(&mut self, mut nsids: Vec<i32>) -> Result<Vec<i32>> {
        let mut lives = self.kernel.exist(&nsids).map_err(|refusal| refusal.doing(ASK))?.into_iter();
        nsids.retain(|_| lives.next() == Some(true));
        Ok(nsids)
    }

    /// Whether a namespace has the id here, living or dying: of a dying one there is a notification to come.
    pub(super) fn is_assigned(&mut self, nsid: i32) -> Result<bool> {
        Ok(self.lives(nsid)? || self.is_listed(nsid)?)
    }

    /// What is with the ids here that the inbox is about.
    pub(super) fn inquire(&mut self) -> Result<Inquiry> {
        let mut listed = Ids { ids: Vec::new(), until: -1 };
        if self.inbox.len() * QUESTION > self.roster.len() {
            listed = match self.kernel.list_part() {
                // they change faster than they can be listed: then each is asked about
                Err(Refusal { errno: libc::EAGAIN, .. }) => listed,
                listing => listing.map_err(|refusal| refusal.doing(LIST))?.into(),
            };
        }
        let mut open = BTreeSet::new();
        for at in 0..self.inbox.len() {
            let Some(Notice { id, what }) = self.inbox.get(at).copied() else { break };
            let id = self.resolve(id)?;
            // what is listed may be dying, what is not is gone
            let is_open = |listed| listed && matches!(what, What::Gone);
            if id.origin().is_none() && listed.has(id.nsid()).is_none_or(is_open) {
                open.insert(id);
            }
        }
        let living = self.living(open.into_iter().map(Id::nsid).collect())?;
        Ok(Inquiry { listed, living })
    }

    /// Whether the id is among those here after all that is in the inbox.
    pub(super) fn is_listed(&mut self, nsid: i32) -> Result<bool> {
        if self.here.is_none() {
            self.here = Some(self.ask_here()?);
        }
        Ok(self.here.as_ref().and_then(|ids| ids.has(nsid)).unwrap_or(false))
    }

    /// Which ids there are here.
    fn ask_here(&mut self) -> Result<Ids> {
        let mut here = self.kernel.list(None).map(Ids::from).map_err(|refusal| refusal.doing(LIST))?;
        let mut heard_of = BTreeSet::new();
        let notified = self.inbox.iter().map(|notice| notice.id).filter(|id| id.origin().is_none());
        for id in notified.chain(self.roster.own_after(here.until)) {
            heard_of.insert(id);
        }
        // where the list ended too soon: thousands that are dying, and listed, can hide those that live after them
        let highest = heard_of.last().map_or(-1, |id| id.nsid()).min(here.until.saturating_add(WALK));
        let walk = (here.until..highest).map(|nsid| nsid + 1);
        here.until = here.until.max(highest);
        let more = walk.chain(heard_of.into_iter().map(Id::nsid).filter(|nsid| *nsid > here.until));
        here.ids.extend(self.living(more.collect())?);
        Ok(here)
    }

    /// Which ids there are in a peer.
    pub(super) fn ask_peer(&mut self, peer: i32) -> Result<Peer> {
        if !self.lives(peer)? {
            return Ok(Peer::Gone);
        }
        let listed = self.kernel.list(Some(peer));
        // the own namespace is none of its peers, even if it has become so just now
        if self.is_own(peer)? {
            return Ok(Peer::Gone);
        }
        match listed {
            Ok(listing) => Ok(Peer::Ids(listing.into())),
            Err(Refusal { errno: libc::EACCES | libc::EPERM | libc::EOPNOTSUPP, .. }) => Ok(Peer::Closed),
            // it went in the meantime
            Err(Refusal { errno: libc::EINVAL | libc::ENOENT, .. }) => Ok(Peer::Gone),
            Err(refusal) => Err(refusal.doing("list the namespace ids of a peer")),
        }
    }

    /// An id with a tag that says "our own namespace" is one of our own.
    #[inline]
    pub(super) fn resolve(&mut self, id: Id) -> Result<Id> {
        match id.origin() {
            Some(origin) if self.is_own(origin)? => Ok(Id::own(id.nsid())),
            _ => Ok(id),
        }
    }

    /// Whether the own namespace has this id in itself. Once it has one it keeps it.
    pub(super) fn is_own(&mut self, nsid: i32) -> Result<bool> {
        if self.peers && self.own.is_none() {
            let answer = self.kernel.own();
            self.own = answer.map_err(|refusal| refusal.doing("ask for the id of the own namespace"))?;
        }
        Ok(self.own == Some(nsid))
    }
}
