//! The source against a kernel that is simulated, with all that a real one does rarely: notifications late and out of
//! order, numbers used again at once, namespaces that are dying, full queues, changes between any two system calls, and
//! calls that fail.

use super::channel::{Listed, Listing, Refusal};
use super::wire::{self, Attributes, Header};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;

/// The namespace that the watcher belongs to.
const OWN: u32 = 0;
/// A peer that may not be looked into has an odd key; there are some only in some runs.
fn is_closed(peer: u32) -> bool {
    peer % 2 == 1
}

/// Something that happens in the kernel. Numbers are reduced to what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new namespace gets the lowest free id, or the own one does.
    Assign {
        own: bool,
    },
    /// The last reference to a namespace is gone.
    Kill(u8),
    /// The worker comes to a dying namespace.
    Reap(u8),
    AssignIn(u8, i32),
    FreeIn(u8, i32),
    /// One of the notifications on their way arrives.
    Deliver(u8),
    /// Somebody forges a message, or one that nobody knows comes.
    Noise,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20u8).prop_map(|n| Step::Assign { own: n == 0 }),
        3 => any::<u8>().prop_map(Step::Kill),
        3 => any::<u8>().prop_map(Step::Reap),
        3 => (any::<u8>(), 0..2i32).prop_map(|(peer, nsid)| Step::AssignIn(peer, nsid)),
        3 => (any::<u8>(), 0..2i32).prop_map(|(peer, nsid)| Step::FreeIn(peer, nsid)),
        8 => any::<u8>().prop_map(Step::Deliver),
        1 => Just(Step::Noise),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Note {
    /// The namespace that it happened in.
    of: u32,
    kind: u16,
    nsid: i32,
}

#[derive(Debug)]
struct Simulation {
    steps: std::vec::IntoIter<Step>,
    /// How many steps are taken at each system call, in turns.
    pace: std::iter::Cycle<std::vec::IntoIter<usize>>,
    /// Which system calls fail, in turns.
    faults: std::iter::Cycle<std::vec::IntoIter<bool>>,
    /// Notifications arrive at once, so in order.
    orderly: bool,
    /// Peers are listened to.
    all: bool,
    closed: bool,
    next_key: u32,
    /// The ids here.
    table: BTreeMap<i32, u32>,
    dying: BTreeSet<u32>,
    inside: BTreeMap<u32, BTreeSet<i32>>,
    in_flight: Vec<Note>,
    queue: VecDeque<(Vec<u8>, Option<i32>)>,
    capacity: usize,
    congested: bool,
    error: bool,
    drops: u64,
    told_drops: u64,
    /// How often each id was assigned.
    assigned: BTreeMap<Id, usize>,
}

impl Simulation {
    fn run(&mut self) {
        for _ in 0..self.pace.next().unwrap_or(0) {
            if let Some(step) = self.steps.next() {
                self.step(step);
            }
        }
    }

    /// What happens at a system call; `true`: it fails for want of something.
    fn fails(&mut self) -> bool {
        self.run();
        self.faults.next().unwrap_or(false)
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

    fn deliver(&mut self, which: u8) {
        if self.in_flight.is_empty() {
            return;
        }
        let note = self.in_flight.remove(usize::from(which) % self.in_flight.len());
        // the tag is what the namespace is called here when the notification is sent
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
            // several messages in a datagram now and then
            Some((last, of)) if *of == tag && note.nsid % 2 == 1 => last.extend(bytes),
            _ => self.queue.push_back((bytes, tag)),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Assign { own } => {
                let free = (0..).find(|nsid| !self.table.contains_key(nsid)).unwrap();
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

    /// What is, and what of it can be known.
    fn truth(&self) -> BTreeSet<Id> {
        let own = self.table.keys().map(|nsid| Id::own(*nsid));
        let inside = self
            .peers()
            .into_iter()
            .filter(|(_, key)| !is_closed(*key))
            .flat_map(|(peer, key)| self.inside[&key].iter().map(move |nsid| Id::new(Some(peer), *nsid)));
        own.chain(inside).collect()
    }
}

impl Kernel for Simulation {
    fn hear(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Heard> {
        if self.fails() {
            return Err(io::Error::from_raw_os_error(libc::EINTR));
        }
        if std::mem::take(&mut self.error) {
            return Ok(Heard::Loss);
        }
        // several at once, sometimes
        let many = 1 + self.queue.len() % 3;
        for n in 0..many {
            let Some((bytes, tag)) = self.queue.pop_front() else {
                return Ok(if n == 0 { Heard::Nothing } else { Heard::Datagrams(n) });
            };
            if self.queue.is_empty() {
                self.congested = false;
            }
            take(&bytes, tag);
        }
        Ok(Heard::Datagrams(many))
    }

    fn lost(&mut self) -> u64 {
        self.run();
        self.drops - std::mem::replace(&mut self.told_drops, self.drops)
    }

    fn capacity(&self) -> usize {
        self.capacity + 1
    }

    fn exists(&mut self, nsid: i32) -> Result<bool, Refusal> {
        if self.fails() {
            return Err(Refusal::new(libc::ENOMEM));
        }
        Ok(self.table.get(&nsid).is_some_and(|key| !self.dying.contains(key)))
    }

    fn list(&mut self, target: Option<i32>) -> Result<Listing, Refusal> {
        if self.fails() {
            return Err(Refusal::new(libc::ENOMEM));
        }
        let ids: Vec<i32> = match target {
            None => self.table.keys().copied().collect(),
            Some(peer) => match self.table.get(&peer).filter(|key| !self.dying.contains(key)) {
                None => return Err(Refusal::new(libc::EINVAL)),
                Some(key) if is_closed(*key) => return Err(Refusal::new(libc::EACCES)),
                Some(&OWN) => self.table.keys().copied().collect(),
                Some(key) => self.inside[key].iter().copied().collect(),
            },
        };
        self.run();
        Ok(Listing { ids: ids.into_iter().map(|nsid| Listed { nsid, here: None }).collect(), until: i32::MAX })
    }

    fn own(&mut self) -> Result<Option<i32>, Refusal> {
        if self.fails() {
            return Err(Refusal::new(libc::ENOMEM));
        }
        Ok(self.table.iter().find(|(_, key)| **key == OWN).map(|(nsid, _)| *nsid))
    }
}

/// A consumer who adds up the events.
#[derive(Debug, Default)]
struct Consumer {
    believed: BTreeSet<Id>,
    news: BTreeMap<Id, usize>,
    overflow: bool,
    dropped: u64,
    synced: usize,
    wrong: Vec<EventKind>,
}

impl Consumer {
    fn take(&mut self, out: &mut Outbox) {
        while let Some(event) = out.pop() {
            let fine = match event.kind {
                EventKind::NsidNew { nsid, origin, .. } => {
                    *self.news.entry(Id::new(origin, nsid)).or_default() += 1;
                    self.believed.insert(Id::new(origin, nsid))
                }
                EventKind::NsidDel { nsid, origin } => self.believed.remove(&Id::new(origin, nsid)),
                EventKind::Overflow { dropped } => {
                    self.dropped += dropped;
                    !std::mem::replace(&mut self.overflow, true)
                }
                EventKind::Synced => {
                    self.overflow = false;
                    self.synced += 1;
                    true
                }
                _ => false,
            };
            if !fine {
                self.wrong.push(event.kind);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Run {
    before: Vec<Step>,
    steps: Vec<Step>,
    pace: Vec<usize>,
    faults: Vec<bool>,
    drains: Vec<bool>,
    orderly: bool,
    closed: bool,
    peers: bool,
    replay: bool,
    capacity: usize,
}

fn any_run() -> impl Strategy<Value = Run> {
    let steps = |most| prop::collection::vec(any_step(), 0..most);
    (
        (
            steps(20),
            steps(400),
            prop_oneof![prop::collection::vec(0..2usize, 1..6), prop::collection::vec(0..9usize, 1..6)],
            prop_oneof![Just(vec![]), prop::collection::vec(prop::bool::weighted(0.15), 0..30)],
            // resyncs would put right what they are not to
            prop::collection::vec(prop::bool::weighted(0.2), 0..20),
        ),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), prop_oneof![2..6usize, Just(10_000)]),
    )
        .prop_map(|((before, steps, pace, faults, drains), (orderly, closed, peers, replay, capacity))| Run {
            before,
            steps,
            pace,
            faults,
            drains,
            orderly,
            closed,
            peers,
            replay,
            capacity,
        })
}

impl Simulation {
    fn new(run: &Run) -> Self {
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
            told_drops: 0,
            assigned: BTreeMap::new(),
        }
    }
}

fn check(run: Run) -> Result<(), TestCaseError> {
    let mut kernel = Simulation::new(&run);
    // what happened before the watcher listened is not notified to it, unless it is on its way
    run.before.iter().for_each(|step| kernel.step(*step));
    kernel.queue.clear();
    (kernel.drops, kernel.congested, kernel.error) = (0, false, false);
    kernel.steps = run.steps.into_iter();
    let hectic = run.pace.iter().any(|steps| *steps > 1);
    kernel.pace = run.pace.into_iter().cycle();

    let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
    let mut source = Nsid::start(kernel, run.peers, run.replay, &mut out).unwrap();
    consumer.take(&mut out);
    // if something was lost meanwhile, it is not complete yet
    prop_assert!(consumer.synced == usize::from(run.replay) || source.unfinished());
    source.kernel.faults = run.faults.into_iter().cycle();
    for resync in run.drains {
        source.kernel.run();
        if resync {
            // after an error it is still due, as after one of a drain
            source.resync(&mut out).ok();
        } else if source.drain(&mut out).is_ok_and(|drained| drained == Drained::All) {
            let due = &source.due;
            prop_assert!(!due.overflow && due.look.is_none() && due.peers.is_empty() && source.inbox.is_empty());
        }
        consumer.take(&mut out);
    }
    // the rest happens, and then nothing any more
    let rest: Vec<Step> = source.kernel.steps.by_ref().collect();
    rest.into_iter().for_each(|step| source.kernel.step(step));
    while !source.kernel.dying.is_empty() {
        source.kernel.step(Step::Reap(0));
    }
    while !source.kernel.in_flight.is_empty() {
        source.kernel.deliver(0);
    }
    for round in 0..200 {
        if round == 20 {
            source.kernel.faults = Vec::new().into_iter().cycle();
        }
        let drained = source.drain(&mut out);
        consumer.take(&mut out);
        if drained.is_ok_and(|drained| drained == Drained::All)
            && source.kernel.queue.is_empty()
            && !source.kernel.error
        {
            break;
        }
    }
    source.kernel.faults = Vec::new().into_iter().cycle();
    prop_assert_eq!(&consumer.wrong, &vec![], "the grammar");
    prop_assert!(!consumer.overflow, "an overflow without synced");
    prop_assert_eq!(out.counters.dropped, source.kernel.drops);
    // of what is lost before a loss is made good that the consumer knows of already, only the counters tell
    prop_assert!(consumer.dropped <= source.kernel.drops);
    prop_assert!(consumer.synced > 0 || !run.replay);

    let truth = source.kernel.truth();
    let known = |believed: &BTreeSet<Id>| -> BTreeSet<Id> {
        let open =
            |id: &&Id| id.origin().is_none_or(|peer| source.kernel.table.get(&peer).is_none_or(|key| !is_closed(*key)));
        believed.iter().filter(open).copied().collect()
    };
    let truth: BTreeSet<Id> = truth.into_iter().filter(|id| run.peers || id.origin().is_none()).collect();
    if run.replay {
        prop_assert_eq!(known(&consumer.believed), truth.clone(), "what is believed when all has been read");
    } else {
        prop_assert!(known(&consumer.believed).is_subset(&truth), "nothing is believed that is not");
    }
    // what a peer said before its id became the own one looks like an event of one's own
    let has_id = source.kernel.table.values().any(|key| *key == OWN);
    // in the end a look no longer waits for an id that is notified again and again
    if run.orderly && source.kernel.drops == 0 && !(run.peers && has_id) && !hectic {
        for (id, news) in &consumer.news {
            prop_assert!(*news <= source.kernel.assigned[id], "{:?} was told {} times", id, news);
        }
    }
    let before = consumer.believed.len();
    source.resync(&mut out).unwrap();
    consumer.take(&mut out);
    prop_assert_eq!(&consumer.wrong, &vec![], "the grammar");
    let known = |believed: &BTreeSet<Id>| -> BTreeSet<Id> {
        let open =
            |id: &&Id| id.origin().is_none_or(|peer| source.kernel.table.get(&peer).is_none_or(|key| !is_closed(*key)));
        believed.iter().filter(open).copied().collect()
    };
    prop_assert_eq!(known(&consumer.believed), truth, "what is believed after a resync");
    prop_assert!(!run.replay || consumer.believed.len() == before, "a resync had something to put right");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_consumer_ends_up_with_the_truth(run in any_run()) {
        check(run)?;
    }
}

/// Both notifications of birth are lost, and that of the first owner's death comes late, at every possible moment of
/// the recovery: that the second owner lives is for the look to find out, whatever the notification makes of it.
#[test]
fn a_late_death_does_not_hide_who_was_born_unheard() {
    for moment in 0..40 {
        let run = Run {
            before: vec![],
            steps: vec![],
            pace: vec![],
            faults: vec![],
            drains: vec![],
            orderly: false,
            closed: false,
            peers: false,
            replay: true,
            capacity: 1,
        };
        let mut kernel = Simulation::new(&run);
        let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
        kernel.pace = vec![1].into_iter().cycle();
        let mut source = Nsid::start(kernel, false, true, &mut out).unwrap();
        let kernel = &mut source.kernel;
        let assign = Step::Assign { own: false };
        // 0 is born, and notified; 1 is born, dies, and is born again, and what is notified of it by then is lost
        for step in [assign, Step::Deliver(0), assign, Step::Deliver(0), Step::Kill(1), Step::Reap(0), assign] {
            kernel.step(step);
        }
        kernel.step(Step::Deliver(1));
        assert_eq!((kernel.drops, kernel.in_flight.len(), kernel.table.len()), (2, 1, 2));
        let nothing = Step::Reap(0);
        let steps: Vec<Step> = std::iter::repeat_n(nothing, moment).chain([Step::Deliver(0)]).collect();
        kernel.steps = steps.into_iter();
        for _ in 0..10 {
            source.drain(&mut out).unwrap();
            consumer.take(&mut out);
        }
        assert_eq!(consumer.wrong, []);
        assert_eq!(consumer.believed, source.kernel.truth(), "at moment {moment}");
    }
}

/// A kernel that loses whatever there is, and never comes to the end of it.
#[derive(Debug)]
struct Lossy {
    heard: usize,
}

impl Kernel for Lossy {
    fn hear(&mut self, _: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Heard> {
        self.heard += 1;
        Ok(Heard::Loss)
    }

    fn lost(&mut self) -> u64 {
        0
    }

    fn capacity(&self) -> usize {
        1000
    }

    fn exists(&mut self, _: i32) -> Result<bool, Refusal> {
        Ok(false)
    }

    fn list(&mut self, _: Option<i32>) -> Result<Listing, Refusal> {
        Ok(Listing { ids: vec![], until: i32::MAX })
    }

    fn own(&mut self) -> Result<Option<i32>, Refusal> {
        Ok(None)
    }
}

#[test]
fn one_call_reads_no_more_than_one_queue_beyond_the_first_batch() {
    let mut out = Outbox::default();
    let mut source = Nsid::start(Lossy { heard: 0 }, false, true, &mut out).unwrap();
    let before = source.kernel.heard;
    assert_eq!(source.drain(&mut out).unwrap(), Drained::More);
    assert!(source.kernel.heard - before <= BATCH + source.kernel.capacity(), "{}", source.kernel.heard - before);
}
