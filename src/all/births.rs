//! The interface of a mechanism that reports network namespaces as they are made.

use std::fmt;
use std::io;
use std::time::Duration;

/// A task has entered, or was born in, the network namespace with this inode number, which may be new or known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(super) ino: u64,
    /// The process, in the pid namespace of the calling process; 0: it is in a pid namespace that the caller cannot
    /// see.
    pub(super) pid: i32,
    /// The thread, likewise.
    pub(super) tid: i32,
}

/// The losses since the last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Nothing,
    /// The number of lost hints; 0: unknown.
    Hints(u64),
}

/// A kernel mechanism that reports each namespace as it is made. Its descriptors are in the watcher's epoll set, and
/// are readable while there are hints to read.
pub(super) trait Births: Send {
    /// Marks the present position of the kernel. [`read`](Self::read) returns the hints up to the mark, no later ones.
    /// The source reads deaths between the two calls, so an inode number in a hint is never that of a namespace that
    /// died before.
    fn mark(&mut self, now: Duration) -> io::Result<()>;

    /// Passes the hints up to the mark to `take`, in the order of each processor. After an error it no longer reports
    /// all births.
    fn read(&mut self, take: &mut dyn FnMut(Hint)) -> io::Result<Loss>;
}

impl fmt::Debug for dyn Births {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Births")
    }
}
