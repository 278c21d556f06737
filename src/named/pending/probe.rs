//! Probes names, and notes what their mounts are, so that a change of a mount can be traced to them.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use super::{AT_ONCE, PROBES, Pending};
use crate::error::{Doing, Result, is_refusal, is_transient};
use crate::event::Name;
use crate::named::debounce::Debounce;
use crate::named::names::State;
use crate::named::path::{Base, WatchedPath, is_denied};
use crate::netns::{Found, Probe};
use crate::outbox::Outbox;
use crate::sys;

impl Pending {
    /// Notes the mount of a name after a probe. Returns the state of the name, and whether to probe it again: before it
    /// was noted, a change could not be traced to it.
    pub(super) fn note(
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

    /// Whether the name is a file on the mount of the directory, so no namespace at this moment. One system call.
    fn is_plain(&mut self, name: &CStr, at: BorrowedFd<'_>, place: &CStr) -> bool {
        let is_plain = sys::stat(at, place, libc::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            !stat.is_link && stat.is_mount_root == Some(false) && stat.mount_id.is_none_or(|id| Some(id) == self.home)
        });
        if is_plain {
            self.processes.forget(name);
            self.mounted.forget_link(name);
        }
        is_plain
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

    /// Probes the present state of names and emits the differences. inotify reports whether a name exists.
    pub(super) fn probe_all(
        &mut self,
        names: &[Name],
        debounce: &mut Debounce,
        probe: Probe,
        path: &WatchedPath,
        out: &mut Outbox,
    ) -> Result<()> {
        names.chunks(AT_ONCE).try_for_each(|names| self.probe_some(names, false, debounce, probe, path, out))
    }

    /// Probes these names. `plain`: some may be empty files, which one call shows.
    pub(super) fn probe_some(
        &mut self,
        names: &[Name],
        plain: bool,
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
            looked = self.probe(name, plain, probe, base.as_ref(), path).map(|state| found.push(state));
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
    fn probe(
        &mut self,
        name: &CStr,
        plain: bool,
        probe: Probe,
        base: Option<&Base<'_>>,
        path: &WatchedPath,
    ) -> Result<State> {
        let mut state = State::Placeholder;
        let Some(base) = base else { return Ok(state) };
        let place = base.name(name);
        if plain && self.is_plain(name, base.at(), &place) {
            return Ok(state);
        }
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
