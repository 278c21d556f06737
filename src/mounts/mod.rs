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
use std::sync::Arc;

use crate::error::{Doing, Result, errno_of, is_transient, refusal, refused};
use crate::sys::{self, CWD, Epoll};
use aio::MountPoll;
use backend::Backend;
pub(crate) use backend::{Change, Changes};
use fanotify::MountGroup;
use mountinfo::Mountinfo;

const LISTEN: &str = "listen to mounts";

/// A mechanism of the kernel, and its backend once it is made.
struct Mechanism {
    make: fn() -> io::Result<Box<dyn Backend>>,
    /// Whether an error of making or starting the backend is worth waiting for its end. Else the next mechanism serves.
    passes: fn(&io::Error) -> bool,
    made: Option<Box<dyn Backend>>,
}

/// The mechanisms, from the best to the last resort.
const MECHANISMS: [Mechanism; 3] = [
    Mechanism { make: || Ok(Box::new(MountGroup::open()?)), passes: |_| false, made: None },
    Mechanism {
        make: || Ok(Box::new(MountPoll::open()?)),
        // EAGAIN: all requests that the system permits are taken, which can last
        passes: |error| is_transient(error) && errno_of(error) != libc::EAGAIN,
        made: None,
    },
    Mechanism { make: || Ok(Box::new(Mountinfo::open()?)), passes: is_transient, made: None },
];
const LAST_RESORT: usize = MECHANISMS.len() - 1;

impl Mechanism {
    fn start(&mut self) -> io::Result<&mut Box<dyn Backend>> {
        let backend = match &mut self.made {
            Some(made) => made,
            none => none.insert((self.make)()?),
        };
        backend.start()?;
        Ok(backend)
    }

    fn read(&mut self) -> io::Result<Changes> {
        self.made.as_mut().map_or_else(|| Ok(Changes::none()), |backend| backend.read())
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
/// the monitor drops it and goes on with the next one.
#[derive(Debug)]
pub(crate) struct Monitor {
    epoll: Arc<Epoll>,
    mechanisms: [Mechanism; MECHANISMS.len()],
    /// Which one is started, or was last.
    current: Option<usize>,
    /// Nothing is made, or disarmed, any more.
    prepared: bool,
    armed: bool,
}

impl Monitor {
    pub(crate) fn new(epoll: Arc<Epoll>) -> Self {
        Self { epoll, mechanisms: MECHANISMS, current: None, prepared: false, armed: false }
    }

    /// Makes every backend that can be made here, and none later, and arms the monitor for good: a filter may kill who
    /// tries later.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        for mechanism in &mut self.mechanisms {
            match (mechanism.make)() {
                Ok(made) => mechanism.made = Some(made),
                Err(error) if (mechanism.passes)(&error) => return Err(error).doing(LISTEN),
                Err(_) => {}
            }
        }
        self.prepared = true;
        self.arm()
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// From here on each change of a mount wakes the consumer.
    pub(crate) fn arm(&mut self) -> Result<()> {
        if !self.armed {
            // the last resort is worth another try of the others
            self.start_from(self.current.filter(|which| *which != LAST_RESORT).unwrap_or(0))?;
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

    /// What has changed since it was armed or last read.
    pub(crate) fn read(&mut self) -> Result<Changes> {
        if !self.armed {
            return Ok(Changes::none());
        }
        let next = match self.current.and_then(|which| Some((which, self.mechanisms.get_mut(which)?))) {
            Some((which, mechanism)) => match mechanism.read() {
                Err(error) if !is_transient(&error) => {
                    mechanism.made = None;
                    which + 1
                }
                changes => return changes.doing("read the changes of mounts"),
            },
            None => 0,
        };
        self.start_from(next)?;
        // nobody has listened since the other one stopped working
        Ok(Changes::Unknown)
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
            let error = match mechanism.start() {
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
        Err(refused(&failure, refusal!("fanotify, kernel AIO and polling mountinfo alike"))).doing(LISTEN)
    }
}

impl std::fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.made.fmt(f)
    }
}

const STATMOUNT_MNT_BASIC: u64 = 0x2;

/// Where `struct statmount` has the id of the parent, and the size of its fixed part.
const PARENT: usize = 48;
const ROOM: usize = 512;

/// The mount that the one with this never-reused id is mounted on: where something was mounted before, that. `None`:
/// it is gone, or out of reach of this process.
pub(crate) fn parent_of(mount_id: u64) -> io::Result<Option<u64>> {
    let mut answer = [0u8; ROOM];
    match sys::statmount(mount_id, STATMOUNT_MNT_BASIC, &mut answer) {
        Ok(()) => Ok(answer.get(PARENT..).and_then(|rest| rest.first_chunk()).copied().map(u64::from_ne_bytes)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether fanotify mount events can be had.
pub(crate) fn try_events() -> io::Result<bool> {
    MountGroup::open()?.start().map(|()| true)
}

/// Whether an AIO poll can be had.
pub(crate) fn try_poll() -> io::Result<bool> {
    MountPoll::open().map(|_| true)
}

/// Whether a mount says what it is mounted on: that of /proc, which is within reach wherever this process is rooted.
pub(crate) fn try_statmount() -> io::Result<bool> {
    let proc = sys::stat(CWD, c"/proc/thread-self", 0).map_err(sys::proc_error)?;
    Ok(matches!(proc.mount_id.map(parent_of).transpose()?, Some(Some(_))))
}
