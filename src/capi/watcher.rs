//! Watching
//!
//! A watcher is opened by nsw_open() and owned by the caller, who gives it back to nsw_close(). It may move between
//! threads, and one at a time calls it. The event that nsw_next_event() or nsw_wait_event() gives out is borrowed from
//! it, until the next call of one of the two, or of nsw_close(), on the same watcher.

use std::ffi::c_char;
use std::os::fd::IntoRawFd;
use std::time::Duration;

use libc::c_int;

use super::event::nsw_event;
use super::handle::{Inner, with};
use super::options::nsw_options;
use super::{Out, borrow, borrow_mut, guard};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::watcher::{Stats, Watcher};

pub use super::handle::nsw_watcher;

/// Names in a directory, as `ip netns` makes them (inotify). Since: 0.1
pub const NSW_SOURCE_NAMED: u32 = 1;
/// Ids that the kernel assigns to peers of the network namespace that the calling thread is in (rtnetlink). The watcher
/// goes on about that namespace wherever the thread goes, and keeps it alive until it is closed. Since: 0.1
pub const NSW_SOURCE_NSID: u32 = 2;
/// Every network namespace of this host that can be seen, with or without a name: NSW_EVENT_NETNS_NEW and
/// NSW_EVENT_NETNS_DEL. A namespace that cannot be opened is not identified, and not reported; nor may one be that lives too
/// briefly to be looked at. The observation post of a watcher (NSW_FEATURE_DEATHS) is a namespace as any other: all watchers
/// but its own report it. Since: 0.1
pub const NSW_SOURCE_ALL: u32 = 3;

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
/// nsw_stat(): names that exist and do not refer to a network namespace; 0 but for NSW_SOURCE_NAMED. Since: 0.1
pub const NSW_STAT_PENDING: u32 = 7;
/// nsw_stat(): names, ids, or namespaces, that exist. Since: 0.1
pub const NSW_STAT_KNOWN: u32 = 8;

/// Opens a watcher. What exists already is told first, as replayed events that end with NSW_EVENT_SYNCED, unless
/// NSW_NO_REPLAY is set.
///
/// @source: NSW_SOURCE_NAMED, NSW_SOURCE_NSID or NSW_SOURCE_ALL.
/// @options: what to do differently, or NULL. Not needed any more when the call returns, but for nsw_options_error(), which
/// then has the sentence of a failure.
/// @watcher: where the new watcher is stored.
///
/// Returns 0, or
/// -EINVAL: @watcher is NULL, or @source is none of those above;
/// -ENOTDIR: a part of the path is not a directory;
/// -EACCES: the directory may not be read or searched by this process;
/// -ENOENT: the directory is missing, and NSW_NO_PARENT was set;
/// -ELOOP: too many symbolic links on the way, or with NSW_NO_SYMLINKS one that root does not own;
/// -ENAMETOOLONG: as open(2);
/// -E2BIG: the directory has more names, or NSW_SOURCE_ALL finds more namespaces, than nsw_options_set_max_names() permits;
/// -EMFILE, -ENFILE: the limit of inotify instances, or of open files, is reached;
/// -ENOSPC: the limit of inotify watches is reached; for NSW_SOURCE_ALL, which makes a network namespace of its own, that of
/// network namespaces;
/// -EPERM: NSW_SOURCE_NSID with NSW_ALL_NSID, and CAP_NET_BROADCAST is missing;
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter or a security policy refuses a system call that has no fallback;
/// -EAGAIN: NSW_SOURCE_NSID, and the kernel was interrupted time and again; or RLIMIT_NPROC prevents starting the reader
/// thread of nsw_options_set_queue(), or that of NSW_SOURCE_ALL, which ends before this call returns;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -ENOMEM, -ENOBUFS: the kernel is out of memory, or has no room for an answer (net.core.rmem_default). (If the library's
/// own allocation fails, the process aborts.)
///
/// NSW_SOURCE_NAMED uses one inotify instance and four file descriptors, up to three more once a name has waited for its
/// mount. NSW_SOURCE_NSID uses four file descriptors, with NSW_ALL_NSID five, and needs Linux 5.0. NSW_SOURCE_ALL uses up to
/// 16, with NSW_PREPARE up to 22, and one per processor. nsw_options_set_queue() takes four more. Paths are resolved in the
/// mount namespace of the calling thread.
///
/// Since: 0.1 (Linux 5.10; see inotify(7), fanotify(7), rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_open(source: u32, options: *mut nsw_options, watcher: *mut *mut nsw_watcher) -> c_int {
    guard(|| {
        let mut defaults;
        let options = if options.is_null() {
            defaults = nsw_options::default();
            &mut defaults
        } else {
            // SAFETY: not NULL, so it came from nsw_options_new(), and nobody else uses it.
            unsafe { borrow_mut(options) }?
        };
        // SAFETY: NULL or writable, as the documentation demands.
        let opened = unsafe { Out::new(watcher) }.and_then(|out| {
            out.put(Box::into_raw(Box::new(open(source, &options.wanted)?.into())));
            Ok(0)
        });
        options.failure.keep(opened)
    })
}

fn open(source: u32, options: &Options) -> Result<Watcher> {
    match source {
        NSW_SOURCE_NAMED => Watcher::named(options),
        NSW_SOURCE_NSID => Watcher::nsid(options),
        NSW_SOURCE_ALL => Watcher::all(options),
        _ => Err(Error::invalid(
            "open a watcher",
            "the source must be NSW_SOURCE_NAMED, NSW_SOURCE_NSID or NSW_SOURCE_ALL",
        )),
    }
}

/// Closes a watcher and frees all that belongs to it, the event borrowed from it included. NULL does nothing. No other
/// thread may be in a call on the watcher, and none may call it afterwards.
///
/// Waits for the reader thread of nsw_options_set_queue() to end. If that hangs (in a filesystem that does not answer) and
/// takes no processor time for two seconds, the call returns, and the thread frees its part, with descriptors, when it
/// goes on.
///
/// In a child of fork(2) it frees the child's copies and leaves the watcher of the parent alone. What a thread of the
/// parent was at work on at the moment of the fork stays until the child ends or executes a program, as do some hundred
/// bytes and the stack of a reader thread. If nsw_close() finds that a call of another thread has not ended, or that
/// longjmp(3) left one that did not wait, it frees nothing.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_close(watcher: *mut nsw_watcher) {
    guard(|| {
        // SAFETY: NULL or live, as the documentation demands.
        if unsafe { borrow(watcher) }?.is_whole() {
            // SAFETY: not NULL, so it came from nsw_open() and is given back here.
            drop(unsafe { Box::from_raw(watcher) });
        }
        Ok(0)
    });
}

/// The file descriptor to poll for POLLIN. It is level-triggered: readable while there is an event to be had, however
/// often and by whatever means it is polled. (One exception: where both fanotify mount events and AIO are refused, a
/// wake-up for a mount is seen by one poll only; ask for events after each.) Close-on-exec, non-blocking, the same for
/// the life of the watcher. May be called from any thread at any time.
///
/// Returns the descriptor, which stays the watcher's: do not read or close it; or -EINVAL: @watcher is NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_fd(watcher: *const nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { watcher.as_ref() }.map_or(-libc::EINVAL, |this| this.fd)
}

/// Gives out the next event. Never waits for one. (A name that is a symbolic link into a filesystem that hangs makes
/// the look at it hang: set NSW_NO_SYMLINKS for a directory that others may write to.)
///
/// @event: where a pointer to the event is stored; it is borrowed until the next call of this function,
/// nsw_wait_event() or nsw_close() on the same watcher.
///
/// Returns 1: here is an event; 0: nothing now, @event is untouched; or
/// -EINVAL: an argument is NULL;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit kept the watcher from looking. Nothing is lost: the descriptor stays
/// readable, and the next call goes on where this one stopped;
/// -ENOBUFS, -EAGAIN: NSW_SOURCE_NSID or NSW_SOURCE_ALL, and the kernel had no memory or room for an answer, or was
/// interrupted time and again. Nothing is lost, as above. (Notifications for which there was no room are no error:
/// NSW_EVENT_OVERFLOW.)
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter, a security policy or a lost privilege refuses a system call that has no
/// fallback; -EACCES also: the process has given up the right to reach the directory. Nothing is lost, as above;
/// -EXDEV: the call has to look at paths, and the calling thread has another root directory or mount namespace than the one
/// that called nsw_open() (chroot, pivot_root, unshare, setns). Nothing is lost here either: call again from the right
/// place, or close the watcher;
/// -E2BIG: there are more names, or namespaces, than nsw_options_set_max_names() permits. One call returns it each time that
/// the limit is crossed, after the events of those that there is room for. The watcher goes on; see there;
/// -ENOENT: the directory is gone, and NSW_NO_PARENT was set: no event will come any more;
/// -EBUSY: another thread is in a call on this watcher, or longjmp(3) left one;
/// -ECHILD: the process is a child of the one that opened the watcher;
/// -EBADF: the program has closed a descriptor of the library;
/// -ENOTRECOVERABLE: an internal error; the watcher is of no more use.
///
/// One call does at most the work of one full kernel queue and of one comparison of all names.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_next_event(watcher: *mut nsw_watcher, event: *mut *const nsw_event) -> c_int {
    // SAFETY: NULL or live and writable, as the documentation demands.
    unsafe { give(watcher, event, None) }
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
    // SAFETY: NULL or live and writable, as the documentation demands.
    unsafe { give(watcher, event, Some(timeout_ms)) }
}

/// Gives out the next event; with a timeout, waits for it.
///
/// # Safety
/// As [`with`]; and `event` is NULL or writable.
unsafe fn give(watcher: *mut nsw_watcher, event: *mut *const nsw_event, timeout_ms: Option<c_int>) -> c_int {
    let body = |this: &nsw_watcher, inner: &mut Inner| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(event) }?;
        let next = match timeout_ms {
            None => inner.watcher.take_event(),
            Some(ms) => {
                let timeout = u64::try_from(ms).ok().map(Duration::from_millis);
                inner.watcher.wait_by(timeout, &|fd, left| this.wait(fd, left))
            }
        };
        match next? {
            Some(next) => {
                out.put(inner.current.lend(next.into()));
                Ok(1)
            }
            None => Ok(0),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { with(watcher, body) }
}

/// Compares what has been told with what the kernel has now. The differences follow as replayed events, then
/// NSW_EVENT_SYNCED. Costs one look at every name; for NSW_SOURCE_ALL, one at every process. A borrowed event stays valid.
///
/// Returns 0, or as nsw_next_event(): after an error the comparison is still due, and is made by the next call of
/// nsw_next_event() that can.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_resync(watcher: *mut nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { with(watcher, |_, inner| inner.watcher.resync().map(|()| 0)) }
}

/// Opens the very namespace that an NSW_EVENT_READY or an NSW_EVENT_NETNS_NEW announced, for setns(2) and its like. The way
/// is the path of the event; for NSW_EVENT_NETNS_NEW, where that fails, the cookie (Linux 6.18, CAP_SYS_ADMIN).
///
/// @event: an event of this watcher, still borrowed.
///
/// Returns a file descriptor, close-on-exec, owned by the caller, who closes it with close(2); or
/// -EINVAL: an argument is NULL, or the event is of another type;
/// -ENOENT: what was at the path is gone, or is no network namespace any more;
/// -ESTALE: the path leads to another namespace by now;
/// -EOPNOTSUPP: an NSW_EVENT_NETNS_NEW without a path, before Linux 6.18;
/// -EXDEV: the calling thread has another root directory or mount namespace than the one that called nsw_open();
/// -EACCES, -EMFILE, -ENFILE, -ENOMEM: as open(2);
/// -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call; -EPERM also: the cookie is the only way,
/// and CAP_SYS_ADMIN is missing;
/// -EBUSY, -ECHILD, -ENOTRECOVERABLE: as nsw_next_event().
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_open_netns(watcher: *const nsw_watcher, event: *const nsw_event) -> c_int {
    let open = |_: &nsw_watcher, inner: &mut Inner| {
        // SAFETY: NULL or still borrowed, as the documentation demands.
        let event = unsafe { borrow(event) }?;
        inner.watcher.open_netns(event).map(IntoRawFd::into_raw_fd)
    };
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { with(watcher, open) }
}

/// What the last call on this watcher that failed could not do, on what, why, and what can be done about it, in a
/// sentence: "cannot watch /run/netns: permission denied: ...". -EBUSY and -ECHILD leave it as it is; nsw_options_error() has
/// the sentence of nsw_open().
///
/// Returns the sentence, which belongs to the watcher and stays as it is until another call on it fails, or nsw_close(); ""
/// if none has failed, @watcher is NULL, or another thread is in a call. Never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_error(watcher: *const nsw_watcher) -> *const c_char {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { watcher.as_ref() }.map_or(c"".as_ptr(), nsw_watcher::error)
}

/// One of the numbers NSW_STAT_*, of this watcher since it was opened. May be called from any thread at any time.
///
/// Returns the number; 0 if @watcher is NULL or @which is none of them.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_stat(watcher: *const nsw_watcher, which: u32) -> u64 {
    // SAFETY: NULL or live, as the documentation demands.
    let Some(this) = (unsafe { watcher.as_ref() }) else { return 0 };
    let stats = Stats::from(&*this.counters);
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
