//! `statmount(2)` and `listmount(2)`, which rustix lacks (Linux 6.8).

use std::ffi::{CStr, CString};
use std::io;

use super::check;

const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;

const STATMOUNT_MNT_BASIC: u64 = 0x2;
const STATMOUNT_MNT_POINT: u64 = 0x10;

/// Means the root of the caller where listmount(2) takes a mount.
const LSMT_ROOT: u64 = u64::MAX;

/// The positions in `struct statmount` of the parent's id and of the offset of the mount point, and the size of its
/// fixed part.
const PARENT: usize = 48;
const POINT: usize = 108;
const FIXED: usize = 512;

/// Room for the fixed part and the longest path.
const ROOM: usize = FIXED + libc::PATH_MAX as usize;

/// The maximum number of mounts per call.
const PAGE: usize = 1024;

/// `struct mnt_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount_id: u64,
    param: u64,
}

impl Request {
    fn new(mount_id: u64, param: u64) -> Self {
        Self { size: size_of::<Self>() as u32, spare: 0, mount_id, param }
    }
}

/// The place where a mount is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPoint {
    /// The never-reused id of the parent mount.
    pub(crate) parent: u64,
    /// The last component of the path there; `None`: this process cannot reach the path, or it is the root.
    pub(crate) name: Option<CString>,
}

/// The place where the mount with this never-reused id is mounted. `None`: it is gone.
pub(crate) fn mount_point(mount_id: u64) -> io::Result<Option<MountPoint>> {
    let request = Request::new(mount_id, STATMOUNT_MNT_BASIC | STATMOUNT_MNT_POINT);
    let mut answer = [0u8; ROOM];
    // SAFETY: the request states its own size; the kernel writes at most `ROOM` bytes.
    let rc = unsafe { libc::syscall(SYS_STATMOUNT, &request, answer.as_mut_ptr(), ROOM, 0) };
    match check(rc as libc::c_int) {
        Ok(_) => parse(&answer).map(Some).ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(answer: &[u8]) -> Option<MountPoint> {
    let parent = u64::from_ne_bytes(*answer.get(PARENT..)?.first_chunk()?);
    let point = u32::from_ne_bytes(*answer.get(POINT..)?.first_chunk()?);
    let path = CStr::from_bytes_until_nul(answer.get(FIXED..)?.get(point as usize..)?).ok()?;
    let name = path.to_bytes().rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty());
    Some(MountPoint { parent, name: name.and_then(|name| CString::new(name).ok()) })
}

/// The never-reused ids of all mounts in reach of the caller's root, in ascending order.
pub(crate) fn list_mounts() -> io::Result<Vec<u64>> {
    let mut mounts = Vec::new();
    loop {
        let listed = mounts.len();
        let request = Request::new(LSMT_ROOT, mounts.last().copied().unwrap_or(0));
        mounts.resize(listed + PAGE, 0);
        // SAFETY: the request states its own size; the kernel writes at most `PAGE` numbers after the earlier ones.
        let n = unsafe { libc::syscall(SYS_LISTMOUNT, &request, mounts.as_mut_ptr().add(listed), PAGE, 0) };
        let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        mounts.truncate(listed + n);
        if n < PAGE {
            mounts.shrink_to_fit();
            return Ok(mounts);
        }
    }
}
