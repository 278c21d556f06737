//! Pending names, which are not network namespaces yet, and how the watcher notices their readiness.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify does not report
//! the mount. So the monitor of mounts is armed while a name is pending, and always if the options say so. The order
//! matters: first arm, then probe; so it misses nothing after the probe.
//!
//! It traces a change of a mount to its names: those that end on the mount, those that it is mounted on, and pending
//! links. If the kernel does not show enough for that, it probes every name.

mod trace;

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::debounce::Debounce;
use super::elsewhere::Elsewhere;
use super::listing::Listing;
use super::mounted::Mounted;
use super::names::{Names, State};
use super::path::{Base, WatchedPath, is_denied};
use super::processes::Processes;
use crate::error::{Doing, Result, is_refusal, is_transient};
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
        self.home = path.mount_id();
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

    /// Notes the mount of a name after a probe. Returns the state of the name, and whether to probe it again: before it
    /// was noted, a change could not be traced to it.
    fn note(
        &mut self,
        name: &CStr,
        at: BorrowedFd<'_>,
        place: &CStr,
        path: &WatchedPath,
        found: Option<Found>,
    ) -> Result<(State, bool)> {
        let state = found.map(|found| found.netns).into();
        let follows = path.links().are_followed();
        if follows && !self.mounts.is_armed() {
            return Ok((state, false));
        }
        let Some(Found { mount_id, .. }) = found else {
            self.processes.forget(name);
            return self.note_pending(name, at, place, follows);
        };
        self.mounted.forget_link(name);
        if !self.always {
            return Ok((state, false));
        }
        if let Some(mount_id) = mount_id.filter(|_| !self.processes.are_on(mount_id)) {
            // the probe found the namespace and the mount at once
            self.note_mount(name, mount_id);
        }
        Ok((state, self.processes.note(name, &path.path_of(name), mount_id)))
    }

    fn note_mount(&mut self, name: &CStr, mount_id: u64) -> bool {
        self.listing.saw(mount_id);
        self.mounted.note(name, mount_id)
    }

    fn note_pending(&mut self, name: &CStr, at: BorrowedFd<'_>, place: &CStr, follows: bool) -> Result<(State, bool)> {
        let stat = match sys::stat(at, place, libc::AT_SYMLINK_NOFOLLOW) {
            Err(error) if is_transient(&error) => return Err(error).doing_on("probe", Name::new(name)),
            stat => stat,
        };
        let is_new = match stat {
            Ok(stat) if stat.is_link && !follows => {
                self.mounted.forget_link(name);
                return Ok((State::Link, false));
            }
            _ if !self.mounts.is_armed() => false,
            Ok(stat) if !stat.is_link => {
                self.mounted.forget_link(name);
                // a file on the directory's own mount is no namespace at this moment
                let other = stat.mount_id.filter(|_| stat.mount_id != self.home);
                // a mount on the path may have come and gone: the probe saw what it hid, and this call what it showed
                // again
                let is_doubtful = stat.is_mount_root != Some(false);
                other.is_some_and(|id| self.note_mount(name, id) || is_doubtful)
            }
            // or an unreadable target: any mount may change that
            _ => self.mounted.note_link(name),
        };
        Ok((State::Placeholder, is_new))
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
        while let Some(name) = self.fresh.first().cloned() {
            self.probe_all(std::slice::from_ref(&name), debounce, probe, path, out)?;
            let is_pending = || debounce.names().state(name.as_c_str()) == State::Placeholder;
            if armed.is_ok() && !self.mounts.is_armed() && is_pending() {
                // a failure does not keep the other names from being reported
                armed = self.arm(debounce, path);
                if armed.is_ok() {
                    out.noticed_now();
                    continue;
                }
            }
            self.fresh.pop_first();
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

    /// Probes the present state of names and emits the differences. inotify reports whether a name exists.
    fn probe_all(
        &mut self,
        names: &[Name],
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        names.chunks(AT_ONCE).try_for_each(|names| self.probe_some(names, debounce, probe, path, out))
    }

    /// Probes these names.
    fn probe_some(
        &mut self,
        names: &[Name],
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        let known = names.iter().filter(|name| debounce.names().state(name.as_c_str()) != State::Absent);
        let known: Vec<&CStr> = known.map(Name::as_c_str).collect();
        if known.is_empty() {
            return Ok(());
        }
        path.require_place()?;
        let base = match path.base() {
            Ok(base) => Some(base),
            Err(error) if is_transient(&error) || is_refusal(&error) || is_denied(&error) => {
                return Err(error).doing_on("probe", path.as_os_str());
            }
            // the path leads nowhere now, which inotify reports, too
            Err(_) => None,
        };
        let mut found = Vec::with_capacity(known.len());
        let mut looked = Ok(());
        for name in &known {
            looked = self.probe(name, probe, base.as_ref(), path).map(|state| found.push(state));
            if looked.is_err() {
                break;
            }
        }
        path.confirm_place().inspect_err(|_| self.distrust())?;
        for (name, state) in known.iter().zip(found) {
            debounce.review(name, state, out);
        }
        looked
    }

    /// Probes a name. Notes its mount, and probes it again until the mount was noted before.
    fn probe(&mut self, name: &CStr, probe: Probe, base: Option<&Base<'_>>, path: &WatchedPath) -> Result<State> {
        let mut state = State::Placeholder;
        let Some(base) = base else { return Ok(state) };
        let place = base.name(name);
        for _ in 0..PROBES {
            let found = probe.look(base.at(), &place).doing_on("probe", Name::new(name))?;
            let again;
            (state, again) = self.note(name, base.at(), &place, path, found)?;
            if !again {
                break;
            }
        }
        Ok(state)
    }
}
