//! Learning that mounts have changed, by the best backend that the kernel and the privileges permit.
//!
//! One file per mechanism, each a [`Backend`]; a [`Monitor`] chooses one, and listens only while its owner needs it. It
//! reports what the backend knows: which mount came or went, or only that some did. What that means for a name is for
//! the owner to find out.

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

/// The directory in /proc of the calling thread, in whose mount namespace the kernel resolves its paths.
pub(crate) const OWN: &str = "/proc/thread-self";

const LISTEN: &str = "watch mounts";

/// A mechanism of the kernel, and its backend once it is made.
struct Mechanism {
    /// Makes the backend for the mounts of the process with this directory in /proc.
    make: fn(&Path) -> io::Result<Box<dyn Backend>>,
    /// Whether an error of making or starting the backend is worth waiting for its end. Else the next mechanism serves.
    passes: fn(&io::Error) -> bool,
    made: Option<Box<dyn Backend>>,
}

/// The mechanisms, from the best to the last resort.
const MECHANISMS: [Mechanism; 3] = [
    Mechanism { make: |process| Ok(Box::new(MountGroup::open(process)?)), passes: |_| false, made: None },
    Mechanism {
        make: |process| Ok(Box::new(MountPoll::open(process)?)),
        // EAGAIN: all requests that the system permits are taken, which can last
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
            // closing it is not enough where a child of fork(2) has a copy; one that is not listened to is not in the set
            epoll.remove(backend.as_fd()).ok();
        }
    }

    /// Stops listening. A backend that may not be stopped is closed; whether it is still there.
    fn stop(&mut self, epoll: &Epoll) -> bool {
        let stopped = |backend: &mut Box<dyn Backend>| epoll.remove(backend.as_fd()).and_then(|()| backend.stop());
        if self.made.as_mut().is_some_and(|backend| stopped(backend).is_err()) {
            self.made = None;
        }
        self.made.is_some()
    }
}

/// Listens to mounts by the best backend there is. If a filter or a lost privilege stops it from working, at any time,
/// the monitor drops it, and goes on with the next one when it is armed again.
#[derive(Debug)]
pub(crate) struct Monitor {
    epoll: Arc<Epoll>,
    /// The directory in /proc of the process whose mounts these are.
    process: PathBuf,
    mechanisms: [Mechanism; MECHANISMS.len()],
    /// Which one is started, or was last.
    current: Option<usize>,
    /// Which one comes after the one that stopped working.
    next: Option<usize>,
    /// Nothing is made, or disarmed, any more.
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

    /// Makes every backend that can be made here, and none later, and arms the monitor for good: a filter may kill who
    /// tries later.
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

    /// Gives up all that it has of the process.
    pub(crate) fn close(&mut self) {
        self.mechanisms.iter_mut().for_each(|mechanism| mechanism.close(&self.epoll));
        (self.armed, self.current) = (false, None);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether the backend reports which mount has changed, and not only that some did.
    pub(crate) fn reports_each(&self) -> bool {
        let mechanism = self.current.and_then(|which| self.mechanisms.get(which));
        mechanism.and_then(|mechanism| mechanism.made.as_ref()).is_some_and(|backend| backend.reports_each())
    }

    /// Whether the backend cannot know whether mounts have changed, so that it always says so.
    pub(crate) fn is_last_resort(&self) -> bool {
        self.current == Some(LAST_RESORT)
    }

    /// From here on each change of a mount wakes the consumer.
    pub(crate) fn arm(&mut self) -> Result<()> {
        if !self.armed {
            // the last resort is worth another try of the others
            let kept = self.current.filter(|which| *which != LAST_RESORT);
            let first = self.next.take().or(kept).unwrap_or(0);
            self.start_from(first)?;
            self.armed = true;
        }
        Ok(())
    }

    /// From here on no change of a mount wakes the consumer.
    pub(crate) fn disarm(&mut self) {
        if !self.prepared && std::mem::take(&mut self.armed) {
            let Self { mechanisms, epoll, .. } = self;
            self.current = self.current.filter(|which| mechanisms.get_mut(*which).is_some_and(|one| one.stop(epoll)));
        }
    }

    /// What has changed since it was armed or last read. Where the backend does not work any more, the monitor is not
    /// armed any more: what changes until it is, it does not know.
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

    /// Starts the first mechanism that works, from this one on.
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
            // of another process it may be what nobody forbids
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

/// Whether fanotify mount events can be had.
pub(crate) fn try_events() -> io::Result<bool> {
    MountGroup::open(OWN.as_ref())?.start().map(|()| true)
}

/// Whether an AIO poll can be had.
pub(crate) fn try_poll() -> io::Result<bool> {
    MountPoll::open(OWN.as_ref()).map(|_| true)
}

/// Whether a mount says what it is mounted on: that of /proc, which is within reach wherever this process is rooted.
pub(crate) fn try_statmount() -> io::Result<bool> {
    let proc = sys::stat(CWD, c"/proc/thread-self", 0).map_err(sys::proc_error)?;
    Ok(matches!(proc.mount_id.map(sys::mount_point).transpose()?, Some(Some(_))))
}
