//! The socket that listens. It never blocks.
//!
//! What did not come from the kernel is not looked at: the sender is told by its address.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys;

/// Joined by its number: as a mask of groups it would be another one.
const RTNLGRP_NSID: libc::c_int = 28;

/// What the library asks for as a receive buffer: some 2500 notifications, twice that where it is allowed.
const RECEIVE_BUFFER: u32 = 2 * 1024 * 1024;

/// Room for one datagram: a notification takes 28 bytes.
const ROOM: usize = 256;

/// The least that the kernel accounts for one message.
const LEAST_ACCOUNTED: usize = 256;

/// The socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    buffer: Vec<u8>,
    drops: u32,
    capacity: usize,
}

/// What the listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// There is nothing more.
    Nothing,
    /// Something was lost.
    Loss,
    /// So many datagrams, some perhaps not of the kernel.
    Datagrams(usize),
}

/// Whether peers can be listened to.
pub(crate) fn try_all() -> io::Result<bool> {
    Listener::open(0, true).map(|_| true)
}

impl Listener {
    pub(super) fn open(receive_buffer: u32, all: bool) -> io::Result<Self> {
        let socket = sys::rtnetlink()?;
        sys::bind(socket.as_fd())?;
        let wanted = if receive_buffer == 0 { RECEIVE_BUFFER } else { receive_buffer };
        let wanted = libc::c_int::try_from(wanted).unwrap_or(libc::c_int::MAX);
        if sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
            sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
        }
        if all {
            sys::set_option(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID, 1)?;
        }
        sys::set_option(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, RTNLGRP_NSID)?;
        let capacity = sys::receive_buffer(socket.as_fd())? / LEAST_ACCOUNTED + 1;
        Ok(Self { socket, buffer: vec![0; ROOM * sys::MANY], drops: 0, capacity })
    }

    /// Hands on datagrams of the kernel, with the id of the namespace that each is from if that is not ours.
    pub(super) fn hear(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Heard> {
        let mut longest = 0;
        let heard = sys::receive_many(self.socket.as_fd(), &mut self.buffer, |received, bytes| {
            if received.from_kernel {
                longest = longest.max(received.length);
                if received.length == bytes.len() {
                    take(bytes, received.nsid);
                }
            }
        });
        match heard {
            Ok(_) if longest * sys::MANY > self.buffer.len() => {
                self.buffer.resize(longest * sys::MANY, 0);
                Ok(Heard::Loss)
            }
            Ok(n) => Ok(Heard::Datagrams(n)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Heard::Nothing),
                // the queue was full; or the kernel had no memory for a notification, or none that was long enough
                Some(libc::ENOBUFS | libc::ENOMEM | libc::EMSGSIZE) => Ok(Heard::Loss),
                _ => Err(error),
            },
        }
    }

    pub(super) fn lost(&mut self) -> u64 {
        let Ok(drops) = sys::drops(self.socket.as_fd()) else { return 0 };
        let before = std::mem::replace(&mut self.drops, drops);
        drops.wrapping_sub(before).into()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
