//! The interface of a mount backend, and its reports.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::Epoll;

/// A change of the mount with this never-reused id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Attached(u64),
    Detached(u64),
}

/// The report of a backend since the last read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// These changes, possibly none.
    Known(Vec<Change>),
    /// Some mount may have changed; the backend does not know which.
    Unknown,
    /// The kernel has dropped changes.
    Lost,
}

impl Changes {
    pub(super) fn none() -> Self {
        Self::Known(Vec::new())
    }
}

/// A kernel mechanism that reports changes in the mount namespace of the thread that starts it. Its descriptor is
/// readable while there are changes to read.
pub(super) trait Backend: AsFd + Send {
    /// Starts the reports.
    fn start(&mut self) -> io::Result<()>;

    /// Stops the reports, after the owner has removed the descriptor from its set.
    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Stops the reports for good, without waiting, if that makes closing faster. The descriptor stays in its set.
    fn retire(&mut self) {}

    /// Adds the descriptor to the set of the consumer.
    fn add_to(&self, epoll: &Epoll) -> io::Result<()> {
        epoll.add(self.as_fd())
    }

    /// The changes since the start or the last read.
    fn read(&mut self) -> io::Result<Changes>;

    /// Whether it reports which mount has changed, not only that some did.
    fn reports_each(&self) -> bool {
        false
    }
}

// Not a supertrait, which would put code to print each backend into the library.
impl fmt::Debug for dyn Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}
