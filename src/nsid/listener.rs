//! The listening socket, and its notifications. It never blocks.
//!
//! It ignores messages whose sender address is not the kernel's.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::state::Id;
use super::wire::{self, Attributes, Body};
use crate::sys;

/// A group number: as a mask it would mean another group.
const RTNLGRP_NSID: libc::c_int = 28;

/// The library's receive buffer: some 2500 notifications, twice that where permitted.
const RECEIVE_BUFFER: u32 = 2 * 1024 * 1024;

/// Room for one datagram: a notification takes 28 bytes.
const ROOM: usize = 256;

/// Room for this many at first: room for many takes longer to prepare than one datagram to receive.
const FEW: usize = 2;

/// The minimum that the kernel accounts for one message.
const LEAST_ACCOUNTED: usize = 256;

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The last read was full: more datagrams are probably waiting.
    full: bool,
    drops: u32,
    capacity: usize,
}

/// The result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// The queue is empty.
    Nothing,
    /// The kernel lost something.
    Loss,
    /// The number of datagrams, some possibly not from the kernel.
    Datagrams(usize),
    /// Some datagrams, and then the queue was empty, or held an error that the next read returns.
    Last,
}

/// A notification of a change of an nsid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    pub(crate) id: Id,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Assigned { portid: u32 },
    Gone,
}

/// Adds the notifications of one datagram to the inbox; `false`: an unknown message from the kernel.
pub(crate) fn decode(bytes: &[u8], origin: Option<i32>, inbox: &mut VecDeque<Notification>) -> bool {
    let mut understood = true;
    for message in wire::messages(bytes) {
        let (nsid, change) = match message.map(|message| (message.body, message.header.portid)) {
            Ok((Body::Id(Attributes { nsid: Some(nsid @ 0..), .. }), portid)) => (nsid, Change::Assigned { portid }),
            Ok((Body::Gone(Attributes { nsid: Some(nsid @ 0..), .. }), _)) => (nsid, Change::Gone),
            Ok((Body::Other | Body::Done { .. } | Body::Failed { .. }, _)) => continue,
            Ok(_) | Err(_) => {
                understood = false;
                continue;
            }
        };
        inbox.push_back(Notification { id: Id::new(origin, nsid), change });
    }
    understood
}

/// Whether listening to peers is permitted.
pub(crate) fn try_all() -> io::Result<bool> {
    Listener::open(0, true).map(|_| true)
}

impl Listener {
    pub(crate) fn open(receive_buffer: u32, all: bool) -> io::Result<Self> {
        let socket = sys::rtnetlink()?;
        sys::bind(socket.as_fd())?;
        sys::connect_to_kernel(socket.as_fd());
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
        Ok(Self { socket, buffer: vec![0; ROOM * sys::MANY], full: false, drops: 0, capacity })
    }

    /// Reads some datagrams, and passes each to `take`, with the nsid of the peer that it comes from, if any.
    pub(crate) fn receive(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received> {
        if std::mem::take(&mut self.full) {
            self.receive_up_to::<{ sys::MANY }>(take)
        } else {
            self.receive_up_to::<FEW>(take)
        }
    }

    fn receive_up_to<const N: usize>(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Received> {
        let mut longest = 0;
        let count = sys::receive_many::<N>(self.socket.as_fd(), &mut self.buffer, |received, bytes| {
            if received.from_kernel {
                longest = longest.max(received.length);
                if received.length == bytes.len() {
                    take(bytes, received.nsid);
                }
            }
        });
        match count {
            Ok(_) if longest > self.buffer.len() / N => {
                self.buffer.resize(longest * sys::MANY, 0);
                Ok(Received::Loss)
            }
            Ok((n, false)) => {
                self.full = true;
                Ok(Received::Datagrams(n))
            }
            Ok((_, true)) => Ok(Received::Last),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Received::Nothing),
                // the queue was full; or the kernel had no memory for a notification
                Some(libc::ENOBUFS | libc::ENOMEM | libc::EMSGSIZE) => Ok(Received::Loss),
                _ => Err(error),
            },
        }
    }

    /// The number of messages lost since the last call; 0 if the kernel does not count.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        let Ok(drops) = sys::drops(self.socket.as_fd()) else { return 0 };
        let before = std::mem::replace(&mut self.drops, drops);
        drops.wrapping_sub(before).into()
    }

    /// The maximum number of messages in the queue.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
