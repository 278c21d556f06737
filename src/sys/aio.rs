//! Mount notification for everybody: an asynchronous poll of mountinfo that completes into an eventfd.
//!
//! mountinfo's readiness is consumed by whoever polls it first, so it cannot be put into a set that others poll.
//! A kernel AIO poll (Linux 4.18) asks once, on our behalf, and leaves the answer in an eventfd that stays readable.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{Flag, check};

const IOCB_CMD_POLL: u16 = 5;
const IOCB_FLAG_RESFD: u32 = 1;

/// How many answers are taken at once, when mounts change faster than one can ask.
const ANSWERS: usize = 4;

/// `struct iocb` of `<linux/aio_abi.h>`.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    #[cfg(target_endian = "little")]
    key: u32,
    rw_flags: u32,
    #[cfg(target_endian = "big")]
    key: u32,
    opcode: u16,
    priority: i16,
    fildes: u32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct Completion {
    data: u64,
    obj: u64,
    res: i64,
    res2: i64,
}

/// A kernel AIO context; its requests end with it.
#[derive(Debug)]
struct Context {
    id: libc::c_ulong,
    /// Where it is: a child of fork(2) has none, or another under the same number.
    process: u32,
}

impl Context {
    fn new() -> io::Result<Self> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: io_setup writes the id of the new context.
        check(unsafe { libc::syscall(libc::SYS_io_setup, 1, &mut context) } as libc::c_int)?;
        Ok(Self { id: context, process: std::process::id() })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            // SAFETY: no pointers.
            unsafe { libc::syscall(libc::SYS_io_destroy, self.id) };
        }
    }
}

/// One poll of mountinfo, in flight or completed.
#[derive(Debug)]
pub(crate) struct MountPoll {
    // first, so that it is dropped before the descriptors that its request refers to
    context: Context,
    mountinfo: File,
    done: Flag,
    in_flight: bool,
}

impl MountPoll {
    /// Fails with `ENOSYS` or `EPERM` where AIO is missing or forbidden, `EAGAIN` beyond `fs.aio-max-nr`.
    pub(crate) fn new() -> io::Result<Self> {
        let mut poll = Self {
            context: Context::new()?,
            mountinfo: File::open("/proc/thread-self/mountinfo").map_err(super::proc_error)?,
            done: Flag::new()?,
            in_flight: false,
        };
        poll.submit()?;
        Ok(poll)
    }

    /// Asks again if the last request has been answered; whether it had been, that is, whether mounts have changed.
    ///
    /// A request made after a second change is answered at once. That answer is older than what the caller does next,
    /// so it is taken too, lest it wakes somebody for nothing.
    pub(crate) fn renew(&mut self) -> io::Result<bool> {
        let mut changed = false;
        for _ in 0..ANSWERS {
            if self.done.lower()? {
                changed = true;
                self.in_flight = false;
                self.reap()?;
            }
            if self.in_flight {
                break;
            }
            self.submit()?;
        }
        Ok(changed)
    }

    fn submit(&mut self) -> io::Result<()> {
        let mut request = Iocb {
            opcode: IOCB_CMD_POLL,
            fildes: self.mountinfo.as_raw_fd() as u32,
            buf: libc::POLLPRI as u64,
            flags: IOCB_FLAG_RESFD,
            resfd: self.done.as_fd().as_raw_fd() as u32,
            ..Iocb::default()
        };
        let mut requests = [std::ptr::from_mut(&mut request)];
        // SAFETY: one pointer to one request is passed; the kernel copies both before it returns.
        check(unsafe { libc::syscall(libc::SYS_io_submit, self.context.id, 1, requests.as_mut_ptr()) } as libc::c_int)?;
        self.in_flight = true;
        Ok(())
    }

    /// Makes room in the completion ring; what it says is known from the eventfd already.
    fn reap(&self) -> io::Result<()> {
        let mut completion = Completion::default();
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: room for one completion is passed and counted as one; the timespec lives until the call returns.
        check(unsafe { libc::syscall(libc::SYS_io_getevents, self.context.id, 0, 1, &mut completion, &mut now) }
            as libc::c_int)
        .map(drop)
    }
}

impl AsFd for MountPoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
