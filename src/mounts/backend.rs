//! What a mechanism offers to the monitor, and what it reports.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::Epoll;

/// A change of one mount, which has this never-reused id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Attached(u64),
    Detached(u64),
}

/// What a backend has to report since it was last read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// These; perhaps none.
    Known(Vec<Change>),
    /// Some mount may have changed, and the backend does not know which.
    Unknown,
    /// The kernel has dropped changes.
    Lost,
}

impl Changes {
    pub(super) fn none() -> Self {
        Self::Known(Vec::new())
    }
}

/// A mechanism of the kernel that reports changes in the mount namespace of the thread that starts it. Its descriptor is
/// readable while there are changes to read.
pub(super) trait Backend: AsFd + Send {
    /// Has the kernel report each change from here on.
    fn start(&mut self) -> io::Result<()>;

    /// Spares the kernel the reports. The owner has stopped listening to the descriptor before.
    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Puts the descriptor into the set of those that wake the consumer.
    fn add_to(&self, epoll: &Epoll) -> io::Result<()> {
        epoll.add(self.as_fd())
    }

    /// What has changed since it was started or last read.
    fn read(&mut self) -> io::Result<Changes>;

    /// Whether it reports which mount has changed, and not only that some did.
    fn reports_each(&self) -> bool {
        false
    }
}

// Not a supertrait: the library would carry what prints the fields of each backend.
impl fmt::Debug for dyn Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}
