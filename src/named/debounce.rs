//! Emits changes of names: at once, or debounced.
//!
//! This part owns the [`Names`], and alone emits their changes. With a window, the first change of a name starts its
//! clock. When the time is over, the owner probes the name again, and this emits the net change since the last event of
//! the name. So it never reports a name that appears and disappears within the window, and it reports a flapping name
//! once per window, because further changes do not restart the clock. A scan, and a directory that goes, do not wait:
//! they emit the net change at once.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::time::Duration;

use super::names::{Names, State, Transition};
use crate::event::Name;
use crate::outbox::Outbox;

/// The maximum number of names that appeared and disappeared and keep their clock, because they may be flapping. It
/// keeps nothing about others.
const GONE: usize = 64;

#[derive(Debug)]
pub(crate) struct Debounce {
    names: Names,
    /// Without it, every change is emitted at once.
    window: Option<Window>,
}

/// The held changes.
#[derive(Debug)]
struct Window {
    length: Duration,
    held: Held,
}

impl Debounce {
    pub(crate) fn new(settle: Duration) -> Self {
        let window = (!settle.is_zero()).then(|| Window { length: settle, held: Held::default() });
        Self { names: Names::default(), window }
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// A probe saw the name, or it went.
    pub(crate) fn observe(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.names.observe(name, state);
        self.changed(change, out);
    }

    /// A name appeared that may be known already.
    pub(crate) fn appear(&mut self, name: &CStr, out: &mut Outbox) {
        let change = self.names.appear(name);
        self.changed(change, out);
    }

    /// A probe saw the name again.
    pub(crate) fn review(&mut self, name: &CStr, state: State, out: &mut Outbox) {
        let change = self.names.review(name, state);
        self.changed(change, out);
    }

    /// A name exists that is not to be reported.
    pub(crate) fn assume(&mut self, name: &CStr, state: State) {
        self.names.assume(name, state);
    }

    /// Begins a scan of the directory.
    pub(crate) fn begin_scan(&mut self) {
        self.names.begin_scan();
    }

    /// The scan found this name, which is emitted at once.
    pub(crate) fn scan_found(&mut self, name: &CStr, state: State, replayed: bool, out: &mut Outbox) {
        let change = self.names.observe(name, state);
        match self.window.as_mut().and_then(|window| window.held.release(name)) {
            Some((name, from)) => emit(Transition { name, from, to: state }, replayed, out),
            None => change.into_iter().for_each(|change| emit(change, replayed, out)),
        }
    }

    /// Ends a scan: names that it did not find are gone.
    pub(crate) fn end_scan(&mut self, replayed: bool, out: &mut Outbox) {
        for mut change in self.names.end_scan() {
            if let Some((_, from)) = self.window.as_mut().and_then(|window| window.held.release(change.name.as_c_str()))
            {
                change.from = from;
            }
            emit(change, replayed, out);
        }
        let is_gone = |name: &&Name| self.names.state(name.as_c_str()) == State::Absent;
        let gone: Vec<Name> =
            self.window.iter().flat_map(|window| window.held.names.keys()).filter(is_gone).cloned().collect();
        self.emit_held(&gone, replayed, out);
    }

    fn changed(&mut self, change: Option<Transition>, out: &mut Outbox) {
        let Some(change) = change else { return };
        match &mut self.window {
            Some(window) => window.held.hold(change, out.now().saturating_add(window.length)),
            None => emit(change, false, out),
        }
    }

    /// The names whose time is over at this moment, and their state.
    pub(crate) fn over(&self, moment: Duration) -> impl Iterator<Item = (&Name, State)> {
        let over = self.window.iter().flat_map(move |window| window.held.over(moment));
        over.map(|name| (name, self.names.state(name.as_c_str())))
    }

    /// Emits the changes of these names, if they are held.
    pub(crate) fn emit_held(&mut self, names: &[Name], replayed: bool, out: &mut Outbox) {
        let Some(window) = &mut self.window else { return };
        for (name, from) in names.iter().filter_map(|name| window.held.release(name.as_c_str())) {
            let to = self.names.state(name.as_c_str());
            emit(Transition { name, from, to }, replayed, out);
        }
    }

    /// Emits what inotify reported about the held names: that they appeared or went. A later probe finds where they
    /// lead.
    pub(crate) fn emit_noticed(&mut self, out: &mut Outbox) {
        let Some(window) = &mut self.window else { return };
        for (name, from) in window.held.all() {
            let to = match (from, self.names.state(name.as_c_str())) {
                (_, State::Absent) => State::Absent,
                (State::Absent, _) => State::Placeholder,
                _ => continue,
            };
            if to == self.names.state(name.as_c_str()) {
                window.held.release(name.as_c_str());
            } else {
                window.held.emitted(name.as_c_str(), to);
            }
            emit(Transition { name, from, to }, false, out);
        }
    }

    /// When the next window ends.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.window.as_ref()?.held.next_end()
    }
}

/// The changed names, and the last emitted state of each.
#[derive(Debug, Default)]
struct Held {
    /// By name: its number in `ends`, and the last emitted state.
    names: BTreeMap<Name, (u64, State)>,
    /// When the window of each ends, in this order.
    ends: VecDeque<(u64, Duration, Name)>,
    /// Those that appeared and disappeared, in ascending order.
    gone: Vec<u64>,
    next: u64,
}

impl Held {
    /// Holds a change until `end`, which is not before that of the last one, or with an earlier change of that name.
    fn hold(&mut self, change: Transition, end: Duration) {
        let Self { names, ends, gone, next } = self;
        let (number, from) = *names.entry(change.name).or_insert_with_key(|name| {
            *next += 1;
            ends.push_back((*next, end, name.clone()));
            (*next, change.from)
        });
        match ((from, change.to) == (State::Absent, State::Absent), gone.binary_search(&number)) {
            (false, Ok(at)) => drop(gone.remove(at)),
            (true, Err(at)) => gone.insert(at, number),
            _ => {}
        }
        let oldest = if gone.len() > GONE { Some(gone.remove(0)) } else { None };
        if let Some((.., name)) = oldest.and_then(|oldest| take_end(ends, oldest)) {
            names.remove(&name);
        }
    }

    /// Releases a name. Returns its last emitted state.
    fn release(&mut self, name: &CStr) -> Option<(Name, State)> {
        let (name, (number, from)) = self.names.remove_entry(name)?;
        take_end(&mut self.ends, number);
        if let Ok(at) = self.gone.binary_search(&number) {
            self.gone.remove(at);
        }
        Some((name, from))
    }

    /// Notes the emitted state of a name that stays held.
    fn emitted(&mut self, name: &CStr, state: State) {
        if let Some((_, from)) = self.names.get_mut(name) {
            *from = state;
        }
    }

    fn all(&self) -> Vec<(Name, State)> {
        self.names.iter().map(|(name, (_, from))| (name.clone(), *from)).collect()
    }

    fn over(&self, moment: Duration) -> impl Iterator<Item = &Name> {
        self.ends.iter().take_while(move |(_, end, _)| *end <= moment).map(|(.., name)| name)
    }

    fn next_end(&self) -> Option<Duration> {
        self.ends.front().map(|(_, end, _)| *end)
    }
}

/// Removes the one with this number from the running windows.
fn take_end(ends: &mut VecDeque<(u64, Duration, Name)>, number: u64) -> Option<(u64, Duration, Name)> {
    let at = ends.binary_search_by_key(&number, |(number, ..)| *number).ok()?;
    ends.remove(at)
}

fn emit(change: Transition, replayed: bool, out: &mut Outbox) {
    change.emit(&mut |event| out.push(event, replayed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, from: State, to: State) -> Transition {
        Transition { name: Name::new(&std::ffi::CString::new(name).unwrap()), from, to }
    }

    fn sizes(held: &Held) -> [usize; 3] {
        [held.names.len(), held.ends.len(), held.gone.len()]
    }

    #[test]
    fn names_that_came_and_went_use_no_memory() {
        let mut held = Held::default();
        held.hold(change("stays", State::Absent, State::Placeholder), Duration::from_secs(1));
        for i in 0..1000 {
            let name = format!("brief-{i}");
            held.hold(change(&name, State::Absent, State::Placeholder), Duration::from_secs(2));
            held.hold(change(&name, State::Placeholder, State::Absent), Duration::from_secs(2));
        }
        assert_eq!(sizes(&held), [GONE + 1, GONE + 1, GONE]);
        assert_eq!(held.over(Duration::from_secs(1)).map(Name::to_string).collect::<Vec<_>>(), ["stays"]);
        assert_eq!(held.over(Duration::from_secs(2)).count(), GONE + 1);
    }

    #[test]
    fn a_name_that_flaps_keeps_its_clock() {
        let mut held = Held::default();
        for i in 0..1000 {
            held.hold(change("flaps", State::Absent, State::Placeholder), Duration::from_secs(1 + i));
            assert_eq!(sizes(&held), [1, 1, 0]);
            held.hold(change("flaps", State::Placeholder, State::Absent), Duration::from_secs(1 + i));
            assert_eq!(sizes(&held), [1, 1, 1]);
        }
        assert_eq!(held.next_end(), Some(Duration::from_secs(1)));
        assert_eq!(held.release(c"flaps"), Some((Name::new(c"flaps"), State::Absent)));
        assert_eq!((sizes(&held), held.next_end()), ([0, 0, 0], None));
    }

    #[test]
    fn what_was_reported_before_stays_held_when_it_is_gone() {
        let mut held = Held::default();
        for i in 0..100 {
            held.hold(change(&i.to_string(), State::Placeholder, State::Absent), Duration::from_secs(1));
        }
        assert_eq!(sizes(&held), [100, 100, 0]);
    }
}
