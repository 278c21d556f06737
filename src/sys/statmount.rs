//! `statmount(2)`, which rustix lacks (Linux 6.8).

use std::io;

use super::check;

const SYS_STATMOUNT: libc::c_long = 457;

/// `struct mnt_id_req`, in its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount_id: u64,
    mask: u64,
}

/// Writes `struct statmount` of the mount with this never-reused id, as much as `answer` has room for.
pub(crate) fn statmount(mount_id: u64, mask: u64, answer: &mut [u8]) -> io::Result<()> {
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount_id, mask };
    // SAFETY: the request states its own size; at most `answer.len()` bytes are written.
    check(unsafe { libc::syscall(SYS_STATMOUNT, &request, answer.as_mut_ptr(), answer.len(), 0) } as libc::c_int)
        .map(drop)
}
