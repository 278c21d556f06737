//! The few system calls that neither the standard library nor our crates offer, each as a safe function.
//!
//! This module and `capi` are the only ones with `unsafe` in them. Nothing here knows what a name or an event is:
//! functions take and return file descriptors, bytes and numbers, and fail with the bare `errno` of the call.

#![allow(unsafe_code)]

mod aio;
mod fanotify;
mod files;
mod netlink;
mod nsfs;
mod process;
#[cfg(feature = "tokio")]
mod reactor;
mod statmount;

pub(crate) use aio::AioContext;
pub(crate) use fanotify::{fanotify_init, fanotify_mark};
pub(crate) use files::{CWD, filesystem_of, link_target, open, stat};
pub(crate) use netlink::{
    MANY, bind, drops, receive, receive_buffer, receive_many, rtnetlink, send_to_kernel, set_option,
};
pub(crate) use nsfs::{cookie, handle, namespace_of_pidfd, open_by_cookie, reopen};
pub(crate) use process::{is_proc_ours, is_process_of_others, pid_of_pidfd, sees_all_namespaces};
#[cfg(feature = "tokio")]
pub(crate) use reactor::Registration;
pub(crate) use statmount::statmount;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// `-1` with `errno` as the standard library's error.
fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// Takes over the descriptor that a system call has just returned.
fn owned(rc: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(rc)?;
    // SAFETY: a non-negative result of the calls that this is used on is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The path that leads to what `fd` refers to, for calls that only take a path. Needs /proc.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    // thread-self, not self: a thread that has unshared its files has descriptors of its own
    format!("/proc/thread-self/fd/{}", fd.as_raw_fd())
}

/// The error of a call on [`proc_path`]: that there is no such path says that /proc is not there, not that the object
/// is not.
pub(crate) fn proc_error(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => io::Error::from_raw_os_error(libc::EOPNOTSUPP),
        _ => error,
    }
}

/// Reads once.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a buffer that is ours for the call.
    let n = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// An epoll instance that is handed out to be polled and never waited on by the library itself.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // Go registers a descriptor with its poller only if O_NONBLOCK is set on it.
        // SAFETY: no pointers; F_SETFL takes an int.
        check(unsafe { libc::fcntl(epoll.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
        Ok(Self(epoll))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.add_for(fd, libc::EPOLLIN)
    }

    /// mountinfo reports its changes as an exceptional condition.
    pub(crate) fn add_priority(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.add_for(fd, libc::EPOLLPRI)
    }

    fn add_for(&self, fd: BorrowedFd<'_>, interest: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: 0 };
        // SAFETY: `event` is read during the call only.
        let rc = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) };
        unless(libc::EEXIST, check(rc))
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: EPOLL_CTL_DEL takes no event (Linux 2.6.9).
        let rc =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), std::ptr::null_mut()) };
        unless(libc::ENOENT, check(rc))
    }
}

/// A result with one error that is none: what was asked for is so already.
fn unless(errno: i32, result: io::Result<libc::c_int>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() != Some(errno) => Err(error),
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
        // SAFETY: no pointers.
        owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(Self)
    }

    /// Makes it readable; doing so again is a new edge for those who poll for edges.
    pub(crate) fn wake(&self) -> io::Result<()> {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the kernel reads eight bytes from a buffer of eight.
        let n = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        match n {
            8 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes it unreadable; whether it was readable.
    pub(crate) fn clear(&self) -> io::Result<bool> {
        match read(self.0.as_fd(), &mut [0; 8]) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A timer that makes its descriptor readable at a moment of [`monotonic`].
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
    end: Option<Duration>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })?;
        Ok(Self { fd, end: None })
    }

    /// Sets the moment, or stops it. It costs nothing if nothing changes by it.
    pub(crate) fn set(&mut self, end: Option<Duration>) -> io::Result<()> {
        if self.end == end {
            return Ok(());
        }
        let moment = end.unwrap_or_default();
        let setting = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(moment.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: moment.subsec_nanos().into(),
            },
        };
        // SAFETY: `setting` is read during the call only; the old setting is not asked for. Setting a timer, or
        // stopping it by a zero, also takes back that it was readable.
        check(unsafe {
            libc::timerfd_settime(self.fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &setting, std::ptr::null_mut())
        })?;
        self.end = end;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until `fd` is readable (`true`) or the time is over (`false`); `None` waits for ever.
pub(crate) fn poll_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    poll(fd, libc::POLLIN, timeout)
}

/// Whether `fd` has an exceptional condition now. Of mountinfo this is asked once for each change: it takes it away.
pub(crate) fn poll_priority(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll(fd, libc::POLLPRI, Some(Duration::ZERO))
}

fn poll(fd: BorrowedFd<'_>, events: libc::c_short, timeout: Option<Duration>) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    let timespec = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timespec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: one entry is passed and counted as one; the timespec lives until the call returns.
    check(unsafe { libc::ppoll(&mut entry, 1, timeout, std::ptr::null()) }).map(|n| n > 0)
}

/// Waits until one of two descriptors is readable, or a signal comes.
pub(crate) fn poll_readable_either(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<()> {
    let mut entries = [a, b].map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // SAFETY: two entries are passed and counted as two.
    unless(libc::EINTR, check(unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) }))
}

/// Runs `body` with all signals blocked; a thread started in it keeps them blocked, so that it takes none from the
/// threads that they are meant for.
pub(crate) fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills `all` in; pthread_sigmask reads it and fills `before` in. With valid arguments neither
    // can fail.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = body();
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}

/// `CLOCK_MONOTONIC`, the clock of [`crate::Event::time`].
pub(crate) fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours to write; CLOCK_MONOTONIC exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
