//! The source that watches the names in a directory.
//!
//! It owns an inotify instance and connects the parts: notices about the path go to the [`WatchedPath`], notices about
//! names to [`Debounce`], which emits the events, and new names to [`Pending`]. [`Named::scan`] finds the complete
//! state: it serves the replay at open, the recovery from an overflow, a directory that appears, and `resync`.

mod debounce;
mod directory;
mod due;
mod elsewhere;
pub(crate) mod inotify;
mod listing;
mod mounted;
mod names;
mod path;
mod pending;
mod processes;
mod scan;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::event::{EventKind, Name};
use crate::netns::Probe;
use crate::options::Options;
use crate::outbox::{Counters, Outbox};
use crate::pace::Pace;
use crate::place::Place;
use crate::source::{Progress, Source};
use crate::sys::{self, Epoll, Timer};
use debounce::Debounce;
use due::{Due, EmitMode};
use inotify::{Inotify, Notice, ReadFlags};
pub(crate) use names::{Names, State, Transition};
use path::{Resolution, WatchedPath};
use pending::{MountImpact, Pending};

/// Room for the result of one read: some 500 notices of short names.
const BUFFER: usize = 16 * 1024;

/// The maximum number of reads without an event in one drain.
const READS: usize = 16;

/// The number of reads that fetch the contents of a full inotify queue of the default length.
const READS_OF_A_QUEUE: usize = 16384 * 272 / BUFFER;

/// The price of a scan in time until the next one, as a multiple of its processor time: others who rename the
/// directory, or fill the queue, make the watcher use at most a quarter of a processor.
const PRICE: u32 = 4;

/// 100 ms of scans in a row.
const CREDIT: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(crate) struct Named {
    inotify: Inotify,
    buffer: Box<[u8]>,
    path: WatchedPath,
    /// The directory exists, as far as known.
    present: bool,
    /// The consumer knows that it exists.
    reported: bool,
    debounce: Debounce,
    pending: Pending,
    probe: Probe,
    due: Due,
    pace: Pace,
    /// Wakes for held changes, and for a delayed probe.
    timer: Timer,
    dir_events: bool,
    /// Without it, the watch ends with its directory.
    parent: bool,
    /// The maximum number of names.
    max_names: usize,
    ended: bool,
}

impl Named {
    pub(crate) fn open(options: &Options, epoll: Arc<Epoll>, out: &mut Outbox) -> Result<Self> {
        let inotify = Inotify::new().doing("make an inotify instance")?;
        epoll.add(inotify.as_fd()).doing("add an inotify instance to epoll")?;
        let timer = Timer::new().doing("make a timer")?;
        epoll.add(timer.as_fd()).doing("add a timer to epoll")?;
        let path = WatchedPath::new(&options.dir, options.links)?;
        let mut this = Self {
            inotify,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            present: false,
            reported: false,
            debounce: Debounce::new(options.settle),
            pending: Pending::new(epoll, options, &path)?,
            path,
            probe: Probe::detect(options.links).doing("identify the own network namespace")?,
            due: Due::at_open(options.replay),
            pace: Pace::new(CREDIT),
            timer,
            dir_events: options.dir_events,
            parent: options.parent,
            max_names: options.max_names,
            ended: false,
        };
        out.dir = Some(this.path.shared_path());
        if options.prepare {
            this.pending.prepare()?;
        }
        this.pending.start(&this.path)?;
        out.noticed_now();
        let mode = if options.replay { EmitMode::Replayed } else { EmitMode::Silent };
        match this.path.resolve(&this.inotify)? {
            Resolution::Nowhere(why) if !this.parent || why.kind() != io::ErrorKind::NotFound => {
                return Err(why).doing_on("watch", &options.dir);
            }
            resolution => this.arrive(resolution, mode, out)?,
        }
        if !this.due.left_out.is_empty() {
            return Err(this.too_many());
        }
        this.catch_up(out)?;
        Ok(this)
    }

    /// The place where it resolves paths.
    pub(crate) fn place(&self) -> Place {
        self.path.place()
    }

    /// Reads until the queue is empty, there is an event to emit, or the bound is reached; `false`: there may be more.
    fn read(&mut self, out: &mut Outbox) -> Result<bool> {
        for reads in 1.. {
            let n = match sys::read(self.inotify.as_fd(), &mut *self.buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.due.stale_deletes = false;
                    return Ok(true);
                }
                Err(error) => return Err(error).doing("read inotify events"),
            };
            out.noticed_now();
            let buffer = std::mem::take(&mut self.buffer);
            self.take_in(buffer.get(..n).unwrap_or_default(), out);
            self.buffer = buffer;
            let enough = match self.due.scan {
                // the queue is older than the scan to come
                Some(_) if self.is_to_look(out) => READS_OF_A_QUEUE,
                _ if out.is_empty() => READS,
                _ => break,
            };
            if reads >= enough {
                break;
            }
        }
        Ok(false)
    }

    /// Handles the result of one read.
    fn take_in(&mut self, bytes: &[u8], out: &mut Outbox) {
        inotify::notices(bytes).for_each(|notice| self.notice(&notice, out));
    }

    /// Handles these bytes as the result of a read: for the fuzzer.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn pretend(&mut self, bytes: &[u8], out: &mut Outbox) -> Result<()> {
        self.take_in(bytes, out);
        self.catch_up(out)
    }

    fn notice(&mut self, notice: &Notice<'_>, out: &mut Outbox) {
        let mask = notice.mask;
        if mask.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.lost(out);
        }
        #[cfg(feature = "panic-on-demand")]
        assert!(notice.name != c"nswatch-panic", "on demand");
        self.due.resolve |= self.path.is_way(notice);
        if !self.path.is_name(notice) || mask.contains(ReadFlags::ISDIR) {
            return;
        }
        if mask.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            if self.admit(notice.name) {
                self.due.left_out.forget(notice.name);
                self.debounce.appear(notice.name, out);
                self.pending.consider(notice.name);
            }
        } else if mask.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            self.debounce.observe(notice.name, State::Absent, out);
            self.pending.forget(notice.name);
            self.due.left_out.forget(notice.name);
            if mask.contains(ReadFlags::MOVED_FROM) || self.due.stale_deletes {
                self.due.vacate(notice.name);
            }
        }
    }

    /// The kernel has lost an unknown number of notices: a scan is due.
    fn lost(&mut self, out: &mut Outbox) {
        self.debounce.emit_noticed(out);
        out.push(EventKind::Overflow { dropped: 0 }, false);
        self.due.everything();
    }

    /// Does the work that is due.
    fn catch_up(&mut self, out: &mut Outbox) -> Result<()> {
        // the cause of the wake-up may be a mount or the clock, without a read
        out.noticed_now();
        // first, because the rest can fail
        self.emit_gone(out);
        let impact = self.pending.read_mounts(&self.path, self.debounce.names()).inspect_err(|_| {
            // a lost change may concern a mount on the path
            self.due.resolve |= self.pending.follows_path();
        })?;
        match impact {
            MountImpact::Lost => self.lost(out),
            MountImpact::Path => self.due.resolve = true,
            MountImpact::Names => {}
        }
        self.note_room();
        if self.is_to_look(out) {
            let (asked, begun) = (self.due.asked, sys::processor_time());
            let looked = self.look(out);
            if !asked {
                self.pace.worked(out.now(), PRICE * sys::processor_time().saturating_sub(begun));
            }
            looked?;
        }
        self.catch_up_with_names(out)
    }

    /// Resolves the path, and scans the directory.
    fn look(&mut self, out: &mut Outbox) -> Result<()> {
        let resolution = self.path.resolve(&self.inotify)?;
        self.due.resolve = false;
        // a scan reports the directory in the same mode as the names
        self.arrive(resolution, self.due.scan.unwrap_or(EmitMode::News), out)?;
        (self.due.asked, self.due.denied) = (false, false);
        Ok(())
    }

    /// Whether an unrequested probe may run now.
    fn may_look(&self, out: &Outbox) -> bool {
        self.pace.next() <= out.now()
    }

    /// Whether to resolve the path or scan the directory now.
    fn is_to_look(&self, out: &Outbox) -> bool {
        self.due.is_to_look() && (self.due.asked || self.may_look(out))
    }

    /// Does the remaining work that is due.
    fn catch_up_with_names(&mut self, out: &mut Outbox) -> Result<()> {
        if self.due.denied {
            // until that probe
            return self.set_timer();
        }
        let done = self.look_at_names(out);
        if done.as_ref().is_err_and(|error| error.errno() == libc::EACCES) {
            // the path shows whether the names are out of reach or the directory has changed
            (self.due.resolve, self.due.denied) = (true, true);
        }
        done
    }

    fn look_at_names(&mut self, out: &mut Outbox) -> Result<()> {
        let room = self.room();
        self.due.vacated.extend(self.due.left_out.take(room));
        while let Some(name) = self.due.vacated.first().cloned() {
            let is_known = self.debounce.names().state(name.as_c_str()) != State::Absent;
            let has = if is_known { Some(false) } else { self.path.has(&name)? };
            // if the path leads elsewhere, the next scan finds the name
            self.due.resolve |= has.is_none();
            if has == Some(true) && self.admit(name.as_c_str()) {
                self.debounce.observe(name.as_c_str(), State::Placeholder, out);
                self.pending.consider(name.as_c_str());
            }
            self.due.vacated.pop_first();
        }
        let now = out.now();
        for (name, state) in self.debounce.over(now) {
            if state != State::Absent {
                self.pending.consider(name.as_c_str());
            }
        }
        let is_synced = self.due.synced && !self.due.is_to_look();
        let may_look = is_synced || self.may_look(out);
        let begun = (self.pending.is_to_look() && may_look && !is_synced).then(sys::processor_time);
        let checked = self.pending.check(may_look, &mut self.debounce, self.probe, &self.path, out);
        if let Some(begun) = begun {
            self.pace.worked(now, PRICE * sys::processor_time().saturating_sub(begun));
        }
        checked?;
        self.emit_settled(now, out)?;
        if is_synced {
            self.due.synced = false;
            out.push(EventKind::Synced, false);
        }
        self.note_room();
        self.set_timer()
    }

    /// Sets the timer for held changes, and for a delayed probe.
    fn set_timer(&mut self) -> Result<()> {
        let waits = self.due.is_to_look() || self.pending.is_to_look();
        let look = waits.then(|| self.pace.next());
        let held = self.debounce.next_end();
        match self.timer.set(look.into_iter().chain(held).min()) {
            Err(_) if held.is_none() => {
                // if a filter refuses the timer, nothing is delayed
                self.pace = Pace::new(CREDIT);
                Ok(())
            }
            set => set.doing("set a timer"),
        }
    }

    /// Emits the held names whose window is over and that are gone, which need no probe.
    fn emit_gone(&mut self, out: &mut Outbox) {
        let is_gone = |&(name, state): &(&Name, State)| state == State::Absent && !self.due.vacated.contains(name);
        let gone: Vec<Name> = self.debounce.over(out.now()).filter(is_gone).map(|(name, _)| name.clone()).collect();
        self.debounce.emit_held(&gone, false, out);
    }

    /// Emits the names whose window was over at `moment`. They have been probed since.
    fn emit_settled(&mut self, moment: Duration, out: &mut Outbox) -> Result<()> {
        let over: Vec<Name> = self.debounce.over(moment).map(|(name, _)| name.clone()).collect();
        if !over.is_empty() {
            out.noticed_now();
        }
        let mut missing = Vec::new();
        for name in &over {
            // unread notices agree
            if self.debounce.names().state(name.as_c_str()).is_pending() {
                match self.path.is_missing(name)? {
                    Some(true) => missing.push(name),
                    Some(false) => {}
                    None => self.due.resolve = true,
                }
            }
        }
        if !missing.is_empty() {
            self.path.confirm_place()?;
        }
        for name in missing {
            self.debounce.observe(name.as_c_str(), State::Absent, out);
            self.pending.forget(name.as_c_str());
        }
        self.debounce.emit_held(&over, false, out);
        Ok(())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.pending.retire();
    }
}

impl Source for Named {
    fn drain(&mut self, out: &mut Outbox) -> Result<Progress> {
        self.begin()?;
        let drained = self.drain_here(out);
        self.or_elsewhere(drained)
    }

    fn resync(&mut self, out: &mut Outbox) -> Result<()> {
        self.begin()?;
        self.due.scan = Some(EmitMode::Replayed);
        (self.due.synced, self.due.asked) = (true, true);
        let done = self.read(out).and_then(|_| self.catch_up(out));
        self.or_elsewhere(done)
    }

    fn count(&self, counters: &Counters) {
        counters.known.set(self.debounce.names().len() as u64);
        counters.pending.set(self.debounce.names().pending_len() as u64);
    }
}

impl Named {
    fn drain_here(&mut self, out: &mut Outbox) -> Result<Progress> {
        let mut all = self.read(out)?;
        let was_to_look = self.due.is_to_look();
        self.catch_up(out)?;
        if all && was_to_look && !self.due.is_to_look() && out.is_empty() {
            // removed watches leave notices in the queue, which would cause an empty wake-up
            all = self.read(out)?;
            if !self.is_to_look(out) {
                self.catch_up_with_names(out)?;
            }
        }
        self.due.too_many |= self.due.left_out.is_crossed();
        // one scan per call is enough
        let may_look = self.is_to_look(out) || (self.pending.is_to_look() && self.may_look(out));
        if may_look || (!all && out.is_empty()) {
            return Ok(Progress::More);
        }
        // after the events of the names that fit
        match out.is_empty() && std::mem::take(&mut self.due.too_many) {
            true => Err(self.too_many()),
            false => Ok(Progress::Done),
        }
    }

    /// The result, unless the place has changed: another thread may have changed the root of this one meanwhile.
    fn or_elsewhere<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match self.path.confirm_place() {
            _ if error.is_settled() => error,
            Err(elsewhere) if elsewhere.errno() == libc::EXDEV => elsewhere,
            _ => error,
        })
    }

    /// Starts a call.
    fn begin(&self) -> Result<()> {
        self.path.begin_call();
        let over = || Error::new(libc::ENOENT, "continue watching").on(self.path.as_os_str()).last();
        if self.ended { Err(over()) } else { Ok(()) }
    }
}
