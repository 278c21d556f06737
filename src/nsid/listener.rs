//! The socket that listens. It never blocks.
//!
//! What did not come from the kernel is not looked at: the sender is told by its address.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::channel::LONGEST;
use crate::sys::{self, Received};

/// Joined by its number: as a mask of groups it would be another one.
const RTNLGRP_NSID: libc::c_int = 28;

/// What the library asks for as a receive buffer: some 2500 notifications, twice that where it is allowed.
const RECEIVE_BUFFER: u32 = 2 * 1024 * 1024;

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
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// There is nothing more.
    Nothing,
    /// Something was lost.
    Loss,
    /// A datagram of the kernel, and the id of the namespace that it is from if that is not ours.
    Datagram(&'a [u8], Option<i32>),
    /// Something that is not for us.
    Noise,
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
        Ok(Self { socket, buffer: vec![0; LONGEST], drops: 0, capacity })
    }

    pub(super) fn hear(&mut self) -> io::Result<Heard<'_>> {
        let Received { length, from_kernel, nsid } = match sys::receive(self.socket.as_fd(), &mut self.buffer) {
            Ok(received) => received,
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::EAGAIN) => Ok(Heard::Nothing),
                    // the queue was full; or the kernel had no memory for a notification, or none that was long enough
                    Some(libc::ENOBUFS | libc::ENOMEM | libc::EMSGSIZE) => Ok(Heard::Loss),
                    _ => Err(error),
                };
            }
        };
        if !from_kernel {
            return Ok(Heard::Noise);
        }
        if length > self.buffer.len() {
            self.buffer.resize(length, 0);
            return Ok(Heard::Loss);
        }
        Ok(Heard::Datagram(self.buffer.get(..length).unwrap_or_default(), nsid))
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
