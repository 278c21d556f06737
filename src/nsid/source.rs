//! The source behind [`Watcher::nsid`](crate::Watcher::nsid).
//!
//! A notification is a *hint*: by the time it is read it may be stale, and `Assigned` of a reused id can precede `Gone`
//! of its previous owner. So the source asks the kernel how things are now, and the roster takes over the answer: in
//! whatever order notifications come, the roster holds what the kernel answered after the last one. One comparison with
//! everything there is serves the replay at open, the recovery from an overflow, and `resync`. Notifications that arrive
//! during a comparison are newer than it: the source processes them by themselves.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd;

use super::kernel::{Answers, Kernel, Peer, Rtnetlink, Sockets};
use super::listener::{Change, Notification};
use super::state::{Id, Roster};
use crate::error::{Doing, Result};
use crate::event::EventKind;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::source::{Drained, Source};
use crate::sys::Epoll;

/// How many notifications one drain reads before it tells what they say.
const BATCH: usize = 512;

/// How often an id that is notified again and again is asked for.
const ROUNDS: usize = 64;

#[derive(Debug)]
pub(crate) struct Nsid<R = Sockets> {
    kernel: Kernel<R>,
    roster: Roster,
    /// Notifications in the order in which they came.
    inbox: VecDeque<Notification>,
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
        let kernel = Kernel::open(options.rcvbuf, options.all_nsid).doing(doing)?;
        epoll.add(kernel.as_fd()).doing(doing)?;
        Self::start(kernel, options.replay, out)
    }
}

impl<R: Rtnetlink> Nsid<R> {
    /// Finds out what exists. The kernel is listened to already: there is no gap.
    fn start(kernel: Kernel<R>, replay: bool, out: &mut Outbox) -> Result<Self> {
        let look = Some(if replay { Telling::Replayed } else { Telling::Silent });
        let mut this = Self {
            kernel,
            roster: Roster::default(),
            inbox: VecDeque::new(),
            due: Due { look, synced: replay, ..Due::default() },
        };
        out.learned_now();
        this.catch_up(out)?;
        Ok(this)
    }

    fn read(&mut self, limit: usize) -> Result<bool> {
        self.kernel.read(limit, &mut self.inbox, &mut self.due.overflow)
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
            out.push(EventKind::Overflow { dropped: self.kernel.take_dropped() }, false);
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
            let (inbox, roster) = (&self.inbox, &self.roster);
            let seen = self.kernel.snapshot(&|after| candidates(inbox, roster, after))?;
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
        let (inbox, roster) = (&self.inbox, &self.roster);
        for id in self.due.confirm.iter().copied() {
            found.push((id, self.kernel.is_assigned(id, &|after| candidates(inbox, roster, after))?));
            if id.origin().is_none() && self.kernel.is_heard(id.nsid())? {
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
        for peer in self.due.peers.iter().map(|id| id.nsid()) {
            if let Peer::Ids(ids) = self.kernel.list_peer(peer)? {
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
        for notification in &self.inbox {
            newer.insert(self.kernel.resolve(notification.id)?);
        }
        Ok(newer)
    }

    /// Deals with what is in the inbox.
    fn process(&mut self, out: &mut Outbox) -> Result<()> {
        let answers = self.kernel.ask_about(&self.inbox, self.roster.len())?;
        while let Some(Notification { id, change }) = self.inbox.front().copied() {
            let id = self.kernel.resolve(id)?;
            match id.origin() {
                None => self.own_change(id, &answers, change, out)?,
                Some(peer) => self.peer_change(peer, id, change, out)?,
            }
            self.inbox.pop_front();
        }
        Ok(())
    }

    /// Asks all questions before it emits anything: after an error the notification is processed once more.
    fn own_change(&mut self, id: Id, answers: &Answers, change: Change, out: &mut Outbox) -> Result<()> {
        let (inbox, roster) = (&self.inbox, &self.roster);
        let candidates = |after| candidates(inbox, roster, after);
        let exists = self.kernel.is_assigned_after(change, id.nsid(), answers, &candidates)?;
        let is_peer = self.kernel.is_heard(id.nsid())?;
        let emit = &mut |event| out.push(event, false);
        match change {
            // an id that was given away again: what has it is not what had it
            Change::Gone if exists => {}
            Change::Gone => self.roster.gone(id, emit),
            Change::Assigned { portid } if exists => {
                self.roster.assigned(id, portid, emit);
                if is_peer {
                    self.due.peers.insert(id);
                }
            }
            Change::Assigned { portid } => {
                self.roster.assigned(id, portid, emit);
                self.roster.gone(id, emit);
            }
        }
        Ok(())
    }

    fn peer_change(&mut self, peer: i32, id: Id, change: Change, out: &mut Outbox) -> Result<()> {
        let emit = &mut |event| out.push(event, false);
        let exists = match self.kernel.peer(peer)? {
            Peer::Gone => {
                self.roster.unheard(peer, emit);
                return Ok(());
            }
            Peer::Ids(ids) => ids.has(id.nsid()),
            Peer::Unreadable => None,
        };
        match change {
            Change::Gone if exists == Some(true) => {}
            Change::Gone => self.roster.gone(id, emit),
            Change::Assigned { portid } => {
                self.roster.assigned(id, portid, emit);
                if exists == Some(false) {
                    self.roster.gone(id, emit);
                }
            }
        }
        Ok(())
    }
}

/// The ids here after this one that notifications or the roster name. (To collect them would sort them first, which
/// takes 6 KiB of code.)
fn candidates(inbox: &VecDeque<Notification>, roster: &Roster, after: i32) -> BTreeSet<Id> {
    let notified = inbox.iter().map(|notification| notification.id);
    let mut candidates = BTreeSet::new();
    for id in notified.filter(|id| id.origin().is_none() && id.nsid() > after).chain(roster.own_after(after)) {
        candidates.insert(id);
    }
    candidates
}

impl<R: Rtnetlink> Source for Nsid<R> {
    fn drain(&mut self, out: &mut Outbox) -> Result<Drained> {
        // what an error left behind comes first
        let all = self.inbox.is_empty() && self.read(BATCH)?;
        out.learned_now();
        self.catch_up(out)?;
        Ok(if all && !self.unfinished() { Drained::All } else { Drained::More })
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
