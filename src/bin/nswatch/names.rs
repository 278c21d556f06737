//! The names of namespaces beside their ids, as `ip netns list-id` shows them.
//!
//! The kernel does not know them. They are found by asking for the id of each name in `/run/netns`, at some system
//! calls a name. So one look at the names serves all events that were learned of before it: a replay costs one, and
//! when ids come faster than names can be looked at, each look serves more of them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use nswatch::{DEFAULT_DIR, Event, EventKind, nsid};

use crate::clock;
use crate::record::Record;

/// Which ids have a name, and which.
pub(crate) type Found = HashMap<i32, OsString>;

/// Looks at the names as they are. Of several names of one namespace it is the first in their order.
///
/// An id is worth telling without a name: what cannot be asked has none.
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

/// Puts names beside the ids in events.
#[derive(Debug, Default)]
pub(crate) struct Names {
    found: Found,
    /// When that was, by the clock of the events.
    looked: Duration,
    /// The names told with ids that exist. With the namespace its name may be gone too, and cannot be asked any more.
    told: Found,
}

impl Names {
    /// The ids in a peer are not ours to ask: what happens there has no name.
    pub(crate) fn beside(&mut self, event: Event) -> Record {
        let name = match *event.kind() {
            EventKind::NsidNew { nsid, origin: None, .. } => {
                if event.time() > self.looked {
                    self.looked = clock::monotonic();
                    self.found = look();
                }
                let name = self.found.get(&nsid).cloned();
                self.told.extend(name.clone().map(|name| (nsid, name)));
                name
            }
            EventKind::NsidDel { nsid, origin: None } => self.told.remove(&nsid),
            _ => return event.into(),
        };
        Record { event, name }
    }
}
