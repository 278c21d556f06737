//! Paths and what they lead to.

use std::ffi::{CStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use super::{check, owned};

/// `AT_FDCWD`: where relative paths start.
// SAFETY: not -1; the kernel takes it for the working directory, nothing closes it.
pub(crate) const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };

/// `openat(2)`, always close-on-exec.
pub(crate) fn open(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: `path` is NUL-terminated and outlives the call.
    owned(unsafe { libc::openat(at.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// What a symbolic link opened with `O_PATH | O_NOFOLLOW` says; `None` if `fd` is not a symbolic link.
pub(crate) fn link_target(fd: BorrowedFd<'_>) -> io::Result<Option<OsString>> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the empty path means `fd` itself; at most `target.len()` bytes are written.
    let n = unsafe { libc::readlinkat(fd.as_raw_fd(), c"".as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    match usize::try_from(n) {
        Ok(n) => {
            target.truncate(n);
            Ok(Some(OsString::from_vec(target)))
        }
        Err(_) => match io::Error::last_os_error() {
            // what readlinkat(2) answers for an empty path when the descriptor is no link
            error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(None),
            error => Err(error),
        },
    }
}

/// `f_type` of the filesystem that `fd` is on.
pub(crate) fn filesystem_of(fd: BorrowedFd<'_>) -> io::Result<i64> {
    let mut out = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `out` is large enough for what is written.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), out.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so `out` is filled in.
    let out = unsafe { out.assume_init() };
    #[allow(clippy::unnecessary_cast)] // the type of f_type differs between architectures
    Ok(out.f_type as i64)
}

/// The parts of `statx(2)` that tell one object from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) is_directory: bool,
    /// The path ends on the root of a mount (Linux 5.8).
    pub(crate) is_mount_root: bool,
    pub(crate) ctime_ns: u64,
    /// The never-reused id of the mount (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

/// `statx(2)` of `path` below `at`; an empty `path` is `at` itself.
pub(crate) fn stat(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Stat> {
    let mut out = MaybeUninit::<libc::statx>::uninit();
    let flags = flags | libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    let mask = libc::STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE;
    // SAFETY: `path` is NUL-terminated; `out` is large enough for what is written.
    check(unsafe { libc::statx(at.as_raw_fd(), path.as_ptr(), flags, mask, out.as_mut_ptr()) })?;
    // SAFETY: statx succeeded, so `out` is filled in.
    let out = unsafe { out.assume_init() };
    let unique = out.stx_mask & STATX_MNT_ID_UNIQUE != 0;
    Ok(Stat {
        dev: libc::makedev(out.stx_dev_major, out.stx_dev_minor),
        ino: out.stx_ino,
        is_directory: u32::from(out.stx_mode) & libc::S_IFMT == libc::S_IFDIR,
        is_mount_root: out.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0,
        ctime_ns: out
            .stx_ctime
            .tv_sec
            .unsigned_abs()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(out.stx_ctime.tv_nsec.into()),
        mount_id: unique.then_some(out.stx_mnt_id),
    })
}
