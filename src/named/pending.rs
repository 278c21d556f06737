//! Names that are not network namespaces yet, and noticing when they become so.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify says nothing
//! of it. So while a name waits, and only then unless asked otherwise, mounts are listened to. The order is what
//! makes it right: first listen, then look; whatever happens after the look is heard.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::sync::Arc;

use super::debounce::Ledger;
use super::mounted::Mounted;
use super::names::State;
use super::path::Location;
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::mounts::{self, Change, Changes, Monitor};
use crate::netns::{Found, Probe};
use crate::outbox::Outbox;
use crate::sys::{CWD, Epoll};

#[derive(Debug)]
pub(crate) struct Readiness {
    mounts: Monitor,
    /// Mounts are listened to all the time: the names that are namespaces may stop being so.
    always: bool,
    /// Kept only if `always`.
    mounted: Mounted,
    /// Names to look at, whatever they were.
    fresh: BTreeSet<Name>,
    /// More names to look at.
    stale: Stale,
}

/// How much of what is known may be wrong since mounts have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    /// The names that wait.
    Waiting,
    Everything,
}

/// What changes of mounts may concern besides single names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tidings {
    /// Nothing else.
    Names,
    /// The way to the directory, or the directory itself.
    Way,
    /// Anything at all: the kernel has lost some.
    Lost,
}

impl Readiness {
    pub(crate) fn new(epoll: Arc<Epoll>, always: bool) -> Self {
        let mounts = Monitor::new(epoll);
        Self { mounts, always, mounted: Mounted::default(), fresh: BTreeSet::new(), stale: Stale::Nothing }
    }

    /// Begins to listen if that is to be done all the time. Before the first look, so that nothing falls between.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.always { self.mounts.arm() } else { Ok(()) }
    }

    /// Something new is there under this name.
    pub(crate) fn consider(&mut self, name: &CStr) {
        self.fresh.insert(Name::new(name));
    }

    /// A look found this under a name.
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

    /// Hears of mounts and finds out which names they concern.
    pub(crate) fn hear(&mut self, location: &Location) -> Result<Tidings> {
        let everything = if self.always { Stale::Everything } else { Stale::Waiting };
        let heard = self.mounts.read().inspect_err(|_| {
            // it may have been a change that could not be told of
            self.stale = everything;
        })?;
        let lost = match heard {
            Changes::Known(changes) if changes.is_empty() => return Ok(Tidings::Names),
            Changes::Known(changes) => {
                changes.iter().for_each(|change| self.trace(*change, everything));
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
            return Ok(Tidings::Names);
        }
        if lost {
            return Ok(Tidings::Lost);
        }
        if location.is_unmoved() {
            return Ok(Tidings::Names);
        }
        // the same directory by another mount may show its names without what is mounted on them
        self.stale = everything;
        Ok(Tidings::Way)
    }

    /// Traces a mount to the names that it may concern.
    ///
    /// To a name that waits any change may matter, of whatever is mounted: it may uncover a namespace, or a part of
    /// the way that a symbolic link takes.
    fn trace(&mut self, change: Change, everything: Stale) {
        self.stale = self.stale.max(Stale::Waiting);
        if !self.always {
            return;
        }
        match change {
            Change::Attached(id) => match mounts::parent_of(id) {
                // what it hides: the mounts that names ended on until now
                Ok(Some(parent)) => self.fresh.extend(self.mounted.names_on(parent)),
                // it has gone again, which is a change of its own
                Ok(None) => {}
                Err(_) => self.stale = everything,
            },
            Change::Detached(id) => {
                self.fresh.extend(self.mounted.gone(id));
                // what it hid may be a namespace on a name that waits
                self.stale = self.stale.max(Stale::Waiting);
            }
        }
    }

    /// Looks at each name that may have changed and tells those that have.
    pub(crate) fn check(
        &mut self,
        ledger: &mut Ledger,
        probe: Probe,
        location: &Location,
        out: &mut Outbox,
    ) -> Result<()> {
        if self.mounted.is_stale(ledger.roster().len()) {
            self.forget_all();
            self.stale = Stale::Everything;
        }
        let mut armed = Ok(());
        while let Some(name) = self.fresh.first().cloned() {
            self.look(&name, ledger, probe, location, out)?;
            let waits = || ledger.roster().state(name.as_c_str()) == State::Placeholder;
            if armed.is_ok() && !self.mounts.is_armed() && waits() {
                // a failure keeps nobody from being told of the other names
                armed = self.arm(ledger);
                if armed.is_ok() {
                    out.learned_now();
                    continue;
                }
            }
            self.fresh.pop_first();
        }
        armed?;
        if ledger.roster().waiting().len() != 0 && !self.mounts.is_armed() {
            self.arm(ledger)?;
        }
        let stale: Vec<Name> = match self.stale {
            Stale::Nothing => Vec::new(),
            Stale::Waiting => ledger.roster().waiting().cloned().collect(),
            Stale::Everything => ledger.roster().names().cloned().collect(),
        };
        if !stale.is_empty() {
            out.learned_now();
        }
        for name in &stale {
            self.look(name, ledger, probe, location, out)?;
        }
        self.stale = Stale::Nothing;
        if ledger.roster().waiting().len() == 0 && !self.always {
            return self.mounts.disarm();
        }
        Ok(())
    }

    /// Begins to listen because names wait. What was mounted on them before is not heard of: they are to be looked at
    /// from here on, as those that are fresh are anyway.
    fn arm(&mut self, ledger: &Ledger) -> Result<()> {
        self.mounts.arm()?;
        if ledger.roster().waiting().any(|name| !self.fresh.contains(name)) {
            self.stale = self.stale.max(Stale::Waiting);
        }
        Ok(())
    }

    /// Sees what a name refers to now and tells the difference. Whether the name exists is for inotify to say.
    fn look(
        &mut self,
        name: &Name,
        ledger: &mut Ledger,
        probe: Probe,
        location: &Location,
        out: &mut Outbox,
    ) -> Result<()> {
        if ledger.roster().state(name.as_c_str()) == State::Absent {
            return Ok(());
        }
        let found = probe.look(CWD, &location.path_of(name.as_c_str())).doing_on("look at", name)?;
        let name = name.as_c_str();
        ledger.review(name, found.map_or(State::Placeholder, |found| State::Namespace(found.netns)), out);
        self.note(name, found);
        Ok(())
    }
}
