//! `statmount(2)`: what and where a mount is, given its id (Linux 6.8).

use std::ffi::CString;
use std::io;

const SYS_STATMOUNT: libc::c_long = 457;
const STATMOUNT_SB_BASIC: u64 = 0x1;
const STATMOUNT_MNT_POINT: u64 = 0x10;

/// `struct mnt_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount_id: u64,
    mask: u64,
}

/// What is mounted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPoint {
    /// `f_type` of the filesystem.
    pub(crate) filesystem: i64,
    /// Relative to the root of this process, as in mountinfo.
    pub(crate) path: CString,
}

/// Room for the fixed part and a path of any length.
const ROOM: usize = 512 + libc::PATH_MAX as usize;

/// Where the mount with this never-reused id is. `None`: it is no more, or out of reach of this process.
pub(crate) fn mount_point(mount_id: u64) -> io::Result<Option<MountPoint>> {
    let request = Request {
        size: size_of::<Request>() as u32,
        spare: 0,
        mount_id,
        mask: STATMOUNT_SB_BASIC | STATMOUNT_MNT_POINT,
    };
    let mut answer = [0u8; ROOM];
    // SAFETY: the request states its own size; at most `ROOM` bytes are written.
    let rc = unsafe { libc::syscall(SYS_STATMOUNT, &request, answer.as_mut_ptr(), ROOM, 0) };
    if rc < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(None),
            _ => Err(error),
        };
    }
    Ok(parse(&answer))
}

/// `struct statmount`: the filesystem's magic at 24, the offset of the mount point at 108 into the strings at 512.
fn parse(answer: &[u8]) -> Option<MountPoint> {
    let magic = u64::from_ne_bytes(*answer.get(24..)?.first_chunk()?);
    let offset = u32::from_ne_bytes(*answer.get(108..)?.first_chunk()?);
    let path = answer.get(512usize.checked_add(usize::try_from(offset).ok()?)?..)?;
    let path = std::ffi::CStr::from_bytes_until_nul(path).ok()?;
    Some(MountPoint { filesystem: i64::try_from(magic).ok()?, path: path.to_owned() })
}
