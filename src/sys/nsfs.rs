//! Namespaces as files: of nsfs, by path, by file handle, by pidfd.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::ioctl::opcode;

use super::{CWD, check, filesystem_of, open, owned, proc_error, proc_path};

/// `f_type` of the filesystems of namespaces and of processes (Linux 6.9).
const NSFS_MAGIC: i64 = 0x6e73_6673;
const PIDFS_MAGIC: i64 = 0x5049_4446;

/// The contents of a namespace's file handle (`struct nsfs_file_handle`, Linux 6.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) cookie: u64,
    pub(crate) ns_type: u32,
    pub(crate) ino: u32,
    /// The never-reused id of the mount at the end of the path.
    pub(crate) mount_id: u64,
}

const FILEID_NSFS: libc::c_int = 0xf1;
const AT_HANDLE_MNT_ID_UNIQUE: libc::c_int = 1;
/// A handle for identification only, which every filesystem has (Linux 6.5).
const AT_HANDLE_FID: libc::c_int = 0x200;
/// Means nsfs where open_by_handle_at(2) takes a descriptor of a mount (Linux 6.18).
const FD_NSFS_ROOT: libc::c_int = -10003;
/// The kernel's MAX_HANDLE_SZ.
const MAX_HANDLE: usize = 128;
/// The size of a handle of nsfs.
const NSFS_HANDLE: usize = 16;

/// `struct file_handle`.
#[repr(C, align(8))]
struct HandleBuffer {
    bytes: libc::c_uint,
    kind: libc::c_int,
    data: [u8; MAX_HANDLE],
}

/// Finds in one call, without opening anything, whether a path leads to a namespace, and to which one.
///
/// `follow`: `AT_SYMLINK_FOLLOW`, or 0. `None`: it leads to something else. `EOPNOTSUPP`: the filesystem has no
/// handles, such as nsfs before Linux 6.18.
pub(crate) fn handle(at: BorrowedFd<'_>, path: &CStr, follow: libc::c_int) -> io::Result<Option<Handle>> {
    let Some((buffer, mount_id)) = handle_and_mount(at, path, follow | libc::AT_EMPTY_PATH)? else { return Ok(None) };
    if buffer.kind != FILEID_NSFS || (buffer.bytes as usize) < NSFS_HANDLE {
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

/// The never-reused id of the mount at the end of a path, on any filesystem, if `statx(2)` is refused (Linux 6.12).
pub(crate) fn mount_id(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Option<u64>> {
    Ok(handle_and_mount(at, path, flags | AT_HANDLE_FID)?.map(|(_, mount_id)| mount_id))
}

/// `name_to_handle_at(2)`. `None`: the handle is longer than that of a namespace.
fn handle_and_mount(at: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Option<(HandleBuffer, u64)>> {
    let mut buffer = HandleBuffer { bytes: MAX_HANDLE as libc::c_uint, kind: 0, data: [0; MAX_HANDLE] };
    let mut mount_id = 0u64;
    // SAFETY: the buffer has the layout of `struct file_handle` with the room in `bytes`; with AT_HANDLE_MNT_ID_UNIQUE
    // the kernel writes a mount id of 64 bits, without it (older kernels) the call fails.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            at.as_raw_fd(),
            path.as_ptr(),
            std::ptr::from_mut(&mut buffer),
            &mut mount_id,
            flags | AT_HANDLE_MNT_ID_UNIQUE,
        )
    };
    match check(rc as libc::c_int) {
        Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => Ok(None),
        rc => rc.map(|_| Some((buffer, mount_id))),
    }
}

/// Opens the network namespace with this cookie and inode number (0: any, from Linux 6.19 on), wherever it is.
/// `ESTALE`: it is dead, or out of reach of this process. `EBADF`, `EINVAL`, `EOPNOTSUPP`: before Linux 6.18.
pub(crate) fn open_by_cookie(cookie: u64, ino: u32) -> io::Result<OwnedFd> {
    let mut buffer = HandleBuffer { bytes: NSFS_HANDLE as libc::c_uint, kind: FILEID_NSFS, data: [0; MAX_HANDLE] };
    let parts = [
        &cookie.to_ne_bytes()[..],
        &(if ino == 0 { 0 } else { libc::CLONE_NEWNET as u32 }).to_ne_bytes(),
        &ino.to_ne_bytes(),
    ]
    .concat();
    for (byte, value) in buffer.data.iter_mut().zip(parts) {
        *byte = value;
    }
    // SAFETY: the buffer has the layout of `struct file_handle`, with at least the stated bytes.
    owned(unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            FD_NSFS_ROOT,
            std::ptr::from_mut(&mut buffer),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    } as libc::c_int)
}

const SYS_LISTNS: libc::c_long = 470;

/// The maximum number of cookies per call.
const PAGE: usize = 512;

/// `struct ns_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    after: u64,
    kinds: u32,
    spare2: u32,
    user_namespace: u64,
}

/// The cookies of the network namespaces that the caller may list, in ascending order: a page of those after `after`
/// (`listns(2)`, Linux 6.19).
pub(crate) fn list_namespaces(after: u64) -> io::Result<Vec<u64>> {
    let kinds = libc::CLONE_NEWNET as u32;
    let request = Request { size: size_of::<Request>() as u32, spare: 0, after, kinds, spare2: 0, user_namespace: 0 };
    let mut cookies = vec![0u64; PAGE];
    // SAFETY: the request states its own size; the kernel writes at most `PAGE` numbers.
    let n = unsafe { libc::syscall(SYS_LISTNS, &raw const request, cookies.as_mut_ptr(), PAGE, 0) };
    cookies.truncate(usize::try_from(n).map_err(|_| io::Error::last_os_error())?);
    Ok(cookies)
}

/// Whether a descriptor (`O_PATH` suffices) refers to a namespace of any kind.
pub(crate) fn is_namespace(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(filesystem_of(fd)? == NSFS_MAGIC)
}

/// Opens the object of `fd` for reading. Requires /proc.
pub(crate) fn open_again(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open(CWD, &CString::new(proc_path(fd))?, libc::O_RDONLY).map_err(proc_error)
}

/// Whether an open namespace is a network namespace.
pub(crate) fn is_network(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let kind = check(unsafe { libc::ioctl(namespace.as_raw_fd(), opcode::none(0xb7, 3) as libc::Ioctl) })?;
    Ok(kind == libc::CLONE_NEWNET)
}

/// The cookie of an open namespace. Fails with `ENOTTY` before Linux 6.18.
pub(crate) fn cookie(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    let mut id = 0u64;
    let request = opcode::read::<u64>(0xb7, 13) as libc::Ioctl;
    // SAFETY: NS_GET_ID writes a 64-bit number.
    check(unsafe { libc::ioctl(namespace.as_raw_fd(), request, &mut id) })?;
    Ok(id)
}

/// Opens the network namespace of a process by its pidfd (Linux 6.11). `ENOTTY`: `pidfd` is not a pidfd, or the kernel
/// is older.
pub(crate) fn namespace_of_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // another file may interpret this request differently
    if filesystem_of(pidfd)? != PIDFS_MAGIC {
        return Err(io::Error::from_raw_os_error(libc::ENOTTY));
    }
    // SAFETY: PIDFD_GET_NET_NAMESPACE takes no argument.
    owned(unsafe { libc::ioctl(pidfd.as_raw_fd(), opcode::none(0xff, 4) as libc::Ioctl, 0) })
}
