//! mountinfo itself, where AIO is forbidden: some mount may have changed. Polling consumes its readiness, so the watcher
//! has to be asked after every wake-up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::backend::{Backend, Changes};
use crate::error::{Doing, Result};
use crate::sys::{self, Epoll};

/// Opens the mountinfo of a process. While it is open, it keeps the mount namespace of the process.
pub(super) fn open(process: &Path) -> io::Result<File> {
    File::open(process.join("mountinfo")).map_err(sys::proc_error)
}

#[derive(Debug)]
pub(super) struct Mountinfo(File);

impl Mountinfo {
    pub(super) fn open(process: &Path) -> io::Result<Self> {
        open(process).map(Self)
    }
}

impl Backend for Mountinfo {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn add_to(&self, epoll: &Epoll) -> io::Result<()> {
        epoll.add_priority(self.as_fd())
    }

    fn read(&mut self) -> Result<Changes> {
        // lest it wakes the consumer for what is probed now; a "no" means nothing: another may have polled it before
        sys::poll_priority(self.as_fd()).doing("poll mountinfo")?;
        Ok(Changes::Unknown)
    }

    fn is_last_resort(&self) -> bool {
        true
    }
}

impl AsFd for Mountinfo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
