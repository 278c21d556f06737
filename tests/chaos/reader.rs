//! The reader: takes events as it pleases, and in quiet moments compares their sum with the kernel's state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nswatch::capi::options::{NSW_DIR_EVENTS, NSW_NO_PARENT, NSW_NO_REPLAY};
use nswatch::capi::watcher::*;

use crate::Plan;
use crate::stage::{Dice, Stage};
use crate::stray::Astray;
use crate::support::DEADLINE;
use crate::support::api::{Api, Ev, Kind, readable};
use crate::support::grammar::{Checker, Id};
use crate::support::kernel;

type Names = BTreeMap<Vec<u8>, Option<Id>>;

/// The totals of all rounds.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub rounds: u64,
    pub acts: u64,
    pub quiet: u64,
    pub events: u64,
    pub overflows: u64,
    pub dropped: u64,
    pub resyncs: u64,
    pub opened: u64,
    pub ended: u64,
    pub strayed: u64,
}

/// The lengths of the kernel's queues, which an instance takes over when it is made.
struct KernelQueues(Vec<(&'static str, String)>);

impl KernelQueues {
    fn set(length: u32) -> Self {
        let settings = ["/proc/sys/fs/inotify/max_queued_events", "/proc/sys/fs/fanotify/max_queued_events"];
        Self(
            settings
                .into_iter()
                .map(|setting| {
                    let before = std::fs::read_to_string(setting).unwrap();
                    std::fs::write(setting, length.to_string()).unwrap();
                    (setting, before)
                })
                .collect(),
        )
    }
}

impl Drop for KernelQueues {
    fn drop(&mut self) {
        self.0.iter().for_each(|(setting, before)| std::fs::write(setting, before).unwrap());
    }
}

/// The maximum number of events in one turn: a storm can be faster than the reader, which would never end.
const ENOUGH: usize = 2000;

/// How many of the last events a failure prints.
const KEPT: usize = 60;

pub struct Reader<'a, A> {
    api: A,
    plan: &'a Plan,
    stage: &'a Stage,
    dice: Dice,
    checker: Checker,
    events: u64,
    overflows: u64,
    last: std::collections::VecDeque<Ev>,
    /// Without a replay: existing names that were not reported yet.
    unreported: BTreeSet<Vec<u8>>,
    /// The watch has ended with its directory.
    ended: bool,
    /// The plan's loss is still to come.
    loses: bool,
    /// The calling thread has another root directory or mount namespace than the one that opened the watcher.
    strayed: bool,
    tally: &'a mut Tally,
}

impl<'a, A: Api> Reader<'a, A> {
    /// `None`: the directory was missing, and the options do not wait for it.
    pub fn open(plan: &'a Plan, stage: &'a Stage, dice: Dice, tally: &'a mut Tally) -> Option<Self> {
        // without a replay the existing names can be known only while nothing changes
        let quiet = (plan.has(NSW_NO_REPLAY) || plan.opens_in_quiet).then(|| stage.quiet());
        let queues = plan.kernel_queue.map(KernelQueues::set);
        let opened = A::open(&plan.how);
        drop(queues);
        let api = match opened {
            Ok(api) => api,
            // a part of the path may be missing, or be a file, just now
            Err(errno @ (libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {
                assert!(errno != libc::ENOENT || plan.has(NSW_NO_PARENT), "open: errno {errno}");
                return None;
            }
            Err(errno) => panic!("open: errno {errno}"),
        };
        let unreported = match plan.has(NSW_NO_REPLAY) {
            true => kernel::names(&plan.how.dir).into_keys().collect(),
            false => BTreeSet::new(),
        };
        drop(quiet);
        let (checker, last) = Default::default();
        Some(Self {
            api,
            plan,
            stage,
            dice,
            checker,
            events: 0,
            overflows: 0,
            last,
            unreported,
            ended: false,
            loses: true,
            strayed: false,
            tally,
        })
    }

    /// Reads until the time is over or the watch has ended.
    pub fn read(&mut self) {
        for _ in 0..self.plan.scenes {
            let (done, failed) = self.stage.count();
            let end = done + failed + 10 + self.dice.below(150) as u64;
            let latest = Instant::now() + Duration::from_millis(300);
            while self.stage.count().0 + self.stage.count().1 < end && Instant::now() < latest && !self.ended {
                self.turn();
            }
            self.quiet_point();
            if self.ended {
                break;
            }
        }
        self.tally.events += self.events;
        self.tally.overflows += self.overflows;
        self.tally.dropped += self.api.stat(NSW_STAT_DROPPED);
        self.tally.resyncs += self.api.stat(NSW_STAT_RESYNCS);
        self.tally.ended += u64::from(self.ended);
    }

    pub fn last_words(&self) -> String {
        let events = self.last.iter().map(|e| {
            let replayed = if e.replayed { " (replayed)" } else { "" };
            format!("{} {:?} {:?}{replayed} {}\n", e.time_ns / 1000, e.kind, e.text(), e.cookie)
        });
        format!("events, {} in all:\n{}", self.events, events.collect::<String>())
    }

    fn turn(&mut self) {
        if let Some(loss) = self.plan.loses.as_ref().filter(|_| self.loses && self.dice.one_in(20)) {
            loss.apply();
            self.loses = false;
        }
        if self.plan.strays && self.dice.one_in(15) {
            self.stray();
        }
        match self.dice.below(20) {
            0..=7 => {
                let timeout = Duration::from_millis(self.dice.below(5) as u64);
                let event = self.api.wait(Some(timeout));
                self.take(event);
            }
            8..=13 => {
                for _ in 0..self.dice.below(4) {
                    readable(self.api.fd(), Duration::ZERO);
                }
                for _ in 0..ENOUGH {
                    if self.next().is_none() {
                        break;
                    }
                }
            }
            14 | 15 => drop(self.next()),
            16 => self.resync(),
            _ => {
                // does nothing for a while
                let (done, failed) = self.stage.count();
                self.stage.until(done + failed + self.dice.below(60) as u64, Duration::from_millis(50));
            }
        }
    }

    /// Makes some calls from elsewhere, and comes back.
    fn stray(&mut self) {
        let Some(astray) = Astray::go(&mut self.dice) else { return };
        self.strayed = astray.is_other_place();
        for _ in 0..1 + self.dice.below(5) {
            match self.dice.below(4) {
                0 => self.resync(),
                1 => {
                    let event = self.api.wait(Some(Duration::from_millis(self.dice.below(3) as u64)));
                    self.take(event);
                }
                2 => {
                    let (done, failed) = self.stage.count();
                    self.stage.until(done + failed + self.dice.below(20) as u64, Duration::from_millis(10));
                }
                _ => drop(self.next()),
            }
        }
        drop(astray);
        self.strayed = false;
        self.tally.strayed += 1;
    }

    fn resync(&mut self) {
        match self.api.resync() {
            Ok(()) => {}
            Err(libc::EXDEV) if self.strayed => {}
            Err(libc::ENOENT) if self.plan.has(NSW_NO_PARENT) => {
                // the events before the end may still be pending
            }
            Err(errno) => panic!("resync: errno {errno}"),
        }
    }

    fn next(&mut self) -> Option<Ev> {
        let event = self.api.next();
        self.take(event)
    }

    fn take(&mut self, event: Result<Option<Ev>, i32>) -> Option<Ev> {
        let event = match event {
            Ok(event) => event?,
            Err(libc::EXDEV) if self.strayed => return None,
            Err(libc::ENOENT) if self.plan.has(NSW_NO_PARENT) => {
                assert_eq!(self.checker.directory, Some(false), "the end of the watch was not reported");
                self.ended = true;
                return None;
            }
            Err(errno) => panic!("next: errno {errno}"),
        };
        assert!(!self.ended, "an event after the end: {event:?}");
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(event.clone());
        self.events += 1;
        self.overflows += u64::from(event.kind == Kind::Overflow);
        self.checker.feed(&event);
        if event.kind == Kind::Ready && self.dice.one_in(3) {
            self.open_netns(&event);
        }
        Some(event)
    }

    fn drain(&mut self) -> bool {
        let before = self.events;
        while self.next().is_some() {}
        self.events != before
    }

    /// Opens the namespace of an event, which must be the announced one.
    fn open_netns(&mut self, ready: &Ev) {
        match self.api.open_netns() {
            Ok(fd) => {
                let opened = kernel::netns_of(&fd.into());
                assert_eq!(opened, Some((ready.dev, ready.ino, ready.cookie)), "another was opened than {ready:?}");
                self.tally.opened += 1;
            }
            Err(libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ELOOP | libc::EACCES) => {}
            Err(libc::EXDEV) if self.strayed => {}
            // a name may be a link whose target is gone, in any of the ways of /proc
            Err(libc::ESRCH | libc::ENXIO) => {}
            Err(errno) => panic!("open_netns of {ready:?}: errno {errno}"),
        }
    }

    /// No actor acts: the promised events come, and after a resync they add up to the kernel's state.
    fn quiet_point(&mut self) {
        let stage = self.stage;
        let quiet = stage.quiet();
        let veiled = stage.veiled.load(Ordering::Relaxed) && !self.plan.reports_mounts();
        self.tally.quiet += 1;
        self.expect_level();
        let truth = kernel::names(&self.plan.how.dir);
        if !veiled && !self.ended {
            self.settle("without a resync", |this| this.promised(&truth));
        }
        if (veiled || self.dice.one_in(2)) && !self.ended {
            let before = self.checker.synced;
            self.resync();
            if self.plan.is_direct() {
                self.drain();
                assert!(self.ended || self.checker.synced > before, "a resync did not end");
            }
            self.settle("after a resync", |this| match this.checker.synced > before {
                true => this.exact(&truth),
                false => Err("not synced".into()),
            });
            self.expect_counters();
            stage.veiled.store(false, Ordering::Relaxed);
        }
        drop(quiet);
    }

    /// Reads on until this holds and no event is pending.
    fn settle(&mut self, what: &str, right: impl Fn(&Self) -> Result<(), String>) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.until(what, &right);
            self.expect_rest();
            match right(self) {
                Err(why) if !self.ended => {
                    // a thread that lags may have been right by chance, on its way through past changes
                    assert!(!self.plan.is_direct(), "was right, and then: {why}");
                    assert!(Instant::now() < end, "{what}: {why}");
                }
                _ => return,
            }
        }
    }

    fn until(&mut self, what: &str, right: &impl Fn(&Self) -> Result<(), String>) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.drain();
            let Err(why) = right(self) else { return };
            if self.ended {
                return;
            }
            assert!(Instant::now() < end, "{what}: {why}");
            let event = self.api.wait(Some(DEADLINE / 4));
            self.take(event);
        }
    }

    /// However often it is polled, the descriptor gives the same answer, and it is right.
    fn expect_level(&mut self) {
        let poll = |this: &Self| readable(this.api.fd(), Duration::ZERO);
        let first = poll(self);
        if self.plan.is_prompt() {
            assert_eq!((first, first), (poll(self), poll(self)), "polling changes the answer");
            let there = self.next().is_some();
            assert!(first || !there, "there was an event, but the descriptor was not readable");
        }
    }

    /// No event is pending, and the descriptor comes to rest.
    fn expect_rest(&mut self) {
        // wake-ups without an event, because they concern no name, must end too
        for _ in 0..100 {
            self.drain();
            if self.ended || !readable(self.api.fd(), Duration::ZERO) {
                return;
            }
        }
        panic!("readable for ever, but no event follows");
    }

    /// Whether all events that need no resync have been reported.
    fn promised(&self, truth: &Names) -> Result<(), String> {
        let believed = &self.checker.names;
        if let Some(name) = believed.keys().find(|name| !truth.contains_key(*name)) {
            return Err(format!("{} is gone", name.escape_ascii()));
        }
        for (name, state) in truth {
            let is_link = std::fs::read_link(self.plan.how.dir.join(os(name))).is_ok();
            match believed.get(name) {
                None if self.unreported.contains(name) && self.checker.synced == 0 => {}
                None => return Err(format!("{} is there", name.escape_ascii())),
                // the watcher checks where a link leads when the link is new
                _ if is_link => {}
                Some(belief) if belief == state => {}
                Some(Some(_)) if !self.plan.reports_mounts() => {}
                Some(belief) => return Err(format!("{} is {state:?}, not {belief:?}", name.escape_ascii())),
            }
        }
        self.rest()
    }

    /// Whether the events add up to the kernel's state.
    fn exact(&self, truth: &Names) -> Result<(), String> {
        if &self.checker.names != truth {
            return Err(format!("the events give {:?}\nthe kernel {truth:?}", self.checker.names));
        }
        let waiting = truth.values().filter(|state| state.is_none()).count() as u64;
        match (self.api.stat(NSW_STAT_KNOWN), self.api.stat(NSW_STAT_PENDING)) {
            counted if counted == (truth.len() as u64, waiting) => self.rest(),
            counted => Err(format!("counted {counted:?}, the kernel has {truth:?}")),
        }
    }

    /// Whether everything else is as it must be.
    fn rest(&self) -> Result<(), String> {
        // the standard library has no other way where this thread may not call statx(2)
        let is = std::fs::read_dir(&self.plan.how.dir).is_ok();
        if self.checker.open_overflows != 0 {
            return Err("an overflow was not followed by synced".into());
        }
        match self.checker.directory {
            Some(believed) if self.plan.has(NSW_DIR_EVENTS) && believed != is => Err(format!("directory: {is}")),
            None if self.plan.has(NSW_DIR_EVENTS) && !self.plan.has(NSW_NO_REPLAY) && is => {
                Err("the directory exists".into())
            }
            _ => Ok(()),
        }
    }

    fn expect_counters(&self) {
        if self.ended {
            return;
        }
        let stat = |which| self.api.stat(which);
        assert_eq!(stat(NSW_STAT_DELIVERED), self.events, "counter of events");
        // behind a queue the last `Synced` may be that of an overflow, and the requested one is still to come
        assert!(!self.plan.is_direct() || stat(NSW_STAT_QUEUED) == 0, "queued, but no event was pending");
        assert!(stat(NSW_STAT_OVERFLOWS) >= self.overflows, "fewer overflows counted than reported");
    }
}

fn os(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name).into()
}
