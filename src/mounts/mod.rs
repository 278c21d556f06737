//! Changes of mounts, by the best backend that the kernel and the privileges permit.
//!
//! Each mechanism has a file and is a [`Backend`]; a [`Monitor`] chooses one, and runs it only while its owner needs
//! it. It reports what the backend knows: which mount came or went, or only that some did. The owner finds out what
//! that means for a name.

mod aio;
mod backend;
mod fanotify;
mod mountinfo;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Doing, Result, errno_of, is_transient, refusal, refused};
use crate::sys::{self, CWD, Epoll};
use aio::MountPoll;
use backend::Backend;
pub(crate) use backend::{Change, Changes};
use fanotify::MountGroup;
use mountinfo::Mountinfo;

/// The /proc directory of the calling thread. The kernel resolves its paths in the thread's mount namespace.
pub(crate) const OWN: &str = "/proc/thread-self";

const LISTEN: &str = "watch mounts";

/// A kernel mechanism and, once made, its backend.
struct Mechanism {
    /// Makes the backend for the mounts of the process with this directory in /proc.
    make: fn(&Path) -> io::Result<Box<dyn Backend>>,
    /// Whether an error of making or starting the backend is temporary. If not, the next mechanism serves.
    passes: fn(&io::Error) -> bool,
    made: Option<Box<dyn Backend>>,
}

/// The mechanisms, from the best to the last resort.
const MECHANISMS: [Mechanism; 3] = [
    Mechanism { make: |process| Ok(Box::new(MountGroup::open(process)?)), passes: |_| false, made: None },
    Mechanism {
        make: |process| Ok(Box::new(MountPoll::open(process)?)),
        // EAGAIN: all permitted requests are in use, which can last
        passes: |error| is_transient(error) && errno_of(error) != libc::EAGAIN,
        made: None,
    },
    Mechanism { make: |process| Ok(Box::new(Mountinfo::open(process)?)), passes: is_transient, made: None },
];
const LAST_RESORT: usize = MECHANISMS.len() - 1;

impl Mechanism {
    fn start(&mut self, process: &Path) -> io::Result<&mut Box<dyn Backend>> {
        let backend = match &mut self.made {
            Some(made) => made,
            none => none.insert((self.make)(process)?),
        };
        backend.start()?;
        Ok(backend)
    }

    fn read(&mut self) -> io::Result<Changes> {
        self.made.as_mut().map_or_else(|| Ok(Changes::none()), |backend| backend.read())
    }

    /// Closes the backend.
    fn close(&mut self, epoll: &Epoll) {
        if let Some(backend) = self.made.take() {
            // closing is not enough if a child of fork(2) has a copy; a stopped backend is not in the set
            epoll.remove(backend.as_fd()).ok();
        }
    }

    /// Stops the backend. Closes one that may not be stopped. Returns whether it remains.
    fn stop(&mut self, epoll: &Epoll) -> bool {
        let stopped = |backend: &mut Box<dyn Backend>| epoll.remove(backend.as_fd()).and_then(|()| backend.stop());
        if self.made.as_mut().is_some_and(|backend| stopped(backend).is_err()) {
            self.made = None;
        }
        self.made.is_some()
    }
}

/// Reports changes of mounts by the best available backend. If a filter or a lost privilege stops the backend from
/// working, at any time, the monitor drops it and uses the next one when it is armed again.
#[derive(Debug)]
pub(crate) struct Monitor {
    epoll: Arc<Epoll>,
    /// The /proc directory of the process whose mounts to watch.
    process: PathBuf,
    mechanisms: [Mechanism; MECHANISMS.len()],
    /// The backend that is or was started.
    current: Option<usize>,
    /// The backend after the one that stopped working.
    next: Option<usize>,
    /// Make and disarm nothing any more.
    prepared: bool,
    armed: bool,
}

impl Monitor {
    pub(crate) fn new(epoll: Arc<Epoll>, process: &Path) -> Self {
        Self {
            epoll,
            process: process.to_owned(),
            mechanisms: MECHANISMS,
            current: None,
            next: None,
            prepared: false,
            armed: false,
        }
    }

    /// Makes every available backend now, and none later, and arms the monitor for good: a filter may kill the process
    /// for a later attempt.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        for mechanism in &mut self.mechanisms {
            match (mechanism.make)(&self.process) {
                Ok(made) => mechanism.made = Some(made),
                Err(error) if (mechanism.passes)(&error) => return Err(error).doing(LISTEN),
                Err(_) => {}
            }
        }
        self.prepared = true;
        self.arm()
    }

    /// Releases everything that refers to the process.
    pub(crate) fn close(&mut self) {
        self.mechanisms.iter_mut().for_each(|mechanism| mechanism.close(&self.epoll));
        (self.armed, self.current) = (false, None);
    }

    /// Call this before closing an inotify instance or something else that waits for the kernel, then drop the monitor:
    /// both waits take less time together. A prepared monitor makes no system call for that.
    pub(crate) fn retire(&mut self) {
        if !self.prepared {
            self.mechanisms.iter_mut().filter_map(|mechanism| mechanism.made.as_mut()).for_each(|made| made.retire());
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether the backend reports which mount has changed, not only that some did.
    pub(crate) fn reports_each(&self) -> bool {
        let mechanism = self.current.and_then(|which| self.mechanisms.get(which));
        mechanism.and_then(|mechanism| mechanism.made.as_ref()).is_some_and(|backend| backend.reports_each())
    }

    /// Whether the backend cannot detect changes, so that it always reports one.
    pub(crate) fn is_last_resort(&self) -> bool {
        self.current == Some(LAST_RESORT)
    }

    /// From here on, each change of a mount wakes the consumer.
    pub(crate) fn arm(&mut self) -> Result<()> {
        if !self.armed {
            // from the last resort, it tries the others again
            let kept = self.current.filter(|which| *which != LAST_RESORT);
            let first = self.next.take().or(kept).unwrap_or(0);
            self.start_from(first)?;
            self.armed = true;
        }
        Ok(())
    }

    /// From here on, no change of a mount wakes the consumer.
    pub(crate) fn disarm(&mut self) {
        if !self.prepared && std::mem::take(&mut self.armed) {
            let Self { mechanisms, epoll, .. } = self;
            self.current = self.current.filter(|which| mechanisms.get_mut(*which).is_some_and(|one| one.stop(epoll)));
        }
    }

    /// The changes since it was armed or last read. If the backend no longer works, the monitor is disarmed, and misses
    /// changes until it is armed again.
    pub(crate) fn read(&mut self) -> Result<Changes> {
        let Some((which, mechanism)) =
            self.current.filter(|_| self.armed).and_then(|which| Some((which, self.mechanisms.get_mut(which)?)))
        else {
            return Ok(Changes::none());
        };
        match mechanism.read() {
            Err(error) if !is_transient(&error) => {
                mechanism.close(&self.epoll);
                (self.armed, self.current, self.next) = (false, None, Some(which + 1));
                Ok(Changes::Unknown)
            }
            changes => changes.doing("read the changes of mounts"),
        }
    }

    /// Starts the first mechanism that works, beginning with `first`.
    fn start_from(&mut self, first: usize) -> Result<()> {
        self.current = None;
        let mut failure = None;
        for (which, mechanism) in self.mechanisms.iter_mut().enumerate().skip(first) {
            if self.prepared && mechanism.made.is_none() {
                continue;
            }
            let passes = mechanism.passes;
            let error = match mechanism.start(&self.process) {
                Ok(backend) => match backend.add_to(&self.epoll) {
                    Ok(()) => {
                        self.current = Some(which);
                        return Ok(());
                    }
                    Err(error) if is_transient(&error) => return Err(error).doing(LISTEN),
                    Err(error) => error,
                },
                Err(error) if passes(&error) => return Err(error).doing(LISTEN),
                Err(error) => error,
            };
            if !self.prepared {
                mechanism.made = None;
            }
            failure = Some(error);
        }
        let failure = failure.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EPERM));
        if self.process != Path::new(OWN) {
            // for another process, the cause may not be a prohibition
            return Err(failure).doing(LISTEN);
        }
        Err(refused(&failure, refusal!("fanotify, kernel AIO and polling mountinfo alike"))).doing(LISTEN)
    }
}

impl std::fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.made.fmt(f)
    }
}

/// Whether fanotify mount events are available.
pub(crate) fn try_events() -> io::Result<bool> {
    MountGroup::open(OWN.as_ref())?.start().map(|()| true)
}

/// Whether an AIO poll is available.
pub(crate) fn try_poll() -> io::Result<bool> {
    MountPoll::open(OWN.as_ref()).map(|_| true)
}

/// Whether the kernel returns where a mount is mounted. Tries the mount of /proc, which is in reach whatever the root
/// of this process.
pub(crate) fn try_statmount() -> io::Result<bool> {
    let proc = sys::stat(CWD, c"/proc/thread-self", 0).map_err(sys::proc_error)?;
    Ok(matches!(proc.mount_id.map(sys::mount_point).transpose()?, Some(Some(_))))
}
