//! The known assigned nsids. Pure: without descriptors and clock.
//!
//! [`State`] takes facts and emits the changes. For all facts in any order, the events follow the grammar, `( NsidNew
//! NsidDel )*` for each nsid, and applying them yields the state. The source decides whether a notification is still
//! true: it asks the kernel.

use std::collections::BTreeSet;
use std::fmt;

use crate::event::EventKind;

/// An nsid and its origin as one number: quick to compare and small to keep. The watcher's own sort first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(i64);

impl Id {
    /// `origin`: `None` is the watcher's own. (No nsid is negative.)
    pub(crate) fn new(origin: Option<i32>, nsid: i32) -> Self {
        Self((i64::from(origin.map_or(-1, |origin| origin.max(-1))) << 32) + i64::from(nsid))
    }

    pub(crate) fn own(nsid: i32) -> Self {
        Self::new(None, nsid)
    }

    pub(crate) fn origin(self) -> Option<i32> {
        let origin = ((self.0 - i64::from(self.nsid())) >> 32) as i32;
        (origin >= 0).then_some(origin)
    }

    pub(crate) fn nsid(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Id").field(&self.origin()).field(&self.nsid()).finish()
    }
}

/// The nsids in one namespace, as far as the kernel listed them.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    /// In ascending order.
    pub(crate) ids: Vec<i32>,
    /// There may be more after this one; `i32::MAX`: these are all.
    pub(crate) until: i32,
}

impl Ids {
    pub(crate) fn none() -> Self {
        Self { ids: Vec::new(), until: i32::MAX }
    }

    /// Whether these are all.
    pub(crate) fn is_complete(&self) -> bool {
        self.until == i32::MAX
    }

    /// Whether the nsid is among them; `None`: it is after the end of the list.
    pub(crate) fn has(&self, nsid: i32) -> Option<bool> {
        match self.ids.binary_search(&nsid) {
            Ok(_) => Some(true),
            Err(_) if nsid > self.until => None,
            Err(_) => Some(false),
        }
    }
}

/// All nsids, as the kernel listed them.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The nsids in the watcher's own namespace, in ascending order.
    pub(crate) own: Vec<i32>,
    /// The nsids in each listed peer, in ascending order. The state of other peers does not change.
    pub(crate) peers: Vec<(i32, Ids)>,
}

impl Snapshot {
    /// Whether the nsid is certainly missing.
    fn lacks(&self, id: Id) -> bool {
        match id.origin() {
            None => self.own.binary_search(&id.nsid()).is_err(),
            Some(origin) if self.own.binary_search(&origin).is_err() => true,
            Some(origin) => match self.peers.binary_search_by_key(&origin, |(peer, _)| *peer) {
                Ok(at) => self.peers.get(at).is_some_and(|(_, ids)| ids.has(id.nsid()) == Some(false)),
                Err(_) => false,
            },
        }
    }

    fn ids(&self) -> impl Iterator<Item = Id> {
        let own = self.own.iter().map(|nsid| Id::own(*nsid));
        let of = |(origin, ids): &(i32, Ids)| {
            let origin = Some(*origin);
            ids.ids.iter().map(|nsid| Id::new(origin, *nsid)).collect::<Vec<_>>()
        };
        own.chain(self.peers.iter().flat_map(of))
    }
}

/// Every known assigned nsid.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Those with an emitted `NsidNew`.
    reported: BTreeSet<Id>,
    /// The others: those that existed when a watcher without replay was opened.
    unreported: BTreeSet<Id>,
}

impl State {
    /// A namespace got the nsid. If another one had it before, that one is gone.
    pub(crate) fn assigned(&mut self, id: Id, portid: u32, emit: &mut dyn FnMut(EventKind)) {
        if self.reported.insert(id) {
            self.forget(id, emit);
        } else {
            self.gone(id, emit);
            self.reported.insert(id);
        }
        emit(EventKind::NsidNew { nsid: id.nsid(), origin: id.origin(), portid });
    }

    /// The nsid is no longer assigned. The nsids in its peer go with it, because the kernel notifies nothing of them
    /// again.
    pub(crate) fn gone(&mut self, id: Id, emit: &mut dyn FnMut(EventKind)) {
        self.forget(id, emit);
        if self.reported.remove(&id) {
            emit(EventKind::NsidDel { nsid: id.nsid(), origin: id.origin() });
        }
    }

    /// Forgets an unreported nsid, and drops the nsids in its peer.
    fn forget(&mut self, id: Id, emit: &mut dyn FnMut(EventKind)) {
        if id.origin().is_none() {
            self.drop_peer(id.nsid(), emit);
        }
        self.unreported.remove(&id);
    }

    /// Drops the nsids in this peer, of which the kernel notifies nothing more.
    pub(crate) fn drop_peer(&mut self, peer: i32, emit: &mut dyn FnMut(EventKind)) {
        // the nsids in peers come last
        if [&self.reported, &self.unreported].iter().all(|ids| ids.last().is_none_or(|id| id.origin().is_none())) {
            return;
        }
        for id in self.after(Id::new(Some(peer), i32::MIN)) {
            self.gone(id, emit);
        }
    }

    /// The nsid is assigned; emits it if it is not reported yet.
    pub(crate) fn present(&mut self, id: Id, emit: &mut dyn FnMut(EventKind)) {
        self.unreported.remove(&id);
        if self.reported.insert(id) {
            emit(EventKind::NsidNew { nsid: id.nsid(), origin: id.origin(), portid: 0 });
        }
    }

    /// The nsid is assigned; emits nothing. A later comparison can report it.
    pub(crate) fn add_silently(&mut self, id: Id) {
        if !self.reported.contains(&id) {
            self.unreported.insert(id);
        }
    }

    fn ids(&self) -> impl Iterator<Item = Id> {
        self.reported.iter().chain(&self.unreported).copied()
    }

    /// The nsids of the same origin from this one on.
    fn after(&self, first: Id) -> Vec<Id> {
        let last = Id::new(first.origin(), i32::MAX);
        let mut after = Vec::new();
        for ids in [&self.reported, &self.unreported] {
            after.extend(ids.range(first..=last));
        }
        after
    }

    /// Takes over a snapshot, except the nsids in `newer`, which were notified after it. `silently`: emits nothing for
    /// additions.
    pub(crate) fn compare(
        &mut self,
        snapshot: &Snapshot,
        newer: &BTreeSet<Id>,
        silently: bool,
        emit: &mut dyn FnMut(EventKind),
    ) {
        let is_newer =
            |id: &Id| newer.contains(id) || id.origin().is_some_and(|origin| newer.contains(&Id::own(origin)));
        let gone: Vec<Id> = self.ids().filter(|id| snapshot.lacks(*id) && !is_newer(id)).collect();
        for id in gone {
            self.gone(id, emit);
        }
        for id in snapshot.ids().filter(|id| !is_newer(id)) {
            if silently { self.add_silently(id) } else { self.present(id, emit) }
        }
    }

    /// Takes over the list of one peer, except the nsids in `newer`.
    pub(crate) fn compare_peer(&mut self, peer: i32, ids: &Ids, newer: &BTreeSet<Id>, emit: &mut dyn FnMut(EventKind)) {
        let id = |nsid| Id::new(Some(peer), nsid);
        for id in self.after(id(i32::MIN)) {
            if ids.has(id.nsid()) == Some(false) && !newer.contains(&id) {
                self.gone(id, emit);
            }
        }
        for id in ids.ids.iter().map(|nsid| id(*nsid)).filter(|id| !newer.contains(id)) {
            self.present(id, emit);
        }
    }

    /// The own nsids after this one.
    pub(crate) fn own_after(&self, nsid: i32) -> impl Iterator<Item = Id> {
        self.after(Id::own(nsid)).into_iter().filter(move |id| id.nsid() > nsid)
    }

    pub(crate) fn len(&self) -> usize {
        self.reported.len() + self.unreported.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Assigned(Id),
        Gone(Id),
        Present(Id),
        AddSilently(Id),
        DropPeer(i32),
        Compare(Vec<i32>, Vec<(i32, Vec<i32>, i32)>, Vec<Id>),
    }

    fn any_id() -> impl Strategy<Value = Id> {
        (prop::option::of(0..3i32), 0..4i32).prop_map(|(origin, nsid)| Id::new(origin, nsid))
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let ids = || prop::collection::vec(0..4i32, 0..4);
        prop_oneof![
            any_id().prop_map(Step::Assigned),
            any_id().prop_map(Step::Gone),
            any_id().prop_map(Step::Present),
            any_id().prop_map(Step::AddSilently),
            (0..3i32).prop_map(Step::DropPeer),
            (ids(), prop::collection::vec((0..3i32, ids(), 0..5i32), 0..3), prop::collection::vec(any_id(), 0..3))
                .prop_map(|(own, peers, newer)| Step::Compare(own, peers, newer)),
        ]
    }

    proptest! {
        #[test]
        fn an_id_keeps_what_it_is_made_of_and_its_order(
            a in (prop::option::of(0..=i32::MAX), any::<i32>()),
            b in (prop::option::of(0..=i32::MAX), any::<i32>()),
        ) {
            let [one, other] = [a, b].map(|(origin, nsid)| Id::new(origin, nsid));
            prop_assert_eq!((one.origin(), one.nsid()), a);
            prop_assert_eq!(one.cmp(&other), a.cmp(&b));
        }

        #[test]
        fn the_grammar_holds_and_the_events_add_up(steps in prop::collection::vec(any_step(), 0..60)) {
            let mut state = State::default();
            let mut believed = BTreeSet::new();
            let mut wrong = Vec::new();
            for step in steps {
                let mut emit = |event| {
                    let fine = match event {
                        EventKind::NsidNew { nsid, origin, .. } => believed.insert(Id::new(origin, nsid)),
                        EventKind::NsidDel { nsid, origin } => believed.remove(&Id::new(origin, nsid)),
                        _ => false,
                    };
                    if !fine {
                        wrong.push(event);
                    }
                };
                match step {
                    Step::Assigned(id) => state.assigned(id, 1, &mut emit),
                    Step::Gone(id) => state.gone(id, &mut emit),
                    Step::Present(id) => state.present(id, &mut emit),
                    Step::AddSilently(id) => state.add_silently(id),
                    Step::DropPeer(peer) => state.drop_peer(peer, &mut emit),
                    Step::Compare(own, peers, newer) => {
                        let ascending = |ids: Vec<i32>| ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
                        let own: Vec<i32> = ascending(own);
                        let peers: std::collections::BTreeMap<i32, Ids> = peers
                            .into_iter()
                            .filter(|(peer, ..)| own.contains(peer))
                            .map(|(peer, ids, until)| (peer, Ids { ids: ascending(ids), until }))
                            .collect();
                        let snapshot = Snapshot { own, peers: peers.into_iter().collect() };
                        let newer: BTreeSet<Id> = newer.into_iter().collect();
                        state.compare(&snapshot, &newer, false, &mut emit);
                        if newer.is_empty() {
                            let known: BTreeSet<Id> = state.ids().collect();
                            prop_assert!(snapshot.ids().all(|id| known.contains(&id)));
                            prop_assert!(!known.iter().any(|id| snapshot.lacks(*id)));
                        }
                    }
                }
            }
            prop_assert_eq!(wrong, vec![]);
            prop_assert_eq!(&believed, &state.reported);
            prop_assert!(state.reported.is_disjoint(&state.unreported));
        }
    }

    #[test]
    fn what_was_not_reported_is_not_reported_as_gone() {
        let mut state = State::default();
        let mut events = Vec::new();
        state.add_silently(Id::own(5));
        state.gone(Id::own(5), &mut |event| events.push(event));
        assert_eq!(events, vec![]);
    }

    #[test]
    fn a_reused_id_is_reported_as_gone_first() {
        let mut state = State::default();
        let mut events = Vec::new();
        let in_peer = Id::new(Some(5), 1);
        state.present(Id::own(5), &mut |event| events.push(event));
        state.present(in_peer, &mut |event| events.push(event));
        state.assigned(Id::own(5), 9, &mut |event| events.push(event));
        let new = |nsid, origin, portid| EventKind::NsidNew { nsid, origin, portid };
        let del = |nsid, origin| EventKind::NsidDel { nsid, origin };
        assert_eq!(events, [new(5, None, 0), new(1, Some(5), 0), del(1, Some(5)), del(5, None), new(5, None, 9)]);
    }
}
