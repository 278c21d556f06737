//! The interface of the kinds of watcher to the front.

use crate::error::Result;
use crate::outbox::{Counters, Outbox};

/// How far a source got when it stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No work is left, or only work that its descriptors show.
    Done,
    /// Work is left that no descriptor shows: the source stopped to bound the work of one call.
    More,
}

/// Turns kernel notifications into events.
///
/// When made, a source registers its descriptors with the watcher's epoll set. After an error it keeps the unfinished
/// work and continues in the next call: an error loses nothing.
pub(crate) trait Source: Send {
    /// Reads a bounded number of the kernel's notifications and pushes the events.
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress>;

    /// Compares with the kernel's state and pushes the differences, then `Synced`.
    fn resync(&mut self, out: &mut Outbox) -> Result<()>;

    /// Whether opening, or a resync, left work that no descriptor shows.
    fn unfinished(&self) -> bool {
        false
    }

    /// Sets how many objects are known, reported or not, and how many of them are pending.
    fn count(&self, counters: &Counters);
}
