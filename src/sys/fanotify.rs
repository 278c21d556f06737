//! fanotify, which rustix lacks.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{check, owned};

/// `fanotify_init(2)` of a group that notifies: close-on-exec and non-blocking.
pub(crate) fn fanotify_init(flags: libc::c_uint) -> io::Result<OwnedFd> {
    let flags = flags | libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
    // SAFETY: no pointers.
    owned(unsafe { libc::fanotify_init(flags, 0) })
}

/// `fanotify_mark(2)` of an absolute path.
pub(crate) fn fanotify_mark(group: BorrowedFd<'_>, flags: libc::c_uint, mask: u64, path: &CStr) -> io::Result<()> {
    // SAFETY: the path is NUL-terminated and outlives the call.
    check(unsafe { libc::fanotify_mark(group.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr()) }).map(drop)
}
