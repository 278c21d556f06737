//! Checks events against the grammar, and adds them up to the state that a consumer has.

use std::collections::BTreeMap;

use super::api::{Ev, Kind};

/// The identity of a namespace in an event: device, inode, cookie.
pub type Id = (u64, u64, u64);

/// Takes every event of one watcher, in order. Panics at the first one that violates the grammar.
#[derive(Debug, Default)]
pub struct Checker {
    /// Name → its namespace, if it has one.
    pub names: BTreeMap<Vec<u8>, Option<Id>>,
    /// The (origin, nsid) pairs that exist.
    pub nsids: std::collections::BTreeSet<(i32, i32)>,
    /// The namespaces that exist, and the dead ones, which can never exist again.
    pub netns: std::collections::BTreeSet<Id>,
    pub dead: std::collections::BTreeSet<Id>,
    pub directory: Option<bool>,
    pub open_overflows: u32,
    pub synced: u32,
    last_time: u64,
}

impl Checker {
    pub fn feed(&mut self, event: &Ev) {
        assert!(event.time_ns >= self.last_time, "time goes backwards at {event:?}");
        self.last_time = event.time_ns;
        let name = event.name.clone().unwrap_or_default();
        match event.kind {
            Kind::Created => {
                assert_ne!(self.directory, Some(false), "a name in a directory that is gone: {event:?}");
                let before = self.names.insert(name, None);
                assert_eq!(before, None, "created twice: {event:?}");
            }
            Kind::Ready => {
                let id = (event.dev, event.ino, event.cookie);
                let Some(before) = self.names.get_mut(&name) else { panic!("ready before created: {event:?}") };
                let replayed = event.replayed;
                assert!(*before != Some(id) || event.cookie == 0, "ready twice ({replayed}): {event:?}");
                *before = Some(id);
            }
            Kind::Detached => {
                let Some(before) = self.names.get_mut(&name) else { panic!("detached before created: {event:?}") };
                assert!(before.take().is_some(), "detached without ready: {event:?}");
            }
            Kind::Deleted => assert!(self.names.remove(&name).is_some(), "deleted before created: {event:?}"),
            Kind::DirCreated => assert_ne!(self.directory.replace(true), Some(true), "directory came twice"),
            Kind::DirDeleted => {
                assert_ne!(self.directory.replace(false), Some(false), "directory went twice");
                assert!(self.names.is_empty(), "directory went before its names {:?}", self.names);
            }
            Kind::NsidNew => assert!(self.nsids.insert((event.origin, event.nsid)), "nsid twice: {event:?}"),
            Kind::NsidDel => assert!(self.nsids.remove(&(event.origin, event.nsid)), "no such nsid: {event:?}"),
            Kind::NetnsNew => {
                let netns = event.netns();
                assert!(self.netns.insert(netns), "a namespace twice: {event:?}");
                assert!(!self.dead.contains(&netns), "a namespace that was dead: {event:?}");
            }
            Kind::NetnsDel => {
                let netns = event.netns();
                assert!(self.netns.remove(&netns), "no such namespace: {event:?}");
                if event.cookie != 0 {
                    self.dead.insert(netns);
                }
            }
            Kind::Overflow => {
                self.open_overflows += 1;
                assert_eq!(self.open_overflows, 1, "an overflow within an overflow");
            }
            Kind::Synced => {
                self.open_overflows = 0;
                self.synced += 1;
            }
        }
    }

    /// The names according to the events, to compare with [`super::kernel::names`].
    pub fn believed(&self) -> BTreeMap<Vec<u8>, Option<Id>> {
        self.names.clone()
    }
}
