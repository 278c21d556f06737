//! Namespace ids
//!
//! An nsid is the number that the kernel gives to one network namespace, a peer, inside another one. It is valid only
//! there. Most namespaces have none. The kernel assigns one when a link connects two namespaces, or on request
//! (nsid_assign()). When a namespace dies, its nsids become free, and the kernel soon reuses them.
//!
//! These functions work in the network namespace of the calling thread, except nsid_get_as_seen_from(). Any thread may
//! call them at any time. nsid_get_for_pid(), nsid_get_for_fd() and nsid_get_for_name() require no privilege.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use libc::c_int;

use super::event::NSID_NOT_ASSIGNED;
use super::{Out, bytes, descriptor, guard, invalid};
use crate::error::Result;
use crate::nsid;

/// Stores the answer in the caller's variable.
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

/// Gets the nsid that the network namespace of a process has here.
///
/// @pid: a process or thread in the caller's pid namespace.
/// @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
///
/// Returns 0, or
/// -EINVAL: @pid is not positive, or @nsid is NULL;
/// -ESRCH: no such process exists;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_pid(pid: i32, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_pid(pid)) }
}

/// Gets the nsid that an open network namespace has here.
///
/// @fd: a descriptor of the namespace, which you keep.
/// @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
///
/// Returns 0, or
/// -EINVAL: @nsid is NULL, or @fd does not refer to a network namespace;
/// -EBADF: @fd is negative or not open;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_fd(fd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_fd(descriptor(fd)?)) }
}

/// Gets the nsid that a named network namespace has here.
///
/// @name: a name in /run/netns, as `ip netns` makes them; with a '/' in it, a path. Any bytes.
/// @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
///
/// Returns 0, or
/// -ENOBUFS: a limit is reached;
/// and everything that nsw_netns_for_name() returns.
///
/// Since: 0.1 (Linux 4.11; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_name(name: *const c_char, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and NULL or a C string, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_name(OsStr::from_bytes(bytes(name)?))) }
}

/// Gets the nsid that the network namespace of the process behind a pidfd has here, see pidfd_open(2).
///
/// @pidfd: the pidfd, which you keep.
/// @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
///
/// Returns 0, or
/// -ENOBUFS: a limit is reached;
/// and everything that nsw_netns_for_pidfd() returns.
///
/// Since: 0.1 (Linux 5.3; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_for_pidfd(pidfd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and an open descriptor stays open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_for_pidfd(descriptor(pidfd)?)) }
}

/// Gets the nsid that one network namespace has in another one, whatever the namespace of the calling thread.
///
/// @where_fd: a descriptor of the namespace in which the nsid is valid; you keep it.
/// @fd: a descriptor of the namespace that has the nsid; you keep it.
/// @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
///
/// Returns 0, or
/// -EINVAL: @nsid is NULL, @where_fd does not refer to a namespace, or @fd not to a network namespace;
/// -EBADF: a descriptor is negative or not open, or @fd was opened with O_PATH;
/// -EPROTOTYPE: @where_fd refers to a namespace of another kind;
/// -EPERM: @where_fd is not the namespace of the calling thread, and a capability is missing: CAP_NET_ADMIN over it if
/// it has an nsid here, else CAP_SYS_ADMIN here and over it;
/// -EAGAIN: RLIMIT_NPROC prevents starting a thread, which ends before this call returns;
/// -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_get_as_seen_from(where_fd: c_int, fd: c_int, nsid: *mut i32) -> c_int {
    // SAFETY: NULL or writable, and open descriptors stay open, as the documentation demands.
    unsafe { answer(nsid, || nsid::get_as_seen_from(descriptor(where_fd)?, descriptor(fd)?)) }
}

/// Assigns an nsid here to an open network namespace, for as long as that namespace lives. When it dies, watchers of
/// NSW_SOURCE_NSID emit NSW_EVENT_NSID_DEL: so you can watch for the death of a namespace that has no name.
///
/// @fd: a descriptor of the namespace, which you keep. While it is open, the namespace lives.
/// @wanted: the nsid to assign; -1: the lowest free one.
/// @nsid: where the function stores the assigned nsid.
///
/// Returns 0, or
/// -EINVAL: @wanted is less than -1, @nsid is NULL, or @fd does not refer to a network namespace;
/// -EBADF: @fd is negative or not open;
/// -EEXIST: the namespace has an nsid here already, or another one has the wanted nsid;
/// -EPERM: requires CAP_NET_ADMIN over the namespace of the calling thread;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
///
/// Since: 0.1 (Linux 4.0; see rtnetlink(7))
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

/// Translates an nsid: gets the nsid here of a namespace whose nsid in a peer you know.
///
/// @nsid: the nsid of the namespace in the peer.
/// @from: the nsid of the peer here.
/// @result: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none here.
///
/// Returns 0, or
/// -EINVAL: an nsid is negative, @result is NULL, or no peer has the nsid @from;
/// -ENOENT: the peer has no such @nsid;
/// -EACCES: requires CAP_NET_ADMIN over the peer;
/// -EOPNOTSUPP: Linux before 5.0;
/// -EOVERFLOW: the peer has more nsids than the kernel lists, 900 on Linux 6.18, and @nsid comes after them;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
/// -EAGAIN: changes kept interrupting the kernel's answer.
///
/// Since: 0.1 (Linux 5.0; see rtnetlink(7))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsid_translate(nsid: i32, from: i32, result: *mut i32) -> c_int {
    // SAFETY: NULL or writable, as the documentation demands.
    unsafe { answer(result, || nsid::translate(nsid, from)) }
}

/// Lists the nsids assigned here, in ascending order.
///
/// @nsids: an array for up to @capacity nsids; may be NULL if @capacity is 0.
/// @capacity: the size of the array.
/// @count: where the function stores the number of nsids; if it exceeds @capacity, the array is not complete.
///
/// Returns 0, or
/// -EINVAL: a pointer is NULL;
/// -EOVERFLOW: the list would not be complete: there are more nsids than the kernel lists, and they are far apart;
/// -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
/// -EAGAIN: changes kept interrupting the kernel's answer.
///
/// Linux 6.18 itself lists the first 1158 only. To find the others, this function tries up to 32,768 free numbers, and
/// gets the nsids of all namespaces that are mounted, have a process, or are open in this process. It can miss an nsid
/// that comes after 8192 free ones in a row, if none of these show its namespace.
///
/// Since: 0.1 (Linux 4.2; see rtnetlink(7))
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
