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
        sys::names_in(proc.as_fd(), &mut |name| match number(name) {
            Some(pid) => self.process(proc.as_fd(), name, pid),
            None => Ok(()),
        })
    }

    fn process(&mut self, proc: BorrowedFd<'_>, name: &CStr, pid: i32) -> io::Result<()> {
        // by a descriptor, whose number no other process takes over
        let Some(process) = unless_out_of_sight(sys::open(proc, name, libc::O_PATH | libc::O_DIRECTORY))? else {
            return Ok(());
        };
        let netns = self.look(process.as_fd(), pid)?;
        let threads = unless_out_of_sight(sys::stat(process.as_fd(), c"task", 0))?.map(|stat| stat.links);
        let holder = match threads {
            None => return Ok(()),
            Some(LINKS_OF_ONE_THREAD) => None,
            Some(_) => self.threads(process.as_fd(), pid, netns)?,
        };
        // where the first thread has ended, the descriptors are those of others
        self.holders.extend(netns.map(|_| pid).or(holder));
        Ok(())
    }

    /// The threads that are in another namespace than the process. One that has not ended.
    fn threads(&mut self, process: BorrowedFd<'_>, pid: i32, of_process: Option<Netns>) -> io::Result<Option<i32>> {
        let mut living = None;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let Some(tasks) = unless_out_of_sight(sys::open(process, c"task", flags))? else { return Ok(None) };
        let mut look = |name: &CStr| {
            let Some(tid) = number(name).filter(|tid| *tid != pid) else { return Ok(()) };
            let path = CString::new([name.to_bytes(), b"/ns/net"].concat())?;
            let Some(found) = self.reach(tasks.as_fd(), &path)? else { return Ok(()) };
            living = Some(tid);
            if Some(found.netns) != of_process {
                self.entry(found.netns).pids.push(tid);
            }
            Ok(())
        };
        unless_out_of_sight(sys::names_in(tasks.as_fd(), &mut look))?;
        Ok(living)
    }

    fn look(&mut self, process: BorrowedFd<'_>, pid: i32) -> io::Result<Option<Netns>> {
        let Some(found) = self.reach(process, c"ns/net")? else { return Ok(None) };
        self.entry(found.netns).pids.push(pid);
        Ok(Some(found.netns))
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
pub(in crate::all) fn descriptors_of(pid: i32) -> io::Result<Vec<(u64, PathBuf)>> {
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

fn number(name: &CStr) -> Option<i32> {
    name.to_str().ok()?.parse().ok()
}
