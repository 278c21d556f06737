//! Threads of the library: they take no signals, are named, and end when they are asked to, unless they hang.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Process, without_signals};

/// A thread that takes no processor time for so long hangs: in a system call on a filesystem that does not answer.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// A thread, and the process that it is in: a child of fork(2) has none to wait for.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    end: Arc<End>,
    process: Process,
}

#[derive(Debug, Default)]
struct End {
    reached: Mutex<bool>,
    news: Condvar,
}

/// Reports the end when it is dropped, after a panic too.
struct Reports(Arc<End>);

impl Drop for Reports {
    fn drop(&mut self) {
        *self.0.reached.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.news.notify_one();
    }
}

impl Thread {
    /// Fails with `EAGAIN` where there is one too many.
    pub(crate) fn start(body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let process = Process::this()?;
        let end = Arc::<End>::default();
        let reports = Reports(Arc::clone(&end));
        let run = move || {
            let _reports = reports;
            body();
        };
        let handle = without_signals(|| Builder::new().name("nswatch".into()).spawn(run))?;
        Ok(Self { handle, end, process })
    }

    /// Waits for the end of a thread that was asked to end. If it hangs, it is left alone, and frees what it holds if it
    /// ever goes on. In a child of fork(2) nothing happens.
    pub(crate) fn join(self) {
        if !self.process.is_this() {
            std::mem::forget(self);
            return;
        }
        let mut used = self.processor_time();
        loop {
            let reached = self.end.reached.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.end.news.wait_timeout_while(reached, HANGS_AFTER, |reached| !*reached);
            let (reached, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *reached {
                drop(reached);
                // it has reported why, if it panicked
                self.handle.join().ok();
                return;
            }
            let now = self.processor_time();
            if now == used {
                return;
            }
            used = now;
        }
    }

    /// How much the thread has used so far. `None`: it cannot be had.
    fn processor_time(&self) -> Option<(libc::time_t, libc::c_long)> {
        let mut clock: libc::clockid_t = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the thread has not been joined; the clock and the time are ours to write.
        let failed = unsafe {
            libc::pthread_getcpuclockid(self.handle.as_pthread_t() as libc::pthread_t, &mut clock) != 0
                || libc::clock_gettime(clock, &mut time) != 0
        };
        (!failed).then_some((time.tv_sec, time.tv_nsec))
    }
}

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
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
}

/// A number for the calling thread, which no other thread of the process has; not 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: it cannot fail.
    unsafe { libc::pthread_self() as usize }
}
