//! What the source still has to do. Pure.

use super::births::Hint;

/// Work left to do. It stays due until it is done: an error on the way loses nothing.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Births that may be of unknown namespaces, each thread once.
    pub(super) hints: Vec<Hint>,
    /// Go through the mounts.
    pub(super) mounts: bool,
    /// Go through everything that can be seen.
    pub(super) census: Option<EmitMode>,
    /// The consumer asked for it, and waits.
    pub(super) asked: bool,
    /// Ask about each known namespace whether it lives.
    pub(super) ask: bool,
    /// Emit `Synced` when all that is done.
    pub(super) synced: bool,
    /// There are more namespaces than may be kept.
    pub(super) left_out: bool,
    /// The consumer is to learn of that.
    pub(super) too_many: bool,
}

impl Due {
    pub(super) fn everything(&mut self) {
        self.census = Some(EmitMode::Replayed);
        (self.ask, self.synced) = (true, true);
    }

    /// There is no room for all. The consumer is to learn of it once, until there is.
    pub(super) fn leave_out(&mut self) {
        self.too_many |= !std::mem::replace(&mut self.left_out, true);
    }

    /// Whether no look, and no event, is due.
    pub(super) fn is_nothing(&self) -> bool {
        self.hints.is_empty() && !self.mounts && self.census.is_none() && !self.synced && !self.too_many
    }

    /// A census that nobody asked for.
    pub(super) fn look_around(&mut self) {
        self.census.get_or_insert(EmitMode::News);
    }
}

/// How what a look finds is emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmitMode {
    News,
    Replayed,
    /// Not at all.
    Silent,
}
