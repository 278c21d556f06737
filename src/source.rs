//! What the two kinds of watcher have in common, seen from the front.

use crate::error::Result;
use crate::outbox::Outbox;

/// What a source leaves behind when it stops reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing, or only what its descriptors show to those who poll them.
    All,
    /// Work that no descriptor shows: it stopped to bound the work of one call.
    More,
}

/// Turns kernel notifications into events.
///
/// A source registers the descriptors it listens on with the watcher's epoll set when it is made. What it could not
/// finish because of an error it keeps, and goes on with in the next call: an error loses nothing.
pub(crate) trait Source: Send {
    /// Reads what the kernel has to say, a bounded amount of it, and pushes the events.
    fn drain(&mut self, out: &mut Outbox) -> Result<Drained>;

    /// Compares with the kernel now and pushes the differences, then `Synced`.
    fn resync(&mut self, out: &mut Outbox) -> Result<()>;

    /// Whether opening, or a resync, left work that no descriptor shows.
    fn unfinished(&self) -> bool {
        false
    }

    /// How many objects are known, told or not.
    fn known(&self) -> u64;

    /// How many of them are not usable yet.
    fn pending(&self) -> u64 {
        0
    }

    /// How many events it holds back for want of being asked, and the most it ever did.
    fn queued(&self) -> (u64, u64) {
        (0, 0)
    }
}
