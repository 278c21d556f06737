//! nswatch.h - watch Linux network namespaces come, become usable and go
//!
//! This is the whole of using it:
//!
//! ```c
//! #include <nswatch.h>
//! #include <stdio.h>
//!
//! int main(void)
//! {
//!     nsw_watcher *watcher;
//!     const nsw_event *event;
//!     int rc = nsw_open(NSW_SOURCE_NAMED, NULL, &watcher);
//!
//!     if (rc == 0) {
//!         while ((rc = nsw_wait_event(watcher, -1, &event)) > 0) {
//!             const char *name = nsw_event_name(event);
//!             printf("%s %s\n", nsw_event_type_name(nsw_event_type(event)), name ? name : "");
//!         }
//!         nsw_close(watcher);
//!     }
//!     fprintf(stderr, "%s\n", nsw_strerror(rc));
//!     return 1;
//! }
//! ```
//!
//! In a program that has an event loop, poll nsw_fd() for POLLIN and call nsw_next_event() until it returns 0.
//!
//! Conventions
//! ===========
//!
//! - Functions of type int return 0, a count or a flag on success, and a negative errno on failure. What they store
//!   through pointers they store on success only.
//! - 1: here is an event; 0: nothing now; negative: an error. The same wherever events are given out.
//! - Every pointer argument may be NULL: that is -EINVAL, or nothing happens in nsw_close() and nsw_options_free().
//! - Of a failure nsw_strerror() tells what its errno means; nsw_options_error() and nsw_error() say what failed, on what,
//!   and why, of the last call that failed with these options or on this watcher.
//! - Strings given out end in NUL and are owned by what gave them. Nothing but handles is ever freed by the caller.
//! - A watcher may move between threads, and one thread at a time calls it. While a call runs, a call of another thread on
//!   that watcher returns -EBUSY and changes nothing. nsw_stat() and nsw_fd() may be called from any thread at any time.
//!   Different watchers are independent.
//! - A call that a signal handler leaves by longjmp(3) never ends: all that follow return -EBUSY, and the thread cannot be
//!   cancelled any more until it calls pthread_setcancelstate(3). Close the watcher.
//! - In a child of fork(2), calls on a watcher of the parent return -ECHILD and change nothing. nsw_close() frees the
//!   child's memory and descriptors, and leaves the watcher of the parent alone.
//! - pthread_cancel(3) of a thread in a call acts after the call, with deferred cancelability, the default. To cancel a
//!   thread that waits, have it wait by poll(2) on nsw_fd().
//! - A call that has to look at paths returns -EXDEV if the calling thread has another root directory or mount namespace than
//!   the one that opened the watcher; nothing is lost, and the next call from the right place goes on.
//! - An internal error never leaves the library: the call returns -ENOTRECOVERABLE, and so does every later call that
//!   asks that watcher for something to be done.
//! - All file descriptors that the library keeps or returns are 3 or above, and close-on-exec. Do not close those of the
//!   library (closefrom(3), close_range(2)): calls would return -EBADF, or read, write and close what gets the number next.
//! - The library starts no thread, installs no signal handler and prints nothing, unless asked for. (The message of an
//!   internal error goes to standard error.) Its only global state is the number by which it recognizes a child of fork(2).
//! - If the library's own allocation fails, the process aborts. What it allocates grows with the names in the directory
//!   (up to 500 bytes each, as many as nsw_options_set_max_names() permits), with the namespaces (as many as that too), the
//!   ids (100 bytes each) and the capacity of a queue.
//!
//! The grammar of events
//! =====================
//!
//! For every sequence of events that a watcher ever gives out, whatever happened underneath:
//!
//! - per name: ( CREATED ( READY DETACHED? )* DELETED )*; a READY right after a READY of the same name means that
//!   another namespace took its place;
//! - DIR_DELETED comes only after DELETED for every known name;
//! - per id, and namespace that it is relative to: ( NSID_NEW NSID_DEL )*;
//! - per namespace: ( NETNS_NEW NETNS_DEL )? where it has a cookie, ( NETNS_NEW NETNS_DEL )* before Linux 6.18;
//! - OVERFLOW is followed by SYNCED;
//! - after SYNCED, what the consumer believes by adding up the events equals what the kernel has, if nothing changes
//!   any more. One exception: of ids the kernel may not list all. Then an OVERFLOW with nsw_event_dropped() 0 comes
//!   before the SYNCED, and ids may be missing, but none is wrong.

// The C ABI of `nswatch.h` and nothing else: pointers in, numbers out. build.rs makes the head of the header from the
// documentation above, and one chapter from each file of this module.
//
// Each function is one expression over the Rust API. What is special about C is dealt with here, once: a NULL, a panic
// that must not leave the library, an error that becomes a negative errno.

#![allow(unsafe_code, non_camel_case_types)]
// what each function demands of its caller is said once a chapter, in the words of C
#![allow(clippy::missing_safety_doc)]

pub mod about;
pub mod event;
pub mod feature;
mod handle;
pub mod netns;
pub mod nsid;
pub mod options;
pub mod watcher;

use std::ffi::{CStr, c_char};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_int;

use crate::error::{Error, Result};
use crate::sys;

/// Runs the body of a function of the ABI. A panic is `ENOTRECOVERABLE`, and pthread_cancel(3) waits.
fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    let cancel = sys::disable_cancel();
    let answer = catch_unwind(AssertUnwindSafe(|| body().unwrap_or_else(negative_errno))).unwrap_or_else(|payload| {
        // dropping it could panic again
        std::mem::forget(payload);
        -libc::ENOTRECOVERABLE
    });
    sys::restore_cancel(cancel);
    answer
}

/// Not in [`guard`], of which there is a copy for each function.
#[cold]
fn negative_errno(error: Error) -> c_int {
    -error.errno()
}

/// The error for a NULL where something is needed, and for a number that means nothing.
#[cold]
fn invalid() -> Error {
    Error::invalid("do that", "an argument is NULL or an unknown value")
}

/// Borrows what a handle of C points to.
///
/// # Safety
/// `pointer` is NULL, or points to a live `T` that nobody else uses during the call.
unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(invalid)
}

/// Where a result is stored, on success only. What is there before may be anything.
struct Out<T>(std::ptr::NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is NULL, or may be written to during the call.
    unsafe fn new(pointer: *mut T) -> Result<Self> {
        std::ptr::NonNull::new(pointer).map(Self).ok_or_else(invalid)
    }

    fn put(self, value: T) {
        // SAFETY: whoever made it promised so.
        unsafe { self.0.write(value) }
    }
}

/// The bytes of a string of C.
///
/// # Safety
/// `string` is NULL, or ends in NUL and stays as it is during the call.
unsafe fn bytes<'a>(string: *const c_char) -> Result<&'a [u8]> {
    match string.is_null() {
        true => Err(invalid()),
        // SAFETY: not NULL, so the caller's promise holds.
        false => Ok(unsafe { CStr::from_ptr(string) }.to_bytes()),
    }
}

/// Borrows a descriptor of the caller's.
///
/// # Safety
/// If `fd` is open it stays so during the call.
unsafe fn descriptor<'a>(fd: c_int) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Error::new(libc::EBADF, "use a negative descriptor"));
    }
    // SAFETY: not -1; the number is only handed to the kernel, which says EBADF if it is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Borrows for change what a handle of C points to, but not a watcher: see `enter`.
///
/// # Safety
/// As [`borrow`].
unsafe fn borrow_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    /// The constants in a chapter whose names begin with `prefix`, but for one: their names without it, as the other
    /// languages write them, and their numbers.
    pub(super) fn constants(chapter: &str, prefix: &str, except: &str) -> Vec<(String, u32)> {
        let constants = chapter.lines().filter_map(|line| line.strip_prefix("pub const ")?.strip_prefix(prefix));
        let constants = constants.filter_map(|line| line.strip_suffix(';')?.split_once(": u32 = "));
        let constants = constants.filter(|(name, _)| *name != except);
        let constants: Vec<_> =
            constants.map(|(name, number)| (name.to_lowercase(), number.parse().unwrap())).collect();
        assert!(!constants.is_empty());
        constants
    }
}
