//! The objects behind C handles: the thread in the call, the borrowed event, the last failure. No part of the header.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use libc::c_int;

use super::event::nsw_event;
use super::{borrow, guard};
use crate::error::{Error, Result, explain};
use crate::outbox::Counters;
use crate::sys::{self, Process};
use crate::watcher::{Watcher, not_this_process};

/// A watcher, as C holds it. Any thread may read the fields outside of `inner`: they are constant or atomic.
pub struct nsw_watcher {
    pub(super) fd: c_int,
    process: Process,
    pub(super) counters: Arc<Counters>,
    /// A thread is in a call.
    is_called: AtomicBool,
    /// That thread, while it waits for the descriptor with no operation in progress; else 0.
    waits: AtomicUsize,
    /// Only that thread uses it.
    inner: UnsafeCell<Inner>,
}

pub(super) struct Inner {
    pub(super) watcher: Watcher,
    /// The event that the caller has borrowed.
    pub(super) current: Lent,
    /// A panic, here or in its thread, has left it in an unknown state.
    broken: bool,
    failure: Failure,
}

/// The sentence of the last call that failed on a handle.
#[derive(Default)]
pub(super) struct Failure(Option<CString>);

impl Failure {
    /// Returns the result, and keeps the sentence of an error.
    pub(super) fn keep<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.set(error))
    }

    #[cold]
    fn set(&mut self, error: &Error) {
        // no path or name has a NUL in it
        self.0 = CString::new(error.to_string()).ok();
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.0.as_deref().unwrap_or_default().as_ptr()
    }
}

/// The borrowed event. A raw pointer: the caller may read it while the watcher works.
pub(super) struct Lent(*mut nsw_event);

impl Default for Lent {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

impl Lent {
    /// Replaces the borrowed event.
    pub(super) fn lend(&mut self, event: nsw_event) -> *const nsw_event {
        if self.0.is_null() {
            self.0 = Box::into_raw(Box::new(event));
        } else {
            // SAFETY: it came from `Box::into_raw`; by contract the caller's event ends with this call.
            unsafe { *self.0 = event };
        }
        self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from `Box::into_raw`, and is dropped with the watcher.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

/// The exclusive turn of one thread, until dropped. A call left by longjmp(3) keeps it.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl From<Watcher> for nsw_watcher {
    fn from(watcher: Watcher) -> Self {
        Self {
            fd: watcher.as_raw_fd(),
            process: watcher.process(),
            counters: watcher.counters(),
            is_called: AtomicBool::new(false),
            waits: AtomicUsize::new(0),
            inner: UnsafeCell::new(Inner {
                watcher,
                current: Lent::default(),
                broken: false,
                failure: Failure::default(),
            }),
        }
    }
}

impl nsw_watcher {
    #[inline]
    fn enter(&self) -> Result<Turn<'_>> {
        // first: in a child of fork(2) a thread of the parent may seem to be in a call
        if self.process.is_this() && !self.is_called.swap(true, Ordering::Acquire) {
            return Ok(Turn(&self.is_called));
        }
        Err(self.refusal())
    }

    #[cold]
    fn refusal(&self) -> Error {
        match self.process.is_this() {
            true => Error::new(libc::EBUSY, "use a watcher that is in use"),
            false => not_this_process(),
        }
    }

    /// The sentence of the last failure. In a child of fork(2), the parent's is intact unless a call was running.
    pub(super) fn error(&self) -> *const c_char {
        if self.is_called.swap(true, Ordering::Acquire) {
            return c"".as_ptr();
        }
        let _turn = Turn(&self.is_called);
        // SAFETY: this thread has the turn.
        let inner = unsafe { &*self.inner.get() };
        // a panic stores no sentence
        if inner.broken { explain(libc::ENOTRECOVERABLE).as_ptr() } else { inner.failure.as_ptr() }
    }

    /// Waits for a descriptor in the middle of a call.
    pub(super) fn wait(&self, fd: BorrowedFd<'_>, timeout: Option<Duration>) -> std::io::Result<bool> {
        self.waits.store(sys::thread_number(), Ordering::SeqCst);
        let result = sys::poll_readable(fd, timeout);
        self.waits.store(0, Ordering::SeqCst);
        result
    }

    /// Whether no operation is in progress, so that it can be freed.
    pub(super) fn is_whole(&self) -> bool {
        let waits = self.waits.load(Ordering::SeqCst);
        // the waiting thread has left the call by longjmp(3), or is not in this process
        let has_left = || waits == sys::thread_number() || waits != 0 && !self.process.is_this();
        !self.is_called.load(Ordering::Acquire) || has_left()
    }
}

#[cold]
fn broken() -> Error {
    Error::new(libc::ENOTRECOVERABLE, "use a watcher that a panic has broken")
}

/// Runs `body` on a watcher, unless an earlier panic has broken it or another thread uses it.
///
/// # Safety
/// `watcher` is NULL or came from nsw_open().
pub(super) unsafe fn with(
    watcher: *const nsw_watcher,
    body: impl FnOnce(&nsw_watcher, &mut Inner) -> Result<c_int>,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let this = unsafe { borrow(watcher) }?;
        let _turn = this.enter()?;
        // SAFETY: this thread has the turn.
        let inner = unsafe { &mut *this.inner.get() };
        if inner.broken {
            return Err(broken());
        }
        // stays set if the body does not return
        inner.broken = true;
        let result = body(this, inner);
        inner.broken = result.as_ref().is_err_and(|error| error.errno() == libc::ENOTRECOVERABLE);
        inner.failure.keep(result)
    })
}
