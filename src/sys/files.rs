//! Paths and their targets, by rustix.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// `AT_FDCWD`: the base of relative paths.
pub(crate) use rustix::fs::CWD;

/// `openat(2)`, always close-on-exec.
pub(crate) fn open(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
    super::above_standard(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

/// The text of a symbolic link opened with `O_PATH | O_NOFOLLOW`; `None`: `fd` is not a symbolic link.
pub(crate) fn link_target(fd: BorrowedFd<'_>) -> io::Result<Option<OsString>> {
    // the empty path means `fd` itself
    match rustix::fs::readlinkat(fd, c"", Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
        // the result of readlinkat(2) for an empty path and a descriptor that is not a link
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The text of the symbolic link at `path`.
pub(crate) fn read_link(path: &Path) -> io::Result<OsString> {
    Ok(OsString::from_vec(rustix::fs::readlinkat(CWD, path, Vec::new())?.into_bytes()))
}

/// The beginning of the text of the symbolic link at `path`, as far as it fits.
pub(crate) fn link_begins<'room>(at: BorrowedFd<'_>, path: &CStr, room: &'room mut [u8]) -> io::Result<&'room [u8]> {
    let length = rustix::fs::readlinkat_raw(at, path, &mut *room)?;
    Ok(room.get(..length).unwrap_or_default())
}

/// The entries of a directory (`getdents64(2)`), `.` and `..` among them. `std::fs::read_dir` calls statx(2) on 32-bit
/// processors, which a filter may refuse. Opened anew: `dir` may be `O_PATH`, and readers share no position.
pub(crate) fn entries<'room>(
    dir: BorrowedFd<'_>,
    room: &'room mut [MaybeUninit<u8>],
) -> io::Result<RawDir<'room, OwnedFd>> {
    Ok(RawDir::new(open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY)?, room))
}

/// The kind of an entry: `listed`, unless the filesystem lists no kinds. `Unknown` if `stat` fails too.
pub(crate) fn kind_of(dir: BorrowedFd<'_>, name: &CStr, listed: FileType) -> FileType {
    if listed != FileType::Unknown {
        return listed;
    }
    match stat(dir, name, libc::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if stat.is_directory => FileType::Directory,
        Ok(stat) if stat.is_link => FileType::Symlink,
        Ok(_) => FileType::RegularFile,
        Err(_) => FileType::Unknown,
    }
}

/// Passes the names in an open directory to `take` (`getdents64(2)`). Ends with the first error.
pub(crate) fn names_in(dir: BorrowedFd<'_>, take: &mut dyn FnMut(&CStr) -> io::Result<()>) -> io::Result<()> {
    let mut room = [MaybeUninit::uninit(); 8192];
    let mut names = RawDir::new(dir, &mut room);
    while let Some(entry) = names.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            take(entry.file_name())?;
        }
    }
    Ok(())
}

/// `f_type` of the filesystem of `fd`.
#[allow(clippy::unnecessary_cast)] // the type of f_type differs between architectures
pub(crate) fn filesystem_of(fd: BorrowedFd<'_>) -> io::Result<i64> {
    Ok(rustix::fs::fstatfs(fd)?.f_type as i64)
}

/// `f_type` of /proc.
#[allow(clippy::unnecessary_cast)] // the type of the constant differs between architectures
pub(crate) const PROC: i64 = libc::PROC_SUPER_MAGIC as i64;

/// The parts of `statx(2)` that distinguish one object from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) is_directory: bool,
    pub(crate) is_link: bool,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) access: Access,
    /// The path ends on the root of a mount. `None`: a filter refuses `statx(2)`, or the kernel does not report it (before
    /// Linux 5.8).
    pub(crate) is_mount_root: Option<bool>,
    pub(crate) ctime_ns: u64,
    /// The never-reused id of the mount (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

/// The owner and the permissions of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Access {
    /// Whether root of the caller's user namespace owns it. An owner without a number there is not root.
    pub(crate) fn belongs_to_root(self) -> bool {
        self.uid == 0
    }
}

/// rustix 1.1 lacks this.
const STATX_MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// `statx(2)` by its system call, with the unique id of the mount. rustix calls the C library on some processors, as
/// s390x: if a filter refuses the call with `ENOSYS`, glibc tries another way, and returns `EINVAL`.
pub(super) fn statx(at: BorrowedFd<'_>, path: &CStr, flags: AtFlags, wanted: StatxFlags) -> io::Result<Statx> {
    let mut stat = MaybeUninit::<Statx>::uninit();
    let (fd, flags, place) = (at.as_raw_fd(), flags | AtFlags::STATX_DONT_SYNC, stat.as_mut_ptr());
    let wanted = wanted | STATX_MNT_ID_UNIQUE;
    // SAFETY: the path ends in NUL, and the buffer has room for the result.
    let rc = unsafe { libc::syscall(libc::SYS_statx, fd, path.as_ptr(), flags.bits(), wanted.bits(), place) };
    super::check(rc as libc::c_int)?;
    // SAFETY: the kernel has written it.
    Ok(unsafe { stat.assume_init() })
}

/// Whether the result has this field.
pub(super) fn has(stat: &Statx, field: StatxFlags) -> bool {
    stat.stx_mask & field.bits() != 0
}

/// The never-reused id of the mount in the result (Linux 6.8).
pub(super) fn unique_mount_id(stat: &Statx) -> Option<u64> {
    has(stat, STATX_MNT_ID_UNIQUE).then_some(stat.stx_mnt_id)
}

/// `statx(2)` of `path` below `at`; an empty `path` is `at` itself. If a filter refuses it: `fstatat(2)`, and the mount
/// by a file handle.
pub(crate) fn stat(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Stat> {
    let flags = AtFlags::from_bits_retain(flags as u32) | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let stat = match statx(at, path, flags, StatxFlags::BASIC_STATS) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => {
            return stat_without_statx(at, path, flags);
        }
        stat => stat?,
    };
    let reports_root = stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    Ok(Stat {
        dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        is_directory: kind == FileType::Directory,
        is_link: kind == FileType::Symlink,
        links: stat.stx_nlink.into(),
        size: stat.stx_size,
        access: Access { mode: stat.stx_mode.into(), uid: stat.stx_uid, gid: stat.stx_gid },
        is_mount_root: reports_root.then_some(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        ctime_ns: nanoseconds(stat.stx_ctime.tv_sec.unsigned_abs(), stat.stx_ctime.tv_nsec.into()),
        mount_id: unique_mount_id(&stat),
    })
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // the types of struct stat differ between architectures
fn stat_without_statx(at: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> io::Result<Stat> {
    let stat = fstatat(at, path, flags)?;
    let kind = FileType::from_raw_mode(stat.st_mode as _);
    let follow = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) { 0 } else { libc::AT_SYMLINK_FOLLOW };
    Ok(Stat {
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
        is_directory: kind == FileType::Directory,
        is_link: kind == FileType::Symlink,
        links: stat.st_nlink as u64,
        size: stat.st_size as u64,
        access: Access { mode: stat.st_mode as u32, uid: stat.st_uid, gid: stat.st_gid },
        is_mount_root: None,
        ctime_ns: nanoseconds(stat.st_ctime as u64, stat.st_ctime_nsec as u64),
        // unknown before Linux 6.12, or if a filter refuses handles, too
        mount_id: super::mount_id(at, path, follow | libc::AT_EMPTY_PATH).ok().flatten(),
    })
}

#[cfg(not(all(target_pointer_width = "32", target_env = "gnu")))]
pub(super) fn fstatat(at: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> io::Result<rustix::fs::Stat> {
    Ok(rustix::fs::statat(at, path, flags)?)
}

/// By its system call: with a time of 32 bits, rustix and the C library try statx(2) first, and return its refusal.
#[cfg(all(target_pointer_width = "32", target_env = "gnu"))]
pub(super) fn fstatat(at: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> io::Result<libc::stat64> {
    let mut stat = MaybeUninit::<libc::stat64>::uninit();
    let (fd, place) = (at.as_raw_fd(), stat.as_mut_ptr());
    // SAFETY: the path ends in NUL, and the buffer has room for the result.
    let rc = unsafe { libc::syscall(libc::SYS_fstatat64, fd, path.as_ptr(), place, flags.bits()) };
    super::check(rc as libc::c_int)?;
    // SAFETY: the kernel has written it.
    Ok(unsafe { stat.assume_init() })
}

fn nanoseconds(seconds: u64, nanoseconds: u64) -> u64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}

/// The number of the mount that `fd` was opened on, which the kernel reuses. Requires /proc.
pub(crate) fn mount_of(fd: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let path = CString::new(format!("/proc/thread-self/fdinfo/{}", fd.as_raw_fd()))?;
    let info = open(CWD, &path, libc::O_RDONLY).map_err(super::proc_error)?;
    // the first lines suffice
    let mut buffer = [0; 256];
    let length = super::read(info.as_fd(), &mut buffer)?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    Ok(text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_that_lists_no_kinds() {
        let self_dir = open(CWD, c"/proc/self", libc::O_PATH | libc::O_DIRECTORY).unwrap();
        let kind = |name| kind_of(self_dir.as_fd(), name, FileType::Unknown);
        assert_eq!(kind(c"ns"), FileType::Directory);
        assert_eq!(kind(c"exe"), FileType::Symlink);
        assert_eq!(kind(c"stat"), FileType::RegularFile);
        assert_eq!(kind(c"none"), FileType::Unknown);
    }
}
