//! Kernel AIO, which rustix lacks: an asynchronous poll whose completion writes an eventfd (Linux 4.18).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Process, check};

const IOCB_CMD_POLL: u16 = 5;
const IOCB_FLAG_RESFD: u32 = 1;

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
#[derive(Clone, Copy, Default)]
struct Completion {
    data: u64,
    obj: u64,
    res: i64,
    res2: i64,
}

/// The maximum number of completions per call.
const MANY: usize = 32;

/// A kernel AIO context with room for some requests; closing it ends them.
#[derive(Debug)]
pub(crate) struct AioContext {
    id: libc::c_ulong,
    /// Its process: a child of fork(2) has none, or another one under the same number.
    process: Process,
}

impl AioContext {
    /// Fails with `ENOSYS` or `EPERM` if AIO is missing or forbidden, with `EAGAIN` beyond `fs.aio-max-nr`.
    pub(crate) fn new(room: u32) -> io::Result<Self> {
        let process = Process::this()?;
        let mut context: libc::c_ulong = 0;
        // SAFETY: io_setup writes the id of the new context.
        check(unsafe { libc::syscall(libc::SYS_io_setup, room, &mut context) } as libc::c_int)?;
        let context = Self { id: context, process };
        // tries now what it will use later
        context.reap(drop)?;
        Ok(context)
    }

    /// Submits one poll of `fd`. Its completion has this number and writes the eventfd `done`.
    pub(crate) fn submit_poll(
        &self,
        fd: BorrowedFd<'_>,
        events: libc::c_short,
        done: BorrowedFd<'_>,
        number: u64,
    ) -> io::Result<()> {
        let mut request = Iocb {
            data: number,
            opcode: IOCB_CMD_POLL,
            fildes: fd.as_raw_fd() as u32,
            buf: events as u64,
            flags: IOCB_FLAG_RESFD,
            resfd: done.as_raw_fd() as u32,
            ..Iocb::default()
        };
        let mut requests = [std::ptr::from_mut(&mut request)];
        // SAFETY: one pointer to one request is passed; the kernel copies both before it returns.
        check(unsafe { libc::syscall(libc::SYS_io_submit, self.id, 1, requests.as_mut_ptr()) } as libc::c_int).map(drop)
    }

    /// Removes the completions from the ring, and passes their numbers to `take`.
    pub(crate) fn reap(&self, mut take: impl FnMut(u64)) -> io::Result<()> {
        loop {
            let mut completions = [Completion::default(); MANY];
            let n = self.completed(&mut completions)?;
            completions.iter().take(n as usize).for_each(|completion| take(completion.data));
            if (n as usize) < MANY {
                return Ok(());
            }
        }
    }
}

/// `io_pgetevents_time64(2)`, which has this number on every 32-bit architecture (Linux 5.1).
#[cfg(target_pointer_width = "32")]
const SYS_IO_PGETEVENTS_TIME64: libc::c_long = 416;

impl AioContext {
    /// Gets the completions that fit, and returns their number.
    #[cfg(target_pointer_width = "32")]
    fn completed(&self, room: &mut [Completion; MANY]) -> io::Result<libc::c_int> {
        let (place, now, no_signals) = (room.as_mut_ptr(), [0i64; 2], std::ptr::null::<u8>());
        // SAFETY: the array has room for the requested completions; the time, in the kernel's layout since Linux 5.1,
        // lives until the call returns.
        check(unsafe { libc::syscall(SYS_IO_PGETEVENTS_TIME64, self.id, 0, MANY, place, &now, no_signals) }
            as libc::c_int)
    }

    /// Gets the completions that fit, and returns their number.
    #[cfg(target_pointer_width = "64")]
    fn completed(&self, room: &mut [Completion; MANY]) -> io::Result<libc::c_int> {
        let (place, now) = (room.as_mut_ptr(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: the array has room for the requested completions; the time lives until the call returns.
        check(unsafe { libc::syscall(libc::SYS_io_getevents, self.id, 0, MANY, place, &now) } as libc::c_int)
    }
}

impl Drop for AioContext {
    fn drop(&mut self) {
        if self.process.is_this() {
            // SAFETY: no pointers.
            unsafe { libc::syscall(libc::SYS_io_destroy, self.id) };
        }
    }
}
