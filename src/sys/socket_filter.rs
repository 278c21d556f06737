//! Filters of sockets: classic BPF programs, which rustix lacks. The kernel does not queue the messages that they drop.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// An instruction of a classic BPF program: the operation, the jump distances for yes and no, and a number.
pub(super) const fn instruction(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: yes, jf: no, k }
}

/// Makes the kernel drop the netlink messages of one type.
pub(crate) fn drop_messages(socket: BorrowedFd<'_>, kind: u16) -> io::Result<()> {
    // the type follows the length in the header; a filter loads it in network byte order
    let kind = u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let filter = [
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 4),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, kind),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    attach_filter(socket, &filter)
}

/// Attaches a filter for all later messages.
pub(super) fn attach_filter(socket: BorrowedFd<'_>, filter: &[libc::sock_filter]) -> io::Result<()> {
    let mut filter = filter.to_vec();
    let program = libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    let size = size_of_val(&program) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: the kernel copies the program, which has the stated number of instructions.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const program).cast(), size) }).map(drop)
}
