//! What is known of the names, and what the consumer has been told of them.
//!
//! The ledger owns the roster and is the only one to tell its changes: at once, or, on request, when a name has
//! settled. With a window, the first change of a name starts its clock, and when the time is over the difference
//! between what was last told of it and what it is then is told. So a name that came and went within the window is
//! never told, and one that keeps flapping is told at the end of each window, since further changes do not start the
//! clock again. What is replayed, and a directory that goes, wait for nothing: before them, all is told.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::names::{Roster, State, Transition};
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::outbox::Outbox;
use crate::sys::{Epoll, Timer};

#[derive(Debug)]
pub(crate) struct Ledger {
    roster: Roster,
    /// Without it, all is told at once.
    window: Option<Window>,
}

/// The changes that are held back.
#[derive(Debug)]
struct Window {
    length: Duration,
    timer: Timer,
    /// The names that have changed.
    held: BTreeSet<Name>,
    /// When their time is over, in this order, and what was last told of them.
    ends: VecDeque<(Duration, Name, State)>,
}

impl Ledger {
    pub(crate) fn new(settle: Duration, epoll: &Arc<Epoll>) -> Result<Self> {
        let mut window = None;
        if !settle.is_zero() {
            let timer = Timer::new().doing("make a timer")?;
            epoll.add(timer.as_fd()).doing("listen to a timer")?;
            window = Some(Window { length: settle, timer, held: BTreeSet::new(), ends: VecDeque::new() });
        }
        Ok(Self { roster: Roster::default(), window })
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A name was seen to come or go.
    pub(crate) fn observe(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.roster.observe(name, state);
        self.news(change, out);
    }

    /// A name came that may be known already.
    pub(crate) fn appear(&mut self, name: &CStr, out: &mut Outbox) {
        let change = self.roster.appear(name);
        self.news(change, out);
    }

    /// A name was looked at again.
    pub(crate) fn review(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.roster.review(name, state);
        self.news(change, out);
    }

    /// A name exists, but that is not to be told.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.roster.assume(name, state);
    }

    /// Begins a look at all there is. What follows, until [`Ledger::end_look`], is told at once.
    pub(crate) fn begin_look(&mut self, out: &mut Outbox) {
        self.flush(out);
        self.roster.begin_look();
    }

    /// A look saw this name.
    pub(crate) fn look_saw(&mut self, name: &CStr, state: State, replayed: bool, out: &mut Outbox) {
        if let Some(change) = self.roster.observe(name, state) {
            tell(change, replayed, out);
        }
    }

    /// Ends a look: what it did not see is gone.
    pub(crate) fn end_look(&mut self, replayed: bool, out: &mut Outbox) {
        for change in self.roster.end_look() {
            tell(change, replayed, out);
        }
    }

    fn news(&mut self, change: Option<Transition>, out: &mut Outbox) {
        let Some(change) = change else { return };
        let Some(window) = &mut self.window else { return tell(change, false, out) };
        if window.held.insert(change.name.clone()) {
            window.ends.push_back((out.now().saturating_add(window.length), change.name, change.from));
        }
    }

    /// Tells what has settled, and sets the clock for what has not.
    pub(crate) fn tell_settled(&mut self, out: &mut Outbox) -> Result<()> {
        let Some(window) = &mut self.window else { return Ok(()) };
        if !window.ends.is_empty() {
            out.learned_now();
            window.tell_until(out.now(), &self.roster, out);
        }
        let end = window.ends.front().map(|(end, ..)| *end);
        window.timer.set(end).doing("set a timer")
    }

    /// Tells all that is held back.
    pub(crate) fn flush(&mut self, out: &mut Outbox) {
        if let Some(window) = &mut self.window {
            window.tell_until(Duration::MAX, &self.roster, out);
        }
    }
}

impl Window {
    fn tell_until(&mut self, now: Duration, roster: &Roster, out: &mut Outbox) {
        while self.ends.front().is_some_and(|(end, ..)| *end <= now) {
            let Some((_, name, from)) = self.ends.pop_front() else { return };
            self.held.remove(&name);
            let to = roster.state(name.as_c_str());
            tell(Transition { name, from, to }, false, out);
        }
    }
}

fn tell(change: Transition, replayed: bool, out: &mut Outbox) {
    change.tell(&mut |event| out.push(event, replayed));
}
