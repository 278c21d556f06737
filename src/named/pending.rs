//! Pending names, which are not network namespaces yet, and noticing when they become so.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify reports nothing
//! of it. So the monitor of mounts is armed while a name is pending, and all the time where the options say so. The order
//! makes it right: first arm, then probe; whatever happens after the probe is noticed.
//!
//! A change of a mount is traced to the names that it concerns: those that end on the mount, those that it is mounted on,
//! and pending links. Where the kernel does not say enough for that, every name is probed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::debounce::Debounce;
use super::elsewhere::Elsewhere;
use super::listing::Listing;
use super::mounted::Mounted;
use super::names::{Names, State};
use super::path::WatchedPath;
use super::processes::Processes;
use crate::error::{Doing, Result, is_transient};
use crate::event::Name;
use crate::mounts::{self, Change, Changes, Monitor};
use crate::netns::{Found, Probe};
use crate::options::{MountEvents, Options};
use crate::outbox::Outbox;
use crate::sys::{self, CWD, Epoll};

#[derive(Debug)]
pub(crate) struct Pending {
    epoll: Arc<Epoll>,
    mounts: Monitor,
    /// The process whose mounts these are, if it is another one: of them nothing is known but that they change.
    elsewhere: Option<Elsewhere>,
    wanted: MountEvents,
    /// The monitor is armed all the time: the names that are namespaces may stop being so.
    always: bool,
    /// The mounts, where the monitor does not know which has changed.
    listing: Listing,
    /// The mount that the directory is on; `None`: unknown, so that no change can be traced.
    home: Option<u64>,
    mounted: Mounted,
    processes: Processes,
    /// Names to probe, whatever they were.
    fresh: BTreeSet<Name>,
    /// More names to probe.
    stale: Stale,
}

const NOT_READABLE: &str =
    "to watch the mounts of another process takes the right to read its /proc/PID/root (ptrace(2), PTRACE_MODE_READ)";

/// How much of what is known may be wrong since mounts have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    /// The pending names.
    Pending,
    Everything,
}

/// What changes of mounts may concern besides single names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountImpact {
    /// Nothing else.
    Names,
    /// Where the path leads: a part of it, or the directory itself.
    Path,
    /// Anything at all: the kernel has dropped changes.
    Lost,
}

impl Pending {
    pub(crate) fn new(epoll: Arc<Epoll>, options: &Options) -> Result<Self> {
        let elsewhere = Elsewhere::on_the_way(&options.dir, &epoll)?;
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

    /// Arms the monitor if it is to be armed all the time. Before the first scan, so that nothing falls between.
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
        if !self.always {
            return self.rest();
        }
        self.processes.start();
        Ok(())
    }

    /// Whether a change of a mount costs no look at every known name.
    fn is_cheap(&self) -> bool {
        let traces = || mounts::try_statmount().unwrap_or(false);
        self.elsewhere.is_none()
            && !self.mounts.is_last_resort()
            && (self.mounts.reports_each() || self.listing.is_known())
            && traces()
    }

    fn listen(&mut self, path: &WatchedPath) -> Result<()> {
        self.mounts.arm()?;
        self.home = path.mount_id();
        self.list_anew();
        Ok(())
    }

    fn list_anew(&mut self) {
        if self.elsewhere.is_none() && !self.mounts.reports_each() {
            self.listing.renew();
        }
    }

    /// Stops listening, and forgets what only a listener keeps up to date.
    fn rest(&mut self) -> Result<()> {
        self.listing.forget();
        self.mounted = Mounted::default();
        self.mounts.disarm()
    }

    fn everything(&self) -> Stale {
        if self.always { Stale::Everything } else { Stale::Pending }
    }

    /// Something new is there under this name.
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

    /// All names in this directory are to be probed, and noted anew.
    pub(crate) fn begin_scan(&mut self, directory: &OwnedFd) {
        self.mounted = Mounted::default();
        self.home = sys::stat(directory.as_fd(), c"", 0).ok().and_then(|stat| stat.mount_id);
    }

    /// These are the names that the scan found.
    pub(crate) fn end_scan(&mut self, names: &Names) {
        self.processes.retain(|name| names.state(name.as_c_str()) != State::Absent);
    }

    /// A scan is about to probe a link. Noted before, it need not be probed twice, which can take milliseconds.
    pub(crate) fn expect_link(&mut self, name: &CStr) {
        if self.mounts.is_armed() {
            self.mounted.note_link(name);
        }
    }

    /// A scan found this under a name in the directory.
    pub(crate) fn scanned(
        &mut self,
        directory: &OwnedFd,
        path: &WatchedPath,
        name: &CStr,
        found: Option<Found>,
    ) -> Result<()> {
        if self.note(name, directory.as_fd(), name, path, found)? {
            self.consider(name);
        }
        Ok(())
    }

    /// Notes where a name ends, of which a probe found this. Returns whether the name is to be probed again: until it was
    /// noted, a change could not be traced to it.
    fn note(
        &mut self,
        name: &CStr,
        at: BorrowedFd<'_>,
        place: &CStr,
        path: &WatchedPath,
        found: Option<Found>,
    ) -> Result<bool> {
        if !self.mounts.is_armed() {
            return Ok(false);
        }
        let Some(Found { mount_id, .. }) = found else {
            self.processes.forget(name);
            return self.note_pending(name, at, place);
        };
        self.mounted.forget_link(name);
        if !self.always {
            return Ok(false);
        }
        if let Some(mount_id) = mount_id.filter(|_| !self.processes.are_on(mount_id)) {
            // the probe found the namespace and the mount at once
            self.note_mount(name, mount_id);
        }
        Ok(self.processes.note(name, &path.path_of(name), mount_id))
    }

    fn note_mount(&mut self, name: &CStr, mount_id: u64) -> bool {
        self.listing.saw(mount_id);
        self.mounted.note(name, mount_id)
    }

    fn note_pending(&mut self, name: &CStr, at: BorrowedFd<'_>, place: &CStr) -> Result<bool> {
        let stat = match sys::stat(at, place, libc::AT_SYMLINK_NOFOLLOW) {
            Err(error) if is_transient(&error) => return Err(error).doing_on("look at", Name::new(name)),
            stat => stat,
        };
        Ok(match stat {
            Ok(stat) if !stat.is_link => {
                self.mounted.forget_link(name);
                // what is not on another mount than the directory is no namespace at this very moment
                stat.mount_id.filter(|_| stat.mount_id != self.home).is_some_and(|id| self.note_mount(name, id))
            }
            // or something that cannot be looked at: any mount may change that
            _ => self.mounted.note_link(name),
        })
    }

    /// Reads the changes of mounts and finds out which names they concern.
    pub(crate) fn read_mounts(&mut self, path: &WatchedPath, names: &Names) -> Result<MountImpact> {
        let end = self.elsewhere.as_mut().map(|elsewhere| elsewhere.take_end(&self.epoll)).transpose();
        if end.doing("poll a process")? == Some(true) {
            // what the monitor has of the process keeps its mounts
            self.mounts.close();
            return Ok(MountImpact::Path);
        }
        let everything = self.everything();
        let changes = self.mounts.read().inspect_err(|_| {
            // a change may have been in what could not be read
            self.stale = everything;
        })?;
        let (changes, lost) = match changes {
            Changes::Known(changes) if changes.is_empty() => return Ok(MountImpact::Names),
            Changes::Known(_) if self.elsewhere.is_some() => (None, false),
            Changes::Known(changes) => (Some(changes), false),
            Changes::Unknown => (self.listing.changes(), false),
            Changes::Lost => {
                self.list_anew();
                (None, true)
            }
        };
        let home = path.mount_id();
        match changes {
            Some(changes) if home.is_some() && home == self.home => {
                changes.iter().for_each(|change| self.trace(*change, names));
                self.fresh.extend(self.mounted.next_links());
            }
            _ => self.stale = everything,
        }
        self.home = home;
        if !self.always {
            return Ok(MountImpact::Names);
        }
        if lost {
            return Ok(MountImpact::Lost);
        }
        if path.is_unmoved() {
            return Ok(MountImpact::Names);
        }
        // the same directory by another mount may show its names without what is mounted on them
        self.stale = everything;
        Ok(MountImpact::Path)
    }

    /// Traces a mount to the names that it may concern.
    fn trace(&mut self, change: Change, names: &Names) {
        match change {
            Change::Attached(id) => match sys::mount_point(id) {
                Ok(Some(point)) => {
                    // what it hides: the mounts that names ended on until now
                    self.fresh.extend(self.mounted.names_on(point.parent));
                    if Some(point.parent) != self.home {
                        return;
                    }
                    match point.name {
                        None => self.stale = self.everything(),
                        Some(name) => match names.state(&name) {
                            State::Placeholder => self.consider(&name),
                            State::Namespace(_) if self.always => self.consider(&name),
                            _ => {}
                        },
                    }
                }
                // it has gone again, which is a change of its own
                Ok(None) => {}
                Err(_) => self.stale = self.everything(),
            },
            // what it hid may be a namespace
            Change::Detached(id) => self.fresh.extend(self.mounted.gone(id)),
        }
    }

    /// Probes each name that may have changed and emits the changes.
    pub(crate) fn check(
        &mut self,
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
            self.probe(&name, debounce, probe, path, out)?;
            let is_pending = || debounce.names().state(name.as_c_str()) == State::Placeholder;
            if armed.is_ok() && !self.mounts.is_armed() && is_pending() {
                // a failure does not keep the other names from being reported
                armed = self.arm(debounce, path);
                if armed.is_ok() {
                    out.learned_now();
                    continue;
                }
            }
            self.fresh.pop_first();
        }
        armed?;
        if debounce.names().pending().len() != 0 && !self.mounts.is_armed() {
            self.arm(debounce, path)?;
        }
        let stale: Vec<Name> = match self.stale {
            Stale::Nothing => Vec::new(),
            Stale::Pending => debounce.names().pending().cloned().collect(),
            Stale::Everything => debounce.names().names().cloned().collect(),
        };
        if !stale.is_empty() {
            out.learned_now();
        }
        for name in &stale {
            self.probe(name, debounce, probe, path, out)?;
        }
        self.stale = Stale::Nothing;
        if debounce.names().pending().len() == 0 && !self.always && self.mounts.is_armed() {
            return self.rest();
        }
        Ok(())
    }

    /// Arms the monitor because names are pending. It does not report what was mounted on them before: they are to be
    /// probed from here on, as those that are fresh are anyway.
    fn arm(&mut self, debounce: &Debounce, path: &WatchedPath) -> Result<()> {
        self.listen(path)?;
        if debounce.names().pending().any(|name| !self.fresh.contains(name)) {
            self.stale = self.stale.max(Stale::Pending);
        }
        Ok(())
    }

    /// Probes what a name refers to now and emits the difference. Whether the name exists is for inotify to say.
    fn probe(
        &mut self,
        name: &Name,
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        let name = name.as_c_str();
        if debounce.names().state(name) == State::Absent {
            return Ok(());
        }
        let place = path.path_of(name);
        for _ in 0..2 {
            let found = probe.look(CWD, &place).doing_on("look at", Name::new(name))?;
            debounce.review(name, found.map_or(State::Placeholder, |found| State::Namespace(found.netns)), out);
            if !self.note(name, CWD, &place, path, found)? {
                break;
            }
        }
        Ok(())
    }
}
