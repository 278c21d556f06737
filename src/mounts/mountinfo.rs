//! mountinfo itself, if AIO is forbidden: some mount may have changed. The first poll consumes its readiness, so the
//! consumer must take events after every wake-up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::backend::{Backend, Changes};
use crate::error::is_transient;
use crate::sys::{self, Epoll};

/// Opens the mountinfo of a process. While open, it keeps the mount namespace of the process alive.
pub(super) fn open(process: &Path) -> io::Result<File> {
    let file = File::open(process.join("mountinfo")).map_err(sys::proc_error)?;
    sys::above_standard(file.into()).map(File::from)
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

    fn read(&mut self) -> io::Result<Changes> {
        // Consumes the readiness for what is probed now. A "no" means nothing: another poll may have consumed it
        // before. A refusal costs one wake-up.
        match sys::poll_priority(self.as_fd()) {
            Err(error) if is_transient(&error) => Err(error),
            _ => Ok(Changes::Unknown),
        }
    }
}

impl AsFd for Mountinfo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
