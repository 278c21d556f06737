//! The known namespaces. Pure: without descriptors and clock.
//!
//! [`State`] takes facts and emits the changes. For all facts in any order, the events follow the grammar, and applying
//! them yields the state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::deaths::Number;
use super::due::EmitMode;
use crate::event::EventKind;
use crate::netns::Netns;

/// A namespace that a probe found, and that is watched by now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) netns: Netns,
    pub(super) number: Number,
    pub(super) path: Option<Arc<Path>>,
    pub(super) pid: Option<i32>,
    /// It is the known one with its inode number, as far as anybody can know, and may be watched better now.
    pub(super) again: bool,
}

/// The record of a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The reported identity, which its end must repeat.
    pub(super) netns: Netns,
    pub(super) number: Number,
    /// It has been reported. Not so at first without a replay at open.
    pub(super) reported: bool,
}

/// No two living namespaces have the same inode number.
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

    /// All numbers, in ascending order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.inodes.keys().copied()
    }

    /// All cookies, in ascending order.
    pub(super) fn cookies(&self) -> Vec<u64> {
        let mut cookies: Vec<u64> = self.known.values().filter_map(|known| known.netns.cookie()).collect();
        cookies.sort_unstable();
        cookies
    }

    /// Adds a namespace. One that had its inode number before is gone.
    pub(super) fn add(&mut self, found: Found, mode: EmitMode, emit: &mut dyn FnMut(EventKind)) {
        let Found { netns, number, path, pid, again } = found;
        let before = self.known.get(&netns.ino()).copied();
        if before.is_none_or(|known| known.number != number) {
            // the number has a new meaning
            self.remove(number, emit);
        }
        let has_cookie = |known: &Known| netns.cookie().is_some() && netns.cookie() == known.netns.cookie();
        // a number belongs to one namespace, whose inode may be new with another stamp
        let is_it = |known: &Known| known.number == number || has_cookie(known) || again;
        let reported = mode != EmitMode::Silent;
        match before {
            // another mechanism may watch it now
            Some(known) if is_it(&known) => {
                let reported = known.reported || mode == EmitMode::Replayed;
                self.inodes.remove(&known.number);
                self.inodes.insert(number, netns.ino());
                self.known.insert(netns.ino(), Known { number, reported, ..known });
                if reported && !known.reported {
                    emit(EventKind::NetnsNew { netns: known.netns, path, pid });
                }
                return;
            }
            Some(known) => self.remove(known.number, emit),
            None => {}
        }
        self.known.insert(netns.ino(), Known { netns, number, reported });
        self.inodes.insert(number, netns.ino());
        if reported {
            emit(EventKind::NetnsNew { netns, path, pid });
        }
    }

    /// Emits those that have not been reported.
    pub(super) fn report_all(&mut self, emit: &mut dyn FnMut(EventKind)) {
        for known in self.known.values_mut().filter(|known| !known.reported) {
            known.reported = true;
            emit(EventKind::NetnsNew { netns: known.netns, path: None, pid: None });
        }
    }

    /// Removes the one with this number, which is gone.
    pub(super) fn remove(&mut self, number: Number, emit: &mut dyn FnMut(EventKind)) {
        let ino = self.inodes.remove(&number);
        if let Some(known) = ino.and_then(|ino| self.known.remove(&ino)).filter(|known| known.reported) {
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
        Found { ino: u64, cookie: u64, number: i32, mode: EmitMode, again: bool },
        Dead(i32),
        Resync,
    }

    fn fact() -> impl Strategy<Value = Fact> {
        let mode = prop::sample::select(vec![EmitMode::News, EmitMode::Replayed, EmitMode::Silent]);
        prop_oneof![
            (1..4u64, 0..5u64, 0..6i32, mode, any::<bool>())
                .prop_map(|(ino, cookie, number, mode, again)| { Fact::Found { ino, cookie, number, mode, again } }),
            (0..6i32).prop_map(Fact::Dead),
            Just(Fact::Resync),
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
                    Fact::Found { ino, cookie, number, mode, again } => {
                        let (netns, number) = (Netns::new(4, ino, cookie, 0), Number::new(0, number));
                        let again = again && state.get(ino).is_some_and(|known| known.netns.same(&netns));
                        let is_known = state.get(ino).is_some_and(|known| known.number == number);
                        state.add(Found { netns, number, path: None, pid: None, again }, mode, emit);
                        prop_assert!(state.get(ino).is_some_and(|known| is_known || known.netns.same(&netns)));
                    }
                    Fact::Dead(number) => {
                        state.remove(Number::new(0, number), emit);
                        prop_assert!(!state.numbers().any(|known| known == Number::new(0, number)));
                    }
                    Fact::Resync => {
                        state.report_all(emit);
                        prop_assert!(state.known.values().all(|known| known.reported));
                    }
                }
                for event in events {
                    match event {
                        EventKind::NetnsNew { netns, .. } => prop_assert!(believed.insert(netns)),
                        EventKind::NetnsDel(netns) => prop_assert!(believed.remove(&netns)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                let reported = state.known.values().filter(|known| known.reported).count();
                prop_assert_eq!(believed.len(), reported);
                prop_assert!(believed.iter().all(|netns| state.get(netns.ino()).is_some_and(|known| known.netns == *netns)));
                prop_assert_eq!(state.numbers().count(), state.len());
            }
        }
    }
}
