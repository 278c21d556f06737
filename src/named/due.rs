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
    /// When all that is done, `Synced` is to be emitted.
    pub(crate) synced: bool,
    /// Until the queue has been read to its end, a name that it reports as deleted may exist again.
    pub(crate) stale_deletes: bool,
    /// Names that something was moved away from, to be probed for something else: when two names change places, inotify
    /// reports each as the target of one move and then as the source of the other.
    pub(crate) vacated: BTreeSet<Name>,
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
}
