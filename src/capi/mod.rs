//! nswatch.h - watch Linux network namespaces appear, become usable and disappear
//!
//! A whole program:
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
//! Return values
//! - A function of type int returns 0, a count or a flag on success, and a negative errno on failure. It stores results
//!   through pointers on success only.
//! - A function that yields events returns 1 with an event, 0 without one, and a negative errno on failure.
//! - A NULL pointer returns -EINVAL, unless the comment of the function says otherwise. nsw_close(NULL) and
//!   nsw_options_free(NULL) do nothing.
//! - nsw_strerror() explains an errno. nsw_options_error() and nsw_error() return a sentence about the last call that
//!   failed with these options or on this watcher: what failed, on what, and why.
//! - An internal error never leaves the library. The call returns -ENOTRECOVERABLE; so does every later call that needs
//!   that watcher to work.
//!
//! Ownership
//! - You own handles and the descriptors that a function opens for you. Free handles with nsw_close() and
//!   nsw_options_free(), close descriptors with close(2). Free nothing else.
//! - A string ends in NUL and belongs to the object that returned it.
//! - An event belongs to its watcher, and its strings belong to the event. Both are valid until the next
//!   nsw_next_event(), nsw_wait_event() or nsw_close() on that watcher.
//!
//! Threads and processes
//! - A watcher may move between threads. One thread at a time may call it: while a call runs, a call from another
//!   thread on that watcher returns -EBUSY and changes nothing. Any thread may call nsw_stat() and nsw_fd() at any
//!   time. Different watchers are independent.
//! - Options may move between threads. One thread at a time may use them.
//! - If a signal handler leaves a call by longjmp(3), all later calls on that watcher return -EBUSY, and the thread
//!   cannot be cancelled until it calls pthread_setcancelstate(3). Close the watcher.
//! - pthread_cancel(3) acts after a call, not during it (with deferred cancelability, the default). To wait in a thread
//!   that you want to cancel, call poll(2) on nsw_fd().
//! - In a child of fork(2), calls on a watcher of the parent return -ECHILD and change nothing. nsw_close() frees the
//!   child's memory and descriptors and leaves the watcher of the parent alone. With a queue, what the reader
//!   thread used at the moment of the fork stays open in the child until execve(2), also a namespace.
//! - A call that must resolve paths returns -EXDEV if the calling thread has another root directory or mount namespace
//!   than the thread that opened the watcher. Nothing is lost: the next call from the original place continues.
//!
//! Resources
//! - All descriptors that the library keeps or returns are 3 or above and close-on-exec. Do not close the library's own
//!   (closefrom(3), close_range(2)): calls would return -EBADF, or read, write and close the file that gets the number
//!   next.
//! - Unless you ask for it, the library keeps no thread, installs no signal handler and prints nothing. Two exceptions:
//!   nsw_open() with NSW_SOURCE_ALL, and nsid_get_as_seen_from(), can start a thread or a child, which ends before the
//!   call returns; an internal error prints a message to standard error. The only global state is the number that
//!   identifies a child of fork(2).
//! - If the library's own allocation fails, the process aborts. Memory grows with the names in the directory (up to 500
//!   bytes each) and with the namespaces, both bounded by nsw_options_set_max_names(); with the nsids (100 bytes each);
//!   and with the capacity of a queue.
//!
//! The grammar of events
//! =====================
//!
//! Every sequence of events from a watcher follows these rules:
//!
//! - per name: ( CREATED ( READY DETACHED? )* DELETED )*. A READY directly after a READY of the same name: another
//!   namespace replaced the first one.
//! - DIR_DELETED comes only after DELETED for every known name.
//! - per nsid and origin, the namespace that the nsid is relative to: ( NSID_NEW NSID_DEL )*.
//! - per namespace: ( NETNS_NEW NETNS_DEL )? where it has a cookie, ( NETNS_NEW NETNS_DEL )* before Linux 6.18.
//! - SYNCED follows each OVERFLOW.
//! - After SYNCED, applying the events yields the kernel's state, if nothing changes any more. One exception: the
//!   kernel may not list all nsids. Then an OVERFLOW with nsw_event_dropped() 0 precedes the SYNCED: some nsids may be
//!   missing, but none is wrong. (Without it, only an nsid far above all others can be missing: nsid_list().)

// The C ABI of `nswatch.h` and nothing else. build.rs generates the head of the header from the documentation above,
// and one chapter from each file of this module.
//
// Each function is one expression over the Rust API. This file handles what only C has: NULL pointers, panics that must
// not cross the ABI, negative errnos.

#![allow(unsafe_code, non_camel_case_types)]
// the head of the header and each chapter state the safety rules once, in the terms of C
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

/// Runs the body of an ABI function. Turns a panic into `ENOTRECOVERABLE` and postpones pthread_cancel(3).
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

/// Outside of [`guard`], which the compiler copies into each function.
#[cold]
fn negative_errno(error: Error) -> c_int {
    -error.errno()
}

/// The error for a NULL pointer and for an unknown number.
#[cold]
fn invalid() -> Error {
    Error::invalid("carry out the call", "an argument is NULL or has an unknown value")
}

/// Borrows the object behind a C handle.
///
/// # Safety
/// `pointer` is NULL, or points to a live `T` that nobody else uses during the call.
unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(invalid)
}

/// An out-parameter: written on success only, possibly uninitialized before.
struct Out<T>(std::ptr::NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is NULL, or may be written to during the call.
    unsafe fn new(pointer: *mut T) -> Result<Self> {
        std::ptr::NonNull::new(pointer).map(Self).ok_or_else(invalid)
    }

    fn put(self, value: T) {
        // SAFETY: the caller of `new` promised that it is writable.
        unsafe { self.0.write(value) }
    }
}

/// The bytes of a C string.
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

/// Borrows a descriptor that the caller owns.
///
/// # Safety
/// If `fd` is open it stays so during the call.
unsafe fn descriptor<'a>(fd: c_int) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Error::new(libc::EBADF, "use a negative descriptor"));
    }
    // SAFETY: not -1; only the kernel uses the number, and returns EBADF if it is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Borrows the object behind a C handle mutably. Not for watchers: see `with`.
///
/// # Safety
/// As [`borrow`].
unsafe fn borrow_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    /// The constants of a chapter that begin with `prefix`, except one. Returns their names without the prefix, as the
    /// other languages write them, and their numbers.
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
