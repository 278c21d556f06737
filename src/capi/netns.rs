//! Identity
//!
//! A struct nsw_netns identifies a network namespace. It is a plain value: keep it, compare it, send it, use it as a
//! key. It holds no descriptor and does not keep the namespace alive. It is valid on this host until the host reboots.
//!
//! From Linux 6.18 on, the four numbers of a namespace are the same however you obtain them. Before, the kernel has no
//! number that it never reuses: compare with nsw_netns_same(), which uses the numbers that both values have.
//!
//! Any thread may call these functions at any time. They resolve paths in the mount namespace of the calling thread.
//! They require /proc. They open nothing but network namespaces: no FIFO, no device, no automount at the end of a path.

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

/// Identifies a network namespace. The size will always be 32 bytes.
///
/// Since: 0.1
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nsw_netns {
    /// st_dev of the namespace's file.
    pub dev: u64,
    /// st_ino of the namespace's file, the number in `net:[4026531840]`. The kernel recycles these numbers.
    pub ino: u64,
    /// A number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), from Linux 6.18 on; 0 before.
    pub cookie: u64,
    /// The inode's change time in nanoseconds, if there is no cookie and a mount pins the inode (a name); else 0. It
    /// distinguishes this namespace from a later one with the same inode number.
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

/// Stores an identity in the caller's struct.
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
/// @netns: where the function stores the identity.
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
/// @fd: a descriptor of the namespace, which you keep. O_PATH suffices.
/// @netns: where the function stores the identity.
///
/// Returns 0, or
/// -EINVAL: @netns is NULL, or @fd does not refer to a namespace;
/// -EBADF: @fd is negative or not open;
/// -EPROTOTYPE: @fd refers to a namespace of another kind;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// Since: 0.1 (see namespaces(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_fd(fd: c_int, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { store(netns, || Netns::for_fd(descriptor(fd)?)) }
}

/// Identifies the network namespace of a process or thread in the caller's pid namespace.
///
/// @pid: the process or thread.
/// @netns: where the function stores the identity.
///
/// Returns 0, or
/// -EINVAL: @pid is not positive, or @netns is NULL;
/// -ESRCH: no such process or thread exists, or it has ended (if the first thread of a process has ended and others
/// have not, pass the number of one of these);
/// -EACCES: the caller lacks ptrace access to the process (PTRACE_MODE_READ_FSCREDS), which requires its user or
/// CAP_SYS_PTRACE over it;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// The kernel may reuse a pid before this call. nsw_netns_for_pidfd() excludes that.
///
/// Since: 0.1 (see ptrace(2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_pid(pid: i32, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { store(netns, || Netns::for_pid(pid)) }
}

/// Identifies the network namespace of the process that a pidfd refers to, see pidfd_open(2). Unlike a pid, a pidfd
/// never comes to mean another process. Uses PIDFD_GET_NET_NAMESPACE (Linux 6.11), before that /proc.
///
/// @pidfd: the pidfd, which you keep.
/// @netns: where the function stores the identity.
///
/// Returns 0, or
/// -EINVAL: @netns is NULL;
/// -EBADF: @pidfd is negative, not open, or not a pidfd;
/// -ESRCH: the process has ended;
/// -EACCES: the caller lacks ptrace access to the process, which requires its user or CAP_SYS_PTRACE over it; or the
/// process is in a pid namespace that the caller cannot see;
/// -EOPNOTSUPP: before Linux 6.11, /proc is not mounted, or belongs to another pid namespace;
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
/// @name: a name in /run/netns, as `ip netns` makes them; with a '/' in it, a path. Any bytes.
/// @netns: where the function stores the identity.
///
/// Returns 0, or
/// -EINVAL: an argument is NULL, or @name is empty or has ".." as a component;
/// -ENOENT: the name does not exist, or is a dangling symbolic link;
/// -ENODEV: a file on which no network namespace is mounted (yet);
/// -EPROTOTYPE: a namespace of another kind;
/// -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// Since: 0.1 (see ip-netns(8))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_name(name: *const c_char, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, and NULL or a C string, as the documentation demands.
    unsafe { store(netns, || Netns::for_name(OsStr::from_bytes(bytes(name)?))) }
}

/// Identifies the network namespace that has an nsid in the namespace of the calling thread. It searches all namespaces
/// that the caller can see: those mounted in the mount namespace of the calling thread, those of processes, those that
/// processes have descriptors of, and with listns(2) (Linux 6.19, see NSW_FEATURE_LISTNS) all others, except those
/// that only a socket keeps. It makes some system calls for each.
///
/// @nsid: the nsid.
/// @netns: where the function stores the identity.
///
/// Returns 0, or
/// -EINVAL: @nsid is negative, or @netns is NULL;
/// -ENOENT: no namespace has the nsid, or the caller cannot see the namespace that has it;
/// -EAGAIN: a namespace kept leaving the places where the library found it;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_for_nsid(nsid: i32, netns: *mut nsw_netns) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { store(netns, || Netns::for_nsid(nsid)) }
}

/// Waits until a named network namespace can be opened, and identifies it. It waits for events and does not poll. The
/// file, its directory, or the whole path may be missing at first. On a filesystem that reports no changes, such as
/// /proc, it notices only what exists at the start. Nothing stays open afterwards.
///
/// @name: as for nsw_netns_for_name().
/// @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: without limit.
/// @netns: where the function stores the identity.
///
/// Returns 1: the namespace can be opened; 0: the time is over, @netns is untouched; or
/// -EINVAL: an argument is NULL, or @name is empty, has ".." as a component, or is the root directory;
/// -EINTR: a signal handler ran;
/// -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
/// -E2BIG: the directory has more than 1048576 names;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit is reached;
/// -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call.
///
/// Since: 0.1 (see inotify(7))
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

/// Opens exactly this namespace, for setns(2) and similar calls.
///
/// @netns: the identity, unchanged: its cookie and its inode number belong together.
/// @path: a path to the namespace, as nsw_event_path(). NULL: open by the cookie alone, wherever the namespace is.
///
/// Returns a file descriptor, close-on-exec, which you own and close with close(2); or
/// -EINVAL: @netns is NULL;
/// -ENOENT: the namespace is dead, or @path does not lead to a network namespace;
/// -ESTALE: the namespace is not at @path, which leads to another one: it is dead or elsewhere;
/// -EACCES: the caller may not search @path;
/// -EPERM: without @path, and CAP_SYS_ADMIN is missing. You need it over the namespace to open a living one, and in the
/// initial user and pid namespaces to be sure that one is dead;
/// -EOPNOTSUPP: without @path, the identity has no cookie (before Linux 6.18) or no inode number (before Linux 6.19), or
/// a filter forbids open_by_handle_at(2); with @path, /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// From Linux 6.19 on, the kernel does not find a namespace by its cookie if only sockets keep it: -ENOENT.
///
/// Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_open(netns: *const nsw_netns, path: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: NULL or readable, as the documentation demands.
        let netns = Netns::from(unsafe { borrow(netns) }?);
        let path = match path.is_null() {
            true => None,
            // SAFETY: not NULL, so it is a C string.
            false => Some(Path::new(OsStr::from_bytes(unsafe { bytes(path) }?))),
        };
        netns.open(path).map(IntoRawFd::into_raw_fd)
    })
}

/// Compares two identities: by cookie if both have one; else by dev and ino, and by stamp if both have one.
///
/// Returns 1: the same namespace; 0: different namespaces; or -EINVAL: an argument is NULL.
///
/// Before Linux 6.18 the answer can be wrong in two cases. If one identity has no stamp, a namespace can pass for an
/// earlier one that had its inode number. A namespace that left every mount and was mounted again has another stamp,
/// and passes for another one.
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

/// Reports whether a network namespace is alive: a process, a mount, a descriptor or a socket keeps it.
///
/// @netns: the identity, unchanged: its cookie and its inode number belong together.
///
/// Returns 1: alive; 0: dead, for certain, with one exception from Linux 6.19 on, see below; or
/// -EINVAL: @netns is NULL;
/// -EPERM: the answer requires CAP_SYS_ADMIN in the initial user and pid namespaces;
/// -EOPNOTSUPP: the identity has no cookie (before Linux 6.18) or no inode number (before Linux 6.19), or a filter
/// forbids open_by_handle_at(2);
/// -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
///
/// From Linux 6.19 on, the kernel does not find a living namespace that only sockets keep: this returns 0.
///
/// Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_netns_is_alive(netns: *const nsw_netns) -> c_int {
    guard(|| {
        // SAFETY: NULL or readable, as the documentation demands.
        Netns::from(unsafe { borrow(netns) }?).is_alive().map(c_int::from)
    })
}
