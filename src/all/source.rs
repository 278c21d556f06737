//! The source behind [`Watcher::all`](crate::Watcher::all).
//!
//! Births and mounts are *hints*: places to probe. The source opens what a probe finds for a moment, identifies it, and
//! watches it before it reports it, so that it misses no death. Only the death watch reports deaths: a namespace out of
//! sight may still be alive. One census serves the replay at open, the recovery from a loss, and `resync`.

mod looks;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::births::{Births, Hint, Loss};
use super::deaths::{DeathWatch, Number};
use super::due::{Due, EmitMode};
use super::perf;
use super::state::{Found, State};
use crate::census::are_all;
use crate::error::{Doing, Error, Result};
use crate::event::EventKind;
use crate::mounts::{Changes, Monitor, OWN};
use crate::options::Options;
use crate::outbox::{Counters, Outbox};
use crate::pace::Pace;
use crate::place::Place;
use crate::source::{Progress, Source};
use crate::sys::{self, Epoll, Timer};

/// The price of an unrequested probe in time until the next one, as a multiple of its duration.
const PRICE: u32 = 4;

/// The price of a census for births that are out of sight: most of them lived briefly.
const UNLIKELY: u32 = 16;

/// The maximum debt at the start of a probe: 100 ms of probes in a row.
const CREDIT: Duration = Duration::from_millis(400);

const WATCH: &str = "watch all network namespaces";
const LOOK: &str = "look at a network namespace";

pub(crate) struct All {
    place: Place,
    births: Option<Box<dyn Births>>,
    deaths: DeathWatch,
    mounts: Monitor,
    state: State,
    due: Due,
    pace: Pace,
    /// Wakes for a delayed probe.
    timer: Timer,
    /// The maximum number of namespaces.
    max: usize,
}

impl All {
    pub(crate) fn open(options: &Options, epoll: &Arc<Epoll>, out: &mut Outbox) -> Result<Self> {
        if !sys::is_proc_ours() {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)).doing(WATCH);
        }
        let timer = Timer::new().doing("make a timer")?;
        epoll.add(timer.as_fd()).doing("add a timer to epoll")?;
        let mut mounts = Monitor::new(Arc::clone(epoll), OWN.as_ref());
        if options.prepare {
            mounts.prepare()?
        } else {
            mounts.arm()?
        }
        let mut this = Self {
            place: Place::of_caller()?,
            // first, so that its own namespaces are watched before births are reported
            deaths: DeathWatch::open(Arc::clone(epoll), options.prepare).doing("watch the deaths of namespaces")?,
            births: None,
            mounts,
            state: State::default(),
            due: Due::default(),
            pace: Pace::new(CREDIT),
            timer,
            max: options.max_names,
        };
        let uevents = this.deaths.take_uevents();
        this.births = perf::open(epoll, uevents).doing("watch the births of namespaces")?;
        this.due.census = Some(if options.replay { EmitMode::Replayed } else { EmitMode::Silent });
        (this.due.asked, this.due.synced) = (true, options.replay);
        out.noticed_now();
        this.catch_up(out)?;
        if this.due.left_out {
            return Err(this.too_many());
        }
        Ok(this)
    }

    /// The place where it resolves paths.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Reads the kernel's reports. Deaths are read after the mark and before the hints, so the inode number of a hint
    /// belongs to a namespace made after those deaths. `false`: report the deaths first; descriptors show the rest.
    fn read(&mut self, all: bool, out: &mut Outbox) -> Result<bool> {
        const READ: &str = "read the births of namespaces";
        out.noticed_now();
        let births = self.births.as_mut();
        births.map_or(Ok(()), |births| births.mark(out.now())).doing(READ)?;
        self.read_deaths(out)?;
        if !all && !out.is_empty() {
            return Ok(false);
        }
        if let Some(births) = &mut self.births {
            let (state, deaths, due) = (&self.state, &self.deaths, &mut self.due);
            // a reused number is noticed only where deaths are reported
            let is_known = |ino| state.get(ino).is_some_and(|known| deaths.reports(known.number));
            let loss = births.read(&mut |hint| {
                if !is_known(hint.ino) {
                    due.add(hint);
                }
            });
            if let Loss::Hints(dropped) = loss.doing(READ)? {
                self.lost(dropped, out);
            }
        }
        if self.mounts.read()? != Changes::Known(Vec::new()) {
            self.due.mounts = true;
            self.hinted();
        }
        if !self.mounts.is_armed() {
            self.place.check()?;
            self.mounts.arm()?;
        }
        Ok(true)
    }

    fn read_deaths(&mut self, out: &mut Outbox) -> Result<()> {
        let (state, mut died) = (&mut self.state, false);
        let read = self.deaths.read(&mut |number| {
            died = true;
            state.remove(number, &mut |event| out.push(event, false));
        });
        if died {
            self.hinted();
            if self.due.left_out && self.state.len() < self.max {
                self.due.plan_census();
            }
        }
        if read.doing("read the deaths of namespaces")? {
            self.lost(0, out);
        }
        Ok(())
    }

    /// Notes a change that may mean an unreported birth or death.
    fn hinted(&mut self) {
        if self.births.is_none() || !self.deaths.is_reporting() {
            self.due.plan_census();
        }
    }

    fn lost(&mut self, dropped: u64, out: &mut Outbox) {
        out.push(EventKind::Overflow { dropped }, false);
        self.due.everything();
    }

    /// Does the work that is due.
    fn catch_up(&mut self, out: &mut Outbox) -> Result<()> {
        let may_look = self.may_look(out);
        // a census finds what hints lead to, except descriptors that a thread has for itself
        if self.due.census.is_none() || !self.due.asked && !may_look {
            if !self.due.hints.is_empty() {
                let (found, missed) = self.look(|this| this.follow_hints())?;
                self.due.hints.clear();
                self.due.missed.extend(missed);
                self.take_in_news(found, out);
            }
            if may_look {
                self.look_elsewhere(out)?;
            }
        }
        if let Some(mode) = self.due.census.filter(|_| self.due.asked || self.may_look(out)) {
            let is_unlikely = !self.due.hints.is_empty() || !self.due.missed.is_empty();
            let price = if self.due.asked {
                0
            } else if is_unlikely {
                UNLIKELY
            } else {
                PRICE
            };
            self.at_a_price(price, out, |this, out| this.count_all(mode, out))?;
        }
        if self.due.census.is_none() && std::mem::take(&mut self.due.synced) {
            out.push(EventKind::Synced, false);
        }
        self.set_timer(out);
        Ok(())
    }

    /// Looks for what its maker has left: in descriptors, then in the mounts. Each turn does both, so that neither takes
    /// all the time of the other.
    fn look_elsewhere(&mut self, out: &mut Outbox) -> Result<()> {
        if !self.due.missed.is_empty() {
            let found = self.at_a_price(PRICE, out, |this, _| this.look(Self::follow_to_descriptors))?;
            self.take_in_news(found, out);
        }
        if self.due.mounts || !self.due.missed.is_empty() {
            let found = self.at_a_price(PRICE, out, |this, _| this.look(Self::go_through_mounts))?;
            self.due.mounts = false;
            self.take_in_news(found, out);
            if !self.due.missed.is_empty() && are_all(&self.state.cookies()) {
                // they died too early
                self.due.missed.clear();
            }
            if !self.due.missed.is_empty() {
                self.due.plan_census();
            }
        }
        Ok(())
    }

    /// Does a piece of work, after which unrequested probes wait: `price` times as long as the work has taken.
    fn at_a_price<T>(
        &mut self,
        price: u32,
        out: &mut Outbox,
        work: impl FnOnce(&mut Self, &mut Outbox) -> Result<T>,
    ) -> Result<T> {
        let begun = sys::processor_time();
        let done = work(self, out);
        self.pace.worked(out.now(), sys::processor_time().saturating_sub(begun) * price);
        done
    }

    /// Takes a census, and applies the results.
    fn count_all(&mut self, mode: EmitMode, out: &mut Outbox) -> Result<()> {
        if self.due.ask {
            self.deaths.start_over();
        }
        let (found, all) = self.look(|this| this.go_through_all(mode))?;
        let ask = self.due.ask;
        let numbers: Vec<Number> = self.state.numbers().filter(|number| ask || !self.deaths.reports(*number)).collect();
        let dead = self.deaths.dead(&numbers).doing("ask which network namespaces live")?;
        for number in dead {
            self.state.remove(number, &mut |event| out.push(event, mode == EmitMode::Replayed));
            self.deaths.forget(number);
        }
        match self.take_in(found, mode, out) {
            true => self.due.leave_out(),
            false => self.due.left_out = false,
        }
        if mode == EmitMode::Replayed {
            // only a socket keeps these alive
            self.state.report_all(&mut |event| out.push(event, true));
        }
        // what it did not find has died too early, or only a socket keeps it
        self.due.hints.clear();
        self.due.missed.clear();
        self.due.census = None;
        (self.due.mounts, self.due.asked, self.due.ask) = (false, false, false);
        if !all {
            self.due.plan_census();
        }
        Ok(())
    }

    /// Runs a probe of paths, and returns the result if the calling thread was in the right place all the time.
    fn look<T>(&mut self, look: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.place.check()?;
        let found = look(self);
        self.place.check()?;
        found
    }

    /// Adds the results of hints.
    fn take_in_news(&mut self, found: Vec<Found>, out: &mut Outbox) {
        let state = &self.state;
        let is_found = |hint: &Hint| found.iter().any(|found| found.netns.ino() == hint.ino);
        self.due.missed.retain(|hint| state.get(hint.ino).is_none() && !is_found(hint));
        if self.take_in(found, EmitMode::News, out) {
            self.due.leave_out();
        }
    }

    /// Adds the results of a probe, up to the limit. Returns whether it left some out.
    fn take_in(&mut self, found: Vec<Found>, mode: EmitMode, out: &mut Outbox) -> bool {
        let mut leaves_out = false;
        for found in found {
            if self.state.len() >= self.max && self.state.get(found.netns.ino()).is_none() {
                leaves_out = true;
                self.deaths.forget(found.number);
                continue;
            }
            let (number, before) = (found.number, self.state.get(found.netns.ino()).map(|known| known.number));
            self.state.add(found, mode, &mut |event| out.push(event, mode == EmitMode::Replayed));
            if let Some(before) = before.filter(|before| *before != number) {
                self.deaths.forget(before);
            }
        }
        leaves_out
    }

    /// Whether an unrequested probe may run now.
    fn may_look(&self, out: &Outbox) -> bool {
        self.pace.next() <= out.now()
    }

    fn set_timer(&mut self, out: &Outbox) {
        let waits = self.due.is_to_look() && !self.may_look(out);
        if self.timer.set(waits.then(|| self.pace.next())).is_err() {
            // if a filter refuses the timer, nothing is delayed
            self.pace = Pace::new(CREDIT);
        }
    }

    fn too_many(&self) -> Error {
        Error::new(libc::E2BIG, WATCH).settled()
    }
}

impl Drop for All {
    fn drop(&mut self) {
        self.mounts.retire();
    }
}

impl Source for All {
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress> {
        if !self.read(false, out)? {
            return Ok(if self.due.is_nothing() { Progress::Done } else { Progress::More });
        }
        self.catch_up(out)?;
        let is_due = self.due.is_to_look() && self.may_look(out);
        if is_due || self.unfinished() {
            return Ok(Progress::More);
        }
        // after the events of the namespaces that fit
        match out.is_empty() && std::mem::take(&mut self.due.too_many) {
            true => Err(self.too_many()),
            false => Ok(Progress::Done),
        }
    }

    fn resync(&mut self, out: &mut Outbox) -> Result<()> {
        self.due.everything();
        self.due.asked = true;
        self.read(true, out)?;
        self.catch_up(out)
    }

    fn unfinished(&self) -> bool {
        self.deaths.has_unread()
    }

    fn count(&self, counters: &Counters) {
        counters.known.set(self.state.len() as u64);
    }
}
