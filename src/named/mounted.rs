//! Which names end on which mount, so that a mount that goes can be traced to its names. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use crate::event::Name;

#[derive(Debug, Default)]
pub(crate) struct Mounted {
    mount_of: BTreeMap<Name, u64>,
    names_on: BTreeSet<(u64, Name)>,
}

impl Mounted {
    /// Takes note of the mount that a name ends on now, if on any.
    pub(crate) fn note(&mut self, name: &CStr, mount_id: Option<u64>) {
        if let Some((name, before)) = self.mount_of.remove_entry(name) {
            self.names_on.remove(&(before, name));
        }
        if let Some(mount_id) = mount_id {
            let name = Name::new(name);
            self.names_on.insert((mount_id, name.clone()));
            self.mount_of.insert(name, mount_id);
        }
    }

    /// The names that end on this mount: several where symbolic links lead to it.
    pub(crate) fn names_on(&self, mount_id: u64) -> impl Iterator<Item = &Name> {
        let first = (mount_id, Name::new(c""));
        self.names_on.range(first..).take_while(move |(id, _)| *id == mount_id).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(mounted: &Mounted, mount_id: u64) -> Vec<String> {
        mounted.names_on(mount_id).map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_is_found_on_its_last_mount_only() {
        let mut mounted = Mounted::default();
        mounted.note(c"blue", Some(7));
        mounted.note(c"link", Some(7));
        mounted.note(c"red", Some(8));
        assert_eq!(on(&mounted, 7), ["blue", "link"]);
        mounted.note(c"blue", Some(8));
        assert_eq!((on(&mounted, 7), on(&mounted, 8)), (vec!["link".into()], vec!["blue".into(), "red".into()]));
        mounted.note(c"red", None);
        mounted.note(c"never", None);
        assert_eq!((on(&mounted, 8), on(&mounted, 6), on(&mounted, 9)), (vec!["blue".into()], vec![], vec![]));
    }
}
