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
        let before = self.known.get(&netns.ino()).copied();
        if before.is_some_and(|known| known.netns.same(&netns) && known.number == number) {
            return;
        }
        // a number that stands for another one stands for it no more
        self.remove(number, emit);
        match before {
            // another mechanism watches it
            Some(Known { netns: known, number: old }) if netns.cookie().is_some() && known.cookie() == netns.cookie() => {
                self.inodes.remove(&old);
                self.known.insert(netns.ino(), Known { netns: known, number });
                self.inodes.insert(number, netns.ino());
                return;
            }
            Some(known) => self.remove(known.number, emit),
            None => {}
        }
        self.known.insert(netns.ino(), Known { netns, number });
        self.inodes.insert(number, netns.ino());
        emit(EventKind::NetnsNew { netns, path, pid });
    }

    /// The one that this number stands for is gone.
    pub(super) fn remove(&mut self, number: Number, emit: &mut dyn FnMut(EventKind)) {
        let ino = self.inodes.remove(&number);
        if let Some(known) = ino.and_then(|ino| self.known.remove(&ino)) {
            emit(EventKind::NetnsDel(known.netns));
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
        Found { ino: u64, cookie: u64, number: i32 },
        Dead(i32),
    }

    fn fact() -> impl Strategy<Value = Fact> {
        prop_oneof![
            (1..4u64, 0..5u64, 0..6i32).prop_map(|(ino, cookie, number)| Fact::Found { ino, cookie, number }),
            (0..6i32).prop_map(Fact::Dead),
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
                    Fact::Found { ino, cookie, number } => {
                        let (netns, number) = (Netns::new(4, ino, cookie, 0), Number::new(0, number));
                        state.add(Found { netns, number, path: None, pid: None }, emit);
                        prop_assert!(state.get(ino).is_some_and(|known| known.netns.same(&netns)));
                    }
                    Fact::Dead(number) => {
                        state.remove(Number::new(0, number), emit);
                        prop_assert!(!state.numbers().any(|known| known == Number::new(0, number)));
                    }
                }
                for event in events {
                    match event {
                        EventKind::NetnsNew { netns, .. } => prop_assert!(believed.insert(netns)),
                        EventKind::NetnsDel(netns) => prop_assert!(believed.remove(&netns)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                prop_assert_eq!(believed.len(), state.len());
                prop_assert!(believed.iter().all(|netns| state.get(netns.ino()).is_some_and(|known| known.netns == *netns)));
                prop_assert_eq!(state.numbers().count(), state.len());
            }
        }
    }
}
