//! Waiting: epoll, eventfd, timerfd and poll, by rustix.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::above_standard;

/// An epoll instance for callers to poll. The library itself never waits on it.
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

/// A result in which one error is a success, because the wanted state exists already.
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

/// An eventfd that wakes its pollers: readable from [`wake`](Self::wake) to [`clear`](Self::clear).
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        above_standard(rustix::event::eventfd(0, flags)?).map(Self)
    }

    /// Makes it readable; a second call makes a new edge, for edge-triggered pollers.
    pub(crate) fn wake(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }

    /// Makes it unreadable. Returns whether it was readable.
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

/// A timer whose descriptor is readable from a moment of [`monotonic`](super::monotonic) on.
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

    /// Sets the moment, or stops the timer. Costs nothing without a change.
    pub(crate) fn set(&mut self, end: Option<Duration>) -> io::Result<()> {
        if self.end == end {
            return Ok(());
        }
        let setting = Itimerspec { it_interval: Timespec::default(), it_value: timespec(end.unwrap_or_default()) };
        // setting or stopping the timer also makes it unreadable
        match rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &setting) {
            // so does reading after its end, if a filter refuses to set it
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

/// The duration in the kernel's form, limited to its maximum.
fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// Waits until `fd` is readable (`true`) or the time is over (`false`); `None`: without limit.
pub(crate) fn poll_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    poll(fd, PollFlags::IN, timeout)
}

/// Whether `fd` has an exceptional condition now. For mountinfo, call it once per change: it consumes the condition.
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
