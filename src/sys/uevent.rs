//! The socket that the kernel announces changes of devices to. rustix has no filters of sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::netlink::{bind_to_groups, connect_to_kernel};
use super::{check, owned};

/// The group that the kernel sends to; udev sends to another one.
const KERNEL_GROUP: u32 = 1;

/// An instruction of a classic BPF program: what to do, how far to jump if the answer is yes or no, and a number.
const fn instruction(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: yes, jf: no, k }
}

/// Lets only the messages through that begin with `online` or `offline`: processors and memory. Each container that gets a
/// device would wake the watcher otherwise.
const FILTER: [libc::sock_filter; 5] = [
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, u32::from_be_bytes(*b"onli")),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from_be_bytes(*b"offl")),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

/// A socket of the namespace that the calling *thread* is in now, which receives what the kernel says of devices that go
/// online and offline. It never blocks. The kernel says it in namespaces of the initial user namespace only.
pub(crate) fn uevent_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT) })?;
    attach_filter(socket.as_fd())?;
    bind_to_groups(socket.as_fd(), KERNEL_GROUP)?;
    connect_to_kernel(socket.as_fd());
    Ok(socket)
}

fn attach_filter(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut filter = FILTER;
    let program = libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    let size = size_of_val(&program) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: the kernel copies the program, which has as many instructions as it says.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const program).cast(), size) }).map(drop)
}
