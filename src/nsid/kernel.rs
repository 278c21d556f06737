//! The present state of the kernel: the sockets of a watcher, and a cache of answers.
//!
//! [`Kernel`] reads notifications and answers questions about the present, independent of notifications. It emits
//! nothing and does not know the state: its caller passes what it needs.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::listener::{Change, Listener, Notification, Received, decode};
use super::listing::{Here, Questions, list_here};
use super::request::{Listing, NetlinkError, RequestSocket};
use super::state::{Id, Ids, Snapshot};
use super::wire::Attributes;
use crate::error::{Doing, Result};
use crate::sys::{self, CWD};

const ASK: &str = "ask which namespace has an nsid";
const LIST: &str = "list the nsids";

/// One request costs as much as listing this many nsids. (The simulation has few nsids, so 1.)
const REQUEST_COST: usize = if cfg!(test) { 1 } else { 8 };

/// For so few notifications, one request each takes fewer system calls than a list. Only a dying nsid then needs the list.
const FEW: usize = 2;

/// The system calls that the source needs; the tests simulate them.
pub(crate) trait Rtnetlink: Send {
    /// Reads some datagrams, and passes each to `take`, with the nsid of the peer that it comes from, if any.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received>;

    /// The number of messages lost since the last call; 0 if the kernel does not count.
    fn take_dropped(&mut self) -> u64;

    /// The maximum number of messages in the queue.
    fn capacity(&self) -> usize;

    /// The interface for questions.
    fn questions(&mut self) -> &mut dyn Questions;

    /// The nsid of the own namespace in itself.
    fn own(&mut self) -> Result<Option<i32>, NetlinkError>;
}

/// The two sockets of a watcher, and their namespace: that of the thread that made them, wherever the thread goes
/// later.
///
/// Two sockets, because one that listens and asks would receive the notification of a request's effect before the
/// answer.
#[derive(Debug)]
pub(crate) struct Sockets {
    listener: Listener,
    requests: RequestSocket,
    /// For questions about it. The sockets keep the namespace alive anyway.
    namespace: Option<OwnedFd>,
}

impl Sockets {
    fn open(receive_buffer: u32, all_nsid: bool) -> io::Result<Self> {
        let listener = Listener::open(receive_buffer, all_nsid)?;
        let own = || sys::open(CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY);
        let namespace = all_nsid.then(own).transpose()?;
        Ok(Self { listener, requests: RequestSocket::open()?.checked(), namespace })
    }
}

impl Rtnetlink for Sockets {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received> {
        self.listener.receive(take)
    }

    fn take_dropped(&mut self) -> u64 {
        self.listener.take_dropped()
    }

    fn capacity(&self) -> usize {
        self.listener.capacity()
    }

    fn questions(&mut self) -> &mut dyn Questions {
        &mut self.requests
    }

    fn own(&mut self) -> Result<Option<i32>, NetlinkError> {
        let Some(namespace) = &self.namespace else { return Ok(None) };
        let fd = Some(namespace.as_raw_fd().unsigned_abs());
        self.requests.get(Attributes { fd, ..Attributes::default() })
    }
}

/// The kernel's answers about the own nsids in a batch of notifications, from after the whole batch.
#[derive(Debug)]
pub(super) struct Answers {
    /// Living or dying, as far as a list was requested.
    listed: Ids,
    /// Those asked about that are alive, in ascending order.
    living: Vec<i32>,
}

/// What the source can know of a peer.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Ids(Ids),
    /// The kernel refuses to list its nsids: only notifications show them.
    Unreadable,
    Gone,
}

impl From<Listing> for Ids {
    fn from(listing: Listing) -> Self {
        Self { ids: listing.ids.iter().map(|listed| listed.nsid).collect(), until: listing.until }
    }
}

/// The sockets, and a cache of their answers.
#[derive(Debug)]
pub(super) struct Kernel<R = Sockets> {
    sockets: R,
    /// Whether it listens to peers.
    all_nsid: bool,
    /// The nsid of the own namespace in itself: the kernel can tag events in it with this number, as if they were a
    /// peer's.
    own: Option<i32>,
    /// Whether `own` is valid for all notifications so far. Reading resets it.
    own_is_current: bool,
    /// The own nsids as far as the kernel lists them, after all notifications so far. Reading discards it.
    here: Option<Ids>,
    /// The peers asked about, in ascending order, after all notifications so far. Reading discards them.
    peers: Vec<(i32, Peer)>,
}

impl Kernel {
    /// Starts to listen. `receive_buffer`: 0 is the library's choice. `all_nsid`: also to peers.
    pub(super) fn open(receive_buffer: u32, all_nsid: bool) -> io::Result<Self> {
        Ok(Self::new(Sockets::open(receive_buffer, all_nsid)?, all_nsid))
    }
}

impl<R: Rtnetlink> Kernel<R> {
    pub(super) fn new(sockets: R, all_nsid: bool) -> Self {
        Self { sockets, all_nsid, own: None, own_is_current: false, here: None, peers: Vec::new() }
    }

    #[cfg(test)]
    pub(super) fn sockets(&mut self) -> &mut R {
        &mut self.sockets
    }

    /// Reads about `limit` notifications into the inbox at most. Returns whether the queue is empty. Sets `lost` if the
    /// kernel dropped some, or sent an unknown message. `soon`: another read follows soon, so this one need not notice
    /// an error behind the last notification.
    pub(super) fn read(
        &mut self,
        limit: usize,
        soon: bool,
        inbox: &mut VecDeque<Notification>,
        lost: &mut bool,
    ) -> Result<bool> {
        self.own_is_current = false;
        self.here = None;
        self.peers.clear();
        let mut left = limit;
        while left > 0 {
            let received = self.sockets.receive(&mut |bytes, origin| *lost |= !decode(bytes, origin, inbox));
            let read = match received.doing("read nsid notifications")? {
                Received::Nothing => return Ok(true),
                Received::Last if soon => return Ok(true),
                Received::Last => 1,
                Received::Loss => {
                    *lost = true;
                    1
                }
                Received::Datagrams(n) => n,
            };
            left = left.saturating_sub(read);
        }
        Ok(false)
    }

    /// The maximum number of notifications in the queue.
    pub(super) fn capacity(&self) -> usize {
        self.sockets.capacity()
    }

    /// The number of notifications lost since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        self.sockets.take_dropped()
    }

    /// The complete state, and whether it is certain. `known` and `look` are as in [`list_here`].
    pub(super) fn snapshot(&mut self, known: &dyn Fn(i32) -> BTreeSet<Id>, look: bool) -> Result<(Snapshot, bool)> {
        let Here { ids, mut complete } = list_here(self.sockets.questions(), known, look)?;
        let mut snapshot = Snapshot { own: ids, peers: Vec::new() };
        if self.all_nsid {
            for nsid in snapshot.own.clone() {
                match self.list_peer(nsid)? {
                    Peer::Ids(ids) => {
                        complete &= ids.is_complete();
                        snapshot.peers.push((nsid, ids));
                    }
                    Peer::Gone => snapshot.peers.push((nsid, Ids::none())),
                    Peer::Unreadable => {}
                }
            }
        }
        Ok((snapshot, complete))
    }

    /// Whether the nsid is assigned after all notifications so far, here also to a dying namespace, whose death the
    /// kernel will still notify; `None`: unknown.
    pub(super) fn is_assigned(&mut self, id: Id) -> Result<Option<bool>> {
        let nsid = id.nsid();
        match id.origin() {
            None => Ok(Some(self.lives(nsid)? || self.is_listed(nsid)?)),
            Some(peer) => Ok(match self.peer(peer)? {
                Peer::Ids(ids) => ids.has(nsid),
                Peer::Gone => Some(false),
                Peer::Unreadable => None,
            }),
        }
    }

    /// Asks about the own nsids in the inbox. `known` is the approximate number of nsids in a list.
    pub(super) fn ask_about(&mut self, inbox: &VecDeque<Notification>, known: usize) -> Result<Answers> {
        let mut listed = Ids { ids: Vec::new(), until: -1 };
        if inbox.len() > FEW && inbox.len() * REQUEST_COST > known {
            listed = match self.sockets.questions().list(None) {
                // they change faster than the kernel lists them: ask about each
                Err(error) if error.answer() == Some(libc::EAGAIN) => listed,
                listing => listing.map_err(|error| error.doing(LIST))?.into(),
            };
        }
        let mut open = Vec::new();
        for Notification { id, change } in inbox {
            let id = self.resolve(*id)?;
            // a listed one may be dying, another one is gone
            let is_open = |listed| listed && matches!(change, Change::Gone);
            if id.origin().is_none() && listed.has(id.nsid()).is_none_or(is_open) {
                open.push(id.nsid());
            }
        }
        open.sort_unstable();
        open.dedup();
        let living = self.sockets.questions().living(&open).map_err(|error| error.doing(ASK))?;
        Ok(Answers { listed, living })
    }

    /// Whether the own nsid is assigned after its notification. After `Gone` only a living namespace counts; after
    /// `Assigned` a dying one does too, because the kernel will still notify its death.
    pub(super) fn is_assigned_after(&mut self, change: Change, nsid: i32, answers: &Answers) -> Result<bool> {
        let lives = answers.living.binary_search(&nsid).is_ok();
        match change {
            Change::Gone => Ok(lives),
            Change::Assigned { .. } => match answers.listed.has(nsid) {
                Some(listed) => Ok(listed),
                None => Ok(lives || self.is_listed(nsid)?),
            },
        }
    }

    /// The state of a peer after all notifications so far.
    pub(super) fn peer(&mut self, peer: i32) -> Result<&Peer> {
        let at = match self.peers.binary_search_by_key(&peer, |(peer, _)| *peer) {
            Ok(at) => at,
            Err(at) => {
                let found = self.list_peer(peer)?;
                self.peers.insert(at, (peer, found));
                at
            }
        };
        Ok(self.peers.get(at).map_or(&Peer::Unreadable, |(_, found)| found))
    }

    /// The present nsids in a peer.
    pub(super) fn list_peer(&mut self, peer: i32) -> Result<Peer> {
        if !self.lives(peer)? {
            return Ok(Peer::Gone);
        }
        let listed = self.sockets.questions().list(Some(peer));
        // the own namespace is not a peer of its own, even if it has just become one
        if self.ask_own()? == Some(peer) {
            return Ok(Peer::Gone);
        }
        let error = match listed {
            Ok(listing) => return Ok(Peer::Ids(listing.into())),
            Err(error) => error,
        };
        match error.answer() {
            Some(libc::EACCES | libc::EPERM | libc::EOPNOTSUPP) => Ok(Peer::Unreadable),
            // it went in the meantime
            Some(libc::EINVAL | libc::ENOENT) => Ok(Peer::Gone),
            _ => Err(error.doing("list the nsids of a peer")),
        }
    }

    /// Whether the namespace with this nsid here is a peer that it listens to.
    pub(super) fn listens_to(&mut self, nsid: i32) -> Result<bool> {
        Ok(self.all_nsid && !self.is_own(nsid)?)
    }

    /// Converts an nsid tagged with the own namespace into an own one.
    #[inline]
    pub(super) fn resolve(&mut self, id: Id) -> Result<Id> {
        match id.origin() {
            Some(origin) if self.is_own(origin)? => Ok(Id::own(id.nsid())),
            _ => Ok(id),
        }
    }

    /// Whether the own namespace has this nsid in itself, after all notifications so far.
    fn is_own(&mut self, nsid: i32) -> Result<bool> {
        if !self.own_is_current {
            self.ask_own()?;
        }
        Ok(self.own == Some(nsid))
    }

    /// The present nsid of the own namespace in itself. It never changes once assigned.
    fn ask_own(&mut self) -> Result<Option<i32>> {
        if self.all_nsid && self.own.is_none() {
            let answer = self.sockets.own();
            self.own = answer.map_err(|error| error.doing("ask for the nsid of the own namespace"))?;
        }
        self.own_is_current = true;
        Ok(self.own)
    }

    /// Whether a living namespace has the nsid here. A dying one still has it, but the kernel does not show that.
    fn lives(&mut self, nsid: i32) -> Result<bool> {
        self.sockets.questions().exists(nsid).map_err(|error| error.doing(ASK))
    }

    /// Whether the kernel lists the nsid, after all notifications so far: only a list shows dying ones. A dying one
    /// after the end of the list counts as gone.
    fn is_listed(&mut self, nsid: i32) -> Result<bool> {
        if self.here.is_none() {
            self.here = Some(self.sockets.questions().list(None).map_err(|error| error.doing(LIST))?.into());
        }
        Ok(self.here.as_ref().and_then(|ids| ids.has(nsid)).unwrap_or(false))
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sockets.listener.as_fd()
    }
}
