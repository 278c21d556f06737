//! Pending names, which are not network namespaces yet, and noticing when they become so.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify reports nothing
//! of it. So while a name is pending, and only then unless the options ask for more, the monitor of mounts is armed. The
//! order makes it right: first arm, then probe; whatever happens after the probe is noticed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::sync::Arc;

use super::debounce::Debounce;
use super::mounted::Mounted;
use super::names::State;
use super::path::WatchedPath;
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::mounts::{self, Change, Changes, Monitor};
use crate::netns::{Found, Probe};
use crate::outbox::Outbox;
use crate::sys::{CWD, Epoll};

/// How many names are probed before what was found is used.
pub(super) const AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct Pending {
    mounts: Monitor,
    /// The monitor is armed all the time: the names that are namespaces may stop being so.
    always: bool,
    /// Kept only if `always`.
    mounted: Mounted,
    /// Names to probe, whatever they were.
    fresh: BTreeSet<Name>,
    /// More names to probe.
    stale: Stale,
}

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
    pub(crate) fn new(epoll: Arc<Epoll>, always: bool) -> Self {
        let mounts = Monitor::new(epoll);
        Self { mounts, always, mounted: Mounted::default(), fresh: BTreeSet::new(), stale: Stale::Nothing }
    }

    /// Arms the monitor if it is to be armed all the time. Before the first scan, so that nothing falls between.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.always { self.mounts.arm() } else { Ok(()) }
    }

    /// Makes all that the monitor could need later.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        self.mounts.prepare()
    }

    /// Something new is there under this name.
    pub(crate) fn consider(&mut self, name: &CStr) {
        self.fresh.insert(Name::new(name));
    }

    /// A probe found this under a name.
    pub(crate) fn note(&mut self, name: &CStr, found: Option<Found>) {
        if let (true, Some(mount_id)) = (self.always, found.and_then(|found| found.mount_id)) {
            self.mounted.note(name, mount_id);
        }
    }

    pub(crate) fn forget(&mut self, name: &CStr) {
        self.fresh.remove(name);
    }

    pub(crate) fn forget_all(&mut self) {
        self.mounted = Mounted::default();
    }

    /// Reads the changes of mounts and finds out which names they concern.
    pub(crate) fn read_mounts(&mut self, path: &WatchedPath) -> Result<MountImpact> {
        let everything = if self.always { Stale::Everything } else { Stale::Pending };
        let changes = self.mounts.read().inspect_err(|_| {
            // a change may have been in what could not be read
            self.stale = everything;
        })?;
        let lost = match changes {
            Changes::Known(changes) if changes.is_empty() => return Ok(MountImpact::Names),
            Changes::Known(changes) => {
                // to a pending name any change may matter, of whatever is mounted: it may uncover a namespace, or a part of
                // the path that a symbolic link takes
                self.stale = self.stale.max(Stale::Pending);
                if self.always {
                    self.trace_all(&changes, everything, path)?;
                }
                false
            }
            Changes::Unknown => {
                self.stale = everything;
                false
            }
            Changes::Lost => {
                self.stale = everything;
                true
            }
        };
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

    /// Traces mounts to names. They can be traced from where the watcher was opened only.
    fn trace_all(&mut self, changes: &[Change], everything: Stale, path: &WatchedPath) -> Result<()> {
        let mut traced = path.require_place();
        if traced.is_ok() {
            changes.iter().for_each(|change| self.trace(*change, everything));
            traced = path.confirm_place();
        }
        traced.inspect_err(|_| self.stale = everything)
    }

    /// Traces a mount to the names that are namespaces and that it may concern.
    fn trace(&mut self, change: Change, everything: Stale) {
        match change {
            Change::Attached(id) => match mounts::parent_of(id) {
                // what it hides: the mounts that names ended on until now
                Ok(Some(parent)) => self.fresh.extend(self.mounted.names_on(parent)),
                // it has gone again, which is a change of its own
                Ok(None) => {}
                Err(_) => self.stale = everything,
            },
            // what it hid may be a namespace on a pending name
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
        if self.mounted.is_stale(debounce.names().len()) {
            self.forget_all();
            self.stale = Stale::Everything;
        }
        let mut armed = Ok(());
        while let Some(name) = self.fresh.first().cloned() {
            self.probe_all(std::slice::from_ref(&name), debounce, probe, path, out)?;
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
        self.probe_all(&stale, debounce, probe, path, out)?;
        self.stale = Stale::Nothing;
        let is_needed = self.always || debounce.names().pending().len() != 0;
        if !is_needed && self.mounts.is_armed() && path.require_place().is_ok() {
            self.mounts.disarm();
        }
        Ok(())
    }

    /// Arms the monitor because names are pending. It does not report what was mounted on them before: they are to be
    /// probed from here on, as those that are fresh are anyway.
    fn arm(&mut self, debounce: &Debounce, path: &WatchedPath) -> Result<()> {
        path.require_place()?;
        self.mounts.arm()?;
        if debounce.names().pending().any(|name| !self.fresh.contains(name)) {
            self.stale = self.stale.max(Stale::Pending);
        }
        Ok(())
    }

    /// Probes what names refer to now and emits the differences. Whether a name exists is for inotify to say.
    fn probe_all(
        &mut self,
        names: &[Name],
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        for names in names.chunks(AT_ONCE) {
            let known: Vec<&Name> =
                names.iter().filter(|name| debounce.names().state(name.as_c_str()) != State::Absent).collect();
            if known.is_empty() {
                continue;
            }
            path.require_place()?;
            let mut found = Vec::with_capacity(known.len());
            let mut looked = Ok(());
            for name in &known {
                match probe.look(CWD, &path.path_of(name.as_c_str())).doing_on("look at", name) {
                    Ok(here) => found.push(here),
                    Err(error) => {
                        looked = Err(error);
                        break;
                    }
                }
            }
            path.confirm_place()?;
            for (name, found) in known.iter().map(|name| name.as_c_str()).zip(found) {
                debounce.review(name, found.map_or(State::Placeholder, |found| State::Namespace(found.netns)), out);
                self.note(name, found);
            }
            looked?;
        }
        Ok(())
    }
}
