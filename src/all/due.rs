//! The unfinished work of the source. Pure.

use super::births::Hint;

/// How many hints are kept; a census takes the place of the others.
const HINTS: usize = 1024;

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

    /// Adds a hint, unless it is there. Drops one if there are too many, and plans a census, which finds its namespace.
    pub(super) fn add(&mut self, hint: Hint) {
        // its thread has entered it again, and may show it now
        self.missed.retain(|missed| *missed != hint);
        if self.hints.contains(&hint) {
            return;
        }
        if self.hints.len() + self.missed.len() == HINTS {
            self.plan_census();
            // rather a missed one: following a hint to its thread costs least
            if self.missed.pop().is_none() {
                return;
            }
        }
        self.hints.push(hint);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(number: usize) -> Hint {
        Hint { ino: number as u64, pid: 1, tid: 1 }
    }

    fn hints(numbers: std::ops::Range<usize>) -> Vec<Hint> {
        numbers.map(hint).collect()
    }

    #[test]
    fn hints_are_kept_once_and_to_a_bound() {
        let mut due = Due::default();
        for _ in 0..2 {
            (0..HINTS).for_each(|number| due.add(hint(number)));
            assert_eq!((due.hints.len(), due.census), (HINTS, None));
        }
        due.add(hint(HINTS));
        assert_eq!((&due.hints, due.census), (&hints(0..HINTS), Some(EmitMode::News)));
    }

    #[test]
    fn a_new_hint_takes_the_place_of_a_missed_one() {
        let mut due = Due { hints: hints(0..1), missed: hints(1..HINTS), ..Due::default() };
        due.add(hint(HINTS));
        assert_eq!((&due.hints, due.missed.len()), (&vec![hint(0), hint(HINTS)], HINTS - 2));
        assert_eq!(due.census, Some(EmitMode::News), "which finds the namespace of the dropped one");
    }

    #[test]
    fn a_missed_hint_that_comes_again_is_followed_again() {
        let mut due = Due { missed: hints(0..HINTS), ..Due::default() };
        due.add(hint(7));
        assert_eq!((&due.hints, due.missed.len(), due.census), (&vec![hint(7)], HINTS - 1, None));
        assert!(!due.missed.contains(&hint(7)));
    }

    #[test]
    fn a_requested_census_replaces_no_other() {
        let mut due = Due::default();
        due.everything();
        due.plan_census();
        assert_eq!(due.census, Some(EmitMode::Replayed));
    }

    #[test]
    fn the_limit_is_reported_once_until_there_is_room() {
        let mut due = Due::default();
        due.leave_out();
        due.leave_out();
        assert!(std::mem::take(&mut due.too_many));
        due.leave_out();
        assert!(!due.too_many);
        due.left_out = false;
        due.leave_out();
        assert!(due.too_many);
    }
}
