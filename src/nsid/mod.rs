//! Namespace ids: questions about them, assigning them, and what is behind [`Watcher::nsid`](crate::Watcher::nsid).
//!
//! The kernel can give a network namespace an id in another one, its peer: a number by which the one is called in the
//! other, and nowhere else. The functions here ask and assign in the namespace that the calling thread is in.
//!
//! Inside, this module is the source that watches ids. It owns a socket that listens and one that asks, both of the
//! namespace of the thread that opened it. A notification is a *hint*: by the time it is read it may be old, and that
//! of an id which was given away again can come before that of its previous owner's death. So for each notification
//! the kernel is asked how things are now, and the roster ends up with the answer: whatever the order, what is
//! believed of an id after its last notification is what the kernel said after that. A look at everything serves the
//! replay at open, the recovery from an overflow, and `resync` alike; what was notified while it was made is newer
//! than it and goes by itself.

pub(crate) mod channel;
pub(crate) mod listener;
mod query;
mod roster;
mod sockets;
mod truth;
pub(crate) mod wire;

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd;

use crate::error::{Doing, Result};
use crate::event::EventKind;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::source::{Progress, Source};
use crate::sys::Epoll;
pub(crate) use roster::Id;
use roster::{Ids, Roster};
use sockets::{Heard, Kernel, Sockets};
use truth::{Inquiry, Peer};
use wire::{Attributes, Body};

pub use query::{assign, get_for_fd, get_for_name, get_for_pid, list, open, translate};

/// How many notifications one drain reads before it tells what they say.
const BATCH: usize = 512;

/// How often an id that is notified again and again is asked for.
const ROUNDS: usize = 64;

/// Puts the notifications of one datagram into the inbox; `false` if the kernel said something, and we do not know
/// what.
fn take(bytes: &[u8], origin: Option<i32>, inbox: &mut VecDeque<Notice>) -> bool {
    let mut understood = true;
    for message in wire::messages(bytes) {
        let (nsid, what) = match message.map(|message| (message.body, message.header.portid)) {
            Ok((Body::Id(Attributes { nsid: Some(nsid @ 0..), .. }), portid)) => (nsid, What::Assigned { portid }),
            Ok((Body::Gone(Attributes { nsid: Some(nsid @ 0..), .. }), _)) => (nsid, What::Gone),
            Ok((Body::Other | Body::Done { .. } | Body::Failed { .. }, _)) => continue,
            Ok(_) | Err(_) => {
                understood = false;
                continue;
            }
        };
        inbox.push_back(Notice { id: Id::new(origin, nsid), what });
    }
    understood
}

/// What was notified and is not dealt with yet.
#[derive(Debug, Clone, Copy)]
struct Notice {
    id: Id,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Assigned { portid: u32 },
    Gone,
}

#[derive(Debug)]
pub(crate) struct Nsid<K = Sockets> {
    kernel: K,
    /// Peers are listened to.
    peers: bool,
    /// The id that the own namespace has in itself: events in it can then come tagged as if they were a peer's.
    own: Option<i32>,
    roster: Roster,
    /// Notifications in the order in which they came.
    inbox: VecDeque<Notice>,
    /// The ids here and in peers, as they were after all that is in the inbox had been notified.
    here: Option<Ids>,
    looks: Vec<(i32, Peer)>,
    due: Due,
}

/// Work that is left to do. It stays due until it is done: an error on the way loses nothing.
#[derive(Debug, Default)]
struct Due {
    /// Notifications were lost.
    overflow: bool,
    /// The roster is to be compared with the kernel, and the differences told in this manner.
    look: Option<Telling>,
    /// Ids that were notified during the last look.
    confirm: BTreeSet<Id>,
    /// Peers that have just come, or come again: what is in them was never notified.
    peers: BTreeSet<Id>,
    /// When all that is done, `Synced` is to be told.
    synced: bool,
}

impl Due {
    /// Everything is to be compared, in place of what an earlier look did not come to.
    fn want_look(&mut self) {
        self.look = Some(Telling::Replayed);
        self.confirm.clear();
        self.synced = true;
    }
}

/// How what a look finds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// As existing state.
    Replayed,
    /// Not at all.
    Silent,
}

impl Nsid {
    pub(crate) fn open(options: &Options, epoll: &Epoll, out: &mut Outbox) -> Result<Self> {
        let doing = match options.all_nsid {
            true => "listen to the namespace ids of peers too",
            false => "listen to namespace ids",
        };
        let kernel = Sockets::open(options.rcvbuf, options.all_nsid).doing(doing)?;
        epoll.add(kernel.as_fd()).doing(doing)?;
        Self::start(kernel, options.all_nsid, options.replay, out)
    }
}

impl<K: Kernel> Nsid<K> {
    /// Finds out what exists. The kernel is listened to already: there is no gap.
    fn start(kernel: K, peers: bool, replay: bool, out: &mut Outbox) -> Result<Self> {
        let look = Some(if replay { Telling::Replayed } else { Telling::Silent });
        let mut this = Self {
            kernel,
            peers,
            own: None,
            roster: Roster::default(),
            inbox: VecDeque::new(),
            here: None,
            looks: Vec::new(),
            due: Due { look, synced: replay, ..Due::default() },
        };
        out.learned_now();
        this.catch_up(out)?;
        Ok(this)
    }

    /// Puts at most so many notifications into the inbox; whether that was all there is.
    fn read(&mut self, limit: usize) -> Result<bool> {
        self.here = None;
        self.looks.clear();
        let mut left = limit;
        while left > 0 {
            let (inbox, overflow) = (&mut self.inbox, &mut self.due.overflow);
            let heard = self.kernel.hear(&mut |bytes, origin| *overflow |= !take(bytes, origin, inbox));
            let read = match heard.doing("read notifications of namespace ids")? {
                Heard::Nothing => return Ok(true),
                Heard::Loss => {
                    self.due.overflow = true;
                    1
                }
                Heard::Datagrams(n) => n,
            };
            left = left.saturating_sub(read);
        }
        Ok(false)
    }

    /// Empties the queue; `false` if it overflowed meanwhile, time and again or in the course of one long read: that is
    /// enough for one call.
    ///
    /// What is in it is older than what was lost, and until it is empty more is lost in silence: the kernel tells of
    /// an overflow once. So it has to be read to the end, or as far as it can reach, without another one.
    fn read_past_loss(&mut self) -> Result<bool> {
        for _ in 0..ROUNDS {
            self.due.overflow = false;
            let read = self.read(self.kernel.capacity());
            let again = std::mem::replace(&mut self.due.overflow, true);
            let all = read?;
            if !again || !all {
                return Ok(!again);
            }
        }
        Ok(false)
    }

    /// Does what is due.
    fn catch_up(&mut self, out: &mut Outbox) -> Result<()> {
        self.process(out)?;
        if self.due.overflow {
            let past = self.read_past_loss()?;
            self.process(out)?;
            if !past {
                return Ok(());
            }
            self.due.overflow = false;
            self.due.want_look();
            out.push(EventKind::Overflow { dropped: self.kernel.lost() }, false);
        }
        if let Some(telling) = self.due.look {
            self.look(telling, out)?;
            self.due.look = None;
        }
        if !self.due.peers.is_empty() {
            self.look_into_peers(out)?;
        }
        if self.due.synced {
            self.due.synced = false;
            out.push(EventKind::Synced, false);
        }
        Ok(())
    }

    /// Compares the roster with the kernel. What is notified meanwhile is left out of that and dealt with by itself:
    /// so it is told once, whether the look saw it or not.
    fn look(&mut self, telling: Telling, out: &mut Outbox) -> Result<()> {
        let silently = telling == Telling::Silent;
        if self.due.confirm.is_empty() {
            out.learned_now();
            let seen = self.see()?;
            self.read(self.kernel.capacity())?;
            self.due.confirm = self.newer()?;
            self.roster.compare(&seen, &self.due.confirm, silently, &mut |event| out.push(event, true));
        }
        self.process(out)?;
        for round in 1.. {
            if self.due.confirm.is_empty() {
                break;
            }
            self.confirm(silently, round == ROUNDS, out)?;
        }
        Ok(())
    }

    /// Asks how things are with the ids that were notified during a look, unless they are notified again meanwhile.
    ///
    /// Most often their notifications have told it all; but if others were lost, they may not have.
    fn confirm(&mut self, silently: bool, at_last: bool, out: &mut Outbox) -> Result<()> {
        let mut found = Vec::new();
        for id in self.due.confirm.clone() {
            found.push((id, self.truth(id)?));
            if id.origin().is_none() && self.peers && !self.is_own(id.nsid())? {
                self.due.peers.insert(id);
            }
        }
        self.read(self.kernel.capacity())?;
        let newer = self.newer()?;
        for (id, truth) in found.into_iter().filter(|(id, _)| at_last || !newer.contains(id)) {
            self.due.confirm.remove(&id);
            match truth {
                Some(true) if silently => self.roster.assume(id),
                Some(true) => self.roster.present(id, &mut |event| out.push(event, true)),
                Some(false) => self.roster.gone(id, &mut |event| out.push(event, true)),
                None => {}
            }
        }
        self.process(out)
    }

    /// Tells what there is in peers that have just come, but for what their notifications tell.
    fn look_into_peers(&mut self, out: &mut Outbox) -> Result<()> {
        let mut found = Vec::new();
        for peer in self.due.peers.iter().map(|id| id.nsid()).collect::<Vec<_>>() {
            if let Peer::Ids(ids) = self.ask_peer(peer)? {
                found.push((peer, ids));
            }
        }
        self.read(self.kernel.capacity())?;
        let newer = self.newer()?;
        self.due.peers.clear();
        for (peer, ids) in found {
            self.roster.compare_peer(peer, &ids, &newer, &mut |event| out.push(event, true));
        }
        self.process(out)
    }

    /// The ids that the inbox is about.
    fn newer(&mut self) -> Result<BTreeSet<Id>> {
        let mut newer = BTreeSet::new();
        for at in 0..self.inbox.len() {
            let Some(notice) = self.inbox.get(at).copied() else { break };
            newer.insert(self.resolve(notice.id)?);
        }
        Ok(newer)
    }

    /// Deals with what is in the inbox.
    fn process(&mut self, out: &mut Outbox) -> Result<()> {
        let inquiry = self.inquire()?;
        while let Some(Notice { id, what }) = self.inbox.front().copied() {
            let id = self.resolve(id)?;
            match id.origin() {
                None => self.own_notice(id, &inquiry, what, out)?,
                Some(peer) => self.peer_notice(peer, id, what, out)?,
            }
            self.inbox.pop_front();
        }
        Ok(())
    }

    /// All questions are asked before anything is told: after an error the notice is dealt with once more.
    fn own_notice(&mut self, id: Id, inquiry: &Inquiry, what: What, out: &mut Outbox) -> Result<()> {
        let lives = inquiry.lives(id.nsid());
        let exists = match what {
            What::Assigned { .. } => match inquiry.listed.has(id.nsid()) {
                Some(listed) => listed,
                None => lives || self.is_listed(id.nsid())?,
            },
            What::Gone => lives,
        };
        let is_peer = self.peers && !self.is_own(id.nsid())?;
        let tell = &mut |event| out.push(event, false);
        match what {
            // an id that was given away again: what has it is not what had it
            What::Gone if exists => {}
            What::Gone => self.roster.gone(id, tell),
            What::Assigned { portid } if exists => {
                self.roster.assigned(id, portid, tell);
                if is_peer {
                    self.due.peers.insert(id);
                }
            }
            What::Assigned { portid } => {
                self.roster.assigned(id, portid, tell);
                self.roster.gone(id, tell);
            }
        }
        Ok(())
    }

    fn peer_notice(&mut self, peer: i32, id: Id, what: What, out: &mut Outbox) -> Result<()> {
        let at = match self.looks.binary_search_by_key(&peer, |(peer, _)| *peer) {
            Ok(at) => at,
            Err(at) => {
                let found = self.ask_peer(peer)?;
                self.looks.insert(at, (peer, found));
                at
            }
        };
        let tell = &mut |event| out.push(event, false);
        let exists = match self.looks.get(at).map_or(&Peer::Closed, |(_, found)| found) {
            Peer::Gone => {
                self.roster.unheard(peer, tell);
                return Ok(());
            }
            Peer::Ids(ids) => ids.has(id.nsid()),
            Peer::Closed => None,
        };
        match what {
            What::Gone if exists == Some(true) => {}
            What::Gone => self.roster.gone(id, tell),
            What::Assigned { portid } => {
                self.roster.assigned(id, portid, tell);
                if exists == Some(false) {
                    self.roster.gone(id, tell);
                }
            }
        }
        Ok(())
    }
}

impl<K: Kernel> Source for Nsid<K> {
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress> {
        // what an error left behind comes first
        let all = self.inbox.is_empty() && self.read(BATCH)?;
        out.learned_now();
        self.catch_up(out)?;
        Ok(if all && !self.unfinished() { Progress::Done } else { Progress::More })
    }

    fn resync(&mut self, out: &mut Outbox) -> Result<()> {
        self.due.want_look();
        self.read(self.kernel.capacity())?;
        out.learned_now();
        self.catch_up(out)
    }

    fn unfinished(&self) -> bool {
        self.due.overflow || !self.due.peers.is_empty() || !self.inbox.is_empty()
    }

    fn known(&self) -> u64 {
        self.roster.len() as u64
    }
}

#[cfg(test)]
mod tests;
