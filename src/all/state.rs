//! The namespaces that exist, as far as the source knows. Pure: it knows no descriptor and no clock.
//!
//! [`State`] takes facts and emits what they change. Whatever the facts and their order, the events keep the grammar, and
//! applying them yields the state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::deaths::Number;
use crate::event::EventKind;
use crate::netns::Netns;

/// A namespace that was looked at, and is watched by now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) netns: Netns,
    pub(super) number: Number,
    pub(super) path: Option<Arc<Path>>,
    pub(super) pid: Option<i32>,
}

/// What is kept of a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// As it was reported: its end is to be that of the same.
    pub(super) netns: Netns,
    pub(super) number: Number,
}

/// Of two living namespaces no two have the same inode number.
#[derive(Debug, Default)]
pub(super) struct State {
    known: BTreeMap<u64, Known>,
    inodes: BTreeMap<Number, u64>,
    /// Those that the consumer was not told of, as there was to be no replay: where they were found.
    held_back: BTreeMap<u64, (Option<Arc<Path>>, Option<i32>)>,
}

impl State {
    pub(super) fn get(&self, ino: u64) -> Option<&Known> {
        self.known.get(&ino)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The numbers of all, in ascending order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.inodes.keys().copied()
    }

    /// The cookies of all, in ascending order.
    pub(super) fn cookies(&self) -> Vec<u64> {
        let mut cookies: Vec<u64> = self.known.values().filter_map(|known| known.netns.cookie()).collect();
        cookies.sort_unstable();
        cookies
    }

    /// It exists. One that had its inode number before is gone.
    pub(super) fn add(&mut self, found: Found, emit: &mut dyn FnMut(EventKind)) {
        let Found { netns, number, path, pid } = found;
        match self.known.get(&netns.ino()) {
            Some(known) if known.netns.same(&netns) && known.number == number => return,
            Some(known) => self.remove(known.number, emit),
            None => {}
        }
        // a number that stands for another one stands for it no more
        self.remove(number, emit);
        self.known.insert(netns.ino(), Known { netns, number });
        self.inodes.insert(number, netns.ino());
        emit(EventKind::NetnsNew { netns, path, pid });
    }

    /// It exists, and the consumer is not to be told before [`tell_all`](Self::tell_all).
    pub(super) fn hold_back(&mut self, found: Found, emit: &mut dyn FnMut(EventKind)) {
        let mut held_back = None;
        self.add(found, &mut |event| match event {
            EventKind::NetnsNew { netns, path, pid } => held_back = Some((netns.ino(), (path, pid))),
            gone => emit(gone),
        });
        self.held_back.extend(held_back);
    }

    /// What was held back is so no longer.
    pub(super) fn tell_all(&mut self, emit: &mut dyn FnMut(EventKind)) {
        for (ino, (path, pid)) in std::mem::take(&mut self.held_back) {
            if let Some(known) = self.known.get(&ino) {
                emit(EventKind::NetnsNew { netns: known.netns, path, pid });
            }
        }
    }

    /// The one that this number stands for is gone.
    pub(super) fn remove(&mut self, number: Number, emit: &mut dyn FnMut(EventKind)) {
        let ino = self.inodes.remove(&number);
        if let Some(known) = ino.and_then(|ino| self.known.remove(&ino)) {
            if self.held_back.remove(&known.netns.ino()).is_none() {
                emit(EventKind::NetnsDel(known.netns));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Fact {
        Found { ino: u64, cookie: u64, number: i32, is_held_back: bool },
        Dead(i32),
        TellAll,
    }

    fn fact() -> impl Strategy<Value = Fact> {
        prop_oneof![
            (1..4u64, 0..5u64, 0..6i32, any::<bool>()).prop_map(|(ino, cookie, number, is_held_back)| Fact::Found {
                ino,
                cookie,
                number,
                is_held_back
            }),
            (0..6i32).prop_map(Fact::Dead),
            Just(Fact::TellAll),
        ]
    }

    proptest! {
        #[test]
        fn events_keep_the_grammar_and_yield_the_state(facts in prop::collection::vec(fact(), 0..60)) {
            let (mut state, mut believed) = (State::default(), BTreeSet::new());
            for fact in facts {
                let mut events = Vec::new();
                let emit = &mut |event| events.push(event);
                match fact {
                    Fact::Found { ino, cookie, number, is_held_back } => {
                        let (netns, number) = (Netns::new(4, ino, cookie, 0), Number::new(0, number));
                        let found = Found { netns, number, path: None, pid: None };
                        if is_held_back {
                            state.hold_back(found, emit)
                        } else {
                            state.add(found, emit)
                        }
                        prop_assert!(state.get(ino).is_some_and(|known| known.netns.same(&netns)));
                    }
                    Fact::Dead(number) => {
                        state.remove(Number::new(0, number), emit);
                        prop_assert!(!state.numbers().any(|known| known == Number::new(0, number)));
                    }
                    Fact::TellAll => {
                        state.tell_all(emit);
                        prop_assert!(state.held_back.is_empty());
                    }
                }
                for event in events {
                    match event {
                        EventKind::NetnsNew { netns, .. } => prop_assert!(believed.insert(netns)),
                        EventKind::NetnsDel(netns) => prop_assert!(believed.remove(&netns)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                prop_assert_eq!(believed.len() + state.held_back.len(), state.len());
                prop_assert!(believed.iter().all(|netns| state.get(netns.ino()).is_some_and(|known| known.netns == *netns)));
                prop_assert_eq!(state.numbers().count(), state.len());
            }
        }
    }
}
