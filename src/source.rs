//! What the kinds of watcher have in common, seen from the front.

use crate::error::Result;
use crate::outbox::{Counters, Outbox};

/// How far a source came when it stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is left, or only what its descriptors show to those who poll them.
    Done,
    /// Work is left that no descriptor shows: it stopped to bound the work of one call.
    More,
}

/// Turns kernel notifications into events.
///
/// A source registers the descriptors it listens on with the watcher's epoll set when it is made. What it could not
/// finish because of an error it keeps, and goes on with in the next call: an error loses nothing.
pub(crate) trait Source: Send {
    /// Reads a bounded number of the kernel's notifications and pushes the events.
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress>;

    /// Compares with the kernel now and pushes the differences, then `Synced`.
    fn resync(&mut self, out: &mut Outbox) -> Result<()>;

    /// Whether opening, or a resync, left work that no descriptor shows.
    fn unfinished(&self) -> bool {
        false
    }

    /// Sets how many objects are known, reported or not, and how many of them are not usable yet.
    fn count(&self, counters: &Counters);
}
