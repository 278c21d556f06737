//! Traces a change of a mount to its names.

use super::{MountImpact, Pending};
use crate::error::{Doing, Result};
use crate::mounts::{Change, Changes};
use crate::named::names::{Names, State};
use crate::named::path::WatchedPath;
use crate::sys;

impl Pending {
    /// Reads the changes of mounts and finds their names.
    pub(crate) fn read_mounts(&mut self, path: &WatchedPath, names: &Names) -> Result<MountImpact> {
        let end = self.elsewhere.as_mut().map(|elsewhere| elsewhere.take_end(&self.epoll)).transpose();
        if end.doing("poll a process")? == Some(true) {
            // the monitor keeps the mounts of the process
            self.mounts.close();
            self.always = false;
            return Ok(MountImpact::Path);
        }
        // a change may be lost or untraceable
        self.take_changes(path, names).inspect_err(|_| self.distrust())
    }

    /// Whether to notice mounts on the path to the directory, or over it.
    pub(crate) fn follows_path(&self) -> bool {
        self.always
    }

    fn take_changes(&mut self, path: &WatchedPath, names: &Names) -> Result<MountImpact> {
        let listens = self.always || self.mounts.is_armed();
        let mut changes = match self.mounts.read()? {
            Changes::Known(changes) if self.mounts.is_armed() && changes.is_empty() => return Ok(MountImpact::Names),
            Changes::Lost => {
                self.distrust();
                return Ok(if self.always { MountImpact::Lost } else { MountImpact::Names });
            }
            changes => Some(changes),
        };
        if !listens || (!self.always && names.pending().len() == 0) {
            // no mount matters
            self.listing.forget();
            return Ok(MountImpact::Names);
        }
        if !self.mounts.is_armed() {
            // the other backend has stopped working, and nothing watched since
            self.listen(path)?;
            changes = None;
        }
        path.require_place()?;
        let changes = match changes {
            Some(Changes::Known(changes)) if self.elsewhere.is_none() => Some(changes),
            Some(Changes::Unknown) if self.elsewhere.is_none() => self.listing.changes(),
            _ => None,
        };
        // after the changes were read: a later one causes another wake-up
        let (home, is_unmoved) = path.mount();
        match changes {
            Some(changes) if home.is_some() && home == self.home => {
                changes.iter().for_each(|change| self.trace(*change, names));
                self.fresh.extend(self.mounted.next_links());
            }
            _ => self.stale = self.everything(),
        }
        self.home = home;
        path.confirm_place()?;
        if is_unmoved || !self.always {
            return Ok(MountImpact::Names);
        }
        // the same directory on another mount may show its names without the mounts on them
        self.stale = self.everything();
        Ok(MountImpact::Path)
    }

    /// Traces a mount to the names that it may concern.
    fn trace(&mut self, change: Change, names: &Names) {
        match change {
            Change::Attached(id) => match sys::mount_point(id) {
                Ok(Some(point)) => {
                    // it hides the former mounts of the names
                    self.fresh.extend(self.mounted.names_on(point.parent));
                    if Some(point.parent) != self.home {
                        return;
                    }
                    match point.name {
                        None => self.stale = self.everything(),
                        Some(name) => match names.state(&name) {
                            State::Placeholder | State::Link => self.consider(&name),
                            State::Namespace(_) if self.always => self.consider(&name),
                            _ => {}
                        },
                    }
                }
                // it has gone again, which is another change
                Ok(None) => {}
                Err(_) => self.stale = self.everything(),
            },
            // what it hid may be a namespace
            Change::Detached(id) => self.fresh.extend(self.mounted.gone(id)),
        }
    }
}
