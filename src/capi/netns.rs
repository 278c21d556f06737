//! Identity
//!
//! A struct nsw_netns says which network namespace something is. It is a plain value: keep it, compare it, send it, use
//! it as a key. It holds no descriptor and keeps nothing alive. It means something on this host until the host reboots.
//!
//! From Linux 6.18 on, the four numbers of one namespace are equal by whatever way they were obtained. Before, the kernel
//! has no number for a namespace that it never reuses: compare with nsw_netns_same(), which uses what both have.
//!
//! These functions keep nothing between calls and may be called from any thread. Paths are resolved in the mount
//! namespace of the calling thread. They need /proc, and open nothing but a network namespace: no FIFO, no device, no
//! automount at the end of a path.

use std::ffi::{OsStr, c_char};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use libc::c_int;

use super::event::nsw_event;
use super::{Out, borrow, bytes, descriptor, guard};
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::now::wait_ready;

/// Which network namespace. 32 bytes, for ever.
///
/// Since: 0.1
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nsw_netns {
    /// st_dev of the namespace's file.
    pub dev: u64,
    /// st_ino of the namespace's file, the number in `net:[4026531840]`. The kernel recycles these numbers.
    pub ino: u64,
    /// The number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), from Linux 6.18 on; 0 before.
    pub cookie: u64,
    /// Where there is no cookie and a mount pins the inode (a name): its change time in nanoseconds, which
    /// distinguishes this namespace from a later one with the same inode number; else 0.
    pub stamp: u64,
}

impl From<Netns> for nsw_netns {
    fn from(netns: Netns) -> Self {
        let (dev, ino) = (netns.dev(), netns.ino());
        Self { dev, ino, cookie: netns.cookie().unwrap_or(0), stamp: netns.stamp().unwrap_or(0) }
    }
}

impl From<&nsw_netns> for Netns {
    fn from(netns: &nsw_netns) -> Self {
        Self::new(netns.dev, netns.ino, netns.cookie, netns.stamp)
    }
}

/// Stores an identity where the caller wants it.
///
/// # Safety
/// `out` is NULL or writable.
unsafe fn store(out: *mut nsw_netns, find: impl FnOnce() -> Result<Netns>) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out) }?;
        out.put(find()?.into());
        Ok(0)
    })
}

/// Copies the identity that an event carries.
///
/// @e: an NSW_EVENT_READY, NSW_EVENT_NETNS_NEW or NSW_EVENT_NETNS_DEL, still borrowed.
/// @netns: where the identity is stored.
///
/// Returns 0, or -EINVAL: an argument is NULL, or the event is of another type.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_event_netns(e: *const nsw_event, netns: *mut nsw_netns) -> c_int {
    let find = || {
        // SAFETY: NULL or still borrowed, as the documentation demands.
        let event = unsafe { borrow(e) }?;
        event.netns().copied().ok_or_else(|| Error::invalid("copy an identity", "the event carries none"))
    };
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { store(netns, find) }
}

/// Identifies an open network namespace.
///
/// @fd: a descriptor of the namespace, O_PATH will do; stays the caller's.
/// @netns: where the identity is stored.
///
/// Returns 0, or
/// -EINVAL: @netns is NULL, or @fd is not of a namespace;
/// -EBADF: @fd is negative or not open;
/// -EPROTOTYPE: @fd is of a namespace of another kind;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_fd(fd: c_int, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { store(netns, || Netns::for_fd(descriptor(fd)?)) }
}

/// Identifies the network namespace of a process, or of a thread, of the caller's pid namespace.
///
/// @pid: the process or thread.
/// @netns: where the identity is stored.
///
/// Returns 0, or
/// -EINVAL: @pid is not positive, or @netns is NULL;
/// -ESRCH: there is no such process or thread, or it has ended. (Where the first thread has ended and others have not, ask
/// by the number of one of these.);
/// -EACCES: no ptrace access to the process (PTRACE_MODE_READ_FSCREDS): that takes its user, or CAP_SYS_PTRACE over it;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// A pid can be reused between the moment that you learned it and this call: nsw_netns_for_pidfd() excludes that.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_pid(pid: i32, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { store(netns, || Netns::for_pid(pid)) }
}

/// Identifies the network namespace of the process that a pidfd refers to, see pidfd_open(2). Unlike a pid it is never
/// reused. By PIDFD_GET_NET_NAMESPACE (Linux 6.11), before that by /proc.
///
/// @pidfd: stays the caller's.
/// @netns: where the identity is stored.
///
/// Returns 0, or
/// -EINVAL: @netns is NULL;
/// -EBADF: @pidfd is negative, not open, or no pidfd;
/// -ESRCH: the process has ended;
/// -EACCES: no ptrace access to the process: that takes its user, or CAP_SYS_PTRACE over it; or it is in a pid namespace
/// that cannot be seen from here;
/// -EOPNOTSUPP: before Linux 6.11, /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// Since: 0.1 (Linux 5.3)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_pidfd(pidfd: c_int, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { store(netns, || Netns::for_pidfd(descriptor(pidfd)?)) }
}

/// Identifies a named network namespace. The error says why a name is not usable.
///
/// @name: a name in /run/netns, as `ip netns` makes them; if it has a '/' in it, a path. Any bytes.
/// @netns: where the identity is stored.
///
/// Returns 0, or
/// -EINVAL: an argument is NULL, or @name is empty or has ".." as a component;
/// -ENOENT: nothing is there, or a symbolic link that leads nowhere;
/// -ENODEV: a file on which no network namespace is mounted (yet);
/// -EPROTOTYPE: a namespace of another kind;
/// -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_name(name: *const c_char, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, and NULL or a string of C, as the documentation demands.
    unsafe { store(netns, || Netns::for_name(OsStr::from_bytes(bytes(name)?))) }
}

/// Identifies the network namespace that has an id in the namespace that the calling thread is in. Goes through all that
/// can be seen: those mounted in the mount namespace of the calling thread, those that processes are in or have descriptors
/// of, and where listns(2) is permitted (Linux 6.19) all others. Costs some system calls for each.
///
/// @nsid: the id.
/// @netns: where the identity is stored.
///
/// Returns 0, or
/// -EINVAL: @nsid is negative, or @netns is NULL;
/// -ENOENT: no namespace has the id, or the one that has it cannot be seen;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_nsid(nsid: i32, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { store(netns, || Netns::for_nsid(nsid)) }
}

/// Waits until a named network namespace can be opened, and identifies it. It waits for events and asks for nothing in
/// between. What does not exist yet may be the file, its directory, or all on the way to it. On a filesystem that reports no
/// changes, as /proc, it notices only what is there at the start. Nothing stays open afterwards.
///
/// @name: as for nsw_netns_for_name().
/// @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: for ever.
/// @netns: where the identity is stored.
///
/// Returns 1: it can be opened; 0: the time is over, @netns is untouched; or
/// -EINVAL: an argument is NULL, or @name is empty, has .. as a component, or is the root directory;
/// -EINTR: a signal handler ran;
/// -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
/// -E2BIG: the directory has more than 1048576 names;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit is reached;
/// -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_wait(name: *const c_char, timeout_ms: c_int, netns: *mut nsw_netns) -> c_int {
    guard(|| {
        // SAFETY: NULL or writable, and NULL or a string, as the documentation demands.
        let (out, name) = unsafe { (Out::new(netns)?, bytes(name)?) };
        let found = wait_ready(OsStr::from_bytes(name), u64::try_from(timeout_ms).ok().map(Duration::from_millis))?;
        Ok(found.map_or(0, |found| {
            out.put(found.into());
            1
        }))
    })
}

/// Opens exactly this namespace, for setns(2) and its like.
///
/// @netns: the identity, as it was obtained: its cookie and its inode number belong together.
/// @path: where the namespace may be found, as nsw_event_path(); NULL: by its cookie alone, wherever it is.
///
/// Returns a file descriptor, close-on-exec, owned by the caller, who closes it with close(2); or
/// -EINVAL: @netns is NULL;
/// -ENOENT: it is dead, or @path does not lead to a network namespace;
/// -ESTALE: @path leads to another network namespace;
/// -EACCES: @path may not be searched;
/// -EPERM: only the cookie is given, and CAP_SYS_ADMIN is missing. Over the namespace it suffices to open one that lives;
/// to be sure that it is dead takes it in the initial user and pid namespaces;
/// -EOPNOTSUPP: only the cookie is given, and there is none (before Linux 6.18), or a filter forbids
/// open_by_handle_at(2); with a path, /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// From Linux 7.0 on the kernel does not find a namespace by its cookie that only sockets keep: -ENOENT.
///
/// Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_open(netns: *const nsw_netns, path: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: NULL or readable, as the documentation demands.
        let netns = Netns::from(unsafe { borrow(netns) }?);
        let path = match path.is_null() {
            true => None,
            // SAFETY: not NULL, so it is a string of C.
            false => Some(Path::new(OsStr::from_bytes(unsafe { bytes(path) }?))),
        };
        netns.open(path).map(IntoRawFd::into_raw_fd)
    })
}

/// Compares two identities: by cookie where both have one; else by dev and ino, and by the stamps where both have one.
///
/// Returns 1: the same namespace; 0: different ones; or -EINVAL: an argument is NULL.
///
/// Before Linux 6.18, where one of the two has no stamp, a namespace can pass for an earlier one that had its inode
/// number; and one that was mounted, left every mount and was mounted again has another stamp, so that it passes for
/// another one.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_same(a: *const nsw_netns, b: *const nsw_netns) -> c_int {
    guard(|| {
        // SAFETY: NULL or readable, as the documentation demands.
        let (a, b) = unsafe { (borrow(a)?, borrow(b)?) };
        Ok(Netns::from(a).same(&b.into()).into())
    })
}

/// Asks whether a network namespace lives: a process, a mount, a descriptor or a socket keeps it.
///
/// @netns: the identity, as it was obtained: its cookie and its inode number belong together.
///
/// Returns 1: it lives; 0: it is dead, for certain; or
/// -EINVAL: @netns is NULL;
/// -EPERM: it cannot be known here: CAP_SYS_ADMIN in the initial user and pid namespaces is missing;
/// -EOPNOTSUPP: it cannot be known here: it has no cookie (before Linux 6.18), no inode number (before Linux 6.19), or a
/// filter forbids open_by_handle_at(2);
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// From Linux 7.0 on the kernel does not find a namespace that only sockets keep: 0.
///
/// Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_is_alive(netns: *const nsw_netns) -> c_int {
    guard(|| {
        // SAFETY: NULL or readable, as the documentation demands.
        Netns::from(unsafe { borrow(netns) }?).is_alive().map(c_int::from)
    })
}
