//! Random histories: whatever the roster is told, what it answers keeps the grammar and adds up to its state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NAMES: [&CStr; 4] = [c"blue", c"green", c"red", c"red "];

type Seen = BTreeMap<&'static CStr, State>;

/// What can be said to a roster.
#[derive(Debug, Clone)]
enum Word {
    Observe(&'static CStr, State),
    Review(&'static CStr, State),
    Appear(&'static CStr),
    /// A look at all there is.
    Look(Seen),
    /// The same, for changes only.
    LookAgain(Seen),
}

/// A consumer who adds up events, and objects to those that the grammar does not allow.
#[derive(Debug, Default)]
struct Consumer {
    believed: BTreeMap<Name, State>,
    events: usize,
}

impl Consumer {
    fn hear(&mut self, transition: Option<Transition>) {
        let Some(transition) = transition else { return };
        let before = self.events;
        transition.tell(&mut |event| {
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
        assert_ne!(self.events, before, "a transition that tells nothing");
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
    // few of them, so that the same one is seen again and the same inode with another id
    let netns = (1..3u64, 1..3u64).prop_map(|(ino, cookie)| Netns::new(4, ino, cookie, 0));
    prop_oneof![Just(State::Absent), Just(State::Placeholder), netns.prop_map(State::Namespace)]
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

fn any_word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => (any_name(), any_state()).prop_map(|(name, state)| Word::Observe(name, state)),
        4 => (any_name(), any_state()).prop_map(|(name, state)| Word::Review(name, state)),
        2 => any_name().prop_map(Word::Appear),
        1 => any_seen().prop_map(Word::Look),
        1 => any_seen().prop_map(Word::LookAgain),
    ]
}

/// The truth: of each name what it is, and whether the consumer has to know.
type Truth = BTreeMap<&'static CStr, (State, bool)>;

fn happen(truth: &mut Truth, name: &'static CStr, to: State) {
    match to {
        State::Absent => drop(truth.remove(name)),
        _ => drop(truth.insert(name, (to, true))),
    }
}

proptest! {
    #[test]
    fn what_is_told_adds_up_to_what_is_known(
        assumed in any_seen(),
        history in prop::collection::vec(any_word(), 0..40),
    ) {
        let mut roster = Roster::default();
        let mut consumer = Consumer::default();
        for (name, state) in &assumed {
            roster.assume(name, *state);
        }
        let mut truth: Truth = assumed.into_iter().map(|(name, state)| (name, (state, false))).collect();
        for word in history {
            match word {
                Word::Observe(name, to) => {
                    consumer.hear(roster.observe(name, to));
                    happen(&mut truth, name, to);
                }
                Word::Review(name, to) => {
                    consumer.hear(roster.review(name, to));
                    if truth.get(name).map_or(State::Absent, |known| known.0) != to {
                        happen(&mut truth, name, to);
                    }
                }
                Word::Appear(name) => {
                    consumer.hear(roster.appear(name));
                    if !truth.contains_key(name) {
                        happen(&mut truth, name, State::Placeholder);
                    }
                }
                Word::LookAgain(seen) => {
                    roster.begin_look();
                    for (name, state) in &seen {
                        consumer.hear(roster.review(name, *state));
                    }
                    for transition in roster.end_look() {
                        consumer.hear(Some(transition));
                    }
                    let untold = |name, state| truth.get(name).is_some_and(|known| *known == (state, false));
                    truth = seen.into_iter().map(|(name, state)| (name, (state, !untold(name, state)))).collect();
                }
                Word::Look(seen) => {
                    roster.begin_look();
                    for (name, state) in &seen {
                        consumer.hear(roster.observe(name, *state));
                    }
                    for transition in roster.end_look() {
                        consumer.hear(Some(transition));
                    }
                    truth = seen.into_iter().map(|(name, state)| (name, (state, true))).collect();
                }
            }
            let told = truth.iter().filter(|(_, (_, told))| *told);
            let told: BTreeMap<Name, State> = told.map(|(name, (state, _))| (Name::new(name), *state)).collect();
            prop_assert_eq!(&consumer.believed, &told);
            prop_assert_eq!(roster.len(), truth.len());
            for name in NAMES {
                prop_assert_eq!(roster.state(name), truth.get(name).map_or(State::Absent, |known| known.0));
            }
            let waiting = truth.iter().filter(|(_, (state, _))| *state == State::Placeholder);
            prop_assert!(roster.waiting().map(Name::as_c_str).eq(waiting.map(|(name, _)| *name)));
        }
    }
}
