//! Unfinished work. It stays due until it is done: an error loses nothing. Pure.

use std::collections::BTreeSet;
use std::ffi::CStr;

use crate::event::Name;

/// The maximum number of vacated names that are probed one by one; beyond it, a scan is due.
const VACATED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Due {
    /// The path may lead elsewhere.
    pub(crate) resolve: bool,
    /// Compare the names with the directory, and emit the differences in this mode.
    pub(crate) scan: Option<EmitMode>,
    /// The caller has requested it: it does not wait for the pace of probes.
    pub(crate) asked: bool,
    /// Probe no names until that is done.
    pub(crate) denied: bool,
    /// Emit `Synced` when all that is done.
    pub(crate) synced: bool,
    /// Until the queue is read to its end, a name that it reports as deleted may exist again.
    pub(crate) stale_deletes: bool,
    /// Names that something was moved away from, to probe for a replacement: when two names change places, inotify
    /// reports each as the target of one move and then as the source of the other.
    pub(crate) vacated: BTreeSet<Name>,
    /// Names that did not fit.
    pub(crate) left_out: LeftOut,
    /// Report to the consumer that names were left out.
    pub(crate) too_many: bool,
}

/// How to emit the differences that a scan finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmitMode {
    /// As replayed events.
    Replayed,
    /// As changes: the directory has just appeared.
    News,
    /// As changes, without names that were not to be reported and have not changed.
    Changes,
    /// Not at all.
    Silent,
}

impl Due {
    pub(crate) fn at_open(synced: bool) -> Self {
        Self { synced, ..Self::default() }
    }

    /// Plans everything: the kernel has lost an unknown number of notices.
    pub(crate) fn everything(&mut self) {
        (self.resolve, self.scan, self.synced) = (true, Some(EmitMode::Replayed), true);
    }

    /// Whether a resolution of the path or a scan is due.
    pub(crate) fn is_to_look(&self) -> bool {
        self.resolve || self.scan.is_some()
    }

    /// Something was moved away from this name.
    pub(crate) fn vacate(&mut self, name: &CStr) {
        self.vacated.insert(Name::new(name));
        if self.vacated.len() > VACATED {
            // bounds the memory while they cannot be probed
            self.vacated.clear();
            self.scan.get_or_insert(EmitMode::Changes);
        }
    }
}

/// Names beyond the limit of names.
///
/// It keeps enough of them that most fill free room without a scan: a scan is due once per [`WAITING`] of them.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    names: BTreeSet<Name>,
    /// There are more, which only a scan finds.
    more: bool,
    /// It has been reported, or is about to be, that names are left out.
    reported: bool,
}

/// The maximum number of left-out names that are kept.
const WAITING: usize = 1024;

impl LeftOut {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.more
    }

    /// Whether only a scan finds some of them.
    pub(crate) fn is_more(&self) -> bool {
        self.more
    }

    /// This name did not fit.
    pub(crate) fn add(&mut self, name: &CStr) {
        if self.names.len() < WAITING {
            self.names.insert(Name::new(name));
        } else {
            self.more |= !self.names.contains(name);
        }
    }

    /// The name is gone.
    pub(crate) fn forget(&mut self, name: &CStr) {
        self.names.remove(name);
    }

    /// Discards all: a scan finds them again.
    pub(crate) fn begin_scan(&mut self) {
        self.names.clear();
        self.more = false;
    }

    /// Whether filling this much room requires a scan.
    pub(crate) fn needs_scan(&self, room: usize) -> bool {
        self.more && room > self.names.len()
    }

    /// Takes names to fill this much room.
    pub(crate) fn take(&mut self, room: usize) -> impl Iterator<Item = Name> {
        std::iter::from_fn(|| self.names.pop_first()).take(room)
    }

    /// Whether names have been left out since the last call, at which none were.
    pub(crate) fn is_crossed(&mut self) -> bool {
        let over = !self.is_empty();
        !std::mem::replace(&mut self.reported, over) && over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vacated_names_are_kept_to_a_bound() {
        let mut due = Due::default();
        let name = |i: usize| std::ffi::CString::new(i.to_string()).unwrap();
        (0..VACATED).for_each(|i| due.vacate(&name(i)));
        assert_eq!((due.vacated.len(), due.scan), (VACATED, None));
        due.vacate(&name(VACATED));
        assert_eq!((due.vacated.len(), due.scan), (0, Some(EmitMode::Changes)));
    }

    #[test]
    fn names_that_are_left_out_are_kept_to_a_bound_and_follow_before_a_scan() {
        let mut left_out = LeftOut::default();
        let name = |i: usize| std::ffi::CString::new(i.to_string()).unwrap();
        assert!(left_out.is_empty() && !left_out.is_crossed());
        (0..WAITING).for_each(|i| left_out.add(&name(i)));
        assert!(left_out.is_crossed() && !left_out.is_crossed());
        left_out.add(&name(0));
        assert!(!left_out.needs_scan(WAITING + 1), "none more");
        left_out.add(&name(WAITING));
        assert_eq!((left_out.names.len(), left_out.more), (WAITING, true));
        left_out.forget(&name(7));
        assert_eq!(left_out.take(WAITING - 1).count(), WAITING - 1);
        assert!(!left_out.needs_scan(0) && left_out.needs_scan(1) && !left_out.is_crossed());
        left_out.begin_scan();
        assert!(left_out.is_empty() && !left_out.is_crossed());
        left_out.add(&name(1));
        assert!(left_out.is_crossed());
    }
}
