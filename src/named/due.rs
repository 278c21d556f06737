//! Work that is left to do. It stays due until it is done: an error on the way loses nothing. Pure.

use std::collections::BTreeSet;
use std::ffi::CStr;

use crate::event::Name;

/// How many vacated names are probed one by one; beyond that a scan does it.
const VACATED: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Due {
    /// The path may lead elsewhere.
    pub(crate) resolve: bool,
    /// The names are to be compared with the directory, and the differences emitted in this mode.
    pub(crate) scan: Option<EmitMode>,
    /// The caller asked for that: it does not wait for the pace of looks.
    pub(crate) asked: bool,
    /// Names may not be looked at until that is done.
    pub(crate) denied: bool,
    /// When all that is done, `Synced` is to be emitted.
    pub(crate) synced: bool,
    /// Until the queue has been read to its end, a name that it reports as deleted may exist again.
    pub(crate) stale_deletes: bool,
    /// Names that something was moved away from, to be probed for something else: when two names change places, inotify
    /// reports each as the target of one move and then as the source of the other.
    pub(crate) vacated: BTreeSet<Name>,
    /// Names that there was no room for.
    pub(crate) left_out: LeftOut,
    /// The consumer is to learn that names were left out.
    pub(crate) too_many: bool,
}

/// How the differences that a scan finds are emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmitMode {
    /// As existing state.
    Replayed,
    /// As news: the directory has just come.
    News,
    /// As news, and only what has changed: what was not to be reported is not reported now.
    Changes,
    /// Not at all.
    Silent,
}

impl Due {
    pub(crate) fn at_open(synced: bool) -> Self {
        Self { synced, ..Self::default() }
    }

    /// The kernel has lost notices, nobody knows how many.
    pub(crate) fn everything(&mut self) {
        (self.resolve, self.scan, self.synced) = (true, Some(EmitMode::Replayed), true);
    }

    /// Whether to find out where the path leads, or what is there.
    pub(crate) fn is_to_look(&self) -> bool {
        self.resolve || self.scan.is_some()
    }

    /// Something was moved away from this name.
    pub(crate) fn vacate(&mut self, name: &CStr) {
        self.vacated.insert(Name::new(name));
        if self.vacated.len() > VACATED {
            // while they cannot be probed, they use no more memory than that
            self.vacated.clear();
            self.scan.get_or_insert(EmitMode::Changes);
        }
    }
}

/// Names that exist beyond the limit of names.
///
/// So many of them are kept that most that follow when there is room do so without a scan: a scan is due once for each
/// [`WAITING`] of them.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    names: BTreeSet<Name>,
    /// There are more, which only a scan finds.
    more: bool,
    /// The consumer knows, or is about to learn, that names are left out.
    reported: bool,
}

/// How many names that were left out are kept.
const WAITING: usize = 1024;

impl LeftOut {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.more
    }

    /// Whether some are known by a scan only.
    pub(crate) fn is_more(&self) -> bool {
        self.more
    }

    /// There was no room for this name.
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

    /// A scan finds all of them anew.
    pub(crate) fn begin_scan(&mut self) {
        self.names.clear();
        self.more = false;
    }

    /// Whether it takes a scan to fill so much room.
    pub(crate) fn needs_scan(&self, room: usize) -> bool {
        self.more && room > self.names.len()
    }

    /// Takes names for so much room.
    pub(crate) fn take(&mut self, room: usize) -> impl Iterator<Item = Name> {
        std::iter::from_fn(|| self.names.pop_first()).take(room)
    }

    /// Whether names are left out since this was last asked, where none were then.
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
