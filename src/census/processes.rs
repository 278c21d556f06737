//! What processes show: the namespaces that they and their threads are in, and those that only their descriptors keep.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Census, number_in_brackets};
use crate::error::{is_refused, is_shortage, is_transient};
use crate::netns::Netns;
use crate::sys::{self, CWD};

/// The links of `/proc/PID/task` where there is one thread: those of a directory, and one for each thread.
const LINKS_OF_ONE_THREAD: u64 = 3;

impl Census {
    /// The namespaces of all processes and threads.
    pub(super) fn processes(&mut self) -> io::Result<()> {
        let proc = sys::open(CWD, c"/proc", libc::O_RDONLY | libc::O_DIRECTORY)?;
        sys::names_in(proc.as_fd(), &mut |name| number(name).map_or(Ok(()), |pid| self.process(proc.as_fd(), pid)))
    }

    fn process(&mut self, proc: BorrowedFd<'_>, pid: i32) -> io::Result<()> {
        let netns = self.reach(proc, &path(pid, "/ns/net")?)?.map(|found| found.netns);
        if let Some(netns) = netns {
            self.entry(netns).pids.push(pid);
        }
        let tasks = path(pid, "/task")?;
        // counting them costs less than listing
        let holder = match unless_out_of_sight(sys::stat(proc, &tasks, 0))?.map(|stat| stat.links) {
            None | Some(LINKS_OF_ONE_THREAD) => None,
            Some(_) => self.threads(proc, &tasks, pid, netns)?,
        };
        // where the first thread has ended, the descriptors are those of another
        self.holders.extend(netns.map(|_| pid).or(holder));
        Ok(())
    }

    /// The threads that are in another namespace than their process. One that has not ended.
    fn threads(
        &mut self,
        proc: BorrowedFd<'_>,
        tasks: &CStr,
        pid: i32,
        of_process: Option<Netns>,
    ) -> io::Result<Option<i32>> {
        let mut living = None;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let Some(tasks) = unless_out_of_sight(sys::open(proc, tasks, flags))? else { return Ok(None) };
        let mut look = |name: &CStr| {
            let Some(tid) = number(name).filter(|tid| *tid != pid) else { return Ok(()) };
            let Some(found) = self.reach(tasks.as_fd(), &path(tid, "/ns/net")?)? else { return Ok(()) };
            living = Some(tid);
            if Some(found.netns) != of_process {
                self.entry(found.netns).pids.push(tid);
            }
            Ok(())
        };
        unless_out_of_sight(sys::names_in(tasks.as_fd(), &mut look))?;
        Ok(living)
    }

    /// The namespaces that nothing has shown so far, and that a process has a descriptor of. Threads that have descriptors
    /// of their own are not asked.
    pub(super) fn descriptors(&mut self) -> io::Result<()> {
        let mut known: BTreeSet<u64> = self.found.iter().map(|sighting| sighting.netns.ino()).collect();
        for pid in std::mem::take(&mut self.holders) {
            for (ino, path) in descriptors_of(pid)? {
                let terminated = CString::new(path.as_os_str().as_bytes())?;
                if known.contains(&ino) {
                    continue;
                }
                if let Some(found) = self.reach(CWD, &terminated)?.filter(|found| found.netns.ino() == ino) {
                    known.insert(ino);
                    self.entry(found.netns).descriptor = Some(path);
                }
            }
        }
        Ok(())
    }
}

/// The network namespaces that a process, or a thread, has descriptors of: inode numbers, and paths.
pub(crate) fn descriptors_of(pid: i32) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let path = CString::new(format!("/proc/{pid}/fd"))?;
    let Some(dir) = unless_out_of_sight(sys::open(CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY))? else {
        return Ok(found);
    };
    let mut look = |name: &CStr| {
        let mut room = [0; ROOM];
        // most descriptors are of something else: what is in brackets says so without going there
        match sys::link_begins(dir.as_fd(), name, &mut room) {
            Ok(target) => {
                let path = || PathBuf::from(format!("/proc/{pid}/fd/{}", name.to_string_lossy()));
                found.extend(number_in_brackets(target).map(|ino| (ino, path())));
            }
            Err(error) if is_shortage(&error) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    };
    unless_out_of_sight(sys::names_in(dir.as_fd(), &mut look))?;
    Ok(found)
}

/// Room for `net:[4294967295]`, and for some more, lest what goes on is taken for it.
const ROOM: usize = 32;

/// `None`: it has ended, or is not to be seen.
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
