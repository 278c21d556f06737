//! Watching
//!
//! nsw_open() opens a watcher, nsw_close() closes it. The thread rule and the lifetime of events: see the conventions
//! at the head of this file.

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
/// Nsids that the kernel assigns to peers of the network namespace of the calling thread (rtnetlink). The watcher stays
/// with that namespace wherever the thread goes, and keeps it alive until nsw_close(). Since: 0.1
pub const NSW_SOURCE_NSID: u32 = 2;
/// Every network namespace of this host that the caller can see, with or without a name: NSW_EVENT_NETNS_NEW and
/// NSW_EVENT_NETNS_DEL. The watcher does not report a namespace that it cannot open, and may miss one that dies before
/// the watcher can identify it. A watcher may make a network namespace of its own (NSW_FEATURE_DEATHS); all other
/// watchers report it. Since: 0.1
pub const NSW_SOURCE_ALL: u32 = 3;

/// nsw_stat(): events returned to the caller. Since: 0.1
pub const NSW_STAT_DELIVERED: u32 = 1;
/// nsw_stat(): lost events, as far as the library could count them. Since: 0.1
pub const NSW_STAT_DROPPED: u32 = 2;
/// nsw_stat(): NSW_EVENT_OVERFLOW events. Since: 0.1
pub const NSW_STAT_OVERFLOWS: u32 = 3;
/// nsw_stat(): completed comparisons with the kernel, including the replay at open. Since: 0.1
pub const NSW_STAT_RESYNCS: u32 = 4;
/// nsw_stat(): events ready to be returned. Since: 0.1
pub const NSW_STAT_QUEUED: u32 = 5;
/// nsw_stat(): the maximum of NSW_STAT_QUEUED so far. Since: 0.1
pub const NSW_STAT_QUEUED_MAX: u32 = 6;
/// nsw_stat(): pending names, which exist and do not refer to a network namespace; 0 except for NSW_SOURCE_NAMED.
/// Since: 0.1
pub const NSW_STAT_PENDING: u32 = 7;
/// nsw_stat(): existing names, nsids or namespaces. Since: 0.1
pub const NSW_STAT_KNOWN: u32 = 8;

/// Opens a watcher. It first emits what exists already, as replayed events that end with NSW_EVENT_SYNCED, unless
/// NSW_NO_REPLAY is set.
///
/// @source: NSW_SOURCE_NAMED, NSW_SOURCE_NSID or NSW_SOURCE_ALL.
/// @options: NULL for the defaults. You may free the options when the call has returned. If the call fails,
/// nsw_options_error() has the sentence; with NULL, only the errno remains (nsw_strerror()).
/// @watcher: where the function stores the new watcher, which you own.
///
/// Returns 0, or
/// -EINVAL: @watcher is NULL, @source is unknown, or @options has an option that the source does not have;
/// -ENOTDIR: a part of the path is not a directory;
/// -EACCES: this process may not read or search the directory;
/// -ENOENT: the directory is missing, and NSW_NO_PARENT is set;
/// -ESRCH: the path leads through /proc/PID, and there is no such process;
/// -ELOOP: too many symbolic links on the way, or with NSW_NO_SYMLINKS one that root does not own;
/// -ENAMETOOLONG: as open(2);
/// -E2BIG: the directory has more names, or NSW_SOURCE_ALL finds more namespaces, than nsw_options_set_max_names()
/// permits;
/// -EMFILE, -ENFILE: the limit of inotify instances, or of open files, is reached;
/// -ENOSPC: the limit of inotify watches is reached; for NSW_SOURCE_ALL, which makes a network namespace of its own,
/// the limit of network namespaces;
/// -EPERM: NSW_SOURCE_NSID with NSW_ALL_NSID requires CAP_NET_BROADCAST;
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter or a security policy refuses a system call that has no fallback;
/// -EAGAIN: NSW_SOURCE_NSID: changes kept interrupting the kernel's answer. Or RLIMIT_NPROC prevents starting the
/// reader thread of nsw_options_set_queue(), or the thread of NSW_SOURCE_ALL, which ends before this call returns;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -ENOMEM, -ENOBUFS: the kernel is out of memory, or the socket has no room for an answer (net.core.rmem_default).
///
/// Descriptors: NSW_SOURCE_NAMED uses one inotify instance and four descriptors, and up to three more once a name has
/// been pending. NSW_SOURCE_NSID uses four, with NSW_ALL_NSID five. NSW_SOURCE_ALL uses up to 16, with NSW_PREPARE up
/// to 22, and one per processor. nsw_options_set_queue() adds four. NSW_SOURCE_NSID requires Linux 5.0. The library
/// resolves paths in the mount namespace of the calling thread.
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

/// Closes a watcher and frees everything that belongs to it, including the borrowed event. NULL does nothing. No other
/// thread may be in a call on the watcher, or call it afterwards.
///
/// The call waits for the reader thread of nsw_options_set_queue(). If that thread hangs (in a filesystem that does not
/// answer) and uses no processor time for two seconds, the call returns; the thread frees its memory and descriptors
/// when it continues.
///
/// In a child of fork(2), the call frees the child's copies and leaves the parent's watcher alone. The objects that a
/// thread of the parent was using at the time of the fork remain until the child exits or calls execve(2); so do some
/// hundred bytes and the stack of a reader thread. If a call by another thread is still running, or longjmp(3) left a
/// call that was not waiting, nsw_close() frees nothing.
///
/// Since: 0.1 (see fork(2))
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

/// Gets the file descriptor to poll for POLLIN. It is level-triggered: readable as long as there is an event to take,
/// however often and by whatever means you poll it. (One exception: if both fanotify mount events and AIO are refused,
/// only one poll sees the wake-up for a mount. Call nsw_next_event() after each wake-up.) The descriptor is
/// non-blocking and stays the same until nsw_close(). Any thread may call this at any time.
///
/// Returns the descriptor, which the watcher owns: do not read or close it; or -EINVAL: @watcher is NULL.
///
/// Since: 0.1 (see poll(2), epoll(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_fd(watcher: *const nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { watcher.as_ref() }.map_or(-libc::EINVAL, |this| this.fd)
}

/// Takes the next event. Never waits for one. (It can hang when a name is a symbolic link into a filesystem that hangs:
/// set NSW_NO_SYMLINKS for a directory that others may write to.)
///
/// @event: where the function stores a pointer to the event, borrowed from the watcher.
///
/// Returns 1: an event; 0: no event now, @event is untouched; or
/// -EINVAL: an argument is NULL;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit prevented the watcher from probing. Nothing is lost: the descriptor
/// stays readable, and the next call continues where this one stopped;
/// -ENOBUFS, -EAGAIN: NSW_SOURCE_NSID or NSW_SOURCE_ALL: the kernel had no memory or the socket no room for an answer,
/// or changes kept interrupting its answer. Nothing is lost, as above. (A full receive buffer is not an error: the
/// watcher emits NSW_EVENT_OVERFLOW.)
/// -EPERM, -ENOSYS, -EACCES: a seccomp filter, a security policy or a lost privilege refuses a system call that has no
/// fallback; -EACCES also: the process has given up the right to reach the directory. Nothing is lost, as above;
/// -EXDEV: the call must resolve paths, and the calling thread has another root directory or mount namespace than the
/// thread that called nsw_open() (chroot, pivot_root, unshare, setns). Nothing is lost here either: call again from the
/// original place, or close the watcher;
/// -E2BIG: there are more names or namespaces than nsw_options_set_max_names() permits. One call returns this each time
/// that the number crosses the limit, after the events of those that fit. The watcher continues; see there;
/// -ENOENT: the directory is gone, and NSW_NO_PARENT is set: no event will come any more;
/// -EBUSY: another thread is in a call on this watcher, or longjmp(3) left a call;
/// -ECHILD: the process is a child of the one that opened the watcher;
/// -EBADF: the program has closed a descriptor of the library;
/// -ENOTRECOVERABLE: an internal error. Close the watcher.
///
/// The work of one call is bounded: one full kernel queue and one comparison of all names.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_next_event(watcher: *mut nsw_watcher, event: *mut *const nsw_event) -> c_int {
    // SAFETY: NULL or live and writable, as the documentation demands.
    unsafe { give(watcher, event, None) }
}

/// Waits for the next event and returns it.
///
/// @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: without limit.
/// @event: as for nsw_next_event().
///
/// Returns 1: an event; 0: the time is over, @event is untouched; or
/// -EINTR: a signal handler ran;
/// and everything that nsw_next_event() returns.
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

/// Returns the next event; with a timeout, waits for it.
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

/// Compares the events so far with the kernel's state. The watcher emits the differences as replayed events, then
/// NSW_EVENT_SYNCED. The cost: one probe of every name; for NSW_SOURCE_ALL, of every process. A borrowed event stays
/// valid.
///
/// Returns 0, or as nsw_next_event(). After an error the comparison remains due: a later nsw_next_event() makes it, as
/// soon as it can.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_resync(watcher: *mut nsw_watcher) -> c_int {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { with(watcher, |_, inner| inner.watcher.resync().map(|()| 0)) }
}

/// Opens exactly the namespace of an NSW_EVENT_READY or NSW_EVENT_NETNS_NEW, for setns(2) and similar calls. It uses
/// the path of the event. For NSW_EVENT_NETNS_NEW, if that fails, it uses the cookie (Linux 6.18, CAP_SYS_ADMIN) and
/// then the mounts.
///
/// @event: an event of this watcher, still borrowed.
///
/// Returns a file descriptor, close-on-exec, which you own and close with close(2); or
/// -EINVAL: an argument is NULL, or the event is of another type;
/// -ENOENT: the path no longer leads to a network namespace; or an NSW_EVENT_NETNS_NEW has no path, and its namespace is
/// dead;
/// -ESTALE: the path leads to another network namespace now; the announced one is dead, or alive elsewhere;
/// -EOPNOTSUPP: an NSW_EVENT_NETNS_NEW without a path, before Linux 6.18;
/// -EXDEV: the calling thread has another root directory or mount namespace than the thread that called nsw_open();
/// -EACCES, -EMFILE, -ENFILE, -ENOMEM: as open(2);
/// -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call; -EPERM also: only the cookie remains,
/// and it requires CAP_SYS_ADMIN;
/// -EBUSY, -ECHILD, -ENOTRECOVERABLE: as nsw_next_event().
///
/// Since: 0.1 (see setns(2), open_by_handle_at(2))
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

/// Describes in a sentence the last call on this watcher that failed: what failed, on what, why, and the remedy, as
/// "cannot watch /run/netns: permission denied: ...". -EBUSY and -ECHILD do not change it. nsw_options_error() has the
/// sentence of nsw_open().
///
/// Returns the sentence, which belongs to the watcher and does not change until another call on it fails, or until
/// nsw_close(). "" if no call has failed, @watcher is NULL, or another thread is in a call. Never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_error(watcher: *const nsw_watcher) -> *const c_char {
    // SAFETY: NULL or live, as the documentation demands.
    unsafe { watcher.as_ref() }.map_or(c"".as_ptr(), nsw_watcher::error)
}

/// Reads one counter of this watcher, NSW_STAT_*, since nsw_open(). Any thread may call this at any time.
///
/// Returns the number; 0 if @watcher is NULL or @which is unknown.
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
