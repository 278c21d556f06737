//! The probes of the source. Each watches the namespaces that it finds.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::super::births::Hint;
use super::super::due::EmitMode;
use super::super::state::{Found, Known};
use super::{All, LOOK};
use crate::census::{Reach, descriptors_of, mounts, reach_each};
use crate::error::{Doing, Result, is_refused, is_transient};
use crate::netns::{identify_open, open_path};
use crate::sys::{self, CWD};
use crate::walk::Links;

/// The maximum number of living threads of a process whose descriptors it reads: nearly all share those of the process.
const THREADS: usize = 4;

impl All {
    /// Probes where the threads that entered a namespace are now. Returns also the hints whose threads did not show a new
    /// one.
    pub(super) fn follow_hints(&mut self) -> Result<(Vec<Found>, Vec<Hint>)> {
        let (mut found, mut missed) = (Vec::<Found>::new(), Vec::new());
        for hint in self.due.hints.clone() {
            if found.iter().any(|found| found.netns.ino() == hint.ino) {
                continue;
            }
            match if hint.tid > 0 { self.meet_thread(hint)? } else { None } {
                Some(met) => found.push(met),
                None => missed.push(hint),
            }
        }
        Ok((found, missed))
    }

    /// Probes the namespace of a thread, if it is still that of the hint.
    fn meet_thread(&mut self, hint: Hint) -> Result<Option<Found>> {
        let path = format!("/proc/{}/ns/net", hint.tid);
        let terminated = CString::new(path.as_str()).unwrap_or_default();
        // opens directly: in /proc nothing else has this name
        let opened = sys::open(CWD, &terminated, libc::O_RDONLY | libc::O_NONBLOCK);
        let opened = opened.and_then(|namespace| Ok(sys::is_network(namespace.as_fd())?.then_some(namespace)));
        match opened {
            Ok(Some(namespace)) => self.watch(namespace, Some((path.as_ref(), Some(hint.ino))), Some(hint.tid)),
            // this one finds the reason
            _ => self.meet(path.as_ref(), Some(hint.ino), Some(hint.tid)),
        }
    }

    /// Probes descriptors: a thread that has left the namespace may have one, and so may its process if the thread has
    /// ended. Each task once, for all hints: some have many descriptors.
    pub(super) fn follow_to_descriptors(&mut self) -> Result<Vec<Found>> {
        let mut wanted: Vec<u64> = self.due.missed.iter().map(|hint| hint.ino).collect();
        wanted.sort_unstable();
        wanted.dedup();
        // `living`: of each living thread, its process
        let (mut found, mut tasks, mut living) = (Vec::new(), Vec::new(), Vec::new());
        for Hint { pid, tid, .. } in self.due.missed.clone() {
            for task in [pid, tid] {
                let is_enough = || task != pid && living.iter().filter(|of| **of == pid).count() == THREADS;
                if task <= 0 || wanted.is_empty() || tasks.contains(&task) || is_enough() {
                    continue;
                }
                tasks.push(task);
                let Some(held) = descriptors_of(task, &mut wanted).doing(LOOK)? else { continue };
                living.extend((task != pid).then_some(pid));
                for (ino, path) in held {
                    found.extend(self.meet(&path, Some(ino), None)?);
                }
            }
        }
        Ok(found)
    }

    pub(super) fn go_through_mounts(&mut self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for (ino, path) in mounts().doing_on(LOOK, "/proc/thread-self/mountinfo")? {
            if self.state.get(ino).is_none_or(|known| !self.deaths.reports(known.number)) {
                found.extend(self.meet(&path, Some(ino), None)?);
            }
        }
        Ok(found)
    }

    /// Returns what it found, and whether that is all.
    pub(super) fn go_through_all(&mut self, mode: EmitMode) -> Result<(Vec<Found>, bool)> {
        let mut found = Vec::new();
        let all = reach_each(&mut |sighting| {
            let netns = sighting.netns;
            if self.is_certainly_known(&netns) {
                let unreported =
                    self.state.get(netns.ino()).filter(|known| !known.reported && mode == EmitMode::Replayed);
                found.extend(unreported.map(|known| Found {
                    netns: known.netns,
                    number: known.number,
                    path: sighting.paths().next().map(Arc::from),
                    pid: sighting.pids.first().copied(),
                    again: true,
                }));
                return Ok(Reach::Done);
            }
            let pid = sighting.pids.first().copied();
            let mut met = None;
            for path in sighting.paths() {
                met = self.meet(&path, Some(netns.ino()), pid)?;
                if met.is_some() {
                    break;
                }
            }
            if met.is_none() && !self.deaths.is_own(&netns) && !self.is_certainly_known(&netns) {
                met = match sighting.open_anywhere()? {
                    Ok(namespace) => self.watch(namespace, None, None)?,
                    Err(missed) => return Ok(missed),
                };
            }
            found.extend(met);
            Ok(Reach::Done)
        })?;
        Ok((found, all))
    }

    /// Whether this namespace is known, and watched as well as possible. Before Linux 6.18 a later one can have its
    /// inode number. Watching again shows the difference; without that, the known one with this number is alive until
    /// its death is reported.
    pub(super) fn is_certainly_known(&self, netns: &crate::netns::Netns) -> bool {
        self.state.get(netns.ino()).is_some_and(|known| {
            if netns.cookie().is_some() && known.netns.cookie().is_some() {
                known.netns.same(netns) && !self.deaths.watches_badly(known.number, self.due.ask)
            } else if self.deaths.reports(known.number) {
                !self.deaths.recognizes(known.number)
            } else {
                known.netns.same(netns) && !self.deaths.watches_badly(known.number, self.due.ask)
            }
        })
    }

    /// Opens the target of a path, and watches it if it is the namespace with this inode number.
    pub(super) fn meet(&mut self, path: &Path, ino: Option<u64>, pid: Option<i32>) -> Result<Option<Found>> {
        let Ok(terminated) = CString::new(path.as_os_str().as_bytes()) else { return Ok(None) };
        match open_path(CWD, &terminated, Links::All) {
            Ok(namespace) => self.watch(namespace, Some((path, ino)), pid),
            Err(error) if is_transient(&error) || is_refused(&error) => Err(error).doing_on(LOOK, path),
            // it no longer leads there, or is not readable
            Err(_) => Ok(None),
        }
    }

    pub(super) fn watch(
        &mut self,
        namespace: OwnedFd,
        way: Option<(&Path, Option<u64>)>,
        pid: Option<i32>,
    ) -> Result<Option<Found>> {
        let netns = identify_open(namespace.as_fd()).doing(LOOK)?.netns;
        let is_another = way.and_then(|(_, ino)| ino).is_some_and(|ino| ino != netns.ino());
        if is_another || self.deaths.is_own(&netns) || self.is_certainly_known(&netns) {
            return Ok(None);
        }
        // nothing reports the death of such a known one, and without a cookie nothing distinguishes it from a later one
        let is_same = |known: &Known| !self.deaths.reports(known.number) && known.netns.same(&netns);
        let again = self.state.get(netns.ino()).is_some_and(is_same);
        let number = self.deaths.watch(namespace.as_fd(), &netns).doing("watch a network namespace")?;
        if self.is_certainly_known(&netns) {
            // its mechanism may be unable to watch it again by now
            return Ok(None);
        }
        Ok(Some(Found { netns, number, path: way.map(|(path, _)| Arc::from(path)), pid, again }))
    }
}
