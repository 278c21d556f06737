//! The names on each mount, to trace a change of a mount to its names. Pure.
//!
//! A pending name that is a symbolic link ends nowhere: any mount may complete its path. Such names take turns.
//!
//! It may return too many names: it keeps names that have moved to another mount. The caller probes each.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ops::Bound;

use crate::event::Name;

/// The number of stale entries that are always acceptable.
const SLACK: usize = 64;

/// The maximum number of pending links to probe per change of a mount.
pub(super) const LINKS: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Mounted {
    /// The names, each after its mount: see [`key`].
    names: BTreeSet<Name>,
    /// The pending names that are symbolic links.
    links: BTreeSet<Name>,
    /// The last link that had its turn.
    turn: Option<Name>,
}

impl Mounted {
    /// Notes the present mount of a name. Returns whether this is new.
    pub(crate) fn note(&mut self, name: &CStr, mount_id: u64) -> bool {
        self.names.insert(key(mount_id, name))
    }

    /// Notes that a name is a link that leads to no namespace. Returns whether this is new.
    pub(crate) fn note_link(&mut self, name: &CStr) -> bool {
        self.links.insert(Name::new(name))
    }

    /// Notes that the name is no such link.
    pub(crate) fn forget_link(&mut self, name: &CStr) {
        self.links.remove(name);
    }

    /// The next links in turn.
    pub(crate) fn next_links(&mut self) -> Vec<Name> {
        let last = self.turn.take();
        let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = last.as_ref().map(|last| self.links.range::<Name, _>(..=last)).into_iter().flatten();
        let next: Vec<Name> =
            self.links.range::<Name, _>((after, Bound::Unbounded)).chain(until).take(LINKS).cloned().collect();
        self.turn = next.last().cloned();
        next
    }

    /// The names on this mount: several if symbolic links lead to it.
    pub(crate) fn names_on(&self, mount_id: u64) -> Vec<Name> {
        let first = key(mount_id, c"");
        let on_mount = self.names.range::<Name, _>(&first..).map(Name::as_c_str).map(CStr::to_bytes_with_nul);
        let names = on_mount.map_while(|key| key.strip_prefix(first.as_bytes()));
        names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(Name::new).collect()
    }

    /// Forgets a removed mount. Its names are to be probed, and noted again.
    pub(crate) fn gone(&mut self, mount_id: u64) -> Vec<Name> {
        let names = self.names_on(mount_id);
        for name in &names {
            self.names.remove(&key(mount_id, name.as_c_str()));
        }
        names
    }

    /// Whether most entries are stale, given this number of names.
    pub(crate) fn is_stale(&self, names: usize) -> bool {
        self.names.len() > 2 * names + SLACK
    }
}

/// The mount, then the name: using one kind of set for names makes the library smaller.
fn key(mount_id: u64, name: &CStr) -> Name {
    let mut bytes = Vec::with_capacity(11 + name.count_bytes());
    // seven bits each and one that is set: a NUL would end the string
    bytes.extend((0..10).map(|part| 0x80 | (mount_id >> (63 - 7 * part)) as u8));
    bytes.extend_from_slice(name.to_bytes_with_nul());
    Name::new(CStr::from_bytes_with_nul(&bytes).unwrap_or_default())
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
    fn links_take_turns() {
        let mut mounted = Mounted::default();
        assert!(mounted.next_links().is_empty());
        let names: Vec<Name> =
            (0..LINKS + 2).map(|n| Name::new(&std::ffi::CString::new(format!("{n:03}")).unwrap())).collect();
        assert!(names.iter().all(|name| mounted.note_link(name.as_c_str())));
        assert!(!mounted.note_link(c"000"));
        assert_eq!(mounted.next_links(), names[..LINKS]);
        assert_eq!(mounted.next_links(), [&names[LINKS..], &names[..LINKS - 2]].concat());
        mounted.forget_link(c"000");
        assert_eq!(mounted.next_links(), [&names[LINKS - 2..], &names[1..LINKS - 3]].concat());
        names[2..].iter().for_each(|name| mounted.forget_link(name.as_c_str()));
        assert_eq!(mounted.next_links(), names[1..2]);
        assert_eq!(mounted.next_links(), names[1..2]);
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
