//! The library's threads: they take no signals, have names, and end on request, unless they hang.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::ptr::null_mut;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Process, monotonic, now_by, without_signals};

/// A thread without processor time for this long hangs: in a system call on a filesystem that does not answer.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// The maximum time in which a thread that does not hang ends.
const ENDS_WITHIN: Duration = Duration::from_millis(200);

/// A thread, and its process: a child of fork(2) has no thread to wait for.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    process: Process,
}

impl Thread {
    /// Fails with `EAGAIN` if a limit prevents starting the thread.
    pub(crate) fn start(body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let process = Process::this()?;
        // SAFETY: the body borrows nothing.
        let handle = unsafe { spawn(Box::new(body)) }?;
        Ok(Self { handle, process })
    }

    /// Waits for the end of a thread that was asked to end. Leaves a hanging thread alone, which frees its memory if it
    /// ever continues. Does nothing in a child of fork(2).
    pub(crate) fn join(self) {
        if !self.process.is_this() {
            std::mem::forget(self);
            return;
        }
        let thread = self.handle.as_pthread_t() as usize as libc::pthread_t;
        let mut used = processor_time(thread);
        loop {
            let since = monotonic();
            // once more: if the whole process was stopped, the thread ends now
            if join_within(thread, HANGS_AFTER) || join_within(thread, ENDS_WITHIN) {
                // prevents detaching it again
                self.handle.into_pthread_t();
                return;
            }
            let now = processor_time(thread);
            // the wall clock of the wait may have been set meanwhile
            if now == used && monotonic() >= since + HANGS_AFTER {
                // dropping its handle detaches it
                return;
            }
            used = now;
        }
    }
}

/// Starts a thread that takes no signals.
///
/// # Safety
/// What the body borrows lives until the thread has ended.
pub(super) unsafe fn spawn(body: Box<dyn FnOnce() + Send + '_>) -> io::Result<JoinHandle<()>> {
    // SAFETY: the caller's promise.
    without_signals(|| unsafe { Builder::new().name("nswatch".into()).spawn_unchecked(body) })
}

/// Waits for the end of an unjoined thread. Returns whether it has ended.
fn join_within(thread: libc::pthread_t, time: Duration) -> bool {
    let end = now_by(libc::CLOCK_REALTIME).saturating_add(time);
    let end = libc::timespec { tv_sec: end.as_secs() as _, tv_nsec: end.subsec_nanos() as _ };
    // SAFETY: the time is ours; nobody else joins the thread.
    unsafe { pthread_timedjoin_np(thread, null_mut(), &end) == 0 }
}

/// The processor time of an unjoined thread; `None`: unknown.
fn processor_time(thread: libc::pthread_t) -> Option<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the call writes `clock` only.
    (unsafe { libc::pthread_getcpuclockid(thread, &mut clock) } == 0).then(|| now_by(clock))
}

unsafe extern "C" {
    /// pthread.h; the crate libc lacks it.
    fn pthread_timedjoin_np(
        thread: libc::pthread_t,
        result: *mut *mut libc::c_void,
        end: *const libc::timespec,
    ) -> libc::c_int;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    static ENDED: AtomicBool = AtomicBool::new(false);

    #[test]
    fn join_waits_for_a_working_thread() {
        let work = || {
            let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while used.tv_sec < HANGS_AFTER.as_secs() as libc::time_t + 1 {
                // SAFETY: the call writes the time only.
                unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut used) };
            }
            ENDED.store(true, Ordering::Release);
        };
        Thread::start(work).unwrap().join();
        assert!(ENDED.load(Ordering::Acquire));
    }
}
