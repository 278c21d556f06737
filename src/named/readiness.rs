//! Names that are not network namespaces yet, and noticing when they become so.
//!
//! `ip netns add` mounts the namespace over its name some time after it has made the name, and inotify says nothing
//! of it. So while a name waits, and only then, mounts are listened to. The order is what makes it right: first
//! listen, then look; whatever happens after the look is heard.

use std::ffi::CStr;
use std::sync::Arc;

use super::location::Location;
use super::mounts::Mounts;
use super::probe::Probe;
use super::roster::{Roster, State};
use super::tell;
use crate::error::{Doing, Result};
use crate::event::Name;
use crate::outbox::Outbox;
use crate::sys::{CWD, Epoll};

#[derive(Debug)]
pub(crate) struct Readiness {
    mounts: Mounts,
    /// Names to look at once, whether they wait or not.
    fresh: Vec<Name>,
    /// Mounts have changed: all names that wait are to be looked at.
    stale: bool,
}

impl Readiness {
    pub(crate) fn new(epoll: Arc<Epoll>) -> Self {
        Self { mounts: Mounts::new(epoll), fresh: Vec::new(), stale: false }
    }

    /// Something new is there under this name.
    pub(crate) fn consider(&mut self, name: &CStr) {
        self.fresh.push(Name::new(name));
    }

    /// Looks at each name that may have become a namespace and tells those that have.
    pub(crate) fn check(
        &mut self,
        roster: &mut Roster,
        probe: Probe,
        location: &Location,
        out: &mut Outbox,
    ) -> Result<()> {
        match self.mounts.changed() {
            Ok(changed) => self.stale |= changed,
            Err(error) => {
                // it may have been a change that could not be told of
                self.stale = true;
                return Err(error);
            }
        }
        self.fresh.sort_unstable();
        self.fresh.dedup();
        while let Some(name) = self.fresh.last() {
            look(name, roster, probe, location, out)?;
            self.fresh.pop();
        }
        if roster.waiting().is_empty() {
            self.stale = false;
            return self.mounts.disarm();
        }
        if !self.mounts.is_armed() {
            self.mounts.arm()?;
            self.stale = true;
        }
        if self.stale {
            out.learned_now();
            let waiting: Vec<Name> = roster.waiting().iter().cloned().collect();
            for name in &waiting {
                look(name, roster, probe, location, out)?;
            }
            self.stale = false;
            if roster.waiting().is_empty() {
                return self.mounts.disarm();
            }
        }
        Ok(())
    }
}

/// Sees what a name refers to now and tells the difference. Whether the name exists is for inotify to say.
fn look(name: &Name, roster: &mut Roster, probe: Probe, location: &Location, out: &mut Outbox) -> Result<()> {
    let name = name.as_c_str();
    if roster.state(name) == State::Absent {
        return Ok(());
    }
    let path = location.path_of(name);
    let found = probe.look(CWD, &path).doing_on("look at", Name::new(name))?;
    tell(roster.review(name, found.map_or(State::Placeholder, State::Namespace)), false, out);
    Ok(())
}
