//! The source behind [`Watcher::nsid`](crate::Watcher::nsid).
//!
//! A notification is a *hint*: it may be stale when it is read, and `Assigned` of a reused nsid can precede `Gone` of
//! its previous owner. So the source asks the kernel for the present state, and the state takes over the answer: in
//! whatever order notifications come, the state holds the kernel's answer after the last one. One comparison of
//! everything serves the replay at open, the recovery from an overflow, and `resync`. Notifications during a comparison
//! are newer than it: the source processes them separately.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd;

use super::kernel::{Answers, Kernel, Peer, Rtnetlink, Sockets};
use super::listener::{Change, Notification};
use super::state::{Id, State};
use crate::error::{Doing, Result};
use crate::event::EventKind;
use crate::options::Options;
use crate::outbox::{Counters, Outbox};
use crate::source::{Progress, Source};
use crate::sys::Epoll;

/// The maximum number of notifications that one drain reads before it processes them.
const BATCH: usize = 512;

/// The maximum number of rounds per call to read a queue that overflows again, and to ask about an nsid that is
/// notified again.
const MAX_ROUNDS: usize = 64;

/// Watches the nsids assigned in one namespace, and on request in its peers.
#[derive(Debug)]
pub(crate) struct Nsid<R = Sockets> {
    kernel: Kernel<R>,
    state: State,
    /// Unprocessed notifications, in the order of arrival.
    inbox: VecDeque<Notification>,
    due: Due,
    /// The state may lack nsids: the kernel does not list all, and did not notify these. What the state has is correct
    /// nevertheless: the source asks about each.
    unsure: bool,
    /// Within open: later, the program may have forbidden itself the system calls of a census.
    opening: bool,
}

/// Unfinished work. It stays due until it is done: an error loses nothing.
#[derive(Debug, Default)]
struct Due {
    /// Notifications were lost.
    overflow: bool,
    /// Compare the state with the kernel, and emit the differences in this mode.
    compare: Option<EmitMode>,
    /// Nsids notified during the last comparison: ask about each.
    confirm: BTreeSet<Id>,
    /// New or returned peers, whose nsids the kernel never notified.
    peers: BTreeSet<Id>,
    /// Emit `Synced` when all that is done.
    synced: bool,
}

impl Due {
    /// Plans a complete comparison, which replaces the rest of an earlier one.
    fn compare_all(&mut self) {
        self.compare = Some(EmitMode::Replayed);
        self.confirm.clear();
        self.synced = true;
    }
}

/// How a comparison emits what exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EmitMode {
    /// As replayed events.
    Replayed,
    /// Not at all.
    Silent,
}

impl Nsid {
    pub(crate) fn open(options: &Options, epoll: &Epoll, out: &mut Outbox) -> Result<Self> {
        let doing = match options.all_nsid {
            true => "listen to nsids of peers",
            false => "listen to nsids",
        };
        let kernel = Kernel::open(options.rcvbuf, options.all_nsid).doing(doing)?;
        epoll.add(kernel.as_fd()).doing(doing)?;
        Self::start(kernel, options.replay, out)
    }
}

impl<R: Rtnetlink> Nsid<R> {
    /// Lists what exists. The kernel notifies already: there is no gap.
    fn start(kernel: Kernel<R>, replay: bool, out: &mut Outbox) -> Result<Self> {
        let compare = Some(if replay { EmitMode::Replayed } else { EmitMode::Silent });
        let mut this = Self {
            kernel,
            state: State::default(),
            inbox: VecDeque::new(),
            due: Due { compare, synced: replay, ..Due::default() },
            unsure: true,
            opening: true,
        };
        out.noticed_now();
        this.catch_up(out)?;
        this.opening = false;
        Ok(this)
    }

    fn read(&mut self, limit: usize) -> Result<bool> {
        self.kernel.read(limit, false, &mut self.inbox, &mut self.due.overflow)
    }

    /// Empties the queue after an overflow; `false`: it overflowed again in every round, or within one long read, which
    /// is enough for one call.
    ///
    /// The queue holds messages from before the loss. Until it is empty, the kernel drops more without another report.
    /// So this reads to the end of the queue, or its capacity, without another overflow.
    fn read_past_loss(&mut self) -> Result<bool> {
        for _ in 0..MAX_ROUNDS {
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

    /// Does the work that is due.
    fn catch_up(&mut self, out: &mut Outbox) -> Result<()> {
        self.process(out)?;
        if self.due.overflow {
            let past = self.read_past_loss()?;
            self.process(out)?;
            if !past {
                return Ok(());
            }
            self.due.overflow = false;
            self.due.compare_all();
            self.unsure = true;
            out.push(EventKind::Overflow { dropped: self.kernel.take_dropped() }, false);
        }
        if let Some(mode) = self.due.compare {
            self.compare(mode, out)?;
            self.due.compare = None;
        }
        if !self.due.peers.is_empty() {
            self.compare_peers(out)?;
        }
        if std::mem::take(&mut self.due.synced) {
            if self.unsure {
                // another overflow than the one of the lost notifications
                if out.is_overflown() {
                    out.push(EventKind::Synced, false);
                }
                out.push(EventKind::Overflow { dropped: 0 }, false);
            }
            out.push(EventKind::Synced, false);
        }
        Ok(())
    }

    /// Compares the state with the kernel. It leaves out nsids that are notified meanwhile, and processes their
    /// notifications: so it emits each change once, whether or not the snapshot has it.
    fn compare(&mut self, mode: EmitMode, out: &mut Outbox) -> Result<()> {
        let silently = mode == EmitMode::Silent;
        if self.due.confirm.is_empty() {
            out.noticed_now();
            let (inbox, state) = (&self.inbox, &self.state);
            let (snapshot, complete) = self.kernel.snapshot(&|after| candidates(inbox, state, after), self.opening)?;
            self.read(self.kernel.capacity())?;
            self.due.confirm = self.newer()?;
            self.unsure &= !complete;
            self.state.compare(&snapshot, &self.due.confirm, silently, &mut |event| out.push(event, true));
        }
        self.process(out)?;
        for round in 1.. {
            if self.due.confirm.is_empty() {
                break;
            }
            self.confirm(silently, round == MAX_ROUNDS, out)?;
        }
        Ok(())
    }

    /// Asks about the nsids notified during a comparison, unless they are notified again meanwhile. `last`: even then.
    ///
    /// Mostly their notifications sufficed; but if others were lost, these may have been lost, too.
    fn confirm(&mut self, silently: bool, last: bool, out: &mut Outbox) -> Result<()> {
        let mut answers = Vec::new();
        for id in self.due.confirm.iter().copied() {
            answers.push((id, self.kernel.is_assigned(id)?));
            if id.origin().is_none() && self.kernel.listens_to(id.nsid())? {
                self.due.peers.insert(id);
            }
        }
        self.read(self.kernel.capacity())?;
        let newer = self.newer()?;
        for (id, is_assigned) in answers.into_iter().filter(|(id, _)| last || !newer.contains(id)) {
            self.due.confirm.remove(&id);
            match is_assigned {
                Some(true) if silently => self.state.add_silently(id),
                Some(true) => self.state.present(id, &mut |event| out.push(event, true)),
                Some(false) => self.state.gone(id, &mut |event| out.push(event, true)),
                None => {}
            }
        }
        self.process(out)
    }

    /// Emits the nsids in new peers, except those notified meanwhile.
    fn compare_peers(&mut self, out: &mut Outbox) -> Result<()> {
        let mut lists = Vec::new();
        for peer in self.due.peers.iter().map(|id| id.nsid()) {
            if let Peer::Ids(ids) = self.kernel.list_peer(peer)? {
                lists.push((peer, ids));
            }
        }
        self.read(self.kernel.capacity())?;
        let newer = self.newer()?;
        self.due.peers.clear();
        if !lists.iter().all(|(_, ids)| ids.is_complete()) {
            self.unsure = true;
            self.due.synced = true;
        }
        for (peer, ids) in lists {
            self.state.compare_peer(peer, &ids, &newer, &mut |event| out.push(event, true));
        }
        self.process(out)
    }

    /// The nsids in the inbox.
    fn newer(&mut self) -> Result<BTreeSet<Id>> {
        let mut newer = BTreeSet::new();
        for notification in &self.inbox {
            newer.insert(self.kernel.resolve(notification.id)?);
        }
        Ok(newer)
    }

    /// Asks about the nsids in the inbox, emits their changes, and empties it.
    fn process(&mut self, out: &mut Outbox) -> Result<()> {
        let answers = self.kernel.ask_about(&self.inbox, self.state.len())?;
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

    /// Asks all questions before emitting anything: after an error, the next call processes the notification again.
    fn own_change(&mut self, id: Id, answers: &Answers, change: Change, out: &mut Outbox) -> Result<()> {
        let exists = self.kernel.is_assigned_after(change, id.nsid(), answers)?;
        let is_peer = self.kernel.listens_to(id.nsid())?;
        let emit = &mut |event| out.push(event, false);
        match change {
            // the nsid is in use again: its owner is not the one that went
            Change::Gone if exists => {}
            Change::Gone => self.state.gone(id, emit),
            Change::Assigned { portid } if exists => {
                self.state.assigned(id, portid, emit);
                if is_peer {
                    self.due.peers.insert(id);
                }
            }
            Change::Assigned { portid } => {
                self.state.assigned(id, portid, emit);
                self.state.gone(id, emit);
            }
        }
        Ok(())
    }

    fn peer_change(&mut self, peer: i32, id: Id, change: Change, out: &mut Outbox) -> Result<()> {
        let emit = &mut |event| out.push(event, false);
        let exists = match self.kernel.peer(peer)? {
            Peer::Gone => {
                self.state.drop_peer(peer, emit);
                return Ok(());
            }
            Peer::Ids(ids) => ids.has(id.nsid()),
            Peer::Unreadable => None,
        };
        match change {
            Change::Gone if exists == Some(true) => {}
            Change::Gone => self.state.gone(id, emit),
            Change::Assigned { portid } => {
                self.state.assigned(id, portid, emit);
                if exists == Some(false) {
                    self.state.gone(id, emit);
                }
            }
        }
        Ok(())
    }
}

/// The own nsids after this one that notifications or the state name. (Collecting would sort them first, which takes 6
/// KiB of code.)
fn candidates(inbox: &VecDeque<Notification>, state: &State, after: i32) -> BTreeSet<Id> {
    let notified = inbox.iter().map(|notification| notification.id);
    let mut candidates = BTreeSet::new();
    for id in notified.filter(|id| id.origin().is_none() && id.nsid() > after).chain(state.own_after(after)) {
        candidates.insert(id);
    }
    candidates
}

impl<R: Rtnetlink> Source for Nsid<R> {
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress> {
        // first the notifications left after an error
        let all = self.inbox.is_empty() && self.kernel.read(BATCH, true, &mut self.inbox, &mut self.due.overflow)?;
        out.noticed_now();
        self.catch_up(out)?;
        Ok(if all && !self.unfinished() { Progress::Done } else { Progress::More })
    }

    fn resync(&mut self, out: &mut Outbox) -> Result<()> {
        self.due.compare_all();
        self.read(self.kernel.capacity())?;
        out.noticed_now();
        self.catch_up(out)
    }

    fn unfinished(&self) -> bool {
        self.due.overflow || !self.due.peers.is_empty() || !self.inbox.is_empty()
    }

    fn count(&self, counters: &Counters) {
        counters.known.set(self.state.len() as u64);
    }
}

#[cfg(test)]
mod tests;
