//! The socket for the kernel's announcements of device changes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::netlink::{bind_to_groups, connect_to_kernel};
use super::owned;
use super::socket_filter::{attach_filter, instruction};

/// The group of the kernel's own messages; udev sends to another one.
const KERNEL_GROUP: u32 = 1;

/// Passes only messages that begin with `online` or `offline`: processors and memory. Without it, each container that
/// gets a device would wake the watcher.
const FILTER: [libc::sock_filter; 5] = [
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, u32::from_be_bytes(*b"onli")),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from_be_bytes(*b"offl")),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

/// Makes a socket of the present namespace of the calling *thread* that receives the kernel's messages about devices
/// that go online and offline. It never blocks. The kernel sends them only to namespaces of the initial user namespace.
pub(crate) fn uevent_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT) })?;
    attach_filter(socket.as_fd(), &FILTER)?;
    bind_to_groups(socket.as_fd(), KERNEL_GROUP)?;
    connect_to_kernel(socket.as_fd());
    Ok(socket)
}
