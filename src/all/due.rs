//! The unfinished work of the source. Pure.

use super::births::Hint;

/// Unfinished work. It stays due until it is done: an error loses nothing.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Births of possibly unknown namespaces, each thread once.
    pub(super) hints: Vec<Hint>,
    /// Those whose threads did not show the namespace: it may be anywhere.
    pub(super) missed: Vec<Hint>,
    /// Scan the mounts.
    pub(super) mounts: bool,
    /// Take a census.
    pub(super) census: Option<EmitMode>,
    /// The consumer has requested it, and waits.
    pub(super) asked: bool,
    /// Ask whether each known namespace is alive.
    pub(super) ask: bool,
    /// Emit `Synced` when all that is done.
    pub(super) synced: bool,
    /// There are more namespaces than the limit.
    pub(super) left_out: bool,
    /// Report that to the consumer.
    pub(super) too_many: bool,
}

impl Due {
    pub(super) fn everything(&mut self) {
        self.census = Some(EmitMode::Replayed);
        (self.ask, self.synced) = (true, true);
    }

    /// Notes that the limit is reached, and reports it once until there is room again.
    pub(super) fn leave_out(&mut self) {
        self.too_many |= !std::mem::replace(&mut self.left_out, true);
    }

    /// Whether a probe is due that may have to wait.
    pub(super) fn is_to_look(&self) -> bool {
        self.mounts || !self.missed.is_empty() || self.census.is_some()
    }

    /// Whether no probe and no event is due.
    pub(super) fn is_nothing(&self) -> bool {
        self.hints.is_empty() && !self.is_to_look() && !self.synced && !self.too_many
    }

    /// Adds a hint, unless it is there. Returns `false` if it had to drop one for that, to keep at most `max`.
    pub(super) fn add(&mut self, hint: Hint, max: usize) -> bool {
        // its thread has entered it again, and may show it now
        self.missed.retain(|missed| *missed != hint);
        if self.hints.contains(&hint) {
            return true;
        }
        let has_room = self.hints.len() + self.missed.len() < max;
        // following it to its thread costs least
        if has_room || self.missed.pop().is_some() {
            self.hints.push(hint);
        }
        has_room
    }

    /// Plans a census that the consumer has not requested.
    pub(super) fn plan_census(&mut self) {
        self.census.get_or_insert(EmitMode::News);
    }
}

/// How to emit the results of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmitMode {
    News,
    Replayed,
    /// Not at all.
    Silent,
}
