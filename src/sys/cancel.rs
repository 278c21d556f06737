//! pthread_cancel(3), and the number of the calling thread.

use std::ptr::null_mut;

unsafe extern "C" {
    /// pthread.h; the crate libc lacks it.
    fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
}

/// `PTHREAD_CANCEL_DISABLE`, in glibc and musl.
const DISABLE: libc::c_int = 1;

/// Disables pthread_cancel(3) of the calling thread, and returns the former state. glibc would force-unwind the frames
/// of Rust, and abort the process at one that catches panics.
pub(crate) fn disable_cancel() -> libc::c_int {
    let mut before = 0;
    // SAFETY: the call writes `before` only.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    before
}

/// Undoes [`disable_cancel`].
pub(crate) fn restore_cancel(before: libc::c_int) {
    // SAFETY: the call writes through no pointer; both libraries take NULL.
    unsafe { pthread_setcancelstate(before, null_mut()) };
}

/// A number for the calling thread, unique in the process; not 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: it cannot fail.
    unsafe { libc::pthread_self() as usize }
}
