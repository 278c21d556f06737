//! The directory appears, goes, or is replaced.

use super::Named;
use super::due::{EmitMode, LeftOut};
use super::path::Resolution;
use crate::error::Result;
use crate::event::EventKind;
use crate::outbox::Outbox;

impl Named {
    /// Notes where the path leads now. `coming`: how to report a directory that was missing before.
    pub(super) fn arrive(&mut self, resolution: Resolution, coming: EmitMode, out: &mut Outbox) -> Result<()> {
        self.due.stale_deletes |= matches!(resolution, Resolution::Directory { narrow_mask: true, .. });
        let directory = match resolution {
            Resolution::Directory { opened, same: true, .. } => {
                // it may have been away, and the probes saw its replacement; or it is also a step on its own way, by a
                // link or `..`, and had a narrow mask while the path was resolved
                if *self.due.scan.get_or_insert(EmitMode::Changes) == EmitMode::Replayed {
                    self.report_directory(true, out);
                }
                Some(opened)
            }
            other => {
                self.leave(coming == EmitMode::Replayed, out);
                match other {
                    Resolution::Directory { opened, .. } if !self.ended => {
                        self.present = true;
                        self.due.scan = Some(coming);
                        if coming != EmitMode::Silent {
                            self.report_directory(coming == EmitMode::Replayed, out);
                        }
                        Some(opened)
                    }
                    _ => None,
                }
            }
        };
        if let (Some(directory), Some(mode)) = (directory, self.due.scan) {
            for _ in 0..2 {
                self.scan(&directory, mode, out)?;
                // names that are gone may have used the room while it was read
                if !self.due.left_out.needs_scan(self.room()) {
                    break;
                }
            }
        }
        self.due.scan = None;
        Ok(())
    }

    /// Reports that the directory exists, unless the consumer knows, or does not want to.
    fn report_directory(&mut self, replayed: bool, out: &mut Outbox) {
        if self.dir_events && !std::mem::replace(&mut self.reported, true) {
            out.push(EventKind::DirCreated, replayed);
        }
    }

    /// Reports that the directory is gone, if it existed.
    fn leave(&mut self, replayed: bool, out: &mut Outbox) {
        if !self.present {
            return;
        }
        (self.present, self.reported) = (false, false);
        // names of a missing directory: a scan covers its successor
        self.due.vacated.clear();
        self.due.left_out = LeftOut::default();
        self.debounce.begin_scan();
        self.debounce.end_scan(replayed, out);
        self.pending.forget_all();
        self.ended = !self.parent;
        if self.dir_events || self.ended {
            out.push(EventKind::DirDeleted, replayed);
        }
        if self.ended && std::mem::take(&mut self.due.synced) {
            // nothing follows after this
            out.push(EventKind::Synced, false);
        }
    }
}
