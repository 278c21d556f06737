//! The processes that names link to.
//!
//! A link to `/proc/PID/ns/net` is no namespace after the process has ended, and only a pidfd reports that. A pidfd
//! keeps neither the process nor its namespaces alive.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::Name;
use crate::sys::{self, CWD, Epoll};

/// The maximum number of pidfds of one watcher.
const MOST: usize = 64;

/// The maximum number of links on the way to the one to a process.
const HOPS: usize = 8;

/// A process, or one thread of it, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Task {
    id: i32,
    is_thread: bool,
}

/// The watched processes, each with its name.
#[derive(Debug)]
pub(crate) struct Processes {
    epoll: Arc<Epoll>,
    watched: Vec<(Name, Task, OwnedFd)>,
    /// The common mount of all links to processes, if the kernel shows it (Linux 6.8); `None`: not started.
    nsfs: Option<Option<u64>>,
}

impl Processes {
    pub(crate) fn new(epoll: Arc<Epoll>) -> Self {
        Self { epoll, watched: Vec::new(), nsfs: None }
    }

    /// Starts to watch, if /proc is that of the pid namespace of pidfd_open(2).
    pub(crate) fn start(&mut self) {
        if sys::is_proc_ours() {
            self.nsfs = Some(sys::stat(CWD, c"/proc/thread-self/ns/net", 0).ok().and_then(|stat| stat.mount_id));
        }
    }

    /// Whether every link to a process ends on this mount, which never changes.
    pub(crate) fn are_on(&self, mount_id: Option<u64>) -> bool {
        mount_id.is_some() && self.nsfs == Some(mount_id)
    }

    /// Watches the process that a name links to, if it leads to a namespace on this mount and is such a link. Returns
    /// whether the process was not watched before, when its end would have been missed.
    pub(crate) fn note(&mut self, name: &CStr, path: &CStr, mount_id: Option<u64>) -> bool {
        let Some(nsfs) = self.nsfs else { return false };
        let task = match mount_id.is_none() || mount_id == nsfs {
            true => task_behind(Path::new(OsStr::from_bytes(path.to_bytes()))),
            false => None,
        };
        let Some(task) = task else {
            self.forget(name);
            return false;
        };
        if self.watched.iter().any(|(watched, its, _)| watched.as_c_str() == name && *its == task) {
            return false;
        }
        self.forget(name);
        if self.watched.len() >= MOST {
            return false;
        }
        match sys::pidfd_open(task.id, task.is_thread) {
            Ok(pidfd) if self.epoll.add(pidfd.as_fd()).is_ok() => {
                self.watched.push((Name::new(name), task, pidfd));
                true
            }
            // it has ended by now, which another probe shows; or there is no free descriptor: leave it to a resync
            Err(error) => error.raw_os_error() == Some(libc::ESRCH),
            Ok(_) => false,
        }
    }

    pub(crate) fn forget(&mut self, name: &CStr) {
        if let Some(at) = self.watched.iter().position(|(watched, ..)| watched.as_c_str() == name) {
            let (.., pidfd) = self.watched.swap_remove(at);
            // closing is not enough if a child of fork(2) has a copy
            self.epoll.remove(pidfd.as_fd()).ok();
        }
    }

    /// Forgets the names for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Name) -> bool) {
        let gone: Vec<Name> = self.watched.iter().map(|(name, ..)| name).filter(|name| !keep(name)).cloned().collect();
        gone.iter().for_each(|name| self.forget(name.as_c_str()));
    }

    /// The names whose processes have ended. It no longer watches them.
    pub(crate) fn take_ended(&mut self) -> io::Result<Vec<Name>> {
        if self.watched.is_empty() {
            return Ok(Vec::new());
        }
        let ended = sys::which_are_readable(self.watched.iter().map(|(.., pidfd)| pidfd.as_fd()))?;
        let ended: Vec<Name> =
            self.watched.iter().zip(ended).filter(|(_, ended)| *ended).map(|((name, ..), _)| name.clone()).collect();
        ended.iter().for_each(|name| self.forget(name.as_c_str()));
        Ok(ended)
    }
}

/// The process whose network namespace a symbolic link leads to, possibly by way of other links.
fn task_behind(link: &Path) -> Option<Task> {
    let mut here: PathBuf = link.to_owned();
    for _ in 0..HOPS {
        let target = sys::read_link(&here).ok()?;
        here.pop();
        here.push(target);
        if let Some(task) = task_in(&here) {
            return Some(task);
        }
    }
    None
}

/// `/proc/PID/ns/net` or `/proc/PID/task/TID/ns/net`.
fn task_in(path: &Path) -> Option<Task> {
    let parts: Vec<&str> = path.to_str()?.strip_prefix("/proc/")?.split('/').filter(|part| !part.is_empty()).collect();
    let (id, is_thread) = match *parts.as_slice() {
        [pid, "ns", "net"] => (pid, false),
        [_, "task", tid, "ns", "net"] => (tid, true),
        _ => return None,
    };
    id.parse().ok().filter(|id| *id > 0).map(|id| Task { id, is_thread })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_process_or_a_thread() {
        let task = |path: &str| task_in(Path::new(path)).map(|task| (task.id, task.is_thread));
        assert_eq!(task("/proc/4711/ns/net"), Some((4711, false)));
        assert_eq!(task("/proc//4711/ns/net"), Some((4711, false)));
        assert_eq!(task("/proc/4711/task/4712/ns/net"), Some((4712, true)));
        for path in ["/proc/self/ns/net", "/proc/0/ns/net", "/proc/-1/ns/net", "/proc/4711/ns/mnt", "/run/4711/ns/net"]
        {
            assert_eq!(task(path), None, "{path}");
        }
    }
}
