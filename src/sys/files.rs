//! Paths and what they lead to, by rustix.

use std::ffi::{CStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// `AT_FDCWD`: where relative paths start.
pub(crate) use rustix::fs::CWD;

/// `openat(2)`, always close-on-exec.
pub(crate) fn open(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

/// What a symbolic link opened with `O_PATH | O_NOFOLLOW` says; `None` if `fd` is not a symbolic link.
pub(crate) fn link_target(fd: BorrowedFd<'_>) -> io::Result<Option<OsString>> {
    // the empty path means `fd` itself
    match rustix::fs::readlinkat(fd, c"", Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
        // what readlinkat(2) returns for an empty path when the descriptor is no link
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `f_type` of the filesystem that `fd` is on.
pub(crate) fn filesystem_of(fd: BorrowedFd<'_>) -> io::Result<i64> {
    #[allow(clippy::unnecessary_cast)] // the type of f_type differs between architectures
    Ok(rustix::fs::fstatfs(fd)?.f_type as i64)
}

/// The parts of `statx(2)` that distinguish one object from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) is_directory: bool,
    pub(crate) is_link: bool,
    /// The path ends on the root of a mount (Linux 5.8).
    pub(crate) is_mount_root: bool,
    pub(crate) ctime_ns: u64,
    /// The never-reused id of the mount (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

/// Which rustix 1.1 has no name for.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

/// `statx(2)` of `path` below `at`; an empty `path` is `at` itself.
pub(crate) fn stat(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Stat> {
    let flags = AtFlags::from_bits_retain(flags as u32)
        | AtFlags::EMPTY_PATH
        | AtFlags::STATX_DONT_SYNC
        | AtFlags::NO_AUTOMOUNT;
    let mask = StatxFlags::BASIC_STATS | StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let stat = rustix::fs::statx(at, path, flags, mask)?;
    let unique = stat.stx_mask & STATX_MNT_ID_UNIQUE != 0;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    Ok(Stat {
        dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        is_directory: kind == FileType::Directory,
        is_link: kind == FileType::Symlink,
        is_mount_root: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        ctime_ns: (stat.stx_ctime.tv_sec.unsigned_abs())
            .wrapping_mul(1_000_000_000)
            .wrapping_add(stat.stx_ctime.tv_nsec.into()),
        mount_id: unique.then_some(stat.stx_mnt_id),
    })
}
