//! Watching
//!
//! A watcher is opened by nsw_open() and owned by the caller, who gives it back to nsw_close(). It may move between
//! threads and must be used by one at a time; different watchers are independent. The event that nsw_next_event() or
//! nsw_wait_event() gives out is borrowed from it, until the next call of one of the two, or of nsw_close(), on the
//! same watcher.

use libc::c_int;

use super::event::nsw_event;
use super::options::nsw_options;
use super::{Out, borrow, borrow_mut, guard, invalid};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::watcher::Watcher;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::Duration;

/// Names in a directory, as `ip netns` makes them (inotify). Since: 0.1
pub const NSW_SOURCE_NAMED: u32 = 1;
/// Ids that the kernel assigns to peers of the network namespace that the calling thread is in (rtnetlink). The watcher
/// goes on about that namespace wherever the thread goes, and keeps it alive until it is closed. Since: 0.1
pub const NSW_SOURCE_NSID: u32 = 2;

/// nsw_stat(): events handed out. Since: 0.1
pub const NSW_STAT_DELIVERED: u32 = 1;
/// nsw_stat(): events known to be lost, as far as the loss could be counted. Since: 0.1
pub const NSW_STAT_DROPPED: u32 = 2;
/// nsw_stat(): NSW_EVENT_OVERFLOW events. Since: 0.1
pub const NSW_STAT_OVERFLOWS: u32 = 3;
/// nsw_stat(): completed comparisons with the kernel, the replay at open among them. Since: 0.1
pub const NSW_STAT_RESYNCS: u32 = 4;
/// nsw_stat(): events that wait to be handed out. Since: 0.1
pub const NSW_STAT_QUEUED: u32 = 5;
/// nsw_stat(): the most events that ever waited. Since: 0.1
pub const NSW_STAT_QUEUED_MAX: u32 = 6;
/// nsw_stat(): names that exist and do not refer to a network namespace. Since: 0.1
pub const NSW_STAT_PENDING: u32 = 7;
/// nsw_stat(): names, or ids, that exist. Since: 0.1
pub const NSW_STAT_KNOWN: u32 = 8;

/// A watcher, as C holds it.
pub struct nsw_watcher {
    watcher: Watcher,
    /// What the caller has borrowed.
    current: Lent,
    /// A panic, here or in its thread, has left it in a state that nobody knows.
    broken: bool,
}

/// The event that the caller has borrowed. A raw pointer: the caller may look at it while the watcher is at work.
struct Lent(*mut nsw_event);

impl Default for Lent {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

impl Lent {
    /// Puts an event into the place of the last one, which is lent no more.
    fn lend(&mut self, event: nsw_event) -> *const nsw_event {
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

/// Runs `body` on a watcher, unless a panic has broken it before.
///
/// # Safety
/// `watcher` is NULL or came from nsw_open(), and nobody else uses it during the call.
unsafe fn with(watcher: *mut nsw_watcher, body: impl FnOnce(&mut nsw_watcher) -> Result<c_int>) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let this = unsafe { borrow_mut(watcher) }?;
        if this.broken {
            return Err(Error::new(libc::ENOTRECOVERABLE, "use a watcher that a panic has broken"));
        }
        // and stays so, if the body does not come back
        this.broken = true;
        let result = body(this);
        this.broken = result.as_ref().is_err_and(|error| error.errno() == libc::ENOTRECOVERABLE);
        result
    })
}

/// Opens a watcher. What exists already is told first, as replayed events that end with NSW_EVENT_SYNCED, unless
/// NSW_NO_REPLAY is set.
///
/// @source: NSW_SOURCE_NAMED or NSW_SOURCE_NSID.
/// @options: what to do differently, or NULL. Not needed any more when the call returns.
/// @watcher: where the new watcher is stored.
///
/// Returns 0, or
/// -EINVAL: @watcher is NULL, or @source is none of those above;
/// -ENOTDIR: a part of the path is not a directory;
/// -EACCES: the directory may not be read or searched by this process;
/// -ENOENT: the directory is missing, and NSW_NO_PARENT was set;
/// -ELOOP, -ENAMETOOLONG: as open(2);
/// -EMFILE, -ENFILE: the limit of inotify instances, or of open files, is reached;
/// -ENOSPC: the limit of inotify watches is reached;
/// -EPERM: NSW_SOURCE_NSID with NSW_ALL_NSID, and CAP_NET_BROADCAST is missing;
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter or a security policy refuses a system call that has no fallback;
/// -EAGAIN: NSW_SOURCE_NSID, and the kernel was interrupted time and again; or the reader thread of
/// nsw_options_set_queue() is one too many (RLIMIT_NPROC);
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -ENOMEM, -ENOBUFS: the kernel is out of memory, or has no room for an answer (net.core.rmem_default). (For want of
/// its own memory the library aborts, as Rust does.)
///
/// NSW_SOURCE_NAMED uses one inotify instance and three file descriptors; up to three more once a name has waited for
/// its mount, one for nsw_options_set_settle(). NSW_SOURCE_NSID uses four file descriptors, with NSW_ALL_NSID five, and needs Linux 5.0.
/// nsw_options_set_queue() takes four more. Paths are resolved in the mount namespace of the calling thread.
///
/// Since: 0.1 (Linux 5.10; see inotify(7), fanotify(7), rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_open(source: u32, options: *const nsw_options, watcher: *mut *mut nsw_watcher) -> c_int {
    guard(|| {
        // SAFETY: NULL or writable, as the documentation demands.
        let out = unsafe { Out::new(watcher) }?;
        let defaults;
        let options = if options.is_null() {
            defaults = Options::default();
            &defaults
        } else {
            // SAFETY: not NULL, so it came from nsw_options_new().
            &unsafe { borrow(options) }?.0
        };
        let opened = match source {
            NSW_SOURCE_NAMED => Watcher::named(options)?,
            NSW_SOURCE_NSID => Watcher::nsid(options)?,
            _ => return Err(invalid()),
        };
        out.put(Box::into_raw(Box::new(nsw_watcher { watcher: opened, current: Lent::default(), broken: false })));
        Ok(0)
    })
}

/// Closes a watcher and frees all that belongs to it, the event borrowed from it included. NULL does nothing.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_close(watcher: *mut nsw_watcher) {
    if !watcher.is_null() {
        guard(|| {
            // SAFETY: not NULL, so it came from nsw_open() and is given back here.
            drop(unsafe { Box::from_raw(watcher) });
            Ok(0)
        });
    }
}

/// The file descriptor to poll for POLLIN. It is level-triggered: readable while there is an event to be had, however
/// often and by whatever means it is polled. (One exception: where both fanotify mount events and AIO are refused, a
/// wake-up for a mount is seen by one poll only; ask for events after each.) Close-on-exec, non-blocking, the same for
/// the life of the watcher.
///
/// Returns the descriptor, which stays the watcher's: do not read or close it; or -EINVAL: @watcher is NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_fd(watcher: *const nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    guard(|| Ok(unsafe { borrow(watcher) }?.watcher.as_raw_fd()))
}

/// Gives out the next event. Never waits for one. (A name that is a symbolic link into a filesystem that hangs makes
/// the look at it hang: watch directories that only trusted users write to.)
///
/// @event: where a pointer to the event is stored; it is borrowed until the next call of this function,
/// nsw_wait_event() or nsw_close() on the same watcher.
///
/// Returns 1: here is an event; 0: nothing now, @event is untouched; or
/// -EINVAL: an argument is NULL;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit kept the watcher from looking. Nothing is lost: the descriptor stays
/// readable, and the next call goes on where this one stopped;
/// -ENOBUFS, -EAGAIN: NSW_SOURCE_NSID, and the kernel had no memory or room for an answer, or was interrupted time and
/// again. Nothing is lost, as above. (Notifications for which there was no room are no error: NSW_EVENT_OVERFLOW.)
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter, a security policy or a lost privilege refuses a system call that has no
/// fallback; -EACCES also: the process has given up the right to reach the directory. Nothing is lost, as above;
/// -EXDEV: the call has to look at paths, and the calling thread has another root directory or mount namespace than the one
/// that called nsw_open() (chroot, pivot_root, unshare, setns). Nothing is lost here either: call again from the right
/// place, or close the watcher;
/// -ENOENT: the directory is gone, and NSW_NO_PARENT was set: no event will come any more;
/// -ENOTRECOVERABLE: an internal error; the watcher is of no more use.
///
/// One call does at most the work of one full kernel queue and of one comparison of all names.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_next_event(watcher: *mut nsw_watcher, event: *mut *const nsw_event) -> c_int {
    // SAFETY: NULL or live and writable, as the documentation demands.
    unsafe { give(watcher, event, |watcher| watcher.next_event()) }
}

/// Waits for the next event and gives it out.
///
/// @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: for ever.
/// @event: as for nsw_next_event().
///
/// Returns 1: here is an event; 0: the time is over, @event is untouched; or
/// -EINTR: a signal handler ran;
/// and all that nsw_next_event() returns.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_wait_event(
    watcher: *mut nsw_watcher,
    timeout_ms: c_int,
    event: *mut *const nsw_event,
) -> c_int {
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    // SAFETY: NULL or live and writable, as the documentation demands.
    unsafe { give(watcher, event, |watcher| watcher.wait(timeout)) }
}

/// # Safety
/// As [`with`]; and `event` is NULL or writable.
unsafe fn give(
    watcher: *mut nsw_watcher,
    event: *mut *const nsw_event,
    next: impl FnOnce(&mut Watcher) -> Result<Option<crate::Event>>,
) -> c_int {
    let body = |this: &mut nsw_watcher| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(event) }?;
        match next(&mut this.watcher)? {
            Some(next) => {
                out.put(this.current.lend(next.into()));
                Ok(1)
            }
            None => Ok(0),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { with(watcher, body) }
}

/// Compares what has been told with what the kernel has now. The differences follow as replayed events, then
/// NSW_EVENT_SYNCED. Costs one look at every name. A borrowed event stays valid.
///
/// Returns 0, or as nsw_next_event(): after an error the comparison is still due, and is made by the next call of
/// nsw_next_event() that can.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_resync(watcher: *mut nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { with(watcher, |this| this.watcher.resync().map(|()| 0)) }
}

/// Opens the very namespace that an NSW_EVENT_READY announced, for setns(2) and its like.
///
/// @ready: an event of this watcher, still borrowed.
///
/// Returns a file descriptor, close-on-exec, owned by the caller, who closes it with close(2); or
/// -EINVAL: an argument is NULL, or the event is not NSW_EVENT_READY;
/// -ENOENT: the name is gone, or no longer refers to a network namespace;
/// -ESTALE: the name refers to another namespace by now;
/// -EXDEV: the calling thread has another root directory or mount namespace than the one that called nsw_open();
/// -EACCES, -EMFILE, -ENFILE, -ENOMEM: as open(2);
/// -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call;
/// -ENOTRECOVERABLE: an internal error earlier.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_open_netns(watcher: *const nsw_watcher, ready: *const nsw_event) -> c_int {
    guard(|| {
        // SAFETY: NULL or live, as the documentation demands.
        let this = unsafe { borrow(watcher) }?;
        if this.broken {
            return Err(Error::new(libc::ENOTRECOVERABLE, "use a watcher that a panic has broken"));
        }
        // SAFETY: NULL or still borrowed, as the documentation demands.
        let ready = unsafe { borrow(ready) }?;
        this.watcher.open_netns(ready).map(IntoRawFd::into_raw_fd)
    })
}

/// One of the numbers NSW_STAT_*, of this watcher since it was opened.
///
/// Returns the number; 0 if @watcher is NULL or @which is none of them.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_stat(watcher: *const nsw_watcher, which: u32) -> u64 {
    // SAFETY: NULL or live, as the documentation demands.
    let Ok(this) = (unsafe { borrow(watcher) }) else { return 0 };
    let stats = this.watcher.stats();
    match which {
        NSW_STAT_DELIVERED => stats.delivered,
        NSW_STAT_DROPPED => stats.dropped,
        NSW_STAT_OVERFLOWS => stats.overflows,
        NSW_STAT_RESYNCS => stats.resyncs,
        NSW_STAT_QUEUED => stats.queued,
        NSW_STAT_QUEUED_MAX => stats.queued_max,
        NSW_STAT_PENDING => stats.pending,
        NSW_STAT_KNOWN => stats.known,
        _ => 0,
    }
}
