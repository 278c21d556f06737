//! Learning of network namespaces as they are made: what a mechanism of the kernel's offers to the source.

use std::fmt;
use std::io;
use std::time::Duration;

/// A task has entered, or was born in, the network namespace with this inode number. It may be new, or long known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(super) ino: u64,
    /// The process, as the calling process numbers it; 0: it is in a pid namespace that cannot be seen.
    pub(super) pid: i32,
    /// The thread, likewise.
    pub(super) tid: i32,
}

/// What was lost since the last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Nothing,
    /// So many hints; 0: unknown.
    Hints(u64),
}

/// A mechanism of the kernel that reports each namespace as it is made. Its descriptors are in the watcher's epoll set, and
/// show whatever there is to read.
pub(super) trait Births: Send {
    /// Notes how far the kernel has come. [`read`](Self::read) returns the hints until here and no later ones: the source
    /// reads deaths in between, so that an inode number in a hint is not that of one which died before.
    fn mark(&mut self, now: Duration) -> io::Result<()>;

    /// Passes on the hints until the mark, in the order of each processor. An error: it does not report all births any more.
    fn read(&mut self, take: &mut dyn FnMut(Hint)) -> io::Result<Loss>;
}

impl fmt::Debug for dyn Births {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Births")
    }
}
