//! The mounts that came and went, if the kernel only reports that some did: compares the present list with the last
//! one.
//!
//! The kernel lists mount ids in one call (Linux 6.8, no privilege), so a change requires a probe of what has changed,
//! not of every name. A moved mount keeps its id: the lists do not show it.

use crate::mounts::Change;
use crate::sys;

#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The mounts at the last comparison; `None`: unknown.
    mounts: Option<Vec<u64>>,
    /// Mounts that probes have found since: one may be gone at the next comparison, and both lists lack it.
    seen: Vec<u64>,
}

impl Listing {
    /// Starts again with the present mounts.
    pub(crate) fn renew(&mut self) {
        *self = Self { mounts: sys::list_mounts().ok(), seen: Vec::new() };
    }

    pub(crate) fn is_known(&self) -> bool {
        self.mounts.is_some()
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A probe has found this mount.
    pub(crate) fn saw(&mut self, mount_id: u64) {
        if self.mounts.as_ref().is_some_and(|mounts| mounts.binary_search(&mount_id).is_err()) {
            self.seen.push(mount_id);
        }
    }

    /// The changes since the last comparison; `None`: unknown.
    pub(crate) fn changes(&mut self) -> Option<Vec<Change>> {
        let before = std::mem::take(self);
        self.renew();
        let now = self.mounts.as_ref()?;
        let mut changes = difference(&before.mounts?, now);
        let gone = before.seen.iter().filter(|id| now.binary_search(id).is_err());
        changes.extend(gone.map(|id| Change::Detached(*id)));
        Some(changes)
    }
}

/// The changes from one ascending list to another.
fn difference(before: &[u64], now: &[u64]) -> Vec<Change> {
    let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
    std::iter::from_fn(|| {
        loop {
            let is_old = match (before.peek(), now.peek()) {
                (None, None) => return None,
                (Some(old), Some(new)) if old == new => {
                    before.next();
                    now.next();
                    continue;
                }
                (Some(old), Some(new)) => old < new,
                (old, _) => old.is_some(),
            };
            return match is_old {
                true => before.next().copied().map(Change::Detached),
                false => now.next().copied().map(Change::Attached),
            };
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_difference_leads_from_one_list_to_the_other(
            before in prop::collection::btree_set(0..40u64, 0..30),
            now in prop::collection::btree_set(0..40u64, 0..30),
        ) {
            let list = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
            let changes = difference(&list(&before), &list(&now));
            let attached = now.difference(&before).map(|id| Change::Attached(*id));
            let detached = before.difference(&now).map(|id| Change::Detached(*id));
            prop_assert_eq!(changes.len(), attached.clone().count() + detached.clone().count());
            for change in attached.chain(detached) {
                prop_assert!(changes.contains(&change));
            }
        }
    }
}
