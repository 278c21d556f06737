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

use crate::error::{Doing, Result, is_transient};
use crate::sys::{self, CWD, Epoll};
use aio::MountPoll;
use backend::Backend;
pub(crate) use backend::{Change, Changes};
use fanotify::MountGroup;
use mountinfo::Mountinfo;

/// The directory in /proc of the calling thread, in whose mount namespace the kernel resolves its paths.
pub(crate) const OWN: &str = "/proc/thread-self";

/// Listens to mounts by the best backend there is.
#[derive(Debug)]
pub(crate) struct Monitor {
    epoll: Arc<Epoll>,
    /// The directory in /proc of the process whose mounts these are.
    process: PathBuf,
    /// Made when first needed, then kept.
    backend: Option<Box<dyn Backend>>,
    armed: bool,
}

impl Monitor {
    pub(crate) fn new(epoll: Arc<Epoll>, process: &Path) -> Self {
        Self { epoll, process: process.to_owned(), backend: None, armed: false }
    }

    /// Gives up all that it has of the process.
    pub(crate) fn close(&mut self) {
        if let (Some(backend), true) = (self.backend.take(), self.armed) {
            self.epoll.remove(backend.as_fd()).ok();
        }
        self.armed = false;
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether the backend reports which mount has changed, and not only that some did.
    pub(crate) fn reports_each(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.reports_each())
    }

    /// Whether the backend cannot know whether mounts have changed, so that it always says so.
    pub(crate) fn is_last_resort(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.is_last_resort())
    }

    /// From here on each change of a mount wakes the consumer.
    pub(crate) fn arm(&mut self) -> Result<()> {
        if self.armed {
            return Ok(());
        }
        let doing = "listen to mounts";
        let kept = self.backend.take().filter(|backend| !backend.is_last_resort());
        let backend = self.backend.insert(match kept {
            Some(backend) => backend,
            None => best(&self.process).doing(doing)?,
        });
        backend.start().doing(doing)?;
        backend.add_to(&self.epoll).doing(doing)?;
        self.armed = true;
        Ok(())
    }

    /// From here on no change of a mount wakes the consumer.
    pub(crate) fn disarm(&mut self) -> Result<()> {
        let (Some(backend), true) = (&mut self.backend, self.armed) else { return Ok(()) };
        let doing = "stop listening to mounts";
        self.epoll.remove(backend.as_fd()).doing(doing)?;
        // what follows can fail, and only spares the kernel work
        self.armed = false;
        backend.stop().doing(doing)
    }

    /// What has changed since it was armed or last read.
    pub(crate) fn read(&mut self) -> Result<Changes> {
        match &mut self.backend {
            Some(backend) if self.armed => backend.read(),
            _ => Ok(Changes::none()),
        }
    }
}

/// Opens the best backend that works here.
fn best(process: &Path) -> io::Result<Box<dyn Backend>> {
    if let Ok(group) = MountGroup::open(process) {
        return Ok(Box::new(group));
    }
    match MountPoll::open(process) {
        Ok(poll) => Ok(Box::new(poll)),
        // All requests that the system permits are taken, which can last. A shortage that passes is no reason to fall
        // back: the last resort is not as good as the others.
        Err(error) if is_transient(&error) && error.raw_os_error() != Some(libc::EAGAIN) => Err(error),
        Err(_) => Ok(Box::new(Mountinfo::open(process)?)),
    }
}

/// Whether fanotify mount events can be had.
pub(crate) fn try_events() -> io::Result<bool> {
    MountGroup::open(OWN.as_ref()).map(|_| true)
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
