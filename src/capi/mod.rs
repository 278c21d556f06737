//! The C ABI of `nswatch.h` and nothing else: pointers in, numbers out.
//!
//! Each function is one expression over the Rust API. What is special about C is dealt with here, once: a NULL, a
//! panic that must not leave the library, an error that becomes a negative errno. `include/nswatch.h` is generated
//! from the files of this module, one chapter from each.

#![allow(unsafe_code, non_camel_case_types)]
// what each function demands of its caller is told once a chapter, in the words of C
#![allow(clippy::missing_safety_doc)]

pub mod about;
pub mod event;
pub mod feature;
pub mod netns;
pub mod nsid;
pub mod options;
pub mod watcher;

use std::ffi::{CStr, c_char};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_int;

use crate::error::{Error, Result};

/// Runs the body of a function of the ABI. A panic is `ENOTRECOVERABLE`.
fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    answer(catch_unwind(AssertUnwindSafe(body)))
}

/// What C is answered. Not in [`guard`], of which there is a copy for each function.
fn answer(result: std::thread::Result<Result<c_int>>) -> c_int {
    match result {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => -error.errno(),
        Err(payload) => {
            // dropping it could panic again
            std::mem::forget(payload);
            -libc::ENOTRECOVERABLE
        }
    }
}

/// The error for a NULL where something is needed, and for a number that means nothing.
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

/// Borrows for change what a handle of C points to.
///
/// # Safety
/// As [`borrow`].
unsafe fn borrow_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(invalid)
}
