//! The census: every network namespace in sight, each once, and where it is.
//!
//! Three ways lead to a namespace: mounts in the mount namespace of the calling thread, processes and their threads,
//! and for those that only a descriptor keeps listns(2), where kernel and privileges permit it (Linux 6.19), else the
//! descriptors of processes. The census omits what it cannot identify.

mod processes;

use processes::Threads;
pub(crate) use processes::descriptors_of;

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Doing, Result, errno_of, is_refused, is_shortage, is_transient};
use crate::netns::{Found, Netns, Probe, identify_open};
use crate::sys::{self, CWD};
use crate::walk::Links;

const LIST: &str = "list the network namespaces";

/// A network namespace that the census found, and its places.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sighting {
    /// The namespace.
    pub netns: Netns,
    /// Its mount points in the mount namespace of the calling thread.
    pub mounts: Vec<PathBuf>,
    /// The processes in it; of other processes, the threads in it.
    pub pids: Vec<i32>,
    /// If no mount and no process shows it: a descriptor of it in a process, as `/proc/PID/fd/N`.
    pub descriptor: Option<PathBuf>,
}

/// Lists every network namespace in sight, each once: those mounted in the mount namespace of the calling thread, those
/// of processes, and those that only a descriptor keeps. listns(2) lists the last (Linux 6.19, `CAP_SYS_ADMIN` in the
/// initial user and pid namespaces); elsewhere the census reads the descriptors of every process.
///
/// Out of sight, unless listns(2) lists them, are namespaces that only a socket keeps, or a mount in another mount
/// namespace; and, without `CAP_SYS_PTRACE` over them, those of other users' processes and their descriptors. A
/// namespace that appears, dies or changes its places during the call may be in the list or not.
///
/// It takes about 6 µs per process and, where it reads them, 3 µs per descriptor. With more than a hundred processes, a
/// second thread takes half of the work, and ends before the call returns.
///
/// # Errors
/// `EOPNOTSUPP`: /proc is not mounted, or belongs to another pid namespace. `EMFILE`, `ENFILE`, `ENOMEM`: a limit is
/// reached.
///
/// ```
/// use nswatch::Netns;
///
/// let own = Netns::for_pid(std::process::id() as i32)?;
/// let sighting = nswatch::census()?.into_iter().find(|sighting| sighting.netns.same(&own)).unwrap();
/// assert!(sighting.pids.contains(&(std::process::id() as i32)));
/// # Ok::<(), nswatch::Error>(())
/// ```
pub fn census() -> Result<Vec<Sighting>> {
    Ok(census_by(Threads::Two)?.found)
}

/// The maximum number of censuses to reach namespaces that leave their places.
const TURNS: usize = 4;

/// What became of a namespace that was passed to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It was reached, or is dead for certain.
    Done,
    /// It was not in its places, or out of reach there.
    Missed,
    /// No other namespace matters any more.
    Enough,
}

/// Passes each network namespace in sight to `reach`. If it was missed, and a further census finds it at other places,
/// passes it again: a process may pass its descriptor on and end. Returns `false` if some are still on the move.
///
/// Reads on the calling thread alone: in a watcher, the program may have forbidden itself to start threads.
pub(crate) fn reach_each(reach: &mut dyn FnMut(&Sighting) -> Result<Reach>) -> Result<bool> {
    let mut passed: Vec<(Sighting, Reach)> = Vec::new();
    // the inode numbers of those on the move; `None` at first. Later only the same ones matter: the others are new
    let mut moving: Option<Vec<u64>> = None;
    for _ in 0..TURNS {
        let Census { found, mut moved, .. } = census_by(Threads::Own)?;
        let matters = |ino: &u64| moving.as_ref().is_none_or(|moving| moving.contains(ino));
        moved.retain(matters);
        let earlier = passed.len();
        for sighting in found {
            let mut earlier = passed.iter_mut().take(earlier);
            let known = earlier.find(|(known, _)| known.netns.same(&sighting.netns));
            if known.as_ref().is_some_and(|known| known.1 == Reach::Done || known.0.is_where(&sighting)) {
                continue;
            }
            let reached = reach(&sighting)?;
            if reached == Reach::Enough {
                return Ok(true);
            }
            let ino = sighting.netns.ino();
            moved.extend((reached == Reach::Missed && matters(&ino)).then_some(ino));
            match known {
                Some(known) => *known = (sighting, reached),
                None => passed.push((sighting, reached)),
            }
        }
        if moved.is_empty() {
            return Ok(true);
        }
        moving = Some(moved);
    }
    Ok(false)
}

fn census_by(threads: Threads) -> Result<Census> {
    if !sys::is_proc_ours() {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)).doing(LIST);
    }
    let probe = Probe::detect(Links::All).doing(LIST)?;
    let mut census =
        Census { probe, threads, found: Vec::new(), index: Vec::new(), holders: Vec::new(), moved: Vec::new() };
    census.mounts().doing_on(LIST, MOUNTINFO)?;
    census.processes().doing_on(LIST, "/proc")?;
    if !census.listed().doing(LIST)? {
        census.descriptors().doing_on(LIST, "/proc")?;
    }
    Ok(census)
}

impl Sighting {
    /// The paths to it.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let processes = self.pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        self.mounts.iter().chain(&self.descriptor).cloned().chain(processes)
    }

    /// Whether this and the other one have the same places.
    fn is_where(&self, other: &Self) -> bool {
        // as text: comparing paths takes more code
        let [own, others] = [self, other].map(|sighting| {
            let paths = sighting.mounts.iter().chain(&sighting.descriptor);
            paths.map(|path| path.as_os_str())
        });
        self.pids == other.pids && own.eq(others)
    }

    /// Opens the namespace by any of its places, or returns why not.
    pub(crate) fn open(&self) -> Result<std::result::Result<OwnedFd, Reach>> {
        for path in self.paths() {
            match self.netns.open(Some(&path)) {
                Err(error) if matches!(error.errno(), libc::ENOENT | libc::ESTALE | libc::EACCES | libc::EPERM) => {}
                opened => return opened.map(Ok),
            }
        }
        self.open_anywhere()
    }

    /// The same by its cookie alone.
    pub(crate) fn open_anywhere(&self) -> Result<std::result::Result<OwnedFd, Reach>> {
        match self.netns.open(None) {
            Err(error) if error.errno() == libc::ENOENT => Ok(Err(Reach::Done)),
            Err(error) if matches!(error.errno(), libc::EPERM | libc::EOPNOTSUPP) => Ok(Err(Reach::Missed)),
            opened => opened.map(Ok),
        }
    }
}

const MOUNTINFO: &str = "/proc/thread-self/mountinfo";

struct Census {
    probe: Probe,
    threads: Threads,
    found: Vec<Sighting>,
    /// The position of each in `found`, by cookie or else by inode number, in ascending order.
    index: Vec<((u64, u64), usize)>,
    /// The processes whose descriptors are readable, each by a living thread.
    holders: Vec<i32>,
    /// The inode numbers of namespaces that have left the descriptors that showed them: dead, or elsewhere.
    moved: Vec<u64>,
}

impl Census {
    fn entry(&mut self, netns: Netns) -> &mut Sighting {
        let new = || Sighting { netns, mounts: Vec::new(), pids: Vec::new(), descriptor: None };
        let key = netns.cookie().map_or((0, netns.ino()), |cookie| (cookie, 0));
        let at = match self.index.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => self.index.get(at).map_or(0, |(_, at)| *at),
            Err(at) => {
                self.index.insert(at, (key, self.found.len()));
                self.found.push(new());
                self.found.len() - 1
            }
        };
        let known = &mut self.found[at];
        if !known.netns.same(&netns) {
            // its inode number has another owner by now: it is dead
            *known = new();
        } else if known.netns.stamp().is_none() {
            known.netns = netns;
        }
        known
    }

    fn mounts(&mut self) -> io::Result<()> {
        for (ino, path) in mounts()? {
            let Ok(terminated) = CString::new(path.as_os_str().as_bytes()) else { continue };
            // a mount over it, or over the way to it, may hide it
            match self.reach(CWD, &terminated)? {
                Some(found) if found.netns.ino() == ino => self.entry(found.netns).mounts.push(path),
                _ => {}
            }
        }
        Ok(())
    }

    /// The network namespace that a path leads to, if readable.
    fn reach(&self, at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<Found>> {
        match self.probe.look(at, path) {
            Err(error) if errno_of(&error) == libc::EACCES && !is_refused(&error) => Ok(None),
            found => found,
        }
    }

    /// Adds those that no mount and no process shows, by listns(2). Returns whether that is all: without the system
    /// call it adds nothing, without all rights a part.
    fn listed(&mut self) -> io::Result<bool> {
        let mut after = 0;
        loop {
            let cookies = match sys::list_namespaces(after) {
                Ok(cookies) => cookies,
                Err(error) if is_shortage(&error) => return Err(error),
                Err(_) => return Ok(false),
            };
            let Some(last) = cookies.last() else { return Ok(sys::sees_all_namespaces()) };
            after = *last;
            for cookie in cookies {
                if self.index.binary_search_by_key(&(cookie, 0), |(key, _)| *key).is_ok() {
                    continue;
                }
                match sys::open_by_cookie(cookie, 0) {
                    Ok(namespace) => {
                        self.entry(identify_open(namespace.as_fd())?.netns);
                    }
                    Err(error) if is_transient(&error) => return Err(error),
                    // dead, or out of reach
                    Err(_) => {}
                }
            }
        }
    }
}

/// The network namespaces mounted in the mount namespace of the calling thread: inode numbers and mount points.
pub(crate) fn mounts() -> io::Result<Vec<(u64, PathBuf)>> {
    let mountinfo = std::fs::read(MOUNTINFO).map_err(sys::proc_error)?;
    Ok(mounted(&mountinfo).collect())
}

/// Whether the kernel lists exactly these network namespaces; their cookies are in ascending order.
pub(crate) fn are_all(known: &[u64]) -> bool {
    let mut after = 0;
    loop {
        match sys::list_namespaces(after) {
            Ok(cookies) if cookies.iter().all(|cookie| known.binary_search(cookie).is_ok()) => match cookies.last() {
                Some(last) => after = *last,
                None => return sys::sees_all_namespaces(),
            },
            _ => return false,
        }
    }
}

/// The numeric entries of a directory: processes, threads, descriptors.
pub(crate) fn numbers_in(dir: &Path) -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(numbers)
}

/// The network namespaces in the text of mountinfo: inode number and mount point. Total: skips lines that do not match
/// proc(5).
fn mounted(mountinfo: &[u8]) -> impl Iterator<Item = (u64, PathBuf)> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        // id, parent, device, root, mount point, …
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        Some((number_in_brackets(root)?, PathBuf::from(unescaped(point))))
    })
}

/// The inode number in `net:[…]`.
fn number_in_brackets(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Decodes `\ooo`, which stands for bytes that would split fields or lines.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, more @ ..] = rest {
        let octal = more.first_chunk::<3>().filter(|_| *first == b'\\');
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { more.get(3..).unwrap_or_default() } else { more };
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn namespaces_are_found_among_other_mounts() {
        let mountinfo = b"22 27 0:20 / /sys rw - sysfs sysfs rw\n\
            200 27 0:4 net:[4026532177] /run/netns/a\\040b\\134 rw shared:1 - nsfs nsfs rw\n\
            201 27 0:4 mnt:[4026532178] /run/snapd/ns/x rw - nsfs nsfs rw\n\
            202 27 0:4 net:[4026532179 /run/netns/broken rw - nsfs nsfs rw\n";
        let found: Vec<_> = mounted(mountinfo).collect();
        assert_eq!(found, [(4026532177, PathBuf::from("/run/netns/a b\\"))]);
    }

    proptest! {
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            mounted(&bytes).for_each(drop);
            prop_assert!(unescaped(&bytes).len() <= bytes.len());
        }
    }
}
