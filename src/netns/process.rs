//! The network namespace of a process, by its pid or by a pidfd.

use std::ffi::CString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::IDENTIFY;
use super::probe::open_path;
use crate::error::{Error, errno_of, is_refused};
use crate::sys::{self, CWD};
use crate::walk::Links;

/// Opens the network namespace of a process.
pub(super) fn open_for_pid(pid: i32) -> io::Result<OwnedFd> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // else its numbers belong to another pid namespace
    if !sys::is_proc_ours() {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    let path = CString::new(format!("/proc/{pid}/ns/net"))?;
    open_path(CWD, &path, Links::All).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => {
            // a zombie is listed; a process that a mount option of /proc hides is not
            let is_listed = std::fs::metadata(format!("/proc/{pid}")).is_ok();
            let is_hidden = !is_listed && sys::process_exists(pid);
            io::Error::from_raw_os_error(if is_hidden { libc::EACCES } else { libc::ESRCH })
        }
        // Linux 5.10: without ptrace access, O_PATH opens the directory of the link
        Some(libc::ENODEV) => io::Error::from_raw_os_error(libc::EACCES),
        _ => error,
    })
}

/// Opens the network namespace of the process that a pidfd refers to.
pub(crate) fn open_for_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match sys::namespace_of_pidfd(pidfd) {
        // Linux 6.11 has it, unless a filter refuses it
        Err(error)
            if matches!(
                errno_of(&error),
                libc::ENOTTY | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM | libc::EACCES
            ) => {}
        opened => return opened,
    }
    let Some(pid) = sys::pid_of_pidfd(pidfd)? else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
    let opened = open_for_pid(pid);
    // a process that has not ended by now had its pid all the time
    match sys::poll_readable(pidfd, Some(Duration::ZERO))? {
        true => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        false => opened,
    }
}

/// The error for the namespace of a process that could not be opened.
pub(crate) fn of_process(error: io::Error) -> Error {
    let refused = |errno, why| Error::new(errno, IDENTIFY).because(why);
    match errno_of(&error) {
        _ if is_refused(&error) => Error::of(&error, IDENTIFY),
        libc::EACCES | libc::EPERM => refused(
            libc::EACCES,
            "no ptrace access to the process: it requires the user of the process or CAP_SYS_PTRACE over it, and no \
             security module against it",
        ),
        libc::EBADF => refused(libc::EBADF, "the descriptor is not open, or is not a pidfd"),
        libc::EINVAL => refused(libc::EINVAL, "a pid is a positive number"),
        errno => Error::new(errno, IDENTIFY),
    }
}
