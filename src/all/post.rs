//! The observation post: a network namespace of the watcher's own, in which every known one is given an nsid. The kernel
//! notifies there when the namespace that has it dies, named or not, and no nsid of the host changes.
//!
//! A thread that ends at once makes the post (`CAP_SYS_ADMIN`), or a child in a user namespace of its own (no privilege).
//! Only the two sockets that are opened there keep it. It keeps no other namespace alive.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::deaths::Deaths;
use crate::error::{errno_of, is_shortage};
use crate::netns::{Netns, of_calling_thread};
use crate::nsid::listener::{Change, Listener, Received, decode};
use crate::nsid::request::RequestSocket;
use crate::nsid::wire::{self, Attributes};
use crate::sys::{self, CWD, Epoll};

/// After so many nsids the queue of notifications is read: where no filter drops them, each comes back as one.
const UNREAD: usize = 128;

/// How many reads empty the queue.
const READS: usize = 512;

#[derive(Debug)]
pub(super) struct Post {
    listener: Listener,
    requests: RequestSocket,
    netns: Netns,
    /// The nsid to give next. None is given twice, so that a notification is about one namespace for ever.
    next: i32,
    /// How many were given since the queue was read.
    unread: usize,
    dead: Vec<i32>,
    lost: bool,
    uevents: Option<OwnedFd>,
}

impl Post {
    /// A post that a thread makes. `None`: that takes `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`.
    pub(super) fn privileged() -> io::Result<Option<Self>> {
        match sys::in_net_namespace(Self::here) {
            // user.max_net_namespaces is 0, for ever
            Err(error) if errno_of(&error) == libc::ENOSPC && sys::are_net_namespaces_forbidden() => Ok(None),
            // EAGAIN: no thread can be started, but perhaps a child
            made => Self::unless_refused(made, libc::EAGAIN),
        }
    }

    /// A post that a child makes. `None`: user namespaces may not be made here.
    pub(super) fn unprivileged() -> io::Result<Option<Self>> {
        // ENOSPC: as many as user.max_user_namespaces permits are made, perhaps none
        Self::unless_refused(sys::in_user_namespace(Self::here), libc::ENOSPC)
    }

    /// The post with its notifications waking the consumer.
    pub(super) fn made(post: io::Result<Option<Self>>, epoll: &Epoll) -> io::Result<Option<Box<dyn Deaths>>> {
        let Some(post) = post? else { return Ok(None) };
        epoll.add(post.listener.as_fd())?;
        Ok(Some(Box::new(post)))
    }

    /// In the network namespace of the calling thread, which is to be the post.
    fn here() -> io::Result<Self> {
        let netns = of_calling_thread()?;
        let (listener, mut requests) = (Listener::open(0, false)?, RequestSocket::open()?.checked());
        // the nsids that are given here would wake the consumer; where the filter is refused, they do
        sys::drop_messages(listener.as_fd(), wire::RTM_NEWNSID).ok();
        // it finds out how to ask quickly
        requests.list(None)?;
        let uevents = sys::uevent_socket().ok();
        Ok(Self { listener, requests, netns, next: 0, unread: 0, dead: Vec::new(), lost: false, uevents })
    }

    /// A post that works: where a security module takes away what a user namespace gives, no nsid can be given there.
    fn unless_refused(made: io::Result<Self>, also: i32) -> io::Result<Option<Self>> {
        let tried = made.and_then(|mut post| {
            let own = sys::open(CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY).map_err(sys::proc_error)?;
            post.give(own.as_fd()).map(|_| post)
        });
        match tried {
            Err(error) if is_shortage(&error) && errno_of(&error) != also => Err(error),
            tried => Ok(tried.ok()),
        }
    }

    /// Gives an open namespace the next nsid, unless it has one.
    fn give(&mut self, namespace: BorrowedFd<'_>) -> io::Result<i32> {
        let fd = namespace.as_raw_fd().unsigned_abs();
        let (given, assigned) = (self.next, self.requests.assign(fd, self.next));
        if !assigned.as_ref().is_err_and(|error| error.answer().is_some()) {
            // Without an answer it may be given all the same. After two thousand million the post is used up, and the next
            // mechanism serves.
            self.next = given.saturating_add(1);
            self.unread += 1;
        }
        match assigned {
            Err(error) if error.answer() == Some(libc::EEXIST) => {
                let before = self.requests.get(Attributes { fd: Some(fd), ..Attributes::default() })?;
                before.ok_or_else(|| io::Error::from_raw_os_error(libc::EEXIST))
            }
            assigned => Ok(assigned.map(|()| given)?),
        }
    }

    /// Reads the queue to its end.
    fn pull(&mut self) -> io::Result<()> {
        self.unread = 0;
        let mut inbox = VecDeque::new();
        let mut last = false;
        for _ in 0..READS {
            let lost = &mut self.lost;
            match self.listener.receive(&mut |bytes, origin| *lost |= !decode(bytes, origin, &mut inbox))? {
                Received::Nothing => break,
                Received::Loss => self.lost = true,
                Received::Datagrams(n) if n < sys::MANY => last = true,
                Received::Datagrams(_) => {}
            }
            let gone = inbox.drain(..).filter(|notification| matches!(notification.change, Change::Gone));
            self.dead.extend(gone.map(|notification| notification.id.nsid()));
            if last {
                break;
            }
        }
        Ok(())
    }
}

impl Deaths for Post {
    fn watch(&mut self, namespace: BorrowedFd<'_>, _netns: &Netns) -> io::Result<i32> {
        if self.unread >= UNREAD {
            self.pull()?;
        }
        self.give(namespace)
    }

    fn read(&mut self, take: &mut dyn FnMut(i32)) -> io::Result<bool> {
        self.pull()?;
        self.dead.drain(..).for_each(take);
        Ok(std::mem::take(&mut self.lost))
    }

    fn has_unread(&self) -> bool {
        self.lost || !self.dead.is_empty()
    }

    fn living(&mut self, numbers: &[i32]) -> io::Result<Vec<i32>> {
        Ok(self.requests.living(numbers)?)
    }

    fn watches(&self, _number: i32) -> bool {
        true
    }

    fn forget(&mut self, _number: i32) {}

    fn reports(&self) -> bool {
        true
    }

    fn is_own(&self, netns: &Netns) -> bool {
        self.netns.same(netns)
    }

    fn take_uevents(&mut self) -> Option<OwnedFd> {
        self.uevents.take()
    }
}
