//! Compares the names with the contents of the directory, up to the limit of names.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::due::EmitMode;
use super::{Named, State, pending};
use crate::error::{Doing, Error, Result};
use crate::outbox::Outbox;
use crate::sys;

impl Named {
    /// Compares the names with the directory.
    pub(super) fn scan(&mut self, directory: &OwnedFd, mode: EmitMode, out: &mut Outbox) -> Result<()> {
        let doing = "read the directory";
        let replayed = mode == EmitMode::Replayed;
        self.debounce.begin_scan();
        self.pending.begin_scan(directory);
        self.due.left_out.begin_scan();
        let (mut batch, mut links) = (Vec::with_capacity(pending::AT_ONCE), false);
        let mut room = [MaybeUninit::uninit(); 8192];
        let entries = sys::entries(directory.as_fd(), &mut room);
        let mut entries = entries.doing_on(doing, self.path.as_os_str())?;
        while let Some(entry) = entries.next() {
            let (name, kind) = match entry {
                Ok(entry) => (entry.file_name().to_owned(), entry.file_type()),
                // a directory removed during the scan has no names
                Err(Errno::NOENT | Errno::SRCH) => break,
                Err(error) => return Err(error.into()).doing_on(doing, self.path.as_os_str()),
            };
            let kind = sys::kind_of(directory.as_fd(), &name, kind);
            if kind == FileType::Directory {
                continue;
            }
            if batch.len() == pending::AT_ONCE || batch.len() >= self.room() {
                self.take_found(&mut batch, std::mem::take(&mut links), mode, out)?;
            }
            if self.admit(&name) {
                if kind == FileType::Symlink {
                    self.pending.expect_link(&name, &self.path);
                }
                let found = self.probe.look(directory.as_fd(), &name);
                let found = found.doing_on("probe", OsStr::from_bytes(name.to_bytes()))?;
                let state = self.pending.scanned(directory, &self.path, &name, found)?;
                links |= matches!(kind, FileType::Symlink | FileType::Unknown);
                batch.push((name, state));
            } else if self.due.left_out.is_more() && self.debounce.names().are_all_seen() {
                // the rest does not fit
                break;
            }
        }
        self.take_found(&mut batch, links, mode, out)?;
        self.debounce.end_scan(replayed, out);
        self.pending.end_scan(self.debounce.names());
        Ok(())
    }

    /// Handles the files that a scan found under some names. `links`: some lead from the root directory, as symbolic
    /// links may.
    fn take_found(
        &mut self,
        batch: &mut Vec<(CString, State)>,
        links: bool,
        mode: EmitMode,
        out: &mut Outbox,
    ) -> Result<()> {
        if links {
            self.path.confirm_place()?;
        }
        for (name, state) in batch.drain(..) {
            match mode {
                EmitMode::Silent => self.debounce.assume(&name, state),
                EmitMode::Changes => self.debounce.review(&name, state, out),
                _ => self.debounce.scan_found(&name, state, mode == EmitMode::Replayed, out),
            }
        }
        Ok(())
    }

    /// Whether an existing name fits, or is known.
    pub(super) fn admit(&mut self, name: &CStr) -> bool {
        let admitted = self.room() > 0 || self.debounce.names().state(name) != State::Absent;
        if !admitted {
            self.due.left_out.add(name);
        }
        admitted
    }

    /// Plans a scan if there is room for names that only a scan finds.
    pub(super) fn note_room(&mut self) {
        if self.due.left_out.needs_scan(self.room()) {
            self.due.scan.get_or_insert(EmitMode::Changes);
        }
    }

    pub(super) fn room(&self) -> usize {
        self.max_names.saturating_sub(self.debounce.names().len())
    }

    pub(super) fn too_many(&self) -> Error {
        Error::new(libc::E2BIG, "watch all names in").on(self.path.as_os_str()).settled()
    }
}
