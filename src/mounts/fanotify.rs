//! fanotify mount events: report which mount came or went (Linux 6.15, `CAP_SYS_ADMIN` over the mount namespace).

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::backend::{Backend, Change, Changes};
use crate::sys::{self, Process};

const FAN_REPORT_MNT: libc::c_uint = 0x4000;
const FAN_MARK_MNTNS: libc::c_uint = 0x110;
const FAN_MNT_ATTACH: u64 = 0x0100_0000;
const FAN_MNT_DETACH: u64 = 0x0200_0000;
const FAN_EVENT_INFO_TYPE_MNT: u8 = 7;

/// With more changes than this, one probe of all names is cheaper than one per change.
const MANY: usize = 1000;

/// More than an event has: one of a mount has 40 bytes.
const LARGEST: usize = 256;

/// The number of reads that empty a queue of the default length: some hundred events each.
const READS_OF_A_QUEUE: usize = 256;

/// A fanotify group.
#[derive(Debug)]
pub(super) struct MountGroup {
    group: OwnedFd,
    /// The path of the mount namespace, which a mark does not keep alive.
    namespace: CString,
    /// A child of fork(2) shares the marks.
    process: Process,
}

impl MountGroup {
    /// Fails with `EINVAL` before Linux 6.15, with `EPERM` or `ENOSYS` if forbidden.
    pub(super) fn open(process: &Path) -> io::Result<Self> {
        let namespace = CString::new(process.join("ns/mnt").into_os_string().into_vec())?;
        let process = Process::this()?;
        Ok(Self { group: sys::fanotify_init(FAN_REPORT_MNT)?, namespace, process })
    }

    fn mark(&self, action: libc::c_uint, mask: u64) -> io::Result<()> {
        let flags = action | FAN_MARK_MNTNS;
        sys::fanotify_mark(self.group.as_fd(), flags, mask, &self.namespace).map_err(sys::proc_error)
    }

    /// Reads at most one buffer of changes; `false`: the queue is empty.
    fn read_once(&self, queued: &mut Queued) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        match sys::read(self.group.as_fd(), &mut buffer) {
            Ok((read, left)) => {
                parse(read, queued);
                // the kernel stops at an event for which there is no room left
                Ok(left.len() < LARGEST)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Backend for MountGroup {
    fn start(&mut self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_ADD, FAN_MNT_ATTACH | FAN_MNT_DETACH)
    }

    /// Removes all marks, whichever thread made them, in whatever mount namespace this thread is.
    fn stop(&mut self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_FLUSH, 0)
    }

    /// A removed mark makes the next close of any group or inotify instance wait for a grace period of the kernel. Marks
    /// that are removed before that close share the period.
    fn retire(&mut self) {
        if self.process.is_this() {
            self.stop().ok();
        }
    }

    fn reports_each(&self) -> bool {
        true
    }

    fn read(&mut self) -> io::Result<Changes> {
        let mut queued = Queued::default();
        let mut many = false;
        for reads in 0..READS_OF_A_QUEUE {
            match self.read_once(&mut queued) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if reads == 0 => return Err(error),
                // the next call meets the error again; changes read before it must not be lost
                Err(_) => break,
            }
            if queued.changes.len() > MANY {
                queued.changes.clear();
                many = true;
            }
        }
        Ok(match (queued.overflow, many) {
            (true, _) => Changes::Lost,
            (_, true) => Changes::Unknown,
            _ => Changes::Known(queued.changes),
        })
    }
}

impl AsFd for MountGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// The contents of the group's queue.
#[derive(Debug, Default)]
struct Queued {
    changes: Vec<Change>,
    /// The queue was full, and the kernel dropped events.
    overflow: bool,
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

/// `struct fanotify_event_metadata` (24 bytes: length, version, -, metadata length, mask, fd, pid), each followed by
/// information records of type (1), padding (1), length (2) and, for a mount, its id (8, aligned).
fn parse(mut bytes: &[u8], queued: &mut Queued) {
    while let Some(length) = bytes.first_chunk().copied().map(u32::from_ne_bytes) {
        let length = length as usize;
        let (Some(event), true) = (bytes.get(..length), length >= 24) else { return };
        let mask = u64_at(event, 8).unwrap_or(0);
        queued.overflow |= mask & libc::FAN_Q_OVERFLOW != 0;
        let mut records = event.get(24..).unwrap_or_default();
        while let [kind, _, low, high, ..] = *records {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            // the id is at the end of the record: a 32-bit x86 kernel has no gap before it
            let id = length.checked_sub(8).and_then(|at| u64_at(records, at));
            if let (FAN_EVENT_INFO_TYPE_MNT, Some(id)) = (kind, id) {
                if mask & FAN_MNT_ATTACH != 0 {
                    queued.changes.push(Change::Attached(id));
                }
                if mask & FAN_MNT_DETACH != 0 {
                    queued.changes.push(Change::Detached(id));
                }
            }
            records = match records.get(length..) {
                Some(rest) if length > 0 => rest,
                _ => break,
            };
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
}
