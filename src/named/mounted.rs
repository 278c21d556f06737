//! Which names end on which mount, so that a mount that goes can be traced to its names. Pure.
//!
//! It may name too many: it does not note that a name ends elsewhere by now. The caller probes each anyway.

use std::collections::BTreeSet;
use std::ffi::CStr;

use crate::event::Name;

/// How much may be stale at any rate.
const SLACK: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Mounted(BTreeSet<(u64, Name)>);

impl Mounted {
    /// Notes the mount that a name ends on now.
    pub(crate) fn note(&mut self, name: &CStr, mount_id: u64) {
        self.0.insert((mount_id, Name::new(name)));
    }

    /// The names that end on this mount: several where symbolic links lead to it.
    pub(crate) fn names_on(&self, mount_id: u64) -> Vec<Name> {
        let first = (mount_id, Name::new(c""));
        self.0.range(first..).take_while(|(id, _)| *id == mount_id).map(|(_, name)| name.clone()).collect()
    }

    /// Forgets what was on a mount that was taken away: those names are to be probed, and noted anew.
    pub(crate) fn gone(&mut self, mount_id: u64) -> Vec<Name> {
        let names = self.names_on(mount_id);
        for name in &names {
            self.0.remove(&(mount_id, name.clone()));
        }
        names
    }

    /// Whether most of what is kept is about what so many names were once, not about what they are.
    pub(crate) fn is_stale(&self, names: usize) -> bool {
        self.0.len() > 2 * names + SLACK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(mounted: &Mounted, mount_id: u64) -> Vec<String> {
        mounted.names_on(mount_id).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_mount_is_traced_to_its_names_until_it_goes() {
        let mut mounted = Mounted::default();
        for (name, mount_id) in [(c"link", 7), (c"blue", 7), (c"red", 8), (c"blue", 7)] {
            mounted.note(name, mount_id);
        }
        assert_eq!(
            (on(&mounted, 6), on(&mounted, 7), on(&mounted, 8)),
            (vec![], vec!["blue".into(), "link".into()], vec!["red".into()])
        );
        assert_eq!(mounted.gone(7), [c"blue", c"link"].map(Name::new));
        assert_eq!((on(&mounted, 7), on(&mounted, 8)), (vec![], vec!["red".into()]));
        assert!(mounted.gone(9).is_empty());
    }

    #[test]
    fn what_names_were_once_is_kept_to_a_bound() {
        let mut mounted = Mounted::default();
        for was in 0..2 + SLACK as u64 {
            mounted.note(c"flaps", was);
            assert!(!mounted.is_stale(1));
        }
        mounted.note(c"flaps", u64::MAX);
        assert!(mounted.is_stale(1));
        assert!(!mounted.is_stale(2));
    }
}
