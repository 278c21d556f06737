//! Network namespaces of the library's own, kept alive only by what is opened in them. rustix runs no callback in a
//! thread or in a child that shares memory.

use std::ffi::c_void;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{check, in_own_thread, without_signals};

/// Room for the callback in a child; a system call takes a few KiB.
const STACK: usize = 256 * 1024;

/// Runs `body` in a new network namespace, in a thread for this call. The calling thread stays where it is. `EPERM`:
/// `CAP_SYS_ADMIN` is missing. `EAGAIN`: a limit prevents starting the thread. `ENOSPC`: the limit of network
/// namespaces is reached.
pub(crate) fn in_net_namespace<T: Send>(body: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let run = || {
        // SAFETY: no pointers; it concerns this thread alone.
        check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
        body()
    };
    in_own_thread(run)?.unwrap_or_else(|_| Err(panicked()))
}

/// Whether this user namespace permits no network namespaces at all, so that the limit is permanent.
pub(crate) fn are_net_namespaces_forbidden() -> bool {
    std::fs::read("/proc/sys/user/max_net_namespaces").is_ok_and(|limit| limit.trim_ascii() == b"0")
}

/// Runs `body` in a new network namespace of a new user namespace, which requires no privilege if user namespaces are
/// permitted. A child that shares memory and descriptors runs it, while the calling thread waits. `EPERM`, `ENOSPC`,
/// `EUSERS`: user namespaces are not permitted.
pub(crate) fn in_user_namespace<T>(body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    /// The input and the result of the child.
    struct Task<B, T> {
        body: Option<B>,
        result: io::Result<T>,
    }

    extern "C" fn child<B: FnOnce() -> io::Result<T>, T>(task: *mut c_void) -> libc::c_int {
        // SAFETY: it points to the task below; the thread that owns it waits until this child has ended.
        let task = unsafe { &mut *task.cast::<Task<B, T>>() };
        if let Some(body) = task.body.take() {
            task.result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(panicked()));
        }
        0
    }

    fn start<B: FnOnce() -> io::Result<T>, T>(task: &mut Task<B, T>, stack: &mut [u128]) -> io::Result<()> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_NEWUSER | libc::CLONE_NEWNET;
        let top = stack.as_mut_ptr_range().end;
        // SAFETY: the child runs on a stack of its own, with our thread-local storage, and this thread continues only
        // after the child has ended (CLONE_VFORK). So the two never use anything here at once.
        let pid = check(unsafe { libc::clone(child::<B, T>, top.cast(), flags, std::ptr::from_mut(task).cast()) })?;
        // It sends no signal when it ends, so no other wait of this process takes it.
        loop {
            // SAFETY: the call writes through no pointer.
            match check(unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WCLONE) }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ECHILD: the program makes the kernel forget its children
                _ => return Ok(()),
            }
        }
    }

    let mut task = Task { body: Some(body), result: Err(panicked()) };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    // no signal handler of the program must run in the child
    without_signals(|| start(&mut task, &mut stack))?;
    task.result
}

fn panicked() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTRECOVERABLE)
}
