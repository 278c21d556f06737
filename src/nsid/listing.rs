//! All own nsids, although the kernel may list only the first ones.
//!
//! A truncated list does not say what follows. So this asks about the following numbers one by one, up to a budget,
//! then for the nsids of the namespaces in sight; and returns whether that was enough.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::request::{Listing, NetlinkError, RequestSocket};
use super::state::Id;
use super::wire::Attributes;
use crate::census::{Reach, numbers_in, reach_each};
use crate::error::{Doing, Result, is_shortage};
use crate::sys;

const LIST: &str = "list the nsids";

/// The maximum number of free nsids that one listing asks about: 40 ms.
const MAX_FREE: usize = 1 << 15;

/// After this many free nsids in a row, the listing takes the last one found for the last one of all ...
const MIN_RUN: i32 = 1 << 13;

/// ... if that is also this many times the widest gap before.
const WIDER: i32 = 4;

/// To find the nsid of a namespace, the kernel searches all nsids. This is the maximum number of visits for one
/// listing: a third of a second.
const MAX_VISITS: usize = 1 << 25;

/// The questions that the kernel answers; the tests simulate them.
pub(crate) trait Questions {
    /// Whether a living namespace has the nsid here.
    fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError>;

    /// Those of the nsids that a living namespace has here, in the same order.
    fn living(&mut self, nsids: &[i32]) -> Result<Vec<i32>, NetlinkError>;

    /// The nsids here, or in a peer, as far as the kernel lists them: of living and of dying namespaces.
    fn list(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError>;

    /// The nsids here of the namespaces in sight, and of those that this process has descriptors of; and whether it
    /// asked about all of them. `ids` is the approximate number of nsids.
    fn visible(&mut self, ids: usize) -> Result<(Vec<i32>, bool)>;
}

impl Questions for RequestSocket {
    fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError> {
        self.exists(nsid)
    }

    fn living(&mut self, nsids: &[i32]) -> Result<Vec<i32>, NetlinkError> {
        self.living(nsids)
    }

    fn list(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError> {
        self.list(target)
    }

    fn visible(&mut self, ids: usize) -> Result<(Vec<i32>, bool)> {
        let mut seen = Seen { socket: self, found: Vec::new(), left: MAX_VISITS / ids.max(1) };
        let all = match seen.look() {
            Err(error) if is_shortage(&io::Error::from_raw_os_error(error.errno())) => return Err(error),
            looked => looked.unwrap_or(false) && seen.left > 0,
        };
        Ok((seen.found, all))
    }
}

/// Asks for the nsids of the namespaces in sight.
struct Seen<'a> {
    socket: &'a mut RequestSocket,
    found: Vec<i32>,
    /// The remaining number of namespaces to ask about.
    left: usize,
}

impl Seen<'_> {
    /// Returns whether these are all.
    fn look(&mut self) -> Result<bool> {
        for fd in numbers_in("/proc/thread-self/fd".as_ref()).doing(LIST)? {
            self.ask(fd)?;
        }
        reach_each(&mut |sighting| {
            if self.left == 0 {
                return Ok(Reach::Enough);
            }
            match sighting.open()? {
                Ok(namespace) => self.ask(namespace.as_raw_fd()).map(|()| Reach::Done),
                // a namespace that has died meanwhile has no nsid
                Err(missed) => Ok(missed),
            }
        })
    }

    /// Asks about a descriptor, if it refers to a network namespace.
    fn ask(&mut self, fd: RawFd) -> Result<()> {
        if self.left > 0 {
            match self.socket.get(Attributes { fd: Some(fd.unsigned_abs()), ..Attributes::default() }) {
                Err(error) if matches!(error.answer(), Some(libc::EBADF | libc::EINVAL)) => {}
                id => {
                    self.found.extend(id.map_err(|error| error.doing(LIST))?);
                    self.left -= 1;
                }
            }
        }
        Ok(())
    }
}

/// The own nsids.
#[derive(Debug)]
pub(super) struct Here {
    /// In ascending order.
    pub(super) ids: Vec<i32>,
    /// Whether these are all, as far as it can know.
    pub(super) complete: bool,
}

/// The present own nsids. `known` returns the possibly assigned ones after a number, which it asks about in any case.
/// `look`: as a last resort, search the namespaces in sight, which requires more system calls.
pub(super) fn list_here(
    questions: &mut dyn Questions,
    known: &dyn Fn(i32) -> BTreeSet<Id>,
    look: bool,
) -> Result<Here> {
    let failed = |error: NetlinkError| error.doing(LIST);
    let Listing { ids, until } = questions.list(None).map_err(failed)?;
    let mut here = Here { ids: ids.into_iter().map(|listed| listed.nsid).collect(), complete: true };
    if until == i32::MAX {
        return Ok(here);
    }
    let known = known(until);
    let walk = walk(&here.ids, known.last().map_or(until, |id| id.nsid()), questions).map_err(failed)?;
    here.ids.extend_from_slice(&walk.found);
    let beyond: Vec<i32> = known.into_iter().map(Id::nsid).filter(|nsid| *nsid > walk.until).collect();
    here.ids.extend_from_slice(&questions.living(&beyond).map_err(failed)?);
    here.complete = false;
    if look {
        let (visible, all_visible) = questions.visible(here.ids.len())?;
        for nsid in visible {
            if let Err(at) = here.ids.binary_search(&nsid) {
                here.ids.insert(at, nsid);
            }
        }
        here.complete = walk.ended && all_visible;
    }
    Ok(here)
}

/// The result of asking about the nsids after the end of a list.
#[derive(Debug)]
struct Walk {
    found: Vec<i32>,
    /// The last nsid asked about.
    until: i32,
    /// It stopped because there seem to be no more, not because the budget was spent.
    ended: bool,
}

/// Asks about the nsids after the last listed one. Continues to the one that is `known`, as far as half the budget
/// permits: many dying ones in a row, which count as free, can hide later living ones.
fn walk(listed: &[i32], known: i32, questions: &mut dyn Questions) -> Result<Walk, NetlinkError> {
    let mut last = listed.last().copied().unwrap_or(-1);
    let known = known.min(last.saturating_add(MAX_FREE as i32 / 2));
    let mut widest = 1;
    for two in listed.windows(2) {
        if let [before, after] = two {
            widest = widest.max(after - before);
        }
    }
    let mut walk = Walk { found: Vec::new(), until: last, ended: false };
    let mut free = 0;
    while free < MAX_FREE {
        let enough = widest.saturating_mul(WIDER).max(MIN_RUN);
        if walk.until == i32::MAX || (walk.until >= known && walk.until - last >= enough) {
            walk.ended = true;
            break;
        }
        let next: Vec<i32> = (walk.until..i32::MAX).map(|nsid| nsid + 1).take(sys::MANY).collect();
        walk.until = walk.until.saturating_add(sys::MANY as i32);
        let found = questions.living(&next)?;
        free += next.len() - found.len();
        for nsid in &found {
            widest = widest.max(nsid - last);
            last = *nsid;
        }
        walk.found.extend_from_slice(&found);
    }
    Ok(walk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with these nsids.
    struct Table<'a> {
        ids: &'a [i32],
        asked: usize,
    }

    impl Questions for Table<'_> {
        fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError> {
            Ok(self.living(&[nsid])? == [nsid])
        }

        fn living(&mut self, nsids: &[i32]) -> Result<Vec<i32>, NetlinkError> {
            self.asked += nsids.len();
            Ok(nsids.iter().copied().filter(|nsid| self.ids.binary_search(nsid).is_ok()).collect())
        }

        fn list(&mut self, _: Option<i32>) -> Result<Listing, NetlinkError> {
            unreachable!()
        }

        fn visible(&mut self, _: usize) -> Result<(Vec<i32>, bool)> {
            unreachable!()
        }
    }

    /// The walk among these nsids, of which the kernel lists the first 1158; and the number of questions.
    fn walk_among(ids: &[i32]) -> (Walk, usize) {
        let (listed, _) = ids.split_at(1158.min(ids.len()));
        let mut table = Table { ids, asked: 0 };
        let walk = walk(listed, -1, &mut table).unwrap();
        (walk, table.asked)
    }

    #[test]
    fn a_hundred_thousand_in_a_row_are_all_found() {
        let ids: Vec<i32> = (0..100_000).collect();
        let (walk, asked) = walk_among(&ids);
        assert!(walk.ended);
        assert_eq!(walk.found, ids[1158..]);
        assert!(asked <= 100_000 - 1158 + MIN_RUN as usize + sys::MANY, "{asked}");
    }

    #[test]
    fn the_budget_does_not_start_anew_at_each_find() {
        let ids: Vec<i32> = (0..1200).chain((1..1200).map(|n| 1200 + n * 1000)).collect();
        let (walk, asked) = walk_among(&ids);
        assert!(!walk.ended);
        assert!(asked <= MAX_FREE + 200, "{asked}");
        assert!(walk.found.len() > 50);
    }

    #[test]
    fn gaps_that_were_seen_are_expected_again() {
        for gap in [300, 2000, 4000, 8000, 100_000] {
            let ids: Vec<i32> = (0..2400).map(|n| n * gap).collect();
            let (walk, _) = walk_among(&ids);
            assert!(walk.found == ids[1158..] || !walk.ended, "{gap}");
        }
        // on a host where many have died, few nsids between the others are free
        let ids: Vec<i32> = (0..3000).map(|n| n * 7).collect();
        let (walk, _) = walk_among(&ids);
        assert!(!walk.ended || walk.found == ids[1158..]);
    }

    #[test]
    fn the_highest_ids_are_the_end() {
        let ids: Vec<i32> = (i32::MAX - 1199..=i32::MAX).collect();
        let (walk, _) = walk_among(&ids);
        assert!(walk.ended);
        assert_eq!((walk.found.len(), walk.until), (42, i32::MAX));
    }

    #[test]
    fn dying_nsids_hide_no_known_ones() {
        let ids: Vec<i32> = (0..1158).chain(15_000..15_010).collect();
        let walk = walk(&ids[..1158], 15_005, &mut Table { ids: &ids, asked: 0 }).unwrap();
        assert_eq!(walk.found, ids[1158..]);
    }
}
