//! What stands behind the handles of C: whose turn it is, what is lent, what failed last. No chapter of the header.

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

/// A watcher, as C holds it. What is outside of `inner` never changes, or atomically: any thread may look at it.
pub struct nsw_watcher {
    pub(super) fd: c_int,
    process: Process,
    pub(super) counters: Arc<Counters>,
    /// A thread is in a call.
    is_called: AtomicBool,
    /// That thread, while it waits for the descriptor, and nothing is half done; else 0.
    waits: AtomicUsize,
    /// For that thread alone.
    inner: UnsafeCell<Inner>,
}

pub(super) struct Inner {
    pub(super) watcher: Watcher,
    /// What the caller has borrowed.
    pub(super) current: Lent,
    /// A panic, here or in its thread, has left it in a state that nobody knows.
    broken: bool,
    failure: Failure,
}

/// The sentence of the last call that failed on a handle.
#[derive(Default)]
pub(super) struct Failure(Option<CString>);

impl Failure {
    /// Passes on a result, and keeps the sentence of an error.
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

/// The event that the caller has borrowed. A raw pointer: the caller may look at it while the watcher is at work.
pub(super) struct Lent(*mut nsw_event);

impl Default for Lent {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

impl Lent {
    /// Puts an event into the place of the last one, which is lent no more.
    pub(super) fn lend(&mut self, event: nsw_event) -> *const nsw_event {
        if self.0.is_null() {
            self.0 = Box::into_raw(Box::new(event));
        } else {
            // SAFETY: it came from `Box::into_raw`, and the caller has been told that the event ends with this call.
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

/// The turn of one thread, until it is dropped. A call that is left by longjmp(3) keeps it.
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

    /// The sentence of the last failure. In a child of fork(2) that of the parent is whole, unless a call was at work.
    pub(super) fn error(&self) -> *const c_char {
        if self.is_called.swap(true, Ordering::Acquire) {
            return c"".as_ptr();
        }
        let _turn = Turn(&self.is_called);
        // SAFETY: it is the turn of this thread.
        let inner = unsafe { &*self.inner.get() };
        // a panic leaves no sentence behind
        if inner.broken { explain(libc::ENOTRECOVERABLE).as_ptr() } else { inner.failure.as_ptr() }
    }

    /// Waits for a descriptor in the middle of a call.
    pub(super) fn wait(&self, fd: BorrowedFd<'_>, timeout: Option<Duration>) -> std::io::Result<bool> {
        self.waits.store(sys::thread_number(), Ordering::SeqCst);
        let result = sys::poll_readable(fd, timeout);
        self.waits.store(0, Ordering::SeqCst);
        result
    }

    /// Whether nothing of it is half done, so that it can be freed.
    pub(super) fn is_whole(&self) -> bool {
        let waits = self.waits.load(Ordering::SeqCst);
        // who waited is not in the call any more: it has left by longjmp(3), or it is not in this process
        let has_left = || waits == sys::thread_number() || waits != 0 && !self.process.is_this();
        !self.is_called.load(Ordering::Acquire) || has_left()
    }
}

#[cold]
fn broken() -> Error {
    Error::new(libc::ENOTRECOVERABLE, "use a watcher that a panic has broken")
}

/// Runs `body` on a watcher, unless a panic has broken it before, or another thread uses it.
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
        // SAFETY: it is the turn of this thread.
        let inner = unsafe { &mut *this.inner.get() };
        if inner.broken {
            return Err(broken());
        }
        // and stays so, if the body does not come back
        inner.broken = true;
        let result = body(this, inner);
        inner.broken = result.as_ref().is_err_and(|error| error.errno() == libc::ENOTRECOVERABLE);
        inner.failure.keep(result)
    })
}
