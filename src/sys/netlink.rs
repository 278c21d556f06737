//! Netlink sockets of the rtnetlink family. rustix lacks recvmmsg(2) and the control message of
//! `NETLINK_LISTEN_ALL_NSID`, and a second way to make the same socket would not help.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{check, owned};

/// Room for the requested control messages: one number, and some to spare.
const CONTROL: usize = 4;

/// The indices in `SO_MEMINFO` of the memory of waiting messages, and of the count of lost ones.
const SK_MEMINFO_RMEM_ALLOC: usize = 0;
const SK_MEMINFO_DROPS: usize = 8;
const SK_MEMINFO_VARS: usize = 9;

/// Makes a socket that belongs for ever to the present namespace of the calling *thread*. It never blocks.
pub(crate) fn rtnetlink() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })
}

/// The kernel's address; binding to it gives a socket any free port.
fn kernel() -> (libc::sockaddr_nl, libc::socklen_t) {
    // SAFETY: all zeroes is a valid address.
    let mut address = unsafe { MaybeUninit::<libc::sockaddr_nl>::zeroed().assume_init() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    (address, size_of_val(&address) as libc::socklen_t)
}

/// Gives the socket a port of its own. A socket without one is in no group: its port is 0, that of the kernel, which
/// does not send to itself.
pub(crate) fn bind(socket: BorrowedFd<'_>) -> io::Result<()> {
    bind_to_groups(socket, 0)
}

/// As [`bind`], and joins the groups of a mask.
pub(super) fn bind_to_groups(socket: BorrowedFd<'_>, groups: u32) -> io::Result<()> {
    let (mut address, size) = kernel();
    address.nl_groups = groups;
    // SAFETY: the address is as long as stated.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) }).map(drop)
}

/// Makes unicasts of other processes to this socket fail at the sender. If that is refused, a flood can fill the queue;
/// readers check the sender in any case.
pub(crate) fn connect_to_kernel(socket: BorrowedFd<'_>) {
    let (address, size) = kernel();
    // SAFETY: the address is as long as stated.
    unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) };
}

/// `setsockopt(2)` of an option that is an `int`.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads an int from where there is one.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) }).map(drop)
}

/// `getsockopt(2)` of the size of the receive buffer, in the kernel's accounting.
pub(crate) fn receive_buffer(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut value: libc::c_int = 0;
    get_option(socket, libc::SO_RCVBUF, &mut value)?;
    Ok(usize::try_from(value).unwrap_or(0))
}

/// The number of messages that this socket has lost since it was made (Linux 4.12; it wraps around).
pub(crate) fn drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    memory(socket, SK_MEMINFO_DROPS)
}

/// The number of bytes of waiting messages in this socket, in the kernel's accounting (Linux 4.12).
pub(crate) fn waiting(socket: BorrowedFd<'_>) -> io::Result<usize> {
    memory(socket, SK_MEMINFO_RMEM_ALLOC).map(|bytes| bytes as usize)
}

fn memory(socket: BorrowedFd<'_>, which: usize) -> io::Result<u32> {
    let mut info = [0u32; SK_MEMINFO_VARS];
    get_option(socket, libc::SO_MEMINFO, &mut info)?;
    Ok(info.get(which).copied().unwrap_or(0))
}

/// Plain numbers, for which every bit pattern is valid.
trait Number {}
impl Number for libc::c_int {}
impl Number for [u32; SK_MEMINFO_VARS] {}

fn get_option<T: Number>(socket: BorrowedFd<'_>, name: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut size = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `size` bytes, the size of the value, and every bit pattern is a number.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value, &mut size) }).map(drop)
}

/// Sends one datagram to the kernel.
pub(crate) fn send_to_kernel(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `bytes.len()` bytes from `bytes`; a netlink socket without a peer sends to the kernel.
    let n = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    usize::try_from(n).map(drop).map_err(|_| io::Error::last_os_error())
}

/// The result of one `recvmsg(2)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The length of the datagram, possibly longer than the buffer.
    pub(crate) length: usize,
    /// The kernel sent it: by the address, which nobody can forge, not by a header, which everybody can.
    pub(crate) from_kernel: bool,
    /// The nsid of the namespace that it comes from, if that is another one (`NETLINK_LISTEN_ALL_NSID`).
    pub(crate) nsid: Option<i32>,
}

/// The kernel's results besides the bytes of a datagram.
struct Envelope {
    from: libc::sockaddr_nl,
    control: [u64; CONTROL],
    part: libc::iovec,
}

impl Envelope {
    fn new() -> Self {
        // SAFETY: all zeroes is a valid address, and an empty part.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    /// Makes `message` point here, and to `buffer`.
    fn address(&mut self, message: &mut libc::msghdr, buffer: &mut [u8]) {
        self.part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        message.msg_name = (&raw mut self.from).cast();
        message.msg_namelen = size_of_val(&self.from) as libc::socklen_t;
        message.msg_iov = &mut self.part;
        message.msg_iovlen = 1;
        message.msg_control = self.control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&self.control) as _;
    }

    /// Reads the results here.
    fn open(&self, message: &libc::msghdr, length: usize) -> Received {
        let from_kernel = message.msg_namelen as usize >= size_of_val(&self.from)
            && libc::c_int::from(self.from.nl_family) == libc::AF_NETLINK
            && self.from.nl_pid == 0;
        Received { length, from_kernel, nsid: origin(message) }
    }
}

/// Receives one datagram. Cuts off what does not fit; `length` is the full length.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    // SAFETY: all zeroes is a valid, empty message header.
    let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    let mut envelope = Envelope::new();
    envelope.address(&mut message, buffer);
    // SAFETY: the message points to memory that is ours for the call, of the stated sizes.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_TRUNC) };
    let length = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    Ok(envelope.open(&message, length))
}

/// A good number of datagrams per call in a burst.
pub(crate) const MANY: usize = 32;

/// Receives up to `N` waiting datagrams, each into an equal part of `buffer`, and passes them to `take`. Returns their
/// number, and whether the queue then was empty, or holds an error that the next call returns. Cuts off what does not
/// fit; `length` is the full length.
pub(crate) fn receive_many<const N: usize>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut take: impl FnMut(Received, &[u8]),
) -> io::Result<(usize, bool)> {
    // SAFETY: all zeroes is a valid, empty message header.
    let mut messages = unsafe { MaybeUninit::<[libc::mmsghdr; N]>::zeroed().assume_init() };
    let mut envelopes: [Envelope; N] = std::array::from_fn(|_| Envelope::new());
    let room = buffer.len() / N;
    let parts = buffer.chunks_exact_mut(room.max(1));
    for ((message, envelope), part) in messages.iter_mut().zip(&mut envelopes).zip(parts) {
        envelope.address(&mut message.msg_hdr, part);
    }
    // SAFETY: the messages point to memory that is ours for the call, of the stated sizes and number.
    let n = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            N as libc::c_uint,
            libc::MSG_TRUNC as _,
            std::ptr::null_mut(),
        )
    };
    let n = match usize::try_from(n) {
        Ok(n) => n,
        Err(_) => match io::Error::last_os_error() {
            // a filter that refuses recvmmsg(2) may permit recvmsg(2)
            error if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => {
                let received = receive(socket, buffer)?;
                take(received, buffer.get(..received.length).unwrap_or(buffer));
                return Ok((1, false));
            }
            error => return Err(error),
        },
    };
    for ((message, envelope), part) in messages.iter().zip(&envelopes).zip(buffer.chunks_exact(room.max(1))).take(n) {
        let received = envelope.open(&message.msg_hdr, message.msg_len as usize);
        take(received, part.get(..received.length).unwrap_or(part));
    }
    Ok((n, n < N))
}

/// The control message with the namespace of origin.
#[allow(clippy::unnecessary_cast)] // the type of cmsg_len differs between C libraries
fn origin(message: &libc::msghdr) -> Option<i32> {
    // SAFETY: recvmsg has filled in `message`, and its control buffer still exists.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: the macros give null or a header that lies in the control buffer.
    while let Some(control) = unsafe { header.as_ref() } {
        // SAFETY: only arithmetic.
        let wanted = unsafe { libc::CMSG_LEN(size_of::<i32>() as libc::c_uint) } as usize;
        if control.cmsg_level == libc::SOL_NETLINK
            && control.cmsg_type == libc::NETLINK_LISTEN_ALL_NSID
            && control.cmsg_len as usize >= wanted
        {
            // SAFETY: the length says that an int follows the header; it need not be aligned.
            return Some(unsafe { libc::CMSG_DATA(control).cast::<i32>().read_unaligned() });
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    None
}
