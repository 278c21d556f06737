//! The state of a consumer that applies the events. Pure.
//!
//! Two states, the consumer's and the kernel's, give the events that lead from one to the other. So the queue recovers
//! from events that it had no room for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::event::{EventKind, Name};
use crate::named::{Names, State, Transition};
use crate::netns::Netns;
use crate::nsid::Id;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerState {
    /// `None`: not reported yet.
    directory: Option<bool>,
    names: Names,
    nsids: BTreeSet<Id>,
    /// Each with its reported path and pid.
    netns: BTreeMap<Netns, (Option<Arc<Path>>, Option<i32>)>,
}

impl ConsumerState {
    pub(crate) fn add(&mut self, event: &EventKind) {
        match event {
            EventKind::Created(name) | EventKind::Detached(name) => {
                self.names.put(name, State::Placeholder);
            }
            EventKind::Ready(name, netns) => {
                self.names.put(name, State::Namespace(*netns));
            }
            EventKind::Deleted(name) => {
                self.names.put(name, State::Absent);
            }
            EventKind::DirCreated => self.directory = Some(true),
            EventKind::DirDeleted => self.directory = Some(false),
            EventKind::NsidNew { nsid, origin, .. } => {
                self.nsids.insert(Id::new(*origin, *nsid));
            }
            EventKind::NsidDel { nsid, origin } => {
                self.nsids.remove(&Id::new(*origin, *nsid));
            }
            EventKind::NetnsNew { netns, path, pid } => {
                self.netns.insert(*netns, (path.clone(), *pid));
            }
            EventKind::NetnsDel(netns) => {
                self.netns.remove(netns);
            }
            EventKind::Synced | EventKind::Overflow { .. } => {}
        }
    }

    /// Emits the fewest events that lead from this state to a later one, in an order that the grammar permits.
    pub(crate) fn lead_to(&self, other: &Self, event: &mut dyn FnMut(EventKind)) {
        let change = |name: &Name| {
            let state = |side: &Self| side.names.state(name.as_c_str());
            Transition { name: name.clone(), from: state(self), to: state(other) }
        };
        self.names.names().for_each(|name| change(name).emit(event));
        match other.directory {
            now if now == self.directory => {}
            // reported even if never reported as existing: it ends the watch
            Some(false) => event(EventKind::DirDeleted),
            Some(true) => event(EventKind::DirCreated),
            None => {}
        }
        other.names.names().map(change).filter(|change| change.from == State::Absent).for_each(|new| new.emit(event));
        for id in self.nsids.iter().filter(|id| !other.nsids.contains(id)) {
            event(EventKind::NsidDel { nsid: id.nsid(), origin: id.origin() });
        }
        for id in other.nsids.iter().filter(|id| !self.nsids.contains(id)) {
            event(EventKind::NsidNew { nsid: id.nsid(), origin: id.origin(), portid: 0 });
        }
        for netns in self.netns.keys().filter(|netns| !other.netns.contains_key(netns)) {
            event(EventKind::NetnsDel(*netns));
        }
        for (netns, (path, pid)) in other.netns.iter().filter(|(netns, _)| !self.netns.contains_key(netns)) {
            event(EventKind::NetnsNew { netns: *netns, path: path.clone(), pid: *pid });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = EventKind> {
        let name = || prop::sample::select(vec![c"a", c"b", c"c"]).prop_map(Name::new);
        let netns = (1..3u64).prop_map(|cookie| Netns::new(4, 7, cookie, 0));
        let origin = || prop::option::of(0..2i32);
        prop_oneof![
            name().prop_map(EventKind::Created),
            (name(), netns).prop_map(|(name, netns)| EventKind::Ready(name, netns)),
            name().prop_map(EventKind::Detached),
            name().prop_map(EventKind::Deleted),
            Just(EventKind::DirCreated),
            Just(EventKind::DirDeleted),
            (0..3i32, origin()).prop_map(|(nsid, origin)| EventKind::NsidNew { nsid, origin, portid: 0 }),
            (0..3i32, origin()).prop_map(|(nsid, origin)| EventKind::NsidDel { nsid, origin }),
            (1..4u64).prop_map(|cookie| EventKind::NetnsNew {
                netns: Netns::new(4, 7, cookie, 0),
                path: None,
                pid: None
            }),
            (1..4u64).prop_map(|cookie| EventKind::NetnsDel(Netns::new(4, 7, cookie, 0))),
        ]
    }

    fn state(events: &[EventKind]) -> ConsumerState {
        let mut state = ConsumerState::default();
        events.iter().for_each(|event| state.add(event));
        state
    }

    proptest! {
        #[test]
        fn what_leads_there_gets_there(
            before in prop::collection::vec(event(), 0..20),
            after in prop::collection::vec(event(), 0..20),
        ) {
            let mut consumer = state(&before);
            let truth = state(&[before, after].concat());
            let mut events = Vec::new();
            consumer.lead_to(&truth, &mut |event| events.push(event));
            events.iter().for_each(|event| consumer.add(event));
            prop_assert_eq!(&consumer, &truth);
            consumer.lead_to(&truth, &mut |event| panic!("needless {event:?}"));
        }
    }
}
