//! A kernel AIO poll of mountinfo: reports that some mount changed, not which (Linux 4.18, no privilege).
//!
//! The first poll of mountinfo consumes its readiness, so it cannot be in a set that others poll. A kernel AIO poll
//! polls it once for us and leaves the result in an eventfd that stays readable.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::backend::{Backend, Changes};
use super::mountinfo;
use crate::sys::{AioContext, Waker};

/// The maximum number of completions per call, when mounts change faster than it can submit.
const COMPLETIONS: usize = 4;

/// One poll of mountinfo, in flight or completed.
#[derive(Debug)]
pub(super) struct MountPoll {
    // first, so that it is dropped before the descriptors of its request
    context: AioContext,
    mountinfo: File,
    done: Waker,
    in_flight: bool,
}

impl MountPoll {
    /// Fails with `ENOSYS` or `EPERM` if AIO is missing or forbidden, with `EAGAIN` beyond `fs.aio-max-nr`.
    pub(super) fn open(process: &Path) -> io::Result<Self> {
        let context = AioContext::new(1)?;
        let mut poll = Self { context, mountinfo: mountinfo::open(process)?, done: Waker::new()?, in_flight: false };
        poll.submit()?;
        Ok(poll)
    }

    /// Submits the next poll if the last one has completed. Returns whether it had: whether mounts have changed.
    ///
    /// A poll submitted after a second change completes at once. The caller's next probe is newer than that result, so
    /// this takes it too and avoids an empty wake-up.
    fn renew(&mut self) -> io::Result<bool> {
        let mut changed = false;
        for _ in 0..COMPLETIONS {
            if self.done.clear()? {
                changed = true;
                self.in_flight = false;
                // frees the slot in the ring; the eventfd has given the result already
                self.context.reap(drop)?;
            }
            if self.in_flight {
                break;
            }
            self.submit()?;
        }
        Ok(changed)
    }

    fn submit(&mut self) -> io::Result<()> {
        self.context.submit_poll(self.mountinfo.as_fd(), libc::POLLPRI, self.done.as_fd(), 0)?;
        self.in_flight = true;
        Ok(())
    }
}

impl Backend for MountPoll {
    /// While stopped, the poll in flight stays, outside the set, and serves at the next start.
    fn start(&mut self) -> io::Result<()> {
        self.renew().map(drop)
    }

    fn read(&mut self) -> io::Result<Changes> {
        match self.renew()? {
            true => Ok(Changes::Unknown),
            false => Ok(Changes::none()),
        }
    }
}

impl AsFd for MountPoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
