//! What is waited for, and by which means: epoll, eventfd, timerfd and poll, by rustix.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::above_standard;

/// An epoll instance that is handed out to be polled and never waited on by the library itself.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = above_standard(epoll::create(epoll::CreateFlags::CLOEXEC)?)?;
        // Go registers a descriptor with its poller only if O_NONBLOCK is set on it.
        rustix::fs::fcntl_setfl(&epoll, OFlags::NONBLOCK)?;
        Ok(Self(epoll))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.add_for(fd, epoll::EventFlags::IN)
    }

    /// mountinfo reports its changes as an exceptional condition.
    pub(crate) fn add_priority(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.add_for(fd, epoll::EventFlags::PRI)
    }

    fn add_for(&self, fd: BorrowedFd<'_>, interest: epoll::EventFlags) -> io::Result<()> {
        unless(Errno::EXIST, epoll::add(&self.0, fd, epoll::EventData::new_u64(0), interest))
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        unless(Errno::NOENT, epoll::delete(&self.0, fd))
    }
}

/// A result with one error that is none: the wanted state is there already.
fn unless<T>(errno: Errno, result: rustix::io::Result<T>) -> io::Result<()> {
    match result {
        Err(error) if error != errno => Err(error.into()),
        _ => Ok(()),
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An eventfd that wakes those who poll it: readable from [`wake`](Self::wake) to [`clear`](Self::clear).
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        above_standard(rustix::event::eventfd(0, flags)?).map(Self)
    }

    /// Makes it readable; doing so again is a new edge for those who poll for edges.
    pub(crate) fn wake(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }

    /// Makes it unreadable; whether it was readable.
    pub(crate) fn clear(&self) -> io::Result<bool> {
        match rustix::io::read(&self.0, &mut [0; 8]) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A timer that makes its descriptor readable at a moment of [`monotonic`](super::monotonic).
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
    end: Option<Duration>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { fd: above_standard(timer)?, end: None })
    }

    /// Sets the moment, or stops it. It costs nothing if nothing changes by it.
    pub(crate) fn set(&mut self, end: Option<Duration>) -> io::Result<()> {
        if self.end == end {
            return Ok(());
        }
        let setting = Itimerspec { it_interval: Timespec::default(), it_value: timespec(end.unwrap_or_default()) };
        // setting a timer, or stopping it by a zero, also makes it unreadable
        match rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &setting) {
            // as reading it does once it has ended, where a filter refuses that
            Err(error) if rustix::io::read(&self.fd, &mut [0; 8]).is_ok() => {
                self.end = None;
                if end.is_some() { Err(error.into()) } else { Ok(()) }
            }
            set => {
                set?;
                self.end = end;
                Ok(())
            }
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// As a time that the kernel takes: what is too far away is at its end.
fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// Waits until `fd` is readable (`true`) or the time is over (`false`); `None` waits for ever.
pub(crate) fn poll_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    poll(fd, PollFlags::IN, timeout)
}

/// Whether `fd` has an exceptional condition now. Of mountinfo this is asked once for each change: it takes it away.
pub(crate) fn poll_priority(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll(fd, PollFlags::PRI, Some(Duration::ZERO))
}

fn poll(fd: BorrowedFd<'_>, events: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
    let mut entry = [PollFd::from_borrowed_fd(fd, events)];
    Ok(rustix::event::poll(&mut entry, timeout.map(timespec).as_ref())? > 0)
}

/// Which of these descriptors are readable now.
pub(crate) fn which_are_readable<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<Vec<bool>> {
    let mut entries: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    rustix::event::poll(&mut entries, Some(&Timespec::default()))?;
    Ok(entries.iter().map(|entry| !entry.revents().is_empty()).collect())
}

/// Waits until one of two descriptors is readable, or a signal comes.
pub(crate) fn poll_readable_either(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<()> {
    let mut entries = [a, b].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    unless(Errno::INTR, rustix::event::poll(&mut entries, None))
}
