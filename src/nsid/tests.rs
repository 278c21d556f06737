//! The source against a kernel that is simulated, with all that a real one does rarely: notifications late and out of
//! order, numbers used again at once, namespaces that are dying, full queues, changes between any two system calls, and
//! calls that fail.

mod simulation;

use super::channel::{Listing, Refusal};
use super::*;
use proptest::prelude::*;
use simulation::{OWN, Simulation, Step, any_step, is_closed};
use std::collections::BTreeMap;
use std::io;

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

    /// What is believed but for peers that may not be looked into, of which nobody knows whether it is true.
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
        } else if source.drain(&mut out).is_ok_and(|drained| drained == Progress::Done) {
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
        if drained.is_ok_and(|drained| drained == Progress::Done)
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
    let truth: BTreeSet<Id> = truth.into_iter().filter(|id| run.peers || id.origin().is_none()).collect();
    if run.replay {
        prop_assert_eq!(consumer.believed_of(&source.kernel), truth.clone(), "what is believed when all has been read");
    } else {
        prop_assert!(consumer.believed_of(&source.kernel).is_subset(&truth), "nothing is believed that is not");
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
    prop_assert_eq!(consumer.believed_of(&source.kernel), truth, "what is believed after a resync");
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
    assert_eq!(source.drain(&mut out).unwrap(), Progress::More);
    assert!(source.kernel.heard - before <= BATCH + source.kernel.capacity(), "{}", source.kernel.heard - before);
}
