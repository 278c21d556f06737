//! The existing names and the state of each. Pure: without descriptors and clock.
//!
//! It takes observations and returns the changes. For all observations in any order, the changes follow the grammar of
//! events and add up to its state.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use crate::event::{EventKind, Name};
use crate::netns::Netns;

/// The state of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    /// It exists, and is not a network namespace that can be opened.
    Placeholder,
    /// A symbolic link that must not be followed. For the consumer, a placeholder.
    Link,
    Namespace(Netns),
}

impl State {
    /// Whether the name is pending, as far as the consumer knows.
    pub(crate) fn is_pending(self) -> bool {
        matches!(self, Self::Placeholder | Self::Link)
    }
}

impl From<Option<Netns>> for State {
    /// The state of an existing name, by the namespace that a probe found.
    fn from(found: Option<Netns>) -> Self {
        found.map_or(Self::Placeholder, Self::Namespace)
    }
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
    #[inline(never)] // it is long, and used at many places
    pub(crate) fn emit(self, event: &mut dyn FnMut(EventKind)) {
        use State::{Absent, Link, Namespace, Placeholder};
        let Self { name, from, to } = self;
        match (from, to) {
            (Absent, Absent) | (Placeholder | Link, Placeholder | Link) => {}
            (_, Absent) => event(EventKind::Deleted(name)),
            (Absent, Placeholder | Link) => event(EventKind::Created(name)),
            (Namespace(_), Placeholder | Link) => event(EventKind::Detached(name)),
            (Namespace(old), Namespace(new)) if old == new => {}
            (Absent, Namespace(netns)) => {
                event(EventKind::Created(name.clone()));
                event(EventKind::Ready(name, netns));
            }
            (_, Namespace(netns)) => event(EventKind::Ready(name, netns)),
        }
    }
}

/// The record of a name.
///
/// The map of an entry implies its state: for thousands of names, this saves most of the memory.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Meaningless for a name that is not a namespace.
    netns: Netns,
    /// The last scan that found it.
    scan: u32,
    /// The consumer has got it. Not so for names that existed when a watcher without replay was opened.
    reported: bool,
}

type Entries = BTreeMap<Name, Entry>;

const NO_NETNS: Netns = Netns::new(0, 0, 0, 0);

/// Every known existing name, each in one of the maps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    namespaces: Entries,
    /// The placeholders.
    pending: Entries,
    /// The links that must not be followed. A change of a mount does not probe them.
    links: Entries,
    scan: u32,
    /// The number of names that the scan has not found yet.
    unseen: usize,
}

impl Names {
    /// Notes an observation, to be reported. Returns the change of the consumer's state, if any.
    pub(crate) fn observe(&mut self, name: &CStr, to: State) -> Option<Transition> {
        self.set(name, to, true)
    }

    /// Notes that a name exists in some state. Returns the change, if the name was unknown.
    pub(crate) fn appear(&mut self, name: &CStr) -> Option<Transition> {
        if self.namespaces.contains_key(name) || self.links.contains_key(name) {
            return None;
        }
        let name = Name::new(name);
        let Vacant(place) = self.pending.entry(name.clone()) else { return None };
        place.insert(Entry { netns: NO_NETNS, scan: self.scan, reported: true });
        Some(Transition { name, from: State::Absent, to: State::Placeholder })
    }

    /// Notes an observation, to be reported only if it is a change: an assumed name in an unchanged state stays
    /// unreported.
    pub(crate) fn review(&mut self, name: &CStr, to: State) -> Option<Transition> {
        let scan = self.scan;
        match self.entry_in(name, to) {
            Some(entry) => {
                let before = std::mem::replace(&mut entry.scan, scan);
                self.saw(before);
                None
            }
            None => self.observe(name, to),
        }
    }

    /// Counts a name that was found, or goes, and that a scan found last.
    fn saw(&mut self, scan: u32) {
        self.unseen = self.unseen.saturating_sub((scan != self.scan).into());
    }

    /// Notes an existing name without reporting it: its next change, or the next scan, reports it as new.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.set(name, state, false);
    }

    /// The entry of a name in this state.
    fn entry_in(&mut self, name: &CStr, state: State) -> Option<&mut Entry> {
        match state {
            State::Absent => None,
            State::Placeholder => self.pending.get_mut(name),
            State::Link => self.links.get_mut(name),
            State::Namespace(netns) => self.namespaces.get_mut(name).filter(|entry| entry.netns == netns),
        }
    }

    fn set(&mut self, name: &CStr, to: State, reported: bool) -> Option<Transition> {
        let scan = self.scan;
        if let Some(entry) = self.entry_in(name, to) {
            // an already reported name is not reported again, nor one that is not to be reported
            if entry.reported || !reported {
                entry.reported = reported;
                let before = std::mem::replace(&mut entry.scan, scan);
                self.saw(before);
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
        self.insert(name.clone(), to, reported);
        Some(Transition { name, from, to })
    }

    /// Sets the state of a name.
    pub(crate) fn put(&mut self, name: &Name, state: State) {
        self.remove(name.as_c_str());
        self.insert(name.clone(), state, true);
    }

    fn insert(&mut self, name: Name, state: State, reported: bool) {
        let scan = self.scan;
        let (entries, netns) = match state {
            State::Absent => return,
            State::Placeholder => (&mut self.pending, NO_NETNS),
            State::Link => (&mut self.links, NO_NETNS),
            State::Namespace(netns) => (&mut self.namespaces, netns),
        };
        entries.insert(name, Entry { netns, scan, reported });
    }

    /// Removes a name. Returns whether it was reported, and its state. Names that come and go are mostly pending.
    fn remove(&mut self, name: &CStr) -> Option<(Name, bool, State)> {
        let (name, entry, state) = if let Some((name, entry)) = self.pending.remove_entry(name) {
            (name, entry, State::Placeholder)
        } else if let Some((name, entry)) = self.namespaces.remove_entry(name) {
            let state = State::Namespace(entry.netns);
            (name, entry, state)
        } else {
            let (name, entry) = self.links.remove_entry(name)?;
            (name, entry, State::Link)
        };
        self.saw(entry.scan);
        Some((name, entry.reported, state))
    }

    /// Begins a scan of the directory: names not observed before [`Names::end_scan`] are gone.
    pub(crate) fn begin_scan(&mut self) {
        (self.scan, self.unseen) = (self.scan.wrapping_add(1), self.len());
    }

    /// Whether the scan has found every known name.
    pub(crate) fn are_all_seen(&self) -> bool {
        self.unseen == 0
    }

    /// Removes the names that the scan did not find, and returns the changes.
    pub(crate) fn end_scan(&mut self) -> Vec<Transition> {
        let missing = |(name, entry): (&Name, &Entry)| (entry.scan != self.scan).then(|| name.clone());
        // in the order of the names
        let mut gone = BTreeSet::new();
        gone.extend(self.namespaces.iter().chain(&self.pending).chain(&self.links).filter_map(missing));
        gone.iter().filter_map(|name| self.observe(name.as_c_str(), State::Absent)).collect()
    }

    pub(crate) fn state(&self, name: &CStr) -> State {
        match self.namespaces.get(name) {
            Some(entry) => State::Namespace(entry.netns),
            None if self.pending.contains_key(name) => State::Placeholder,
            None if self.links.contains_key(name) => State::Link,
            None => State::Absent,
        }
    }

    /// The names that are namespaces, or may become so without notice.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.namespaces.keys().chain(self.pending.keys())
    }

    /// The names that are placeholders.
    pub(crate) fn pending(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.pending.keys()
    }

    /// The number of pending names, as far as the consumer knows.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len() + self.links.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.namespaces.len() + self.pending_len()
    }
}

#[cfg(test)]
mod tests;
