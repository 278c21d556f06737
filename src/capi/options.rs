//! Options
//!
//! Options are made by nsw_options_new() and owned by the caller, who gives them back to nsw_options_free(), at once
//! after nsw_open() if they are not to be used again. One set may serve several watchers. nsw_open() refuses an option or a
//! flag that the source does not have (-EINVAL, and nsw_options_error() names it); one that has its default value counts as
//! not set. Without the name of a source, all sources have it. It may move between threads, and one at a time uses it.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use libc::c_int;

use super::handle::Failure;
use super::{borrow_mut, bytes, guard};
use crate::error::{Error, Result};
use crate::options::{MountEvents, Options, Policy};
use crate::walk::Links;

/// Start with now, not with what exists. Since: 0.1
pub const NSW_NO_REPLAY: u32 = 0x1;
/// NSW_SOURCE_NAMED: a missing directory is -ENOENT at open, and its removal ends the watch with an
/// NSW_EVENT_DIR_DELETED that is always told. Since: 0.1
pub const NSW_NO_PARENT: u32 = 0x2;
/// NSW_SOURCE_NAMED: tell when the directory itself comes and goes. Since: 0.1
pub const NSW_DIR_EVENTS: u32 = 0x4;
/// NSW_SOURCE_NAMED: report unmounts and re-binds of known names, mounts over the directory or the way to it, and the end
/// of a process that a name is a symbolic link to (for 64 links at most), as they happen and not only at a resync. The
/// default where one change of a mount does not cost a look at every known name: with CAP_SYS_ADMIN over the mount
/// namespace from Linux 6.15 on, for everybody from Linux 6.8 on. With this flag in any case. Since: 0.1
pub const NSW_MOUNT_EVENTS: u32 = 0x8;
/// NSW_SOURCE_NSID: tell what happens in peer namespaces too, those that have an id here. Needs CAP_NET_BROADCAST,
/// and over each peer that is to be heard of. Since: 0.1
pub const NSW_ALL_NSID: u32 = 0x10;
/// Make at open all that could be needed later, such as descriptors of fallbacks, and listen to mounts all the time: for
/// a program that gives up privileges or installs a seccomp filter after nsw_open(). docs/syscalls.md lists the system
/// calls that the watcher goes on to make. Since: 0.1
pub const NSW_PREPARE: u32 = 0x80;

/// NSW_SOURCE_NAMED: no mount events, even where they are the default: what NSW_MOUNT_EVENTS describes is reported at a
/// resync only. Together with NSW_MOUNT_EVENTS: -EINVAL. Since: 0.1
pub const NSW_NO_MOUNT_EVENTS: u32 = 0x20;

/// NSW_SOURCE_NAMED, for a directory that others may write to: a name that is a symbolic link is never followed. It stays
/// pending (NSW_EVENT_CREATED, never NSW_EVENT_READY), and a change of a mount costs it nothing. On the way to the directory
/// only symbolic links that root owns are followed, root of the caller's user namespace: another one is -ELOOP for
/// nsw_open(); if one comes later, the directory counts as gone until the link goes. Since: 0.1
pub const NSW_NO_SYMLINKS: u32 = 0x40;

const MOUNT_FLAGS: u32 = NSW_MOUNT_EVENTS | NSW_NO_MOUNT_EVENTS;
const FLAGS: u32 =
    NSW_NO_REPLAY | NSW_NO_PARENT | NSW_DIR_EVENTS | MOUNT_FLAGS | NSW_NO_SYMLINKS | NSW_ALL_NSID | NSW_PREPARE;

/// A full queue: the reader thread waits for room; meanwhile the kernel queues, and then overflows. Since: 0.1
pub const NSW_QUEUE_BLOCK: u32 = 1;
/// A full queue: the events in it are still told, then NSW_EVENT_OVERFLOW and what has changed since. Since: 0.1
pub const NSW_QUEUE_DROP_NEWEST: u32 = 2;
/// A full queue: the events in it are dropped, so that NSW_EVENT_OVERFLOW and what is now come first. Since: 0.1
pub const NSW_QUEUE_DROP_OLDEST: u32 = 3;

/// What to do differently, as C holds it.
#[derive(Default)]
pub struct nsw_options {
    pub(super) wanted: Options,
    pub(super) failure: Failure,
}

/// Changes options, and keeps the sentence of a refusal.
///
/// # Safety
/// `o` is NULL, or came from nsw_options_new() and nobody else uses it during the call.
unsafe fn change(o: *mut nsw_options, change: &mut dyn FnMut(&mut Options) -> Result<()>) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let this = unsafe { borrow_mut(o) }?;
        let done = change(&mut this.wanted);
        this.failure.keep(done).map(|()| 0)
    })
}

/// Makes options with the default values.
///
/// Returns them; NULL after an internal error.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_options_new() -> *mut nsw_options {
    std::panic::catch_unwind(|| Box::into_raw(Box::<nsw_options>::default())).unwrap_or(std::ptr::null_mut())
}

/// Frees options. Watchers that were opened with them are not affected. NULL does nothing.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_free(o: *mut nsw_options) {
    if !o.is_null() {
        // SAFETY: not NULL, so it came from nsw_options_new() and is given back here.
        drop(unsafe { Box::from_raw(o) });
    }
}

/// Sets the flags, in place of those set before.
///
/// @flags: 0, or one or several of NSW_NO_REPLAY, NSW_NO_PARENT, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS,
/// NSW_NO_MOUNT_EVENTS, NSW_NO_SYMLINKS, NSW_ALL_NSID, NSW_PREPARE.
///
/// Returns 0, or -EINVAL: @o is NULL, a bit is unknown, or both NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS are set; then
/// nothing is changed.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_flags(o: *mut nsw_options, flags: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        if flags & !FLAGS != 0 {
            return Err(Error::invalid("set the flags", "a flag is unknown to this version of the library"));
        }
        let has = |flag| flags & flag != 0;
        let mount_events = match flags & MOUNT_FLAGS {
            NSW_MOUNT_EVENTS => MountEvents::Always,
            NSW_NO_MOUNT_EVENTS => MountEvents::Never,
            0 => MountEvents::WhereCheap,
            _ => {
                let why = "the flags NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS exclude each other";
                return Err(Error::invalid("set the flags", why));
            }
        };
        options.mount_events = mount_events;
        options.replay = !has(NSW_NO_REPLAY);
        options.parent = !has(NSW_NO_PARENT);
        options.dir_events = has(NSW_DIR_EVENTS);
        options.links = if has(NSW_NO_SYMLINKS) { Links::RootsOnTheWay } else { Links::All };
        options.all_nsid = has(NSW_ALL_NSID);
        options.prepare = has(NSW_PREPARE);
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// Sets the directory whose entries are the names, for NSW_SOURCE_NAMED. It need not exist.
///
/// Whoever may write to the directory decides what the watcher reports and how long its calls take: a name that is a
/// symbolic link has the watcher look at whatever it leads to (a directory that only root may read, an automount, a
/// filesystem that hangs), and the watcher reports it as ready if that is a network namespace, be it the caller's own. For a
/// directory that others may write to, set NSW_NO_SYMLINKS and nsw_options_set_max_names().
///
/// @path: an absolute path; copied. Default: "/run/netns". More than 3839 bytes are
/// -ENAMETOOLONG for nsw_open(): no name in it could be reached.
///
/// Returns 0, or -EINVAL: an argument is NULL, or the path is not absolute; then nothing is changed.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_dir(o: *mut nsw_options, path: *const c_char) -> c_int {
    let set = &mut |options: &mut Options| {
        // SAFETY: NULL, or a string of C.
        let path = unsafe { bytes(path) }.map_err(|_| Error::invalid("watch", "the path is NULL"))?;
        *options = options.clone().dir(OsStr::from_bytes(path))?;
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// Sets for how long a name may change before the outcome is told, for NSW_SOURCE_NAMED. The first change of a name
/// starts the time, and when it is over, the difference is told: a name that comes and goes within it is never told,
/// and one that keeps changing is told once in each such time. What is replayed does not wait.
///
/// @ms: milliseconds; 0, the default: every change is told at once.
///
/// Returns 0, or -EINVAL: @o is NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_settle(o: *mut nsw_options, ms: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        options.settle = Duration::from_millis(ms.into());
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// Asks for a background reader thread with a bounded queue, which takes events from the kernel as they come, however
/// rarely they are asked for. The thread ends with nsw_close(), which does not wait for one that hangs, and has all signals blocked. The price: a process with a
/// second thread can no longer unshare(CLONE_NEWUSER), or setns(2) to a user or mount namespace.
///
/// @capacity: how many events the queue holds, 1 to 1048576.
/// @policy: what a full queue does: NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST. What is dropped is
/// counted, reported by NSW_EVENT_OVERFLOW, and made good by a resync.
///
/// Returns 0, or -EINVAL: @o is NULL, or a value is none of those; then nothing is changed.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_queue(o: *mut nsw_options, capacity: u32, policy: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        let policy = match policy {
            NSW_QUEUE_BLOCK => Policy::Block,
            NSW_QUEUE_DROP_NEWEST => Policy::DropNewest,
            NSW_QUEUE_DROP_OLDEST => Policy::DropOldest,
            _ => {
                let why = "the policy must be NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST";
                return Err(Error::invalid("make a queue", why));
            }
        };
        *options = options.clone().queue(capacity, policy)?;
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// Sets how many names, or with NSW_SOURCE_ALL namespaces, the watcher keeps at most. Directories do not count. This bounds
/// the memory: a name takes up to 500 bytes. NSW_SOURCE_NSID does not have it.
///
/// @names: the limit; 0, the default: 1048576. More of them are -E2BIG for nsw_open(). Later, one call of nsw_next_event() or
/// nsw_wait_event() returns -E2BIG each time that the limit is crossed, and the descriptor is not readable because of it. The
/// watcher goes on with those that it knows, and reports those that it left out when others have gone.
///
/// Returns 0, or -EINVAL: @o is NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_max_names(o: *mut nsw_options, names: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        options.set_max_names(names);
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// Sets the size of the socket's receive buffer, for NSW_SOURCE_NSID. The kernel doubles it; a notification takes some
/// 800 bytes of that. Without CAP_NET_ADMIN no more than net.core.rmem_max is given.
///
/// @bytes: the size; 0, the default: the library's choice, 2 MiB.
///
/// Returns 0, or -EINVAL: @o is NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_rcvbuf(o: *mut nsw_options, bytes: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        options.rcvbuf = bytes;
        Ok(())
    };
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { change(o, set) }
}

/// What the last call with these options that failed could not do, on what, and why, in a sentence: "cannot watch
/// run/netns: the path must be absolute, without a NUL byte". nsw_open() is one of those calls.
///
/// Returns the sentence, which belongs to the options and stays as it is until another call with them fails, or
/// nsw_options_free(); "" if none has failed, or @o is NULL. Never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_error(o: *const nsw_options) -> *const c_char {
    // SAFETY: NULL or live, as the chapter demands.
    unsafe { o.as_ref() }.map_or(c"".as_ptr(), |this| this.failure.as_ptr())
}
