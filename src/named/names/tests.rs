//! Random histories: for every input, the output of `Names` follows the grammar and adds up to its state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NAMES: [&CStr; 4] = [c"blue", c"green", c"red", c"red "];

type Seen = BTreeMap<&'static CStr, State>;

/// An operation on `Names`.
#[derive(Debug, Clone)]
enum Step {
    Observe(&'static CStr, State),
    Review(&'static CStr, State),
    Appear(&'static CStr),
    /// A scan of the directory.
    Scan(Seen),
    /// The same, for changes only.
    ScanAgain(Seen),
}

/// A consumer that applies events, and rejects those that the grammar forbids.
#[derive(Debug, Default)]
struct Consumer {
    believed: BTreeMap<Name, State>,
    events: usize,
}

impl Consumer {
    fn apply(&mut self, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        let before = self.events;
        let is_silent = transition.from.is_pending() && transition.to.is_pending();
        transition.emit(&mut |event| {
            self.events += 1;
            let believed = event_name(&event).and_then(|name| self.believed.get(name)).copied();
            match (believed, event) {
                (None, EventKind::Created(name)) => self.believed.insert(name, State::Placeholder),
                (Some(before), EventKind::Ready(name, netns)) => {
                    assert_ne!(before, State::Namespace(netns), "{name:?} is ready twice");
                    self.believed.insert(name, State::Namespace(netns))
                }
                (Some(State::Namespace(_)), EventKind::Detached(name)) => {
                    self.believed.insert(name, State::Placeholder)
                }
                (Some(_), EventKind::Deleted(name)) => self.believed.remove(&name),
                (before, event) => panic!("{event:?} where {before:?} was believed"),
            };
        });
        assert_eq!(self.events == before, is_silent, "a transition that emits nothing");
    }
}

fn event_name(event: &EventKind) -> Option<&Name> {
    match event {
        EventKind::Created(name) | EventKind::Ready(name, _) | EventKind::Detached(name) | EventKind::Deleted(name) => {
            Some(name)
        }
        _ => None,
    }
}

fn any_state() -> impl Strategy<Value = State> {
    // few values, so that the same one comes again, and the same inode with another id
    let netns = (1..3u64, 1..3u64).prop_map(|(ino, cookie)| Netns::new(4, ino, cookie, 0));
    prop_oneof![Just(State::Absent), Just(State::Placeholder), Just(State::Link), netns.prop_map(State::Namespace)]
}

fn any_seen() -> impl Strategy<Value = Seen> {
    prop::collection::btree_map(any_name(), any_state(), 0..4).prop_map(|mut seen: Seen| {
        seen.retain(|_, state| *state != State::Absent);
        seen
    })
}

fn any_name() -> impl Strategy<Value = &'static CStr> {
    prop::sample::select(NAMES.to_vec())
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_name(), any_state()).prop_map(|(name, state)| Step::Observe(name, state)),
        4 => (any_name(), any_state()).prop_map(|(name, state)| Step::Review(name, state)),
        2 => any_name().prop_map(Step::Appear),
        1 => any_seen().prop_map(Step::Scan),
        1 => any_seen().prop_map(Step::ScanAgain),
    ]
}

/// The truth: the state of each name, and whether the consumer must know it.
type Truth = BTreeMap<&'static CStr, (State, bool)>;

fn happen(truth: &mut Truth, name: &'static CStr, to: State) {
    match to {
        State::Absent => drop(truth.remove(name)),
        _ => drop(truth.insert(name, (to, true))),
    }
}

proptest! {
    #[test]
    fn reported_changes_add_up_to_the_state(
        assumed in any_seen(),
        history in prop::collection::vec(any_step(), 0..40),
    ) {
        let mut names = Names::default();
        let mut consumer = Consumer::default();
        for (name, state) in &assumed {
            names.assume(name, *state);
        }
        let mut truth: Truth = assumed.into_iter().map(|(name, state)| (name, (state, false))).collect();
        for step in history {
            match step {
                Step::Observe(name, to) => {
                    consumer.apply(names.observe(name, to));
                    happen(&mut truth, name, to);
                }
                Step::Review(name, to) => {
                    consumer.apply(names.review(name, to));
                    if truth.get(name).map_or(State::Absent, |known| known.0) != to {
                        happen(&mut truth, name, to);
                    }
                }
                Step::Appear(name) => {
                    consumer.apply(names.appear(name));
                    if !truth.contains_key(name) {
                        happen(&mut truth, name, State::Placeholder);
                    }
                }
                Step::ScanAgain(seen) => {
                    names.begin_scan();
                    for (name, state) in &seen {
                        consumer.apply(names.review(name, *state));
                    }
                    prop_assert_eq!(names.are_all_seen(), truth.keys().all(|name| seen.contains_key(name)));
                    for transition in names.end_scan() {
                        consumer.apply(Some(transition));
                    }
                    let unreported = |name, state| truth.get(name).is_some_and(|known| *known == (state, false));
                    truth = seen.into_iter().map(|(name, state)| (name, (state, !unreported(name, state)))).collect();
                }
                Step::Scan(seen) => {
                    names.begin_scan();
                    for (name, state) in &seen {
                        consumer.apply(names.observe(name, *state));
                    }
                    prop_assert_eq!(names.are_all_seen(), truth.keys().all(|name| seen.contains_key(name)));
                    for transition in names.end_scan() {
                        consumer.apply(Some(transition));
                    }
                    truth = seen.into_iter().map(|(name, state)| (name, (state, true))).collect();
                }
            }
            let reported = truth.iter().filter(|(_, (_, reported))| *reported);
            let seen_as = |state: State| if state.is_pending() { State::Placeholder } else { state };
            let reported: BTreeMap<Name, State> =
                reported.map(|(name, (state, _))| (Name::new(name), seen_as(*state))).collect();
            prop_assert_eq!(&consumer.believed, &reported);
            prop_assert_eq!(names.len(), truth.len());
            for name in NAMES {
                prop_assert_eq!(names.state(name), truth.get(name).map_or(State::Absent, |known| known.0));
            }
            let pending = truth.iter().filter(|(_, (state, _))| *state == State::Placeholder);
            prop_assert_eq!(names.pending_len(), truth.values().filter(|(state, _)| state.is_pending()).count());
            prop_assert!(names.pending().map(Name::as_c_str).eq(pending.map(|(name, _)| *name)));
        }
    }
}
