//! Options
//!
//! You own the options from nsw_options_new() and free them with nsw_options_free(), right after nsw_open() if you do
//! not need them again. One set may serve several watchers. nsw_open() refuses an option or a flag that the source does
//! not have (-EINVAL; nsw_options_error() names it). An option with its default value counts as not set. An option
//! whose comment names no source applies to all sources.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use libc::c_int;

use super::handle::Failure;
use super::{borrow_mut, bytes, guard};
use crate::error::{Error, Result};
use crate::options::{MountEvents, Options, Policy};
use crate::walk::Links;

/// Emit no replayed events at open: start with the first change. Since: 0.1
pub const NSW_NO_REPLAY: u32 = 0x1;
/// NSW_SOURCE_NAMED: if the directory is missing, nsw_open() returns -ENOENT. If it goes later, the watcher emits
/// NSW_EVENT_DIR_DELETED, even without NSW_DIR_EVENTS, and the watch ends. Since: 0.1
pub const NSW_NO_PARENT: u32 = 0x2;
/// NSW_SOURCE_NAMED: report when the directory itself appears and disappears. Since: 0.1
pub const NSW_DIR_EVENTS: u32 = 0x4;
/// NSW_SOURCE_NAMED: report these changes as they happen, not only at a resync: unmounts and re-binds of known names,
/// mounts over the directory or the way to it, and the end of a process that a name links to (for at most 64 links).
/// This is the default where one change of a mount does not require a probe of every known name: from Linux 6.15 on
/// with CAP_SYS_ADMIN over the mount namespace, from Linux 6.8 on for everybody. With this flag, always. Since: 0.1
pub const NSW_MOUNT_EVENTS: u32 = 0x8;
/// NSW_SOURCE_NSID: also report what happens in peer namespaces that have an nsid here. Requires CAP_NET_BROADCAST,
/// also over each peer to be reported. Since: 0.1
pub const NSW_ALL_NSID: u32 = 0x10;
/// Make at open all that the watcher could need later, such as descriptors of fallbacks, and watch mounts all the time.
/// For a program that gives up privileges or installs a seccomp filter after nsw_open(). docs/syscalls.md lists the
/// system calls that the watcher makes afterwards. Since: 0.1
pub const NSW_PREPARE: u32 = 0x80;

/// NSW_SOURCE_NAMED: no mount events, even where they are the default. Only a resync then reports the changes that
/// NSW_MOUNT_EVENTS describes. Together with NSW_MOUNT_EVENTS: -EINVAL. Since: 0.1
pub const NSW_NO_MOUNT_EVENTS: u32 = 0x20;

/// NSW_SOURCE_NAMED, for a directory that others may write to: never follow a name that is a symbolic link. Such a name
/// stays pending (NSW_EVENT_CREATED, never NSW_EVENT_READY), and a change of a mount does not probe it. On the way to
/// the directory, follow only symbolic links owned by root of the caller's user namespace: with another one, nsw_open()
/// returns -ELOOP; if one appears later, the directory counts as gone until the link goes. Since: 0.1
pub const NSW_NO_SYMLINKS: u32 = 0x40;

const MOUNT_FLAGS: u32 = NSW_MOUNT_EVENTS | NSW_NO_MOUNT_EVENTS;
const FLAGS: u32 =
    NSW_NO_REPLAY | NSW_NO_PARENT | NSW_DIR_EVENTS | MOUNT_FLAGS | NSW_NO_SYMLINKS | NSW_ALL_NSID | NSW_PREPARE;

/// A full queue: the reader thread waits for room. Meanwhile the kernel queues, and then overflows. Since: 0.1
pub const NSW_QUEUE_BLOCK: u32 = 1;
/// A full queue: the watcher still emits the queued events, then NSW_EVENT_OVERFLOW and the changes since then.
/// Since: 0.1
pub const NSW_QUEUE_DROP_NEWEST: u32 = 2;
/// A full queue: the watcher drops the queued events, so that NSW_EVENT_OVERFLOW and the present state come first.
/// Since: 0.1
pub const NSW_QUEUE_DROP_OLDEST: u32 = 3;

/// Options, as C holds them.
#[derive(Default)]
pub struct nsw_options {
    pub(super) wanted: Options,
    pub(super) failure: Failure,
}

/// Changes options, and keeps the sentence of a failure.
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
/// Returns the options, which you own; NULL after an internal error.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_options_new() -> *mut nsw_options {
    std::panic::catch_unwind(|| Box::into_raw(Box::<nsw_options>::default())).unwrap_or(std::ptr::null_mut())
}

/// Frees options. Watchers opened with them are not affected. NULL does nothing.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_free(o: *mut nsw_options) {
    if !o.is_null() {
        // SAFETY: not NULL, so it came from nsw_options_new() and is given back here.
        drop(unsafe { Box::from_raw(o) });
    }
}

/// Sets the flags. They replace all earlier flags.
///
/// @flags: 0, or any of NSW_NO_REPLAY, NSW_NO_PARENT, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS,
/// NSW_NO_SYMLINKS, NSW_ALL_NSID, NSW_PREPARE.
///
/// Returns 0, or -EINVAL: @o is NULL, a bit is unknown, or NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS are both set. An
/// error changes nothing.
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
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// NSW_SOURCE_NAMED: sets the directory whose entries are the names. It need not exist.
///
/// Everybody who may write to the directory controls what the watcher reports and how long its calls take. For a name
/// that is a symbolic link, the watcher probes the target: a directory that only root may read, an automount, a
/// filesystem that hangs. It emits NSW_EVENT_READY if the target is a network namespace, even the caller's own. For a
/// directory that others may write to, set NSW_NO_SYMLINKS and nsw_options_set_max_names().
///
/// @path: an absolute path, which the function copies. Default: "/run/netns". With more than 3839 bytes, nsw_open()
/// returns -ENAMETOOLONG, because no name in the directory could be reached.
///
/// Returns 0, or -EINVAL: an argument is NULL, or the path is not absolute. An error changes nothing.
///
/// Since: 0.1 (see ip-netns(8))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_dir(o: *mut nsw_options, path: *const c_char) -> c_int {
    let set = &mut |options: &mut Options| {
        // SAFETY: NULL, or a C string.
        let path = unsafe { bytes(path) }.map_err(|_| Error::invalid("watch", "the path is NULL"))?;
        *options = options.clone().dir(OsStr::from_bytes(path))?;
        Ok(())
    };
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// NSW_SOURCE_NAMED: debounces names. The watcher reports the net change of a name @ms milliseconds after its first
/// change. It never reports a name that appears and disappears within that time. A name that keeps changing gets one
/// report per @ms. Replayed events do not wait.
///
/// @ms: milliseconds; 0, the default: report each change at once.
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
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// Makes nsw_open() start a reader thread with a bounded queue. The thread takes events from the kernel as they come,
/// however rarely you call nsw_next_event(). It has all signals blocked. It ends with nsw_close(), which does not wait
/// for a thread that hangs. The price: a process with a second thread can no longer call unshare(CLONE_NEWUSER), or
/// setns(2) to a user or mount namespace.
///
/// @capacity: the number of events that the queue holds, 1 to 1048576.
/// @policy: what happens when the queue is full: NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST. The
/// watcher counts dropped events, reports them by NSW_EVENT_OVERFLOW and recovers by a resync.
///
/// Returns 0, or -EINVAL: @o is NULL, or a value is out of range. An error changes nothing.
///
/// Since: 0.1 (see unshare(2), setns(2))
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
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// NSW_SOURCE_NAMED, NSW_SOURCE_ALL: sets the maximum number of names, or namespaces, that the watcher keeps.
/// Directories do not count. This bounds the memory: a name takes up to 500 bytes.
///
/// @names: the limit; 0, the default: 1048576. If there are more, nsw_open() returns -E2BIG. Later, one call of
/// nsw_next_event() or nsw_wait_event() returns -E2BIG each time that the number crosses the limit; the descriptor is
/// not readable because of it. The watcher keeps reporting the names that it knows, and reports the others when there
/// is room.
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
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// NSW_SOURCE_NSID: sets the size of the socket's receive buffer. The kernel doubles it; a notification takes some 800
/// bytes of the result. Without CAP_NET_ADMIN, net.core.rmem_max limits the size.
///
/// @bytes: the size; 0, the default: 2 MiB, the library's choice.
///
/// Returns 0, or -EINVAL: @o is NULL.
///
/// Since: 0.1 (see SO_RCVBUF in socket(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_rcvbuf(o: *mut nsw_options, bytes: u32) -> c_int {
    let set = &mut |options: &mut Options| {
        options.rcvbuf = bytes;
        Ok(())
    };
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { change(o, set) }
}

/// Describes in a sentence the last call with these options that failed, nsw_open() included: what failed, on what,
/// and why, as "cannot watch run/netns: the path must be absolute, without a NUL byte".
///
/// Returns the sentence, which belongs to the options and does not change until another call with them fails, or until
/// nsw_options_free(). "" if no call has failed, or @o is NULL. Never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_error(o: *const nsw_options) -> *const c_char {
    // SAFETY: NULL or live, as the conventions demand.
    unsafe { o.as_ref() }.map_or(c"".as_ptr(), |this| this.failure.as_ptr())
}
