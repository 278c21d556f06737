//! System calls as safe functions: by rustix where it has them, our own where it lacks them.
//!
//! Only this module and `capi` contain `unsafe`. Nothing here depends on names or events: functions take and return
//! file descriptors, bytes and numbers, and fail with the bare `errno` of the call.

#![allow(unsafe_code)]

mod aio;
#[cfg(feature = "capi")]
mod cancel;
mod fanotify;
mod files;
mod fork;
mod namespace;
mod netlink;
mod nsfs;
mod perf;
mod process;
#[cfg(feature = "tokio")]
mod reactor;
mod root;
mod socket_filter;
mod statmount;
mod thread;
mod uevent;
mod wait;

pub(crate) use aio::AioContext;
#[cfg(feature = "capi")]
pub(crate) use cancel::{disable_cancel, restore_cancel, thread_number};
pub(crate) use fanotify::{fanotify_init, fanotify_mark};
pub(crate) use files::{
    Access, CWD, PROC, Stat, entries, filesystem_of, kind_of, link_begins, link_target, mount_of, names_in, open,
    read_link, stat,
};
pub(crate) use fork::Process;
pub(crate) use namespace::{are_net_namespaces_forbidden, in_net_namespace, in_user_namespace};
pub(crate) use netlink::{
    MANY, bind, connect_to_kernel, drops, receive, receive_buffer, receive_many, rtnetlink, send_to_kernel, set_option,
    waiting,
};
pub(crate) use nsfs::{
    Handle, cookie, handle, is_namespace, is_network, list_namespaces, mount_id, namespace_of_pidfd, open_again,
    open_by_cookie,
};
pub(crate) use perf::Ring;
pub(crate) use process::{
    Credentials, enter_net_namespace, in_own_thread, in_two_threads, initial_namespaces, is_kernel_before,
    is_proc_ours, pid_of_pidfd, pidfd_open, process_exists, sees_all_namespaces,
};
#[cfg(feature = "tokio")]
pub(crate) use reactor::Registration;
pub(crate) use root::{Root, RootMount, mount_namespace, root, root_mount_id};
pub(crate) use socket_filter::drop_messages;
pub(crate) use statmount::{list_mounts, mount_point};
pub(crate) use thread::Thread;
pub(crate) use uevent::uevent_socket;
pub(crate) use wait::{Epoll, Timer, Waker, poll_priority, poll_readable, poll_readable_either, which_are_readable};

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::Errno;

/// `-1` with `errno` as the standard library's error.
fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// Takes over the descriptor that a system call has just returned.
fn owned(rc: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(rc)?;
    // SAFETY: for the calls used here, a non-negative result is a new descriptor that nobody else owns.
    above_standard(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The lowest descriptor that is not standard input, output or error.
const ABOVE_STANDARD: RawFd = 3;

/// Moves a new descriptor away from 0, 1 and 2: in a program that has closed those, it would get other code's output.
pub(crate) fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= ABOVE_STANDARD {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, ABOVE_STANDARD).map_err(|error| match error {
        // RLIMIT_NOFILE permits no such number
        Errno::INVAL => Errno::MFILE.into(),
        error => error.into(),
    })
}

/// Closes this process's copy of a descriptor whose owner, in a child of fork(2), is a thread of the parent.
pub(crate) fn close_copy(fd: BorrowedFd<'_>) {
    // SAFETY: no pointers; nobody in this process uses the descriptor any more.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// The path to the object of `fd`, for calls that only take a path. Requires /proc.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    // thread-self, not self: a thread with an unshared descriptor table has its own
    format!("/proc/thread-self/fd/{}", fd.as_raw_fd())
}

/// The error of a call on [`proc_path`]: a missing path means that /proc is missing, not the object.
pub(crate) fn proc_error(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => io::Error::from_raw_os_error(libc::EOPNOTSUPP),
        _ => error,
    }
}

/// Reads once.
pub(crate) fn read<B: rustix::buffer::Buffer<u8>>(fd: BorrowedFd<'_>, buffer: B) -> io::Result<B::Output> {
    Ok(rustix::io::read(fd, buffer)?)
}

/// The signal mask of a thread. rustix leaves signal masks to libc.
pub(crate) struct Blocked(libc::sigset_t);

impl Blocked {
    pub(crate) fn of_calling_thread() -> Self {
        Self::change(libc::SIG_BLOCK, std::ptr::null())
    }

    /// Blocks all signals in the calling thread, and returns the former mask.
    fn all() -> Self {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset fills `all` in.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        Self::change(libc::SIG_BLOCK, all.as_ptr())
    }

    /// Sets the mask of the calling thread to this one.
    pub(crate) fn set(&self) {
        Self::change(libc::SIG_SETMASK, &self.0);
    }

    fn change(how: libc::c_int, signals: *const libc::sigset_t) -> Self {
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `signals` is null or filled in, and `before` is filled in; with valid arguments it cannot fail.
        unsafe {
            libc::pthread_sigmask(how, signals, before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

/// Runs `body` with all signals blocked. A thread started in it keeps them blocked, so that it takes no signals of
/// other threads.
pub(crate) fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    let before = Blocked::all();
    let result = body();
    before.set();
    result
}

/// The processor time of the calling thread.
pub(crate) fn processor_time() -> Duration {
    now_by(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// `CLOCK_MONOTONIC`, the clock of [`crate::Event::time`]. By libc, which finds the vDSO once per process.
pub(crate) fn monotonic() -> Duration {
    now_by(libc::CLOCK_MONOTONIC)
}

/// The total time of suspensions of the system, or less if this thread has to wait between the two clocks.
pub(crate) fn suspended() -> Duration {
    let with = now_by(libc::CLOCK_BOOTTIME);
    with.saturating_sub(monotonic())
}

/// The time of a clock; zero for a missing one, such as that of a thread that has ended.
fn now_by(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes `now` only.
    unsafe { libc::clock_gettime(clock, &mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
