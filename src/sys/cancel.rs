//! pthread_cancel(3), and which thread is calling.

use std::ptr::null_mut;

unsafe extern "C" {
    /// pthread.h; the crate libc lacks it.
    fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
}

/// `PTHREAD_CANCEL_DISABLE`, in glibc and musl.
const DISABLE: libc::c_int = 1;

/// Holds pthread_cancel(3) of the calling thread off; what it was before. glibc would unwind the frames of Rust by force,
/// and abort the process when it meets one that catches panics.
pub(crate) fn disable_cancel() -> libc::c_int {
    let mut before = 0;
    // SAFETY: `before` is ours to write.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    before
}

/// Undoes [`disable_cancel`].
pub(crate) fn restore_cancel(before: libc::c_int) {
    // SAFETY: no pointer that is written to; both libraries take NULL.
    unsafe { pthread_setcancelstate(before, null_mut()) };
}

/// A number for the calling thread, which no other thread of the process has; not 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: it cannot fail.
    unsafe { libc::pthread_self() as usize }
}
