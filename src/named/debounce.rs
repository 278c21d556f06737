//! When a change of a name is emitted: at once, or debounced.
//!
//! This part owns the [`Names`] and is the only one to emit their changes. With a window, the first change of a name
//! starts its clock; when the time is over, the difference between what was last emitted of it and what it is then is
//! emitted. So a name that came and went within the window is never reported, and one that keeps flapping is reported
//! at the end of each window, since further changes do not start the clock again. Replayed events, and a directory that
//! goes, do not wait: before them, all that is held back is emitted.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::names::{Names, State, Transition};
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::outbox::Outbox;
use crate::sys::{Epoll, Timer};

#[derive(Debug)]
pub(crate) struct Debounce {
    names: Names,
    /// Without it, every change is emitted at once.
    window: Option<Window>,
}

/// The changes that are held back.
#[derive(Debug)]
struct Window {
    length: Duration,
    timer: Timer,
    /// The names that have changed.
    held: BTreeSet<Name>,
    /// When their time is over, in this order, and what was last emitted of them.
    ends: VecDeque<(Duration, Name, State)>,
}

impl Debounce {
    pub(crate) fn new(settle: Duration, epoll: &Arc<Epoll>) -> Result<Self> {
        let mut window = None;
        if !settle.is_zero() {
            let timer = Timer::new().doing("make a timer")?;
            epoll.add(timer.as_fd()).doing("listen to a timer")?;
            window = Some(Window { length: settle, timer, held: BTreeSet::new(), ends: VecDeque::new() });
        }
        Ok(Self { names: Names::default(), window })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// A name was seen to come or go.
    pub(crate) fn observe(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.names.observe(name, state);
        self.changed(change, out);
    }

    /// A name came that may be known already.
    pub(crate) fn appear(&mut self, name: &CStr, out: &mut Outbox) {
        let change = self.names.appear(name);
        self.changed(change, out);
    }

    /// A name was probed again.
    pub(crate) fn review(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.names.review(name, state);
        self.changed(change, out);
    }

    /// A name exists, but is not to be reported.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.names.assume(name, state);
    }

    /// Begins a scan of the directory. What follows, until [`Debounce::end_scan`], is emitted at once.
    pub(crate) fn begin_scan(&mut self, out: &mut Outbox) {
        self.flush(out);
        self.names.begin_scan();
    }

    /// A scan found this name.
    pub(crate) fn scan_found(&mut self, name: &CStr, state: State, replayed: bool, out: &mut Outbox) {
        if let Some(change) = self.names.observe(name, state) {
            emit(change, replayed, out);
        }
    }

    /// Ends a scan: what it did not find is gone.
    pub(crate) fn end_scan(&mut self, replayed: bool, out: &mut Outbox) {
        for change in self.names.end_scan() {
            emit(change, replayed, out);
        }
    }

    fn changed(&mut self, change: Option<Transition>, out: &mut Outbox) {
        let Some(change) = change else { return };
        let Some(window) = &mut self.window else { return emit(change, false, out) };
        if window.held.insert(change.name.clone()) {
            window.ends.push_back((out.now().saturating_add(window.length), change.name, change.from));
        }
    }

    /// Emits the changes whose time is over, and sets the clock for the others.
    pub(crate) fn emit_settled(&mut self, out: &mut Outbox) -> Result<()> {
        let Some(window) = &mut self.window else { return Ok(()) };
        if !window.ends.is_empty() {
            out.learned_now();
            window.emit_until(out.now(), &self.names, out);
        }
        let end = window.ends.front().map(|(end, ..)| *end);
        window.timer.set(end).doing("set a timer")
    }

    /// Emits all that is held back.
    pub(crate) fn flush(&mut self, out: &mut Outbox) {
        if let Some(window) = &mut self.window {
            window.emit_until(Duration::MAX, &self.names, out);
        }
    }
}

impl Window {
    fn emit_until(&mut self, now: Duration, names: &Names, out: &mut Outbox) {
        while self.ends.front().is_some_and(|(end, ..)| *end <= now) {
            let Some((_, name, from)) = self.ends.pop_front() else { return };
            self.held.remove(&name);
            let to = names.state(name.as_c_str());
            emit(Transition { name, from, to }, false, out);
        }
    }
}

fn emit(change: Transition, replayed: bool, out: &mut Outbox) {
    change.emit(&mut |event| out.push(event, replayed));
}
