//! The socket that the kernel announces changes of devices to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::netlink::{bind_to_groups, connect_to_kernel};
use super::owned;
use super::socket_filter::{attach_filter, instruction};

/// The group that the kernel sends to; udev sends to another one.
const KERNEL_GROUP: u32 = 1;

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
    attach_filter(socket.as_fd(), &FILTER)?;
    bind_to_groups(socket.as_fd(), KERNEL_GROUP)?;
    connect_to_kernel(socket.as_fd());
    Ok(socket)
}
