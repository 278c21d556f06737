//! The ids that are assigned, as far as it is known. Pure: it knows no descriptor and no clock.
//!
//! The roster is told what was seen and tells what that changed. Whatever it is told, in whatever order, what it
//! tells keeps the grammar, `( NsidNew NsidDel )*` for each id, and adds up to its state. Whether a notification is
//! still true is not for it to know: its owner asks the kernel.

use std::collections::BTreeSet;
use std::fmt;

use crate::event::EventKind;

/// An id and the namespace that it is relative to, as one number: quick to compare, and small to keep. The watcher's own
/// sort first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(i64);

impl Id {
    /// `origin`: `None` is the watcher's own. (No namespace has a negative id.)
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

/// The ids in one namespace, as far as they could be seen.
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

    /// Whether the id is there; `None`: it could not be seen.
    pub(crate) fn has(&self, nsid: i32) -> Option<bool> {
        match self.ids.binary_search(&nsid) {
            Ok(_) => Some(true),
            Err(_) if nsid > self.until => None,
            Err(_) => Some(false),
        }
    }
}

/// What a look at everything saw.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The ids in the watcher's own namespace, in ascending order.
    pub(crate) own: Vec<i32>,
    /// The ids in each peer that could be looked at, in ascending order. What is believed of what was not seen is kept.
    pub(crate) peers: Vec<(i32, Ids)>,
}

impl Snapshot {
    /// The id is certain not to be there.
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

/// Every id that is assigned, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Those that the consumer has been told of.
    told: BTreeSet<Id>,
    /// The others: what existed when a watcher without replay was opened.
    assumed: BTreeSet<Id>,
}

impl Roster {
    /// A namespace got the id. If another had it before, that one is gone.
    pub(crate) fn assigned(&mut self, id: Id, portid: u32, tell: &mut dyn FnMut(EventKind)) {
        if self.told.insert(id) {
            self.forget_around(id, tell);
        } else {
            self.gone(id, tell);
            self.told.insert(id);
        }
        tell(EventKind::NsidNew { nsid: id.nsid(), origin: id.origin(), portid });
    }

    /// The id is not assigned any more. With a peer go the ids in it: nothing can be heard of them again.
    pub(crate) fn gone(&mut self, id: Id, tell: &mut dyn FnMut(EventKind)) {
        self.forget_around(id, tell);
        if self.told.remove(&id) {
            tell(EventKind::NsidDel { nsid: id.nsid(), origin: id.origin() });
        }
    }

    /// What was known of an id, and of those in the peer that had it, but for that it was told.
    fn forget_around(&mut self, id: Id, tell: &mut dyn FnMut(EventKind)) {
        if id.origin().is_none() {
            self.unheard(id.nsid(), tell);
        }
        self.assumed.remove(&id);
    }

    /// Nothing can be heard any more of the ids in this peer.
    pub(crate) fn unheard(&mut self, peer: i32, tell: &mut dyn FnMut(EventKind)) {
        // the ids in peers come last
        if [&self.told, &self.assumed].iter().all(|ids| ids.last().is_none_or(|id| id.origin().is_none())) {
            return;
        }
        for id in self.after(Id::new(Some(peer), i32::MIN)) {
            self.gone(id, tell);
        }
    }

    /// The id is assigned; told if it has not been.
    pub(crate) fn present(&mut self, id: Id, tell: &mut dyn FnMut(EventKind)) {
        self.assumed.remove(&id);
        if self.told.insert(id) {
            tell(EventKind::NsidNew { nsid: id.nsid(), origin: id.origin(), portid: 0 });
        }
    }

    /// The id is assigned, but that is not told: not before a look tells it.
    pub(crate) fn assume(&mut self, id: Id) {
        if !self.told.contains(&id) {
            self.assumed.insert(id);
        }
    }

    fn ids(&self) -> impl Iterator<Item = Id> {
        self.told.iter().chain(&self.assumed).copied()
    }

    /// The ids of the same origin that are not less than this one.
    fn after(&self, first: Id) -> Vec<Id> {
        let last = Id::new(first.origin(), i32::MAX);
        let mut after = Vec::new();
        for ids in [&self.told, &self.assumed] {
            after.extend(ids.range(first..=last));
        }
        after
    }

    /// Takes over what a look saw, except for the ids in `newer`, of which something newer is known. `silently`:
    /// what is there is assumed.
    pub(crate) fn compare(
        &mut self,
        seen: &Snapshot,
        newer: &BTreeSet<Id>,
        silently: bool,
        tell: &mut dyn FnMut(EventKind),
    ) {
        let is_newer =
            |id: &Id| newer.contains(id) || id.origin().is_some_and(|origin| newer.contains(&Id::own(origin)));
        let gone: Vec<Id> = self.ids().filter(|id| seen.lacks(*id) && !is_newer(id)).collect();
        for id in gone {
            self.gone(id, tell);
        }
        for id in seen.ids().filter(|id| !is_newer(id)) {
            if silently { self.assume(id) } else { self.present(id, tell) }
        }
    }

    /// Takes over what a look at one peer saw, except for the ids in `newer`.
    pub(crate) fn compare_peer(&mut self, peer: i32, ids: &Ids, newer: &BTreeSet<Id>, tell: &mut dyn FnMut(EventKind)) {
        let id = |nsid| Id::new(Some(peer), nsid);
        for id in self.after(id(i32::MIN)) {
            if ids.has(id.nsid()) == Some(false) && !newer.contains(&id) {
                self.gone(id, tell);
            }
        }
        for id in ids.ids.iter().map(|nsid| id(*nsid)).filter(|id| !newer.contains(id)) {
            self.present(id, tell);
        }
    }

    /// The ids in the own namespace that come after this one.
    pub(crate) fn own_after(&self, nsid: i32) -> impl Iterator<Item = Id> {
        self.after(Id::own(nsid)).into_iter().filter(move |id| id.nsid() > nsid)
    }

    pub(crate) fn len(&self) -> usize {
        self.told.len() + self.assumed.len()
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
        Assume(Id),
        Unheard(i32),
        Look(Vec<i32>, Vec<(i32, Vec<i32>, i32)>, Vec<Id>),
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
            any_id().prop_map(Step::Assume),
            (0..3i32).prop_map(Step::Unheard),
            (ids(), prop::collection::vec((0..3i32, ids(), 0..5i32), 0..3), prop::collection::vec(any_id(), 0..3))
                .prop_map(|(own, peers, newer)| Step::Look(own, peers, newer)),
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
            let mut roster = Roster::default();
            let mut believed = BTreeSet::new();
            let mut wrong = Vec::new();
            for step in steps {
                let mut tell = |event| {
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
                    Step::Assigned(id) => roster.assigned(id, 1, &mut tell),
                    Step::Gone(id) => roster.gone(id, &mut tell),
                    Step::Present(id) => roster.present(id, &mut tell),
                    Step::Assume(id) => roster.assume(id),
                    Step::Unheard(peer) => roster.unheard(peer, &mut tell),
                    Step::Look(own, peers, newer) => {
                        let ascending = |ids: Vec<i32>| ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
                        let own: Vec<i32> = ascending(own);
                        let peers: std::collections::BTreeMap<i32, Ids> = peers
                            .into_iter()
                            .filter(|(peer, ..)| own.contains(peer))
                            .map(|(peer, ids, until)| (peer, Ids { ids: ascending(ids), until }))
                            .collect();
                        let seen = Snapshot { own, peers: peers.into_iter().collect() };
                        let newer: BTreeSet<Id> = newer.into_iter().collect();
                        roster.compare(&seen, &newer, false, &mut tell);
                        if newer.is_empty() {
                            let known: BTreeSet<Id> = roster.ids().collect();
                            prop_assert!(seen.ids().all(|id| known.contains(&id)));
                            prop_assert!(!known.iter().any(|id| seen.lacks(*id)));
                        }
                    }
                }
            }
            prop_assert_eq!(wrong, vec![]);
            prop_assert_eq!(&believed, &roster.told);
            prop_assert!(roster.told.is_disjoint(&roster.assumed));
        }
    }

    #[test]
    fn what_was_not_told_is_not_told_as_gone() {
        let mut roster = Roster::default();
        let mut told = Vec::new();
        roster.assume(Id::own(5));
        roster.gone(Id::own(5), &mut |event| told.push(event));
        assert_eq!(told, vec![]);
    }

    #[test]
    fn an_id_given_again_is_told_as_gone_first() {
        let mut roster = Roster::default();
        let mut told = Vec::new();
        let in_peer = Id::new(Some(5), 1);
        roster.present(Id::own(5), &mut |event| told.push(event));
        roster.present(in_peer, &mut |event| told.push(event));
        roster.assigned(Id::own(5), 9, &mut |event| told.push(event));
        let new = |nsid, origin, portid| EventKind::NsidNew { nsid, origin, portid };
        let del = |nsid, origin| EventKind::NsidDel { nsid, origin };
        assert_eq!(told, [new(5, None, 0), new(1, Some(5), 0), del(1, Some(5)), del(5, None), new(5, None, 9)]);
    }
}
