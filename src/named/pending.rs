//! Pending names, which are not network namespaces yet, and how the watcher notices their readiness.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify does not report
//! the mount. So the monitor of mounts is armed while a name is pending, and always if the options say so. The order
//! matters: first arm, then probe; so it misses nothing after the probe.
//!
//! It traces a change of a mount to its names: those that end on the mount, those that it is mounted on, and pending
//! links. If the kernel does not show enough for that, it probes every name.

mod probe;
mod trace;

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::debounce::Debounce;
use super::elsewhere::Elsewhere;
use super::listing::Listing;
use super::mounted::Mounted;
use super::names::{Names, State};
use super::path::WatchedPath;
use super::processes::Processes;
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::mounts::{self, Monitor};
use crate::netns::{Found, Probe};
use crate::options::{MountEvents, Options};
use crate::outbox::Outbox;
use crate::sys::{self, Epoll};

/// The number of names to probe before using the results.
pub(super) const AT_ONCE: usize = 64;

/// The maximum number of probes of a name in a row. Only mounts of something else than a network namespace need that
/// many.
const PROBES: usize = 8;

#[derive(Debug)]
pub(crate) struct Pending {
    epoll: Arc<Epoll>,
    mounts: Monitor,
    /// The process whose mounts these are, if it is another one: only that they change is known.
    elsewhere: Option<Elsewhere>,
    wanted: MountEvents,
    /// The monitor is always armed: names that are namespaces may be unmounted.
    always: bool,
    /// The mounts, if the monitor does not report which has changed.
    listing: Listing,
    /// The mount of the directory; `None`: unknown, so that no change can be traced.
    home: Option<u64>,
    mounted: Mounted,
    processes: Processes,
    /// Names to probe in any case.
    fresh: BTreeSet<Name>,
    /// More names to probe.
    stale: Stale,
}

const NOT_READABLE: &str = "watching the mounts of another process requires the right to read its /proc/PID/root \
                            (ptrace(2), PTRACE_MODE_READ)";

/// The names whose state may be stale after changes of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    /// The pending names.
    Pending,
    Everything,
}

/// The extent of changes of mounts, besides single names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountImpact {
    /// No more than names.
    Names,
    /// The target of the path: a part of it, or the directory itself.
    Path,
    /// Everything: the kernel has dropped changes.
    Lost,
}

impl Pending {
    pub(crate) fn new(epoll: Arc<Epoll>, options: &Options, path: &WatchedPath) -> Result<Self> {
        let elsewhere = Elsewhere::on_the_way(path, &epoll)?;
        let process = elsewhere.as_ref().map_or(mounts::OWN.as_ref(), |elsewhere| elsewhere.process.as_path());
        Ok(Self {
            epoll: Arc::clone(&epoll),
            mounts: Monitor::new(Arc::clone(&epoll), process),
            elsewhere,
            wanted: options.mount_events,
            always: false,
            listing: Listing::default(),
            home: None,
            mounted: Mounted::default(),
            processes: Processes::new(epoll),
            fresh: BTreeSet::new(),
            stale: Stale::Nothing,
        })
    }

    /// Arms the monitor if it is always armed. Before the first scan, so that it misses nothing.
    pub(crate) fn start(&mut self, path: &WatchedPath) -> Result<()> {
        if self.wanted == MountEvents::Never && self.elsewhere.is_none() {
            return Ok(());
        }
        self.listen(path).map_err(|error| match &self.elsewhere {
            Some(_) if error.errno() == libc::EACCES => error.because(NOT_READABLE),
            _ => error,
        })?;
        self.always = match self.wanted {
            MountEvents::Always => true,
            MountEvents::WhereCheap => self.is_cheap(),
            MountEvents::Never => false,
        };
        match self.always {
            true if path.links().are_followed() => self.processes.start(),
            true => {}
            false => self.rest(),
        }
        Ok(())
    }

    /// Whether a change of a mount does not require a probe of every known name.
    fn is_cheap(&self) -> bool {
        let traces = || mounts::try_statmount().unwrap_or(false);
        self.elsewhere.is_none()
            && !self.mounts.is_last_resort()
            && (self.mounts.reports_each() || self.listing.is_known())
            && traces()
    }

    /// Starts to watch the mounts of the place where the watcher was opened.
    fn listen(&mut self, path: &WatchedPath) -> Result<()> {
        path.require_place()?;
        self.mounts.arm()?;
        (self.home, _) = path.mount();
        self.listing.forget();
        if self.elsewhere.is_none() && !self.mounts.reports_each() {
            self.listing.renew();
        }
        path.confirm_place().inspect_err(|_| self.distrust())
    }

    /// Stops watching, and forgets data that need updates. A prepared monitor continues.
    fn rest(&mut self) {
        self.mounts.disarm();
        if !self.mounts.is_armed() {
            self.listing.forget();
            self.mounted = Mounted::default();
        }
    }

    /// Marks everything as stale: a change may have been missed, or seen in another place.
    fn distrust(&mut self) {
        self.stale = self.everything();
        self.listing.forget();
        self.home = None;
    }

    fn everything(&self) -> Stale {
        if self.always { Stale::Everything } else { Stale::Pending }
    }

    /// Makes all that the monitor could need later.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        self.mounts.prepare()
    }

    /// Call this before closing the inotify instance: see [`Monitor::retire`].
    pub(crate) fn retire(&mut self) {
        self.mounts.retire();
    }

    /// A new file has this name.
    pub(crate) fn consider(&mut self, name: &CStr) {
        self.fresh.insert(Name::new(name));
    }

    /// The name is gone.
    pub(crate) fn forget(&mut self, name: &CStr) {
        self.fresh.remove(name);
        self.mounted.forget_link(name);
        self.processes.forget(name);
    }

    /// All names are gone.
    pub(crate) fn forget_all(&mut self) {
        self.mounted = Mounted::default();
        self.processes.retain(|_| false);
    }

    /// Plans a probe of all names in this directory.
    pub(crate) fn begin_scan(&mut self, directory: &OwnedFd) {
        self.mounted = Mounted::default();
        self.home = sys::stat(directory.as_fd(), c"", 0).ok().and_then(|stat| stat.mount_id);
    }

    /// Takes the names that the scan found.
    pub(crate) fn end_scan(&mut self, names: &Names) {
        self.processes.retain(|name| names.state(name.as_c_str()) != State::Absent);
    }

    /// Notes a link that a scan is about to probe. Noting it first saves a second probe, which can take milliseconds.
    pub(crate) fn expect_link(&mut self, name: &CStr, path: &WatchedPath) {
        if self.mounts.is_armed() && path.links().are_followed() {
            self.mounted.note_link(name);
        }
    }

    /// A scan found this under a name in the directory. Returns the state of the name.
    pub(crate) fn scanned(
        &mut self,
        directory: &OwnedFd,
        path: &WatchedPath,
        name: &CStr,
        found: Option<Found>,
    ) -> Result<State> {
        let (state, is_new) = self.note(name, directory.as_fd(), name, path, found)?;
        if is_new {
            self.consider(name);
        }
        Ok(state)
    }

    /// Whether a probe of all stale names is due.
    pub(crate) fn is_to_look(&self) -> bool {
        self.stale != Stale::Nothing
    }

    /// Probes each name that may have changed and emits the changes; with `may_look`, also all stale names.
    pub(crate) fn check(
        &mut self,
        may_look: bool,
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        self.fresh.extend(self.processes.take_ended().doing("poll processes")?);
        if self.mounted.is_stale(debounce.names().len()) {
            self.mounted = Mounted::default();
            self.stale = self.everything();
        }
        let mut armed = Ok(());
        while !self.fresh.is_empty() {
            // the first pending one arms the monitor
            let some = if self.mounts.is_armed() { AT_ONCE } else { 1 };
            let some: Vec<Name> = self.fresh.iter().take(some).cloned().collect();
            self.probe_some(&some, true, debounce, probe, path, out)?;
            let is_pending = |name: &Name| debounce.names().state(name.as_c_str()) == State::Placeholder;
            if armed.is_ok() && !self.mounts.is_armed() && some.iter().any(is_pending) {
                // a failure does not keep the other names from being reported
                armed = self.arm(debounce, path);
                if armed.is_ok() {
                    out.noticed_now();
                    continue;
                }
            }
            some.iter().for_each(|_| drop(self.fresh.pop_first()));
        }
        armed?;
        if debounce.names().pending().len() != 0 && !self.mounts.is_armed() {
            self.arm(debounce, path)?;
        }
        if self.is_to_look() && !may_look {
            return Ok(());
        }
        let stale: Vec<Name> = match self.stale {
            Stale::Nothing => Vec::new(),
            Stale::Pending => debounce.names().pending().cloned().collect(),
            Stale::Everything => debounce.names().names().cloned().collect(),
        };
        if !stale.is_empty() {
            out.noticed_now();
        }
        self.probe_all(&stale, debounce, probe, path, out)?;
        self.stale = Stale::Nothing;
        let is_needed = self.always || debounce.names().pending().len() != 0;
        if !is_needed && self.mounts.is_armed() && path.require_place().is_ok() {
            self.rest();
        }
        Ok(())
    }

    /// Arms the monitor because names are pending. It does not report earlier mounts on them: so they are probed from
    /// here on, as fresh ones are anyway.
    fn arm(&mut self, debounce: &Debounce, path: &WatchedPath) -> Result<()> {
        self.listen(path)?;
        if debounce.names().pending().any(|name| !self.fresh.contains(name)) {
            self.stale = self.stale.max(Stale::Pending);
        }
        Ok(())
    }
}
