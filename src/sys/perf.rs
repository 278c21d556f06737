//! Perf events that record namespaces, and their rings. libc and rustix lack them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{Ordering, fence};

use super::{Process, owned, read};

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
const PERF_FORMAT_LOST: u64 = 1 << 4;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// The first 64 bytes of `struct perf_event_attr`, which every kernel supports, suffice here.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    breakpoint: u32,
    config1: u64,
}

/// A flag of [`Attributes`]: the order of C bit fields depends on the byte order.
const fn flag(number: u32) -> u64 {
    1 << if cfg!(target_endian = "little") { number } else { 63 - number }
}
const EXCLUDE_KERNEL: u64 = flag(5);
const EXCLUDE_HYPERVISOR: u64 = flag(6);
const WATERMARK: u64 = flag(14);
/// Records nothing by itself; without it, the kernel does not count the event among those that record tasks.
const COMM_EXEC: u64 = flag(24);
const NAMESPACES: u64 = flag(28);

/// The positions of the numbers in `struct perf_event_mmap_page`.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// The size of a ring: some 1900 records. The smallest useful ring is a sixteenth of it.
const ROOM: usize = 256 * 1024;
const LEAST_ROOM: usize = ROOM / 16;

/// A ring with less free room than this may have lost the last record.
const NEARLY_FULL: u64 = 1024;

/// The ring with the namespaces of the tasks on one processor: as they are born, at each fork, and as they change.
///
/// The kernel maps it for this process alone: a child of fork(2) has no ring.
#[derive(Debug)]
pub(crate) struct Ring {
    event: OwnedFd,
    pages: NonNull<u8>,
    room: usize,
    counts_losses: bool,
    process: Process,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this is its only owner.
unsafe impl Send for Ring {}

impl Ring {
    /// Fails with `EACCES`, `EPERM` or `ENOSYS` without the rights or on a kernel without perf; with `ENODEV` if the
    /// processor is offline, `EINVAL` if none has this number, or never can; with `EPERM` also if the limit of locked
    /// memory is too low.
    pub(crate) fn open(cpu: u32) -> io::Result<Self> {
        let process = Process::this()?;
        let (event, counts_losses) = match open_event(cpu, PERF_FORMAT_LOST) {
            // before Linux 6.0
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (open_event(cpu, 0)?, false),
            event => (event?, true),
        };
        let (pages, room) = map(event.as_fd())?;
        Ok(Self { event, pages, room, counts_losses, process })
    }

    /// The kernel's write position.
    pub(crate) fn head(&self) -> u64 {
        // SAFETY: the number is in the first page; the kernel writes it atomically where it can.
        let head = unsafe { self.pages.add(DATA_HEAD).cast::<u64>().read_volatile() };
        // reads after the head what the kernel wrote before it
        fence(Ordering::Acquire);
        head
    }

    /// Appends the contents of the ring between two positions. `false`: an impossible length, appends nothing.
    pub(crate) fn copy(&self, from: u64, to: u64, bytes: &mut Vec<u8>) -> bool {
        let Some(parts) = parts(self.room, from, to) else { return false };
        for (start, length) in parts {
            // SAFETY: the part lies in the data pages after the first page; the kernel writes nothing there before the
            // tail has passed it.
            bytes.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.pages.as_ptr().add(page_size() + start), length)
            });
        }
        true
    }

    /// Returns the ring to the kernel up to `tail`. Returns whether it was so full that records may have been lost.
    pub(crate) fn release(&self, before: u64, tail: u64) -> bool {
        // finishes reading the ring before the kernel may overwrite it
        fence(Ordering::Release);
        // SAFETY: the number is in the first page, which is mapped writable.
        unsafe { self.pages.add(DATA_TAIL).cast::<u64>().write_volatile(tail) };
        fence(Ordering::SeqCst);
        self.head().wrapping_sub(before) > self.room as u64 - NEARLY_FULL
    }

    /// Whether the kernel counts lost records.
    pub(crate) fn counts_losses(&self) -> bool {
        self.counts_losses
    }

    /// The number of records lost since the ring was made. `None`: this kernel does not count them (before Linux 6.0).
    pub(crate) fn lost(&self) -> io::Result<Option<u64>> {
        if !self.counts_losses {
            return Ok(None);
        }
        let mut numbers = [0; 16];
        let n = read(self.event.as_fd(), &mut numbers)?;
        Ok((n == numbers.len()).then(|| u64::from_ne_bytes(numbers.last_chunk().copied().unwrap_or_default())))
    }
}

/// The one or two parts of a ring between two positions, as start and length. `None`: longer than the ring.
fn parts(room: usize, from: u64, to: u64) -> Option<[(usize, usize); 2]> {
    let length = usize::try_from(to.wrapping_sub(from)).ok().filter(|length| *length <= room)?;
    let start = usize::try_from(from % room as u64).ok()?;
    let first = length.min(room - start);
    Some([(start, first), (0, length - first)])
}

fn page_size() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn open_event(cpu: u32, read_format: u64) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: PERF_COUNT_SW_DUMMY,
        read_format,
        flags: NAMESPACES | COMM_EXEC | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | WATERMARK,
        wakeup_watermark: 1,
        ..Attributes::default()
    };
    let (everybody, no_group) = (-1, -1);
    let cpu = libc::c_int::try_from(cpu).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the attributes have the stated size; the kernel reads them and writes at most that size.
    owned(unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, everybody, cpu, no_group, PERF_FLAG_FD_CLOEXEC)
    } as libc::c_int)
}

/// Maps the largest ring that may be locked into memory, and the page before it. Returns its address and room.
fn map(event: BorrowedFd<'_>) -> io::Result<(NonNull<u8>, usize)> {
    let (access, page) = (libc::PROT_READ | libc::PROT_WRITE, page_size());
    let mut room = ROOM.max(page);
    loop {
        // SAFETY: a new mapping, which overlaps nothing.
        let pages = unsafe { libc::mmap(null_mut(), page + room, access, libc::MAP_SHARED, event.as_raw_fd(), 0) };
        if pages != libc::MAP_FAILED {
            let pages = NonNull::new(pages.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
            return Ok((pages, room));
        }
        let error = io::Error::last_os_error();
        let is_limit = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM));
        room /= 2;
        if !is_limit || room < LEAST_ROOM.max(page) {
            return Err(error);
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // a child of fork(2) has no copy, and something else may be mapped there
        if self.process.is_this() {
            // SAFETY: this is the mapping, and nothing refers to it any more.
            unsafe { libc::munmap(self.pages.as_ptr().cast(), page_size() + self.room) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_attributes_are_as_the_kernel_has_them() {
        assert_eq!(size_of::<Attributes>(), 64);
        assert_eq!(std::mem::offset_of!(Attributes, flags), 40);
    }

    proptest! {
        #[test]
        fn a_ring_is_read_in_order(log in 0..6u32, before in any::<u32>(), ahead in 0..40usize) {
            let (room, from) = (1usize << log, u64::from(before));
            let mut ring = vec![0; room];
            for place in from..from + ahead as u64 {
                ring[(place % room as u64) as usize] = place;
            }
            let read = parts(room, from, from + ahead as u64).map(|parts| {
                parts.into_iter().flat_map(|(start, length)| ring[start..start + length].to_vec()).collect::<Vec<_>>()
            });
            let written = (ahead <= room).then(|| (from..from + ahead as u64).collect::<Vec<_>>());
            prop_assert_eq!(read, written);
        }
    }

    #[test]
    fn a_place_may_wrap_around() {
        assert_eq!(parts(16, u64::MAX - 3, 4), Some([(12, 4), (0, 4)]));
        assert_eq!(parts(16, 4, u64::MAX), None);
    }
}
