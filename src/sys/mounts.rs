//! `statmount(2)`: what a mount is, given its id (Linux 6.8).

use std::io;

const SYS_STATMOUNT: libc::c_long = 457;
const STATMOUNT_SB_BASIC: u64 = 0x1;
const STATMOUNT_MNT_BASIC: u64 = 0x2;

/// `struct mnt_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount_id: u64,
    mask: u64,
}

/// What is mounted, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `f_type` of the filesystem.
    pub(crate) filesystem: i64,
    /// The mount that it is mounted on: where something was mounted before, that.
    pub(crate) parent: u64,
}

/// Size of the fixed part of `struct statmount`.
const ROOM: usize = 512;

/// The mount with this never-reused id. `None`: it is no more, or out of reach of this process.
pub(crate) fn mount(mount_id: u64) -> io::Result<Option<Mount>> {
    let request = Request {
        size: size_of::<Request>() as u32,
        spare: 0,
        mount_id,
        mask: STATMOUNT_SB_BASIC | STATMOUNT_MNT_BASIC,
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

/// `struct statmount`: the filesystem's magic is at 24, the parent's id at 48.
fn parse(answer: &[u8]) -> Option<Mount> {
    let number = |at: usize| answer.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes);
    Some(Mount { filesystem: i64::try_from(number(24)?).ok()?, parent: number(48)? })
}
