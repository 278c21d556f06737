//! The observation post: a network namespace of the watcher's own, in which each known namespace has an nsid. When such
//! a namespace dies, named or not, the kernel notifies there. The nsids of the host do not change.
//!
//! A short-lived thread makes the post (`CAP_SYS_ADMIN`), or a child in a user namespace of its own (no privilege).
//! Only two sockets keep the post alive. The post keeps no other namespace alive.

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

/// The number of nsids after which to read the notification queue: if no filter drops them, each assignment comes back
/// as a notification.
const UNREAD: usize = 128;

/// The number of reads that empty the queue.
const READS: usize = 512;

#[derive(Debug)]
pub(super) struct Post {
    listener: Listener,
    requests: RequestSocket,
    netns: Netns,
    /// The next nsid. None is assigned twice, so a notification is about one namespace for ever.
    next: i32,
    /// The number assigned since the last read of the queue.
    unread: usize,
    dead: Vec<i32>,
    lost: bool,
    uevents: Option<OwnedFd>,
}

impl Post {
    /// Makes a post in a thread. `None`: requires `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`.
    pub(super) fn privileged() -> io::Result<Option<Self>> {
        match sys::in_net_namespace(Self::here) {
            // user.max_net_namespaces is 0, permanently
            Err(error) if errno_of(&error) == libc::ENOSPC && sys::are_net_namespaces_forbidden() => Ok(None),
            // EAGAIN: no thread can start, but perhaps a child
            made => Self::unless_refused(made, libc::EAGAIN),
        }
    }

    /// Makes a post in a child. `None`: user namespaces are not permitted here.
    pub(super) fn unprivileged() -> io::Result<Option<Self>> {
        // ENOSPC: user.max_user_namespaces is reached, perhaps 0
        Self::unless_refused(sys::in_user_namespace(Self::here), libc::ENOSPC)
    }

    /// Adds the notifications of a new post to the consumer's epoll set.
    pub(super) fn made(post: io::Result<Option<Self>>, epoll: &Epoll) -> io::Result<Option<Box<dyn Deaths>>> {
        let Some(post) = post? else { return Ok(None) };
        epoll.add(post.listener.as_fd())?;
        Ok(Some(Box::new(post)))
    }

    /// Makes the post in the network namespace of the calling thread.
    fn here() -> io::Result<Self> {
        let netns = of_calling_thread()?;
        let (listener, mut requests) = (Listener::open(0, false)?, RequestSocket::open()?.checked());
        // without this filter, the post's own assignments wake the consumer
        sys::drop_messages(listener.as_fd(), wire::RTM_NEWNSID).ok();
        // finds the fast way to ask
        requests.list(None)?;
        let uevents = sys::uevent_socket().ok();
        Ok(Self { listener, requests, netns, next: 0, unread: 0, dead: Vec::new(), lost: false, uevents })
    }

    /// Checks that the post works: a security module may deny what a user namespace grants, so that no nsid can be
    /// assigned.
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

    /// Assigns the next nsid to an open namespace, unless it has one.
    fn give(&mut self, namespace: BorrowedFd<'_>) -> io::Result<i32> {
        let fd = namespace.as_raw_fd().unsigned_abs();
        let (given, assigned) = (self.next, self.requests.assign(fd, self.next));
        if !assigned.as_ref().is_err_and(|error| error.answer().is_some()) {
            // Without an answer, the nsid may be assigned nevertheless. After 2^31 nsids the post is used up, and the
            // next mechanism serves.
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
                Received::Last => last = true,
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
