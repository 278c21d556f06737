//! The names that exist and what each refers to. Pure: it knows no descriptor and no clock.
//!
//! The roster is told what was seen and answers what that changed. Whatever it is told, in whatever order, the
//! changes it answers keep the grammar of events and add up to its state.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use crate::event::{EventKind, Name};
use crate::netns::Netns;

/// What a name is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    /// There, but not a network namespace that can be opened.
    Placeholder,
    Namespace(Netns),
}

/// A change of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) name: Name,
    pub(crate) from: State,
    pub(crate) to: State,
}

impl Transition {
    /// The fewest events that lead from one state to the other.
    pub(crate) fn tell(self, event: &mut dyn FnMut(EventKind)) {
        use State::{Absent, Namespace, Placeholder};
        let Self { name, from, to } = self;
        match (from, to) {
            (Absent, Absent) | (Placeholder, Placeholder) => {}
            (_, Absent) => event(EventKind::Deleted(name)),
            (Absent, Placeholder) => event(EventKind::Created(name)),
            (Namespace(_), Placeholder) => event(EventKind::Detached(name)),
            (Namespace(old), Namespace(new)) if old == new => {}
            (Absent, Namespace(netns)) => {
                event(EventKind::Created(name.clone()));
                event(EventKind::Ready(name, netns));
            }
            (_, Namespace(netns)) => event(EventKind::Ready(name, netns)),
        }
    }
}

/// What is known of one name.
///
/// The state is kept without a tag, by which of two maps the entry is in: with thousands of names this is what a
/// watcher takes of memory.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Of a name that waits it means nothing.
    netns: Netns,
    /// The look that saw it last.
    look: u32,
    /// The consumer has been told of it. Not so for what existed when a watcher without replay was opened.
    told: bool,
}

type Names = BTreeMap<Name, Entry>;

const NO_NETNS: Netns = Netns::new(0, 0, 0, 0);

/// Every name that exists, as far as it is known. Each is in one of the maps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    namespaces: Names,
    /// The placeholders.
    waiting: Names,
    look: u32,
}

impl Roster {
    /// Takes note of what was seen and is to be told; the change it makes to what the consumer believes, if any.
    pub(crate) fn observe(&mut self, name: &CStr, to: State) -> Option<Transition> {
        self.set(name, to, true)
    }

    /// Takes note that there is a name, whatever it is: the change, if it was not known. Costs one search.
    pub(crate) fn appear(&mut self, name: &CStr) -> Option<Transition> {
        if self.state(name) != State::Absent {
            return None;
        }
        let name = Name::new(name);
        self.insert(name.clone(), State::Placeholder, true);
        Some(Transition { name, from: State::Absent, to: State::Placeholder })
    }

    /// Takes note of what was seen, which is to be told only if it is a change: what was only assumed so far, and is
    /// found as it was, stays untold.
    pub(crate) fn review(&mut self, name: &CStr, to: State) -> Option<Transition> {
        let look = self.look;
        match self.entry_in(name, to) {
            Some(entry) => {
                entry.look = look;
                None
            }
            None => self.observe(name, to),
        }
    }

    /// Takes note of what is there, but does not tell it: it is told as new when it changes, or at the next look.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.set(name, state, false);
    }

    /// The entry of a name that is in this state.
    fn entry_in(&mut self, name: &CStr, state: State) -> Option<&mut Entry> {
        match state {
            State::Absent => None,
            State::Placeholder => self.waiting.get_mut(name),
            State::Namespace(netns) => self.namespaces.get_mut(name).filter(|entry| entry.netns == netns),
        }
    }

    fn set(&mut self, name: &CStr, to: State, told: bool) -> Option<Transition> {
        let look = self.look;
        if let Some(entry) = self.entry_in(name, to) {
            // what was told before need not be told again, and what is not to be told is not
            if entry.told || !told {
                (entry.look, entry.told) = (look, told);
                return None;
            }
        }
        let (name, from) = match self.remove(name) {
            Some((name, true, state)) => (name, state),
            Some((name, false, _)) => (name, State::Absent),
            None if to == State::Absent => return None,
            None => (Name::new(name), State::Absent),
        };
        if (from, to) == (State::Absent, State::Absent) {
            return None;
        }
        self.insert(name.clone(), to, told);
        Some(Transition { name, from, to })
    }

    /// Takes note of what a name is, whatever it was.
    pub(crate) fn put(&mut self, name: &Name, state: State) {
        self.remove(name.as_c_str());
        self.insert(name.clone(), state, true);
    }

    fn insert(&mut self, name: Name, state: State, told: bool) {
        let look = self.look;
        match state {
            State::Absent => {}
            State::Placeholder => drop(self.waiting.insert(name, Entry { netns: NO_NETNS, look, told })),
            State::Namespace(netns) => drop(self.namespaces.insert(name, Entry { netns, look, told })),
        }
    }

    /// Takes a name out: whether it was told, and what it was.
    fn remove(&mut self, name: &CStr) -> Option<(Name, bool, State)> {
        match self.waiting.remove_entry(name) {
            Some((name, entry)) => Some((name, entry.told, State::Placeholder)),
            None => self
                .namespaces
                .remove_entry(name)
                .map(|(name, entry)| (name, entry.told, State::Namespace(entry.netns))),
        }
    }

    /// Begins a look at everything that there is: what is not observed before [`Roster::end_look`] is gone.
    pub(crate) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
    }

    /// The names that the look did not see, as changes.
    pub(crate) fn end_look(&mut self) -> Vec<Transition> {
        let unseen = |(name, entry): (&Name, &Entry)| (entry.look != self.look).then(|| name.clone());
        // in the order of their names
        let mut gone = BTreeSet::new();
        gone.extend(self.namespaces.iter().chain(&self.waiting).filter_map(unseen));
        gone.iter().filter_map(|name| self.observe(name.as_c_str(), State::Absent)).collect()
    }

    pub(crate) fn state(&self, name: &CStr) -> State {
        match self.namespaces.get(name) {
            Some(entry) => State::Namespace(entry.netns),
            None if self.waiting.contains_key(name) => State::Placeholder,
            None => State::Absent,
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.namespaces.keys().chain(self.waiting.keys())
    }

    /// The names that are placeholders.
    pub(crate) fn waiting(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.waiting.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.namespaces.len() + self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
