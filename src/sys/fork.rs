//! Identifies this process without a system call: the kernel wipes a page in each child of fork(2) (`MADV_WIPEONFORK`,
//! Linux 4.14). A process id does not suffice: parent and child can both be 1, each in its own pid namespace.
//!
//! One page serves all watchers of the process. It is the only global state of the library: a page per watcher would
//! cost three more system calls and 4 KiB, and pthread_atfork(3) does not notice clone(2).

use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The page with the number of this process, once made.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());

/// The last number. A child continues from here, so that related processes never have the same one.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Replaces the page if the kernel refuses to wipe one: it holds no number.
static UNWIPED: AtomicU32 = AtomicU32::new(0);

/// Identifies a process among its parent and its children.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    page: &'static AtomicU32,
    number: u32,
}

impl Process {
    pub(crate) fn this() -> io::Result<Self> {
        let page = page()?;
        if std::ptr::eq(page, &UNWIPED) {
            return Ok(Self { page, number: std::process::id() });
        }
        let number = match page.load(Ordering::Relaxed) {
            0 => {
                let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                let set = page.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
                // another thread may have been faster
                set.map_or_else(|other| other, |_| next)
            }
            number => number,
        };
        Ok(Self { page, number })
    }

    /// Whether the caller is in this process, not in a child of it.
    pub(crate) fn is_this(self) -> bool {
        self.page.load(Ordering::Relaxed) == self.number
            || std::ptr::eq(self.page, &UNWIPED) && std::process::id() == self.number
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // omits the number: it does not help a reader, and the code would be in every program
        f.write_str("Process")
    }
}

/// The page of this process and its children. No lock guards it, because a child may start while another thread is
/// here.
fn page() -> io::Result<&'static AtomicU32> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let made = new_page()?;
        match PAGE.compare_exchange(null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => page = made,
            Err(other) => {
                page = other;
                if !std::ptr::eq(made, &UNWIPED) {
                    // SAFETY: a new mapping that nobody else knows.
                    unsafe { libc::munmap(made.cast(), size_of::<AtomicU32>()) };
                }
            }
        }
    }
    // SAFETY: a mapping that is never unmapped, zeroed by the kernel, or a static.
    Ok(unsafe { &*page })
}

fn new_page() -> io::Result<*mut AtomicU32> {
    let length = size_of::<AtomicU32>();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, which overlaps nothing.
    let page = unsafe { libc::mmap(null_mut(), length, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is ours, of the size that the kernel gave it.
    unsafe {
        if libc::madvise(page, length, libc::MADV_WIPEONFORK) < 0 {
            libc::munmap(page, length);
            return Ok((&raw const UNWIPED).cast_mut());
        }
    }
    Ok(page.cast())
}
