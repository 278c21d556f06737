//! The names that exist and what each refers to. Pure: it knows no descriptor and no clock.
//!
//! The roster is told what was seen and answers what that changed. Whatever it is told, in whatever order, the
//! changes it answers keep the grammar of events and add up to its state.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use crate::event::{EventKind, Name, Netns};

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
    pub(crate) fn tell(self, mut event: impl FnMut(EventKind)) {
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

#[derive(Debug)]
struct Entry {
    state: State,
    /// The consumer has been told of it. Not so for what existed when a watcher without replay was opened.
    told: bool,
    /// The look that saw it last.
    look: u32,
}

/// Every name that exists, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    names: BTreeMap<Name, Entry>,
    /// The names in `names` that are placeholders.
    waiting: BTreeSet<Name>,
    look: u32,
}

impl Roster {
    /// Takes note of what was seen and is to be told; the change it makes to what the consumer believes, if any.
    pub(crate) fn observe(&mut self, name: &CStr, to: State) -> Option<Transition> {
        let transition = self.set(name, to, true)?;
        (transition.from != transition.to).then_some(transition)
    }

    /// Takes note of what was seen, which is to be told only if it is a change: what was only assumed so far, and is
    /// found as it was, stays untold.
    pub(crate) fn review(&mut self, name: &CStr, to: State) -> Option<Transition> {
        match self.names.get_mut(name) {
            Some(entry) if entry.state == to => {
                entry.look = self.look;
                None
            }
            _ => self.observe(name, to),
        }
    }

    /// Takes note of what is there, but does not tell it: it is told as new when it changes, or at the next look.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.set(name, state, false);
    }

    fn set(&mut self, name: &CStr, to: State, told: bool) -> Option<Transition> {
        let look = self.look;
        let Some((known, entry)) = self.names.get_key_value(name).map(|(name, entry)| (name.clone(), entry)) else {
            if to == State::Absent {
                return None;
            }
            let name = Name::new(name);
            if to == State::Placeholder {
                self.waiting.insert(name.clone());
            }
            self.names.insert(name.clone(), Entry { state: to, told, look });
            return Some(Transition { name, from: State::Absent, to });
        };
        let from = if entry.told { entry.state } else { State::Absent };
        let name = known;
        if to == State::Absent {
            self.names.remove(&name);
        } else if let Some(entry) = self.names.get_mut(&name) {
            *entry = Entry { state: to, told, look };
        }
        if to == State::Placeholder {
            self.waiting.insert(name.clone());
        } else {
            self.waiting.remove(&name);
        }
        Some(Transition { name, from, to })
    }

    /// Begins a look at everything that there is: what is not observed before [`Roster::end_look`] is gone.
    pub(crate) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
    }

    /// The names that the look did not see, as changes.
    pub(crate) fn end_look(&mut self) -> Vec<Transition> {
        let gone: Vec<Name> =
            self.names.iter().filter(|(_, entry)| entry.look != self.look).map(|(name, _)| name.clone()).collect();
        gone.iter().filter_map(|name| self.observe(name.as_c_str(), State::Absent)).collect()
    }

    pub(crate) fn state(&self, name: &CStr) -> State {
        self.names.get(name).map_or(State::Absent, |entry| entry.state)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.keys()
    }

    pub(crate) fn waiting(&self) -> &BTreeSet<Name> {
        &self.waiting
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests;
