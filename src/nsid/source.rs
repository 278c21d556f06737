//! The source behind [`Watcher::nsid`](crate::Watcher::nsid).
//!
//! A notification is a *hint*: by the time it is read it may be stale, and `Assigned` of a reused id can precede `Gone`
//! of its previous owner. So the source asks the kernel how things are now, and the state takes over the answer: in
//! whatever order notifications come, the state holds what the kernel answered after the last one. One comparison with
//! everything there is serves the replay at open, the recovery from an overflow, and `resync`. Notifications that arrive
//! during a comparison are newer than it: the source processes them by themselves.

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

/// How many notifications one drain reads before it processes them.
const BATCH: usize = 512;

/// How often one call reads a queue that overflows again, and asks about an id that is notified again.
const MAX_ROUNDS: usize = 64;

/// Watches the ids that are assigned in one namespace, and in its peers if asked to.
#[derive(Debug)]
pub(crate) struct Nsid<R = Sockets> {
    kernel: Kernel<R>,
    state: State,
    /// Notifications that are not processed yet, in the order in which they came.
    inbox: VecDeque<Notification>,
    due: Due,
    /// There may be ids that the state lacks: the kernel does not list all, and no notification of them came. What the
    /// state has is right all the same: each of those is asked about.
    unsure: bool,
    /// Being opened: later a program may have forbidden itself the system calls that looking around takes.
    opening: bool,
}

/// Work left to do. It stays due until it is done: an error on the way loses nothing.
#[derive(Debug, Default)]
struct Due {
    /// Notifications were lost.
    overflow: bool,
    /// Compare the state with the kernel, and emit the differences in this mode.
    compare: Option<EmitMode>,
    /// Ids that were notified during the last comparison: ask about each.
    confirm: BTreeSet<Id>,
    /// Peers that have just come, or come again: the kernel never notified the ids in them.
    peers: BTreeSet<Id>,
    /// Emit `Synced` when all that is done.
    synced: bool,
}

impl Due {
    /// Compare everything, in place of what is left of an earlier comparison.
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
    /// Lists what exists. The kernel listens already: there is no gap.
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
        self.kernel.read(limit, &mut self.inbox, &mut self.due.overflow)
    }

    /// Empties the queue after an overflow; `false` if it overflowed again, in every round or in the course of one long
    /// read: that is enough for one call.
    ///
    /// The queue holds what is older than the loss, and until it is empty the kernel drops more without a word: it
    /// reports an overflow once. So this reads to the end of the queue, or its capacity, without another overflow.
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
                // another one than that of the notifications that were lost
                if out.is_overflown() {
                    out.push(EventKind::Synced, false);
                }
                out.push(EventKind::Overflow { dropped: 0 }, false);
            }
            out.push(EventKind::Synced, false);
        }
        Ok(())
    }

    /// Compares the state with the kernel. It leaves out the ids that are notified meanwhile, and processes their
    /// notifications: so it emits each change once, whether the snapshot has it or not.
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

    /// Asks about the ids that were notified during a comparison, unless they are notified again meanwhile. `last`: even
    /// then.
    ///
    /// Most often their notifications were enough; but if others were lost, they may not have been.
    fn confirm(&mut self, silently: bool, last: bool, out: &mut Outbox) -> Result<()> {
        let mut answers = Vec::new();
        for id in self.due.confirm.iter().copied() {
            answers.push((id, self.kernel.is_assigned(id)?));
            if id.origin().is_none() && self.kernel.is_heard(id.nsid())? {
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

    /// Emits the ids in peers that have just come, except for those that are notified meanwhile.
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

    /// The ids that the inbox names.
    fn newer(&mut self) -> Result<BTreeSet<Id>> {
        let mut newer = BTreeSet::new();
        for notification in &self.inbox {
            newer.insert(self.kernel.resolve(notification.id)?);
        }
        Ok(newer)
    }

    /// Asks about the ids that the inbox names, emits their changes, and empties it.
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

    /// Asks all questions before it emits anything: after an error the notification is processed once more.
    fn own_change(&mut self, id: Id, answers: &Answers, change: Change, out: &mut Outbox) -> Result<()> {
        let exists = self.kernel.is_assigned_after(change, id.nsid(), answers)?;
        let is_peer = self.kernel.is_heard(id.nsid())?;
        let emit = &mut |event| out.push(event, false);
        match change {
            // the id is in use again: its owner is not the one that went
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

/// The ids here after this one that notifications or the state name. (Collected, they would be sorted
/// first, which takes 6 KiB of code.)
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
        // first the notifications that an error left
        let all = self.inbox.is_empty() && self.read(BATCH)?;
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
