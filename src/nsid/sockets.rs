//! The kernel as the source sees it: what is heard, and what can be asked.
//!
//! In life these are two sockets, because who asks on the socket that it listens on gets the notification of what it
//! did before the answer. Both belong to the namespace of the thread that made them, wherever it goes later. In tests
//! it is a simulation.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub(crate) use super::listener::Heard;
use super::listener::Listener;
use super::request::{Channel, Listing, Refusal};
use super::wire::Attributes;
use crate::sys::{self, CWD};

/// What the source needs of the kernel.
pub(crate) trait Kernel: Send {
    /// Hands on what was notified, with the namespace that each datagram is from if that is not ours.
    fn hear(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Heard>;

    /// How many messages were lost since this was asked last; 0 if the kernel does not count.
    fn lost(&mut self) -> u64;

    /// No more messages than this are in the queue at one time.
    fn capacity(&self) -> usize;

    /// Whether a living namespace has the id here.
    fn exists(&mut self, nsid: i32) -> Result<bool, Refusal>;

    /// The same of several, in their order.
    fn exist(&mut self, nsids: &[i32]) -> Result<Vec<bool>, Refusal> {
        nsids.iter().map(|nsid| self.exists(*nsid)).collect()
    }

    /// All ids here, or in a peer.
    fn list(&mut self, target: Option<i32>) -> Result<Listing, Refusal>;

    /// The ids here as far as one list reaches: living, or dying.
    fn list_part(&mut self) -> Result<Listing, Refusal> {
        self.list(None)
    }

    /// The id that the own namespace has in itself.
    fn own(&mut self) -> Result<Option<i32>, Refusal>;
}

/// The two sockets of a watcher, and the namespace that they belong to.
#[derive(Debug)]
pub(crate) struct Sockets {
    listener: Listener,
    channel: Channel,
    /// Kept only where it is asked about. The sockets keep the namespace alive anyway.
    namespace: Option<OwnedFd>,
}

impl Sockets {
    /// Listens from now on. `receive_buffer`: 0 is the library's choice. `all`: to peers too.
    pub(crate) fn open(receive_buffer: u32, all: bool) -> io::Result<Self> {
        let listener = Listener::open(receive_buffer, all)?;
        let own = || sys::open(CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY);
        let namespace = all.then(own).transpose()?;
        Ok(Self { listener, channel: Channel::open()?.checked(), namespace })
    }
}

impl Kernel for Sockets {
    fn hear(&mut self, take: &mut dyn FnMut(&[u8], Option<i32>)) -> io::Result<Heard> {
        self.listener.hear(take)
    }

    fn lost(&mut self) -> u64 {
        self.listener.lost()
    }

    fn capacity(&self) -> usize {
        self.listener.capacity()
    }

    fn exists(&mut self, nsid: i32) -> Result<bool, Refusal> {
        self.channel.exists(nsid)
    }

    fn exist(&mut self, nsids: &[i32]) -> Result<Vec<bool>, Refusal> {
        self.channel.exist(nsids)
    }

    fn list(&mut self, target: Option<i32>) -> Result<Listing, Refusal> {
        self.channel.list(target)
    }

    fn list_part(&mut self) -> Result<Listing, Refusal> {
        self.channel.list_part(None)
    }

    fn own(&mut self) -> Result<Option<i32>, Refusal> {
        let Some(namespace) = &self.namespace else { return Ok(None) };
        let fd = Some(namespace.as_raw_fd().unsigned_abs());
        self.channel.get(Attributes { fd, ..Attributes::default() })
    }
}

impl AsFd for Sockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
