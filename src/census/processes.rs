//! The census of processes: the namespaces that they and their threads are in, and those that only their descriptors
//! keep.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Census, number_in_brackets};
use crate::error::{is_refused, is_shortage, is_transient};
use crate::netns::{Found, Netns};
use crate::sys::{self, CWD};

/// The number of links of `/proc/PID/task` with one thread: those of a directory, and one per thread.
const LINKS_OF_ONE_THREAD: u64 = 3;

/// The threads that read the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// The calling thread.
    Own,
    /// A second one too, if there are many processes and the thread can start.
    Two,
}

/// The maximum number of times that the threads of a process are listed.
const LISTS: usize = 8;

/// With fewer processes than this, a second thread costs about what it saves.
const MANY: usize = 100;

/// The number of processes that a thread takes at a time.
const SHARE: usize = 16;

/// The result of reading a process.
enum Met {
    /// It, or a thread of it, is in this namespace.
    In(Netns, i32),
    /// The descriptors of the process belong to this thread, which has not ended.
    Holder(i32),
}

impl Census {
    /// The namespaces of all processes and threads.
    pub(super) fn processes(&mut self) -> io::Result<()> {
        let proc = sys::open(CWD, c"/proc", libc::O_RDONLY | libc::O_DIRECTORY)?;
        let mut pids = Vec::new();
        sys::names_in(proc.as_fd(), &mut |name| {
            pids.extend(number(name));
            Ok(())
        })?;
        let met = self.look_at(&pids, |pid, met| self.process(proc.as_fd(), pid, met))?;
        for met in met {
            match met {
                Met::In(netns, id) => self.entry(netns).pids.push(id),
                Met::Holder(id) => self.holders.push(id),
            }
        }
        Ok(())
    }

    /// Calls `look` for each of these numbers, and joins the results, in any order.
    fn look_at<T: Send>(
        &self,
        numbers: &[i32],
        look: impl Fn(i32, &mut Vec<T>) -> io::Result<()> + Sync,
    ) -> io::Result<Vec<T>> {
        let next = AtomicUsize::new(0);
        let take_part = || {
            let mut found = Vec::new();
            loop {
                let left = numbers.get(next.fetch_add(SHARE, Ordering::Relaxed)..).unwrap_or_default();
                if left.is_empty() {
                    return Ok(found);
                }
                for number in left.iter().take(SHARE) {
                    look(*number, &mut found)?;
                }
            }
        };
        if self.threads == Threads::Own || numbers.len() < MANY {
            return take_part();
        }
        let (second, own) = sys::in_two_threads(take_part, take_part);
        let mut found = own.unwrap_or_else(|panic| resume_unwind(panic))?;
        // without a second thread, this one has read all
        if let Ok(second) = second {
            found.extend(second.unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(found)
    }

    fn process(&self, proc: BorrowedFd<'_>, pid: i32, met: &mut Vec<Met>) -> io::Result<()> {
        let netns = self.reach(proc, &path(pid, "/ns/net")?)?.map(|found| found.netns);
        met.extend(netns.map(|netns| Met::In(netns, pid)));
        let tasks = path(pid, "/task")?;
        // counting them costs less than listing
        let holder = match unless_out_of_sight(sys::stat(proc, &tasks, 0))?.map(|stat| stat.links) {
            None | Some(LINKS_OF_ONE_THREAD) => None,
            Some(_) => self.threads(proc, &tasks, pid, netns, met)?,
        };
        // after the end of the first thread, the descriptors belong to another one
        met.extend(netns.map(|_| pid).or(holder).map(Met::Holder));
        Ok(())
    }

    /// The threads in other namespaces than their process. Returns one that has not ended.
    ///
    /// The kernel ends its list early, or omits a thread, if the thread that it lists, or is about to list, ends meanwhile.
    /// So this lists them again if one has ended by the end of the list, or if there are more.
    fn threads(
        &self,
        proc: BorrowedFd<'_>,
        tasks: &CStr,
        pid: i32,
        of_process: Option<Netns>,
        met: &mut Vec<Met>,
    ) -> io::Result<Option<i32>> {
        let mut living = None;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let mut seen: Vec<i32> = Vec::new();
        for _ in 0..LISTS {
            let Some(tasks) = unless_out_of_sight(sys::open(proc, tasks, flags))? else { break };
            let mut listed = Vec::new();
            let take = &mut |name: &CStr| {
                listed.extend(number(name).filter(|tid| *tid != pid));
                Ok(())
            };
            unless_out_of_sight(sys::names_in(tasks.as_fd(), take))?;
            // the kernel counts others: one that it did not list ended meanwhile
            let links = unless_out_of_sight(sys::stat(tasks.as_fd(), c"", 0))?.map_or(0, |stat| stat.links);
            let mut has_ended = links > listed.len() as u64 + LINKS_OF_ONE_THREAD;
            for tid in listed {
                let place = seen.binary_search(&tid);
                let found = match place {
                    Ok(_) => None,
                    Err(_) => self.reach(tasks.as_fd(), &path(tid, "/ns/net")?)?,
                };
                if let (Err(at), Some(Found { netns, .. })) = (place, found) {
                    seen.insert(at, tid);
                    living = Some(tid);
                    met.extend((Some(netns) != of_process).then_some(Met::In(netns, tid)));
                } else {
                    has_ended |= unless_out_of_sight(sys::stat(tasks.as_fd(), &path(tid, "")?, 0))?.is_none();
                }
            }
            if !has_ended {
                break;
            }
        }
        Ok(living)
    }

    /// The namespaces that only descriptors of processes show. Ignores threads with descriptor tables of their own.
    pub(super) fn descriptors(&mut self) -> io::Result<()> {
        let mut known: BTreeSet<u64> = self.found.iter().map(|sighting| sighting.netns.ino()).collect();
        let holders = std::mem::take(&mut self.holders);
        let counts = counts_descriptors()?;
        let unknown = self.look_at(&holders, |pid, unknown| {
            descriptors(pid, counts, &mut |ino, path| {
                if !known.contains(&ino) {
                    unknown.push((ino, path()));
                }
            })
            .map(drop)
        })?;
        for (ino, path) in unknown {
            let terminated = CString::new(path.as_os_str().as_bytes())?;
            if known.contains(&ino) {
                continue;
            }
            match self.reach(CWD, &terminated)?.filter(|found| found.netns.ino() == ino) {
                Some(found) => {
                    known.insert(ino);
                    self.entry(found.netns).descriptor = Some(path);
                }
                None => self.moved.push(ino),
            }
        }
        self.moved.retain(|ino| !known.contains(ino));
        Ok(())
    }
}

/// Takes from `wanted` the network namespaces that a process or thread has a descriptor of: inode numbers and paths.
/// `None`: the task has ended, or is out of sight.
pub(crate) fn descriptors_of(pid: i32, wanted: &mut Vec<u64>) -> io::Result<Option<Vec<(u64, PathBuf)>>> {
    let mut found = Vec::new();
    let is_there = descriptors(pid, counts_descriptors()?, &mut |ino, path| {
        if let Some(at) = wanted.iter().position(|wanted| *wanted == ino) {
            wanted.swap_remove(at);
            found.push((ino, path()));
        }
    })?;
    Ok(is_there.then_some(found))
}

/// Whether the kernel returns the number of descriptors of a process (Linux 6.2): this one has some.
fn counts_descriptors() -> io::Result<bool> {
    let own = unless_out_of_sight(sys::stat(CWD, c"/proc/thread-self/fd", 0))?;
    Ok(own.is_some_and(|stat| stat.size > 0))
}

/// With at most this many descriptors, trying their numbers costs less than listing them.
const FEW: u64 = 10;

/// Passes the descriptors of network namespaces to `pass`: the inode number, and the path. Returns whether the task is in
/// sight.
fn descriptors(pid: i32, counts: bool, pass: &mut dyn FnMut(u64, &dyn Fn() -> PathBuf)) -> io::Result<bool> {
    let path = CString::new(format!("/proc/{pid}/fd"))?;
    let count = match counts {
        true => match unless_out_of_sight(sys::stat(CWD, &path, 0))? {
            Some(stat) => stat.size,
            None => return Ok(false),
        },
        false => u64::MAX,
    };
    // most processes have the lowest numbers, without a gap
    let looked_at = if count <= FEW { lowest_descriptors(pid, count, pass)? } else { 0 };
    if looked_at == count {
        return Ok(true);
    }
    let Some(dir) = unless_out_of_sight(sys::open(CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY))? else {
        return Ok(false);
    };
    let mut look = |name: &CStr| match number(name) {
        Some(number) if u64::from(number.unsigned_abs()) < looked_at => Ok(()),
        _ => look_at_descriptor(dir.as_fd(), name, &mut |ino| {
            pass(ino, &|| PathBuf::from(format!("/proc/{pid}/fd/{}", name.to_string_lossy())));
        })
        .map(drop),
    };
    Ok(unless_out_of_sight(sys::names_in(dir.as_fd(), &mut look))?.is_some())
}

/// Reads up to `count` descriptors from 0 on, until there is a gap. Returns their number.
fn lowest_descriptors(pid: i32, count: u64, pass: &mut dyn FnMut(u64, &dyn Fn() -> PathBuf)) -> io::Result<u64> {
    for number in 0..count {
        let path = format!("/proc/{pid}/fd/{number}");
        if !look_at_descriptor(CWD, &CString::new(path.as_str())?, &mut |ino| pass(ino, &|| PathBuf::from(&path)))? {
            return Ok(number);
        }
    }
    Ok(count)
}

/// Whether there is a descriptor at `path`. If it is of a network namespace, passes the inode number to `pass`.
fn look_at_descriptor(at: BorrowedFd<'_>, path: &CStr, pass: &mut dyn FnMut(u64)) -> io::Result<bool> {
    let mut room = [0; ROOM];
    // most descriptors refer to something else: the link text shows that without following it
    match sys::link_begins(at, path, &mut room) {
        Ok(target) => {
            number_in_brackets(target).into_iter().for_each(pass);
            Ok(true)
        }
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Room for `net:[4294967295]` and more, so that a longer text is not mistaken for it.
const ROOM: usize = 32;

/// `None`: it has ended, or is out of sight.
fn unless_out_of_sight<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if is_transient(&error) || is_refused(&error) => Err(error),
        result => Ok(result.ok()),
    }
}

fn path(number: i32, below: &str) -> io::Result<CString> {
    Ok(CString::new(format!("{number}{below}"))?)
}

fn number(name: &CStr) -> Option<i32> {
    name.to_str().ok()?.parse().ok()
}
