//! Namespace ids
//!
//! The kernel can give a network namespace an id in another one, its peer: a number by which the one is called in the
//! other, and nowhere else. Most namespaces have none: one is assigned when a link is put across two namespaces, or
//! when somebody asks for it. When a namespace dies its ids become free and are soon used again.
//!
//! These functions ask and assign in the network namespace that the calling thread is in, but for nsid_get_as_seen_from().
//! They keep nothing between calls and may be called from any thread. To ask by a pid, a descriptor or a name takes no
//! privilege.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use libc::c_int;

use super::event::NSID_NOT_ASSIGNED;
use super::{Out, bytes, descriptor, guard, invalid};
use crate::error::Result;
use crate::nsid;

/// Stores the answer where the caller wants it.
///
/// # Safety
/// `out` is NULL or writable.
unsafe fn answer(out: *mut i32, ask: impl FnOnce() -> Result<Option<i32>>) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out) }?;
        out.put(ask()?.unwrap_or(NSID_NOT_ASSIGNED));
        Ok(0)
    })
}

/// Asks for the id that the network namespace of a process has here.
///
/// @pid: a process, or a thread, of the caller's pid namespace.
/// @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
///
/// Returns 0, or
/// -EINVAL: @pid is not positive, or @nsid is NULL;
/// -ESRCH: there is no such process;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_pid(pid: i32, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_pid(pid)) }
}

/// Asks for the id that an open network namespace has here.
///
/// @fd: a descriptor of the namespace; stays the caller's.
/// @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
///
/// Returns 0, or
/// -EINVAL: @nsid is NULL, or @fd is not of a network namespace;
/// -EBADF: @fd is negative or not open;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_fd(fd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_fd(descriptor(fd)?)) }
}

/// Asks for the id that a named network namespace has here.
///
/// @name: a name in /run/netns, as `ip netns` makes them; if it has a '/' in it, a path. Any bytes.
/// @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
///
/// Returns 0, or
/// -ENOBUFS: a limit is reached;
/// and all that nsw_netns_for_name() returns.
///
/// Since: 0.1 (Linux 4.11)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_name(name: *const c_char, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and NULL or a string of C, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_name(OsStr::from_bytes(bytes(name)?))) }
}

/// Asks for the id that the network namespace of the process behind a pidfd has here, see pidfd_open(2).
///
/// @pidfd: stays the caller's.
/// @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
///
/// Returns 0, or
/// -ENOBUFS: a limit is reached;
/// and all that nsw_netns_for_pidfd() returns.
///
/// Since: 0.1 (Linux 5.3)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_pidfd(pidfd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_pidfd(descriptor(pidfd)?)) }
}

/// Asks for the id that one network namespace has in another one, whatever namespace the calling thread is in.
///
/// @where_fd: a descriptor of the namespace in which the id counts; stays the caller's.
/// @fd: a descriptor of the namespace that has the id; stays the caller's.
/// @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none there.
///
/// Returns 0, or
/// -EINVAL: @nsid is NULL, @where_fd is not of a namespace, or @fd is not of a network namespace;
/// -EBADF: a descriptor is negative or not open, or @fd is opened by O_PATH;
/// -EPROTOTYPE: @where_fd is of a namespace of another kind;
/// -EPERM: @where_fd is another namespace than that of the calling thread, and the privilege to ask there is missing:
/// CAP_NET_ADMIN over it if it has an id here, else CAP_SYS_ADMIN here and over it;
/// -EAGAIN: RLIMIT_NPROC prevents starting the thread that asks there and ends with the call;
/// -EOPNOTSUPP: /proc is not mounted, or not that of this process;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_as_seen_from(where_fd: c_int, fd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and open descriptors stay open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_as_seen_from(descriptor(where_fd)?, descriptor(fd)?)) }
}

/// Gives an open network namespace an id here, for as long as it lives. When it dies, watchers of NSW_SOURCE_NSID
/// tell NSW_EVENT_NSID_DEL: an id is also a notice of death for a namespace that has no name.
///
/// @fd: a descriptor of the namespace; stays the caller's. While it is open the namespace lives.
/// @wanted: the id that it is to have; -1: the lowest that is free.
/// @nsid: where its id is stored.
///
/// Returns 0, or
/// -EINVAL: @wanted is less than -1, @nsid is NULL, or @fd is not of a network namespace;
/// -EBADF: @fd is negative or not open;
/// -EEXIST: the namespace has an id here already, or another one has the wanted id;
/// -EPERM: CAP_NET_ADMIN over the namespace that the calling thread is in is missing;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_assign(fd: c_int, wanted: i32, nsid: *mut i32) -> c_int {
    let assign = || {
        if wanted < NSID_NOT_ASSIGNED {
            return Err(invalid());
        }
        // SAFETY: an open descriptor stays open, as the documentation demands.
        nsid::assign(unsafe { descriptor(fd) }?, (wanted != NSID_NOT_ASSIGNED).then_some(wanted)).map(Some)
    };
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { answer(nsid, assign) }
}

/// Asks for the id here of a namespace that is known by its id in a peer.
///
/// @nsid: the id that it has in the peer.
/// @from: the id that the peer has here.
/// @result: where the id is stored; NSID_NOT_ASSIGNED if it has none here.
///
/// Returns 0, or
/// -EINVAL: an id is negative, @result is NULL, or no peer has the id @from;
/// -ENOENT: the peer has no such @nsid;
/// -EACCES: CAP_NET_ADMIN over the peer is missing;
/// -EOPNOTSUPP: Linux before 5.0;
/// -EOVERFLOW: the peer has more ids than the kernel lists, 900 on Linux 6.18, and @nsid comes after them;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
/// -EAGAIN: the kernel was interrupted time and again.
///
/// Since: 0.1 (Linux 5.0)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_translate(nsid: i32, from: i32, result: *mut i32) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { answer(result, || nsid::translate(nsid, from)) }
}

/// Lists the ids that are assigned here, in ascending order.
///
/// @nsids: where up to @capacity of them are stored; may be NULL if @capacity is 0.
/// @capacity: how many there is room for.
/// @count: where their number is stored; if it is more than @capacity, the list is not complete.
///
/// Returns 0, or
/// -EINVAL: a pointer is NULL;
/// -EOVERFLOW: the list would not be complete: there are more ids than the kernel lists, and far apart;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
/// -EAGAIN: the kernel was interrupted time and again.
///
/// Linux 6.18 itself lists the first 1158 only. For those after them this asks about up to 32,768 free numbers, and for
/// the ids of all namespaces that are mounted, have a process or are open in this one. A namespace that none of these
/// shows can be missed if its id comes after 8192 free ones in a row.
///
/// Since: 0.1 (Linux 4.2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_list(nsids: *mut i32, capacity: usize, count: *mut usize) -> c_int {
    guard(|| {
        // SAFETY: NULL or writable, as the documentation demands.
        let count = unsafe { Out::new(count) }?;
        if nsids.is_null() && capacity > 0 {
            return Err(invalid());
        }
        let found = nsid::list()?;
        if !nsids.is_null() {
            // SAFETY: the caller's room is for `capacity` numbers, no more of them are copied, and a list that was
            // made just now does not overlap with it.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), nsids, found.len().min(capacity)) };
        }
        count.put(found.len());
        Ok(0)
    })
}
