//! Mount notification by fanotify (Linux 6.15): who may have it gets a real descriptor that says which mount.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{check, owned, read};

const FAN_REPORT_MNT: libc::c_uint = 0x4000;
const FAN_MARK_MNTNS: libc::c_uint = 0x110;
const FAN_MNT_ATTACH: u64 = 0x0100_0000;
const FAN_MNT_DETACH: u64 = 0x0200_0000;
const FAN_EVENT_INFO_TYPE_MNT: u8 = 7;

/// What a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountChange {
    Attached(u64),
    Detached(u64),
    /// Notifications were lost: the queue was full.
    Overflow,
}

/// A fanotify group that can listen to the mount namespace of the thread that marks it.
#[derive(Debug)]
pub(crate) struct MountGroup(OwnedFd);

impl MountGroup {
    /// Fails with `EINVAL` before Linux 6.15, with `EPERM` or `ENOSYS` where it is forbidden.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = FAN_REPORT_MNT | libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        // SAFETY: no pointers.
        owned(unsafe { libc::fanotify_init(flags, 0) }).map(Self)
    }

    pub(crate) fn listen(&self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_ADD)
    }

    /// Ends what any thread has begun by `listen`: all marks go, whatever mount namespace this thread is in.
    pub(crate) fn ignore(&self) -> io::Result<()> {
        self.mark(libc::FAN_MARK_FLUSH)
    }

    fn mark(&self, action: libc::c_uint) -> io::Result<()> {
        // thread-self: the mount namespace that paths of this very thread are resolved in
        let namespace = c"/proc/thread-self/ns/mnt";
        // SAFETY: the path is NUL-terminated and outlives the call.
        check(unsafe {
            libc::fanotify_mark(
                self.0.as_raw_fd(),
                action | FAN_MARK_MNTNS,
                // to flush is to flush all
                if action == libc::FAN_MARK_FLUSH { 0 } else { FAN_MNT_ATTACH | FAN_MNT_DETACH },
                libc::AT_FDCWD,
                namespace.as_ptr(),
            )
        })
        .map(drop)
        .map_err(super::proc_error)
    }

    /// Reads what is there, at most one buffer of it; empty when there is nothing.
    pub(crate) fn read(&self, changes: &mut Vec<MountChange>) -> io::Result<()> {
        let mut buffer = [0u8; 4096];
        match read(self.0.as_fd(), &mut buffer) {
            Ok(n) => {
                parse(buffer.get(..n).unwrap_or_default(), changes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for MountGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

/// `struct fanotify_event_metadata` (24 bytes: length, version, -, metadata length, mask, fd, pid), each followed by
/// information records of type (1), padding (1), length (2) and, for a mount, its id (8, aligned).
fn parse(mut bytes: &[u8], changes: &mut Vec<MountChange>) {
    while let Some(length) = bytes.first_chunk().copied().map(u32::from_ne_bytes) {
        let length = length as usize;
        let (Some(event), true) = (bytes.get(..length), length >= 24) else { return };
        let mask = u64_at(event, 8).unwrap_or(0);
        if mask & libc::FAN_Q_OVERFLOW != 0 {
            changes.push(MountChange::Overflow);
        }
        let mut records = event.get(24..).unwrap_or_default();
        while let [kind, _, low, high, ..] = *records {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            if let (FAN_EVENT_INFO_TYPE_MNT, Some(id)) = (kind, u64_at(records, 8)) {
                if mask & FAN_MNT_ATTACH != 0 {
                    changes.push(MountChange::Attached(id));
                }
                if mask & FAN_MNT_DETACH != 0 {
                    changes.push(MountChange::Detached(id));
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
