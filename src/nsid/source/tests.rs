//! The source against a simulated kernel, with what a real one does rarely: notifications late and out of order,
//! numbers reused at once, dying namespaces, full queues, changes between any two system calls, and failing calls.

mod simulation;

use super::*;
use crate::nsid::listener::Received;
use crate::nsid::listing::Questions;
use crate::nsid::request::{Listing, NetlinkError};
use proptest::prelude::*;
use simulation::{FAR, OWN, Simulation, Step, any_step, is_closed};
use std::collections::BTreeMap;
use std::io;

/// A consumer that applies the events.
#[derive(Debug, Default)]
struct Consumer {
    believed: BTreeSet<Id>,
    news: BTreeMap<Id, usize>,
    overflow: bool,
    dropped: u64,
    synced: usize,
    /// The last two events may mean that nsids are missing, or that they were missing: a consumer that cannot
    /// distinguish them assumes the former.
    unsure: bool,
    last: Option<EventKind>,
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
                    self.unsure = self.last == Some(EventKind::Overflow { dropped: 0 });
                    true
                }
                _ => false,
            };
            self.last = Some(event.kind.clone());
            if !fine {
                self.wrong.push(event.kind);
            }
        }
    }

    /// The consumer's state, without the nsids in unreadable peers, whose truth is unknown.
    fn believed_of(&self, kernel: &Simulation) -> BTreeSet<Id> {
        let open = |id: &&Id| id.origin().is_none_or(|peer| kernel.table.get(&peer).is_none_or(|key| !is_closed(*key)));
        self.believed.iter().filter(open).copied().collect()
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
    listable: usize,
}

fn any_run() -> impl Strategy<Value = Run> {
    let steps = |most| prop::collection::vec(any_step(), 0..most);
    (
        (
            steps(20),
            steps(400),
            prop_oneof![prop::collection::vec(0..2usize, 1..6), prop::collection::vec(0..9usize, 1..6)],
            prop_oneof![Just(vec![]), prop::collection::vec(prop::bool::weighted(0.15), 0..30)],
            // resyncs would repair errors that the test must find
            prop::collection::vec(prop::bool::weighted(0.2), 0..20),
        ),
        (
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
            prop_oneof![2..6usize, Just(10_000)],
            prop_oneof![6 => Just(usize::MAX), 1 => 1..3usize],
        ),
    )
        .prop_map(|((before, steps, pace, faults, drains), (toggles, capacity, listable))| {
            let (orderly, closed, peers, replay) = toggles;
            Run { before, steps, pace, faults, drains, orderly, closed, peers, replay, capacity, listable }
        })
}

fn check(run: Run) -> Result<(), TestCaseError> {
    let mut kernel = Simulation::new(&run);
    // changes from before the watcher listened are not notified to it, unless they are on their way
    run.before.iter().for_each(|step| kernel.step(*step));
    kernel.queue.clear();
    (kernel.drops, kernel.congested, kernel.error) = (0, false, false);
    kernel.steps = run.steps.into_iter();
    let hectic = run.pace.iter().any(|steps| *steps > 1);
    kernel.pace = run.pace.into_iter().cycle();

    let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
    let mut source = Nsid::start(Kernel::new(kernel, run.peers), run.replay, &mut out).unwrap();
    consumer.take(&mut out);
    // after a loss meanwhile, it is not complete yet
    prop_assert!(consumer.synced == usize::from(run.replay) || source.unfinished());
    source.kernel.sockets().faults = run.faults.into_iter().cycle();
    for resync in run.drains {
        source.kernel.sockets().run();
        if resync {
            // after an error it is still due, as after an error of a drain
            source.resync(&mut out).ok();
        } else if source.drain(&mut out).is_ok_and(|progress| progress == Progress::Done) {
            let due = &source.due;
            prop_assert!(!due.overflow && due.compare.is_none() && due.peers.is_empty() && source.inbox.is_empty());
        }
        consumer.take(&mut out);
    }
    // the rest happens, and then nothing more
    let rest: Vec<Step> = source.kernel.sockets().steps.by_ref().collect();
    rest.into_iter().for_each(|step| source.kernel.sockets().step(step));
    while !source.kernel.sockets().dying.is_empty() {
        source.kernel.sockets().step(Step::Reap(0));
    }
    while !source.kernel.sockets().in_flight.is_empty() {
        source.kernel.sockets().deliver(0);
    }
    for round in 0..200 {
        if round == 20 {
            source.kernel.sockets().faults = Vec::new().into_iter().cycle();
        }
        let drained = source.drain(&mut out);
        consumer.take(&mut out);
        if drained.is_ok_and(|progress| progress == Progress::Done)
            && source.kernel.sockets().queue.is_empty()
            && !source.kernel.sockets().error
        {
            break;
        }
    }
    source.kernel.sockets().faults = Vec::new().into_iter().cycle();
    prop_assert_eq!(&consumer.wrong, &vec![], "the grammar");
    prop_assert!(!consumer.overflow, "an overflow without synced");
    prop_assert_eq!(out.counters.dropped.get(), source.kernel.sockets().drops);
    // the counters alone show messages lost before the recovery from a known overflow
    prop_assert!(consumer.dropped <= source.kernel.sockets().drops);
    prop_assert!(consumer.synced > 0 || !run.replay);

    let truth = source.kernel.sockets().truth();
    let mut truth: BTreeSet<Id> = truth.into_iter().filter(|id| run.peers || id.origin().is_none()).collect();
    // nsids that no question finds may be missing, and then the consumer knows that
    let is_far = |id: &Id| run.listable != usize::MAX && id.origin().unwrap_or(id.nsid()) >= FAR;
    let believed = consumer.believed_of(source.kernel.sockets());
    prop_assert!(believed.is_subset(&truth), "nothing is believed that is not");
    if run.replay && !truth.iter().filter(|id| is_far(id)).all(|id| believed.contains(id)) {
        prop_assert!(consumer.unsure && source.unsure, "missing without a word");
    }
    truth.retain(|id| !is_far(id));
    let near = |mut ids: BTreeSet<Id>| {
        ids.retain(|id| !is_far(id));
        ids
    };
    if run.replay {
        prop_assert_eq!(near(believed), truth.clone(), "what is believed when all has been read");
    }
    // an event of a peer from before its nsid became the own one looks like an own event
    let has_id = source.kernel.sockets().table.values().any(|key| *key == OWN);
    // in its last round a comparison does not wait for an nsid that is notified again
    if run.orderly && source.kernel.sockets().drops == 0 && !(run.peers && has_id) && !hectic {
        for (id, news) in &consumer.news {
            prop_assert!(*news <= source.kernel.sockets().assigned[id], "{:?} was reported {} times", id, news);
        }
    }
    let before = near(consumer.believed.clone()).len();
    source.resync(&mut out).unwrap();
    consumer.take(&mut out);
    prop_assert_eq!(&consumer.wrong, &vec![], "the grammar");
    let believed = consumer.believed_of(source.kernel.sockets());
    prop_assert_eq!(near(believed), truth, "what is believed after a resync");
    prop_assert!(!run.replay || near(consumer.believed).len() == before, "a resync had something to put right");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_consumer_ends_up_with_the_truth(run in any_run()) {
        check(run)?;
    }
}

/// A kernel without changes of its own.
fn quiet() -> Run {
    Run {
        before: vec![],
        steps: vec![],
        pace: vec![],
        faults: vec![],
        drains: vec![],
        orderly: false,
        closed: false,
        peers: false,
        replay: true,
        capacity: 10_000,
        listable: usize::MAX,
    }
}

/// Both birth notifications are lost, and the death of the first owner is notified late, at every possible moment of
/// the recovery: the comparison finds the second owner in every case.
#[test]
fn a_late_death_does_not_hide_an_unnotified_birth() {
    for moment in 0..40 {
        let mut kernel = Simulation::new(&Run { capacity: 1, ..quiet() });
        let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
        kernel.pace = vec![1].into_iter().cycle();
        let mut source = Nsid::start(Kernel::new(kernel, false), true, &mut out).unwrap();
        let kernel = source.kernel.sockets();
        let assign = Step::Assign { own: false };
        // 0 is born, and notified; 1 is born, dies, and is born again, and its notifications are lost
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
        assert_eq!(consumer.believed, source.kernel.sockets().truth(), "at moment {moment}");
    }
}

/// Many nsids are assigned in a peer while the source compares: it lists the peer once per read, not once per nsid.
#[test]
fn a_storm_in_a_peer_does_not_list_it_again_for_each_id() {
    let mut kernel = Simulation::new(&Run { orderly: true, peers: true, ..quiet() });
    let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
    kernel.step(Step::Assign { own: false });
    let mut source = Nsid::start(Kernel::new(kernel, true), true, &mut out).unwrap();
    consumer.take(&mut out);
    let kernel = source.kernel.sockets();
    let storm: Vec<Step> = (0..500).map(|nsid| Step::AssignIn(0, nsid)).collect();
    // all of it happens at the second system call of the resync: during the snapshot
    kernel.pace = vec![0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into_iter().cycle();
    kernel.steps = storm.into_iter();
    kernel.peer_lists = 0;
    source.resync(&mut out).unwrap();
    consumer.take(&mut out);
    assert_eq!(consumer.wrong, []);
    assert_eq!(consumer.believed, source.kernel.sockets().truth());
    assert_eq!(consumer.believed.len(), 501);
    let lists = source.kernel.sockets().peer_lists;
    assert!(lists < 10, "{lists}");
}

/// While the own namespace has no nsid in itself, the source asks for it once per read, not once per notification.
#[test]
fn a_storm_does_not_ask_for_the_own_id_for_each_notification() {
    let mut kernel = Simulation::new(&Run { orderly: true, peers: true, ..quiet() });
    let (mut out, mut consumer) = (Outbox::default(), Consumer::default());
    kernel.step(Step::Assign { own: false });
    let mut source = Nsid::start(Kernel::new(kernel, true), true, &mut out).unwrap();
    let kernel = source.kernel.sockets();
    kernel.own_requests = 0;
    (0..500).for_each(|nsid| kernel.step(Step::AssignIn(0, nsid)));
    while source.drain(&mut out).unwrap() == Progress::More {}
    consumer.take(&mut out);
    assert_eq!(consumer.wrong, []);
    assert_eq!(consumer.believed, source.kernel.sockets().truth());
    let requests = source.kernel.sockets().own_requests;
    assert!(requests < 10, "{requests}");
}

/// A watcher among 2400 nsids, of which the kernel lists 1158: the first ones are contiguous, the others far apart.
fn among_sparse_ids() -> (Nsid<Simulation>, Vec<EventKind>) {
    let mut kernel = Simulation::new(&Run { orderly: true, listable: 1158, ..quiet() });
    kernel.table = (0..2400).map(|n| if n < 1200 { n } else { 1200 + (n - 1200) * 1000 }).map(|id| (id, 2)).collect();
    let mut out = Outbox::default();
    let source = Nsid::start(Kernel::new(kernel, false), true, &mut out).unwrap();
    (source, std::iter::from_fn(|| out.pop()).map(|event| event.kind).collect())
}

/// The nsids in these events, before the event that they are not all.
fn brought(events: &[EventKind]) -> usize {
    let [new @ .., EventKind::Overflow { dropped: 0 }, EventKind::Synced] = events else {
        panic!("{:?} … {:?}", events.first(), events.last());
    };
    assert!(new.iter().all(|event| matches!(event, EventKind::NsidNew { .. })));
    new.len()
}

#[test]
fn an_incomplete_comparison_reports_that_and_ends() {
    let (mut source, events) = among_sparse_ids();
    assert!((1200..2400).contains(&brought(&events)));
    let asked = source.kernel.sockets().asked;
    assert!(asked < 40_000, "{asked}");
    // it does not try again by itself
    assert!(!source.unfinished());
    let mut out = Outbox::default();
    for _ in 0..3 {
        assert_eq!(source.drain(&mut out).unwrap(), Progress::Done);
    }
    assert_eq!(source.kernel.sockets().asked, asked);
    // known ones stay, and are not asked about twice
    source.resync(&mut out).unwrap();
    assert_eq!(brought(&std::iter::from_fn(|| out.pop()).map(|event| event.kind).collect::<Vec<_>>()), 0);
    assert!(source.kernel.sockets().asked < 80_000);
    // system calls that a filter may forbid after open happened at open only
    assert_eq!(source.kernel.sockets().looks, 1);
}

#[test]
fn notifications_after_an_incomplete_comparison_are_right() {
    let (mut source, _) = among_sparse_ids();
    let (mut out, kernel) = (Outbox::default(), source.kernel.sockets());
    let own = |nsid| EventKind::NsidNew { nsid, origin: None, portid: 0 };
    // one that was not found, and a new one, far beyond all others
    let far = (1200 + 1199 * 1000, 2_000_000_000);
    kernel.asked = 0;
    kernel.assign(far.1);
    source.drain(&mut out).unwrap();
    let dead = source.kernel.sockets();
    dead.free(far.0);
    dead.free(far.1);
    source.drain(&mut out).unwrap();
    let events: Vec<EventKind> = std::iter::from_fn(|| out.pop()).map(|event| event.kind).collect();
    assert_eq!(events, [own(far.1), EventKind::NsidDel { nsid: far.1, origin: None }]);
    // a high nsid that dies at once is no reason to probe all others
    let kernel = source.kernel.sockets();
    kernel.assign(far.1);
    kernel.free(far.1);
    source.drain(&mut out).unwrap();
    let events: Vec<EventKind> = std::iter::from_fn(|| out.pop()).map(|event| event.kind).collect();
    assert_eq!(events, [own(far.1), EventKind::NsidDel { nsid: far.1, origin: None }]);
    assert!(source.kernel.sockets().asked < 20, "{}", source.kernel.sockets().asked);
}

/// A kernel that loses everything, for ever.
#[derive(Debug)]
struct Lossy {
    received: usize,
}

impl Rtnetlink for Lossy {
    fn receive(&mut self, _: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received> {
        self.received += 1;
        Ok(Received::Loss)
    }

    fn take_dropped(&mut self) -> u64 {
        0
    }

    fn capacity(&self) -> usize {
        1000
    }

    fn questions(&mut self) -> &mut dyn Questions {
        self
    }

    fn own(&mut self) -> Result<Option<i32>, NetlinkError> {
        Ok(None)
    }
}

impl Questions for Lossy {
    fn exists(&mut self, _: i32) -> Result<bool, NetlinkError> {
        Ok(false)
    }

    fn living(&mut self, _: &[i32]) -> Result<Vec<i32>, NetlinkError> {
        Ok(vec![])
    }

    fn list(&mut self, _: Option<i32>) -> Result<Listing, NetlinkError> {
        Ok(Listing { ids: vec![], until: i32::MAX })
    }

    fn visible(&mut self, _: usize) -> Result<(Vec<i32>, bool)> {
        Ok((vec![], true))
    }
}

#[test]
fn one_call_reads_no_more_than_one_queue_beyond_the_first_batch() {
    let mut out = Outbox::default();
    let mut source = Nsid::start(Kernel::new(Lossy { received: 0 }, false), true, &mut out).unwrap();
    let before = source.kernel.sockets().received;
    assert_eq!(source.drain(&mut out).unwrap(), Progress::More);
    assert!(
        source.kernel.sockets().received - before <= BATCH + source.kernel.sockets().capacity(),
        "{}",
        source.kernel.sockets().received - before
    );
}
