//! The simulated kernel: its changes and its answers.

use super::*;
use crate::nsid::request::Listed;
use crate::nsid::wire::{self, Attributes, Header};

/// The namespace of the watcher.
pub(super) const OWN: u32 = 0;
/// From here on a census finds namespaces. No question finds them: they are too far away.
pub(super) const FAR: i32 = 1 << 24;
/// An unreadable peer has an odd key; only some runs have such peers.
pub(super) fn is_closed(peer: u32) -> bool {
    peer % 2 == 1
}

/// A change in the kernel. Numbers are taken modulo the possible ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A new namespace gets the lowest free nsid, or the own one does.
    Assign {
        own: bool,
    },
    /// A new namespace in sight gets an nsid far beyond the others.
    AssignFar,
    /// The last reference to a namespace is gone.
    Kill(u8),
    /// The worker removes a dying namespace.
    Reap(u8),
    AssignIn(u8, i32),
    FreeIn(u8, i32),
    /// A notification arrives.
    Deliver(u8),
    /// A forged or an unknown message arrives.
    Noise,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20u8).prop_map(|n| Step::Assign { own: n == 0 }),
        1 => Just(Step::AssignFar),
        3 => any::<u8>().prop_map(Step::Kill),
        3 => any::<u8>().prop_map(Step::Reap),
        3 => (any::<u8>(), 0..2i32).prop_map(|(peer, nsid)| Step::AssignIn(peer, nsid)),
        3 => (any::<u8>(), 0..2i32).prop_map(|(peer, nsid)| Step::FreeIn(peer, nsid)),
        8 => any::<u8>().prop_map(Step::Deliver),
        1 => Just(Step::Noise),
    ]
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    /// The namespace of the change.
    of: u32,
    kind: u16,
    nsid: i32,
}

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) steps: std::vec::IntoIter<Step>,
    /// The number of steps at each system call, in turns.
    pub(super) pace: std::iter::Cycle<std::vec::IntoIter<usize>>,
    /// Which system calls fail, in turns.
    pub(super) faults: std::iter::Cycle<std::vec::IntoIter<bool>>,
    /// Notifications arrive at once, so in order.
    orderly: bool,
    /// It listens to peers.
    all: bool,
    closed: bool,
    next_key: u32,
    /// The own nsids.
    pub(super) table: BTreeMap<i32, u32>,
    pub(super) dying: BTreeSet<u32>,
    inside: BTreeMap<u32, BTreeSet<i32>>,
    pub(super) in_flight: Vec<Note>,
    pub(super) queue: VecDeque<(Vec<u8>, Option<i32>)>,
    capacity: usize,
    pub(super) congested: bool,
    pub(super) error: bool,
    pub(super) drops: u64,
    taken_drops: u64,
    /// How often each nsid was assigned.
    pub(super) assigned: BTreeMap<Id, usize>,
    /// The kernel lists at most this many nsids.
    listable: usize,
    /// How often the source listed a peer, asked about an nsid, and asked for the own one.
    pub(super) peer_lists: usize,
    pub(super) asked: usize,
    /// How often it took a census.
    pub(super) looks: usize,
    pub(super) own_requests: usize,
}

impl Simulation {
    pub(super) fn new(run: &Run) -> Self {
        Self {
            steps: Vec::new().into_iter(),
            pace: vec![1].into_iter().cycle(),
            faults: Vec::new().into_iter().cycle(),
            orderly: run.orderly,
            all: run.peers,
            closed: run.closed,
            next_key: 2,
            table: BTreeMap::new(),
            dying: BTreeSet::new(),
            inside: BTreeMap::new(),
            in_flight: Vec::new(),
            queue: VecDeque::new(),
            capacity: run.capacity,
            congested: false,
            error: false,
            drops: 0,
            taken_drops: 0,
            assigned: BTreeMap::new(),
            listable: run.listable,
            peer_lists: 0,
            asked: 0,
            looks: 0,
            own_requests: 0,
        }
    }

    pub(super) fn run(&mut self) {
        for _ in 0..self.pace.next().unwrap_or(0) {
            if let Some(step) = self.steps.next() {
                self.step(step);
            }
        }
    }

    /// The changes at a system call; `true`: the call fails.
    fn fails(&mut self) -> bool {
        self.run();
        self.faults.next().unwrap_or(false)
    }

    fn lives(&self, nsid: i32) -> bool {
        self.table.get(&nsid).is_some_and(|key| !self.dying.contains(key))
    }

    fn peers(&self) -> Vec<(i32, u32)> {
        self.table.iter().map(|(nsid, key)| (*nsid, *key)).filter(|(_, key)| *key != OWN).collect()
    }

    fn notify(&mut self, of: u32, kind: u16, nsid: i32) {
        let tag = self.table.iter().find(|(_, key)| **key == of && of != OWN).map(|(nsid, _)| *nsid);
        if kind == wire::RTM_NEWNSID {
            *self.assigned.entry(Id::new(tag, nsid)).or_default() += 1;
        }
        self.in_flight.push(Note { of, kind, nsid });
        if self.orderly {
            self.deliver(0);
        }
    }

    pub(super) fn deliver(&mut self, which: u8) {
        if self.in_flight.is_empty() {
            return;
        }
        let note = self.in_flight.remove(usize::from(which) % self.in_flight.len());
        // the tag is the nsid here of the namespace when the notification is sent
        let tag = self.table.iter().find(|(_, key)| **key == note.of).map(|(nsid, _)| *nsid);
        let tag = tag.filter(|_| self.all);
        if note.of != OWN && tag.is_none() {
            return;
        }
        if self.congested || self.queue.len() >= self.capacity {
            self.error |= !self.congested;
            self.congested = true;
            self.drops += 1;
            return;
        }
        let attributes = Attributes { nsid: Some(note.nsid), ..Attributes::default() };
        let bytes = wire::encode(Header { kind: note.kind, ..Header::default() }, &attributes);
        match self.queue.back_mut() {
            // sometimes several messages in a datagram
            Some((last, of)) if *of == tag && note.nsid % 2 == 1 => last.extend(bytes),
            _ => self.queue.push_back((bytes, tag)),
        }
    }

    /// A namespace gets this free nsid.
    pub(super) fn assign(&mut self, nsid: i32) {
        self.table.insert(nsid, self.next_key);
        self.next_key += 2;
        self.notify(OWN, wire::RTM_NEWNSID, nsid);
    }

    /// The namespace with this nsid is gone.
    pub(super) fn free(&mut self, nsid: i32) {
        self.table.remove(&nsid);
        self.notify(OWN, wire::RTM_DELNSID, nsid);
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Assign { .. } | Step::AssignFar => {
                let own = matches!(step, Step::Assign { own: true });
                let first = if matches!(step, Step::AssignFar) { FAR } else { 0 };
                let free = (first..).find(|nsid| !self.table.contains_key(nsid)).unwrap();
                let key = if own { OWN } else { self.next_key };
                if self.table.values().any(|have| *have == key) || self.table.len() > 2 {
                    return;
                }
                self.next_key += if self.closed { 1 } else { 2 };
                self.table.insert(free, key);
                if key != OWN {
                    self.inside.insert(key, BTreeSet::new());
                }
                self.notify(OWN, wire::RTM_NEWNSID, free);
            }
            Step::Kill(which) => {
                let peers = self.peers();
                if let Some((_, key)) = peers.get(usize::from(which) % peers.len().max(1)) {
                    self.dying.insert(*key);
                }
            }
            Step::Reap(which) => {
                let dying: Vec<u32> = self.dying.iter().copied().collect();
                if let Some(key) = dying.get(usize::from(which) % dying.len().max(1)) {
                    self.dying.remove(key);
                    self.inside.remove(key);
                    let nsid = *self.table.iter().find(|(_, have)| *have == key).unwrap().0;
                    self.table.remove(&nsid);
                    self.notify(OWN, wire::RTM_DELNSID, nsid);
                }
            }
            Step::AssignIn(which, nsid) | Step::FreeIn(which, nsid) => {
                let peers = self.peers();
                let Some((_, key)) = peers.get(usize::from(which) % peers.len().max(1)) else { return };
                let assign = matches!(step, Step::AssignIn(..));
                let ids = self.inside.get_mut(key).unwrap();
                let changed = if assign { ids.insert(nsid) } else { ids.remove(&nsid) };
                if changed {
                    self.notify(*key, if assign { wire::RTM_NEWNSID } else { wire::RTM_DELNSID }, nsid);
                }
            }
            Step::Deliver(which) => self.deliver(which),
            Step::Noise => {
                let bytes = wire::encode(Header { kind: 16, ..Header::default() }, &Attributes::default());
                if !self.congested && self.queue.len() < self.capacity {
                    self.queue.push_back((bytes, None));
                }
            }
        }
    }

    /// The truth, as far as a watcher can know it.
    pub(super) fn truth(&self) -> BTreeSet<Id> {
        let own = self.table.keys().map(|nsid| Id::own(*nsid));
        let inside = self
            .peers()
            .into_iter()
            .filter(|(_, key)| !is_closed(*key))
            .flat_map(|(peer, key)| self.inside[&key].iter().map(move |nsid| Id::new(Some(peer), *nsid)));
        own.chain(inside).collect()
    }
}

impl Rtnetlink for Simulation {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received> {
        if self.fails() {
            return Err(io::Error::from_raw_os_error(libc::EINTR));
        }
        if std::mem::take(&mut self.error) {
            return Ok(Received::Loss);
        }
        // sometimes several at once
        let many = 1 + self.queue.len() % 3;
        for n in 0..many {
            if n > 0 {
                self.run();
                // hides the rest
                if self.error {
                    return Ok(Received::Last);
                }
            }
            let Some((bytes, tag)) = self.queue.pop_front() else {
                return Ok(if n == 0 { Received::Nothing } else { Received::Last });
            };
            if self.queue.is_empty() {
                self.congested = false;
            }
            take(&bytes, tag);
        }
        Ok(Received::Datagrams(many))
    }

    fn take_dropped(&mut self) -> u64 {
        self.run();
        self.drops - std::mem::replace(&mut self.taken_drops, self.drops)
    }

    fn capacity(&self) -> usize {
        self.capacity + 1
    }

    fn questions(&mut self) -> &mut dyn Questions {
        self
    }

    fn own(&mut self) -> Result<Option<i32>, NetlinkError> {
        self.own_requests += 1;
        if self.fails() {
            return Err(NetlinkError::new(libc::ENOMEM));
        }
        Ok(self.table.iter().find(|(_, key)| **key == OWN).map(|(nsid, _)| *nsid))
    }
}

impl Questions for Simulation {
    fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError> {
        Ok(self.living(&[nsid])? == [nsid])
    }

    fn living(&mut self, nsids: &[i32]) -> Result<Vec<i32>, NetlinkError> {
        self.asked += nsids.len();
        if self.fails() {
            return Err(NetlinkError::new(libc::ENOMEM));
        }
        Ok(nsids.iter().copied().filter(|nsid| self.lives(*nsid)).collect())
    }

    fn list(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError> {
        self.peer_lists += usize::from(target.is_some());
        if self.fails() {
            return Err(NetlinkError::new(libc::ENOMEM));
        }
        let ids: Vec<i32> = match target {
            None => self.table.keys().copied().collect(),
            Some(peer) => match self.table.get(&peer).filter(|key| !self.dying.contains(key)) {
                None => return Err(NetlinkError::new(libc::EINVAL)),
                Some(key) if is_closed(*key) => return Err(NetlinkError::new(libc::EACCES)),
                Some(&OWN) => self.table.keys().copied().collect(),
                Some(key) => self.inside[key].iter().copied().collect(),
            },
        };
        self.run();
        let most = if target.is_none() { self.listable } else { usize::MAX };
        let until = if ids.len() < most { i32::MAX } else { ids[most - 1] };
        let listed = ids.into_iter().take(most).map(|nsid| Listed { nsid, here: None });
        Ok(Listing { ids: listed.collect(), until })
    }

    fn visible(&mut self, _: usize) -> Result<(Vec<i32>, bool)> {
        self.looks += 1;
        if self.fails() {
            return Err(NetlinkError::new(libc::ENOMEM).doing("probe"));
        }
        Ok((self.table.keys().copied().filter(|nsid| *nsid >= FAR && self.lives(*nsid)).collect(), true))
    }
}
