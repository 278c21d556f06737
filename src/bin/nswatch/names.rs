//! The names of namespaces beside their nsids, as in `ip netns list-id`.
//!
//! The kernel does not know the names. This module gets the nsid of each name in `/run/netns`, with some system calls
//! per name. One scan serves all events up to its time: a replay costs one scan, and in a burst of nsids each scan
//! serves many events.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use nswatch::{DEFAULT_DIR, Event, EventKind, nsid};

use crate::clock;
use crate::record::Record;

/// The name of each nsid that has one.
pub(crate) type Found = HashMap<i32, OsString>;

/// Scans the names. Of several names of one namespace, takes the first in order.
///
/// An nsid without a name is still useful: errors give no name.
pub(crate) fn look() -> Found {
    let mut found = Found::new();
    for entry in std::fs::read_dir(DEFAULT_DIR).into_iter().flatten().map_while(Result::ok) {
        let name = entry.file_name();
        if let Ok(Some(nsid)) = nsid::get_for_name(&name) {
            match found.get(&nsid) {
                Some(other) if *other <= name => {}
                _ => drop(found.insert(nsid, name)),
            }
        }
    }
    found
}

/// Finds the names for the nsids in events.
#[derive(Debug, Default)]
pub(crate) struct Names {
    found: Found,
    /// The time of the last scan, by the clock of the events.
    looked: Duration,
    /// The names printed with existing nsids. When a namespace dies, its name may be gone too.
    printed: Found,
}

impl Names {
    /// Events in a peer get no name: its nsids are not valid here.
    pub(crate) fn beside(&mut self, event: Event) -> Record {
        let name = match *event.kind() {
            EventKind::NsidNew { nsid, origin: None, .. } => {
                if event.time() > self.looked {
                    self.looked = clock::monotonic();
                    self.found = look();
                }
                let name = self.found.get(&nsid).cloned();
                self.printed.extend(name.clone().map(|name| (nsid, name)));
                name
            }
            EventKind::NsidDel { nsid, origin: None } => self.printed.remove(&nsid),
            _ => return event.into(),
        };
        Record { name, ..event.into() }
    }
}
