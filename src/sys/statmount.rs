//! `statmount(2)`: what a mount is mounted on, given its id (Linux 6.8).

use std::io;

const SYS_STATMOUNT: libc::c_long = 457;
const STATMOUNT_MNT_BASIC: u64 = 0x2;

/// `struct mnt_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount_id: u64,
    mask: u64,
}

/// Size of the fixed part of `struct statmount`.
const ROOM: usize = 512;

/// The mount that the one with this never-reused id is mounted on: where something was mounted before, that. `None`:
/// it is no more, or out of reach of this process.
pub(crate) fn parent_mount(mount_id: u64) -> io::Result<Option<u64>> {
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount_id, mask: STATMOUNT_MNT_BASIC };
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

/// `struct statmount`: the parent's id is at 48.
fn parse(answer: &[u8]) -> Option<u64> {
    answer.get(48..)?.first_chunk().copied().map(u64::from_ne_bytes)
}
