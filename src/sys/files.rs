//! Paths and what they lead to.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use super::{check, owned, proc_path};

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

/// `f_type` of the filesystem that a path leads into, without opening what it leads to.
pub(crate) fn filesystem_at(path: &CStr) -> io::Result<i64> {
    // SAFETY: `path` is NUL-terminated; `out` is large enough for what is written.
    filesystem(|out| unsafe { libc::statfs(path.as_ptr(), out) })
}

/// `f_type` of the filesystem that `fd` is on.
pub(crate) fn filesystem_of(fd: BorrowedFd<'_>) -> io::Result<i64> {
    // SAFETY: `out` is large enough for what is written.
    filesystem(|out| unsafe { libc::fstatfs(fd.as_raw_fd(), out) })
}

fn filesystem(ask: impl FnOnce(*mut libc::statfs) -> libc::c_int) -> io::Result<i64> {
    let mut out = MaybeUninit::<libc::statfs>::uninit();
    check(ask(out.as_mut_ptr()))?;
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
    pub(crate) is_symlink: bool,
    pub(crate) is_directory: bool,
    pub(crate) ctime_ns: u64,
    /// The never-reused id of the mount (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

/// `statx(2)` of `path` below `at`; an empty `path` is `at` itself.
pub(crate) fn stat(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Stat> {
    let mut out = MaybeUninit::<libc::statx>::uninit();
    let flags = flags | libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE;
    // SAFETY: `path` is NUL-terminated; `out` is large enough for what is written.
    check(unsafe { libc::statx(at.as_raw_fd(), path.as_ptr(), flags, mask, out.as_mut_ptr()) })?;
    // SAFETY: statx succeeded, so `out` is filled in.
    let out = unsafe { out.assume_init() };
    let unique = out.stx_mask & STATX_MNT_ID_UNIQUE != 0;
    Ok(Stat {
        dev: libc::makedev(out.stx_dev_major, out.stx_dev_minor),
        ino: out.stx_ino,
        is_symlink: u32::from(out.stx_mode) & libc::S_IFMT == libc::S_IFLNK,
        is_directory: u32::from(out.stx_mode) & libc::S_IFMT == libc::S_IFDIR,
        ctime_ns: out
            .stx_ctime
            .tv_sec
            .unsigned_abs()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(out.stx_ctime.tv_nsec.into()),
        mount_id: unique.then_some(out.stx_mnt_id),
    })
}

/// What a file handle of a namespace says about it (`struct nsfs_file_handle`, Linux 6.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) cookie: u64,
    pub(crate) ns_type: u32,
    pub(crate) ino: u32,
    /// The never-reused id of the mount that the path ends on.
    pub(crate) mount_id: u64,
}

const FILEID_NSFS: libc::c_int = 0xf1;
const AT_HANDLE_MNT_ID_UNIQUE: libc::c_int = 1;
/// The kernel's MAX_HANDLE_SZ.
const MAX_HANDLE: usize = 128;

#[repr(C, align(8))]
struct HandleBuffer {
    bytes: libc::c_uint,
    kind: libc::c_int,
    data: [u8; MAX_HANDLE],
}

/// Tells in one call, without opening anything, whether a path leads to a namespace and to which one.
///
/// `None`: to something else. Before Linux 6.18 no namespace has such a handle; see `named::probe`.
pub(crate) fn handle(at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<Handle>> {
    let mut buffer = HandleBuffer { bytes: MAX_HANDLE as libc::c_uint, kind: 0, data: [0; MAX_HANDLE] };
    let mut mount_id = 0u64;
    let flags = libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH | AT_HANDLE_MNT_ID_UNIQUE;
    // SAFETY: the buffer has the layout of `struct file_handle` with the room that `bytes` states; with
    // AT_HANDLE_MNT_ID_UNIQUE the mount id is written as 64 bits, without it (older kernels) the call fails.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            at.as_raw_fd(),
            path.as_ptr(),
            std::ptr::from_mut(&mut buffer),
            &mut mount_id,
            flags,
        )
    };
    if rc < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            // a filesystem whose files have no handles is not nsfs
            Some(libc::EOPNOTSUPP | libc::EOVERFLOW) => Ok(None),
            _ => Err(error),
        };
    }
    if buffer.kind != FILEID_NSFS || buffer.bytes < 16 {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = buffer.data;
    Ok(Some(Handle {
        cookie: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        ns_type: u32::from_ne_bytes([i, j, k, l]),
        ino: u32::from_ne_bytes([m, n, o, p]),
        mount_id,
    }))
}

/// `f_type` of the filesystem that namespaces are files of.
pub(crate) const NSFS_MAGIC: i64 = 0x6e73_6673;

const NS_GET_ID: libc::Ioctl = 0x8008_b70d_u32 as libc::Ioctl;

/// Opens what `fd` (`O_PATH`) refers to if it is a network namespace; `None` if it is something else.
///
/// Never opens anything but a file of nsfs, so it cannot block on a FIFO or set off a device.
pub(crate) fn net_namespace(fd: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    if filesystem_of(fd)? != NSFS_MAGIC {
        return Ok(None);
    }
    let path = CString::new(proc_path(fd))?;
    let namespace = open(CWD, &path, libc::O_RDONLY).map_err(super::proc_error)?;
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let ns_type = check(unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_NSTYPE) })?;
    Ok((ns_type == libc::CLONE_NEWNET).then_some(namespace))
}

/// The never-reused id of an open namespace. Fails with `ENOTTY` before Linux 6.18.
pub(crate) fn net_namespace_id(namespace: &OwnedFd) -> io::Result<u64> {
    let mut id = 0u64;
    // SAFETY: NS_GET_ID writes a 64-bit number.
    check(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_ID, &mut id) })?;
    Ok(id)
}
