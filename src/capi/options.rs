//! Options
//!
//! Options are made by nsw_options_new() and owned by the caller, who gives them back to nsw_options_free(), at once
//! after nsw_open() if they are not to be used again. One set may serve several watchers, of both sources: what does
//! not apply to a source is ignored.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use libc::c_int;

use super::{borrow_mut, guard, invalid};
use crate::options::Options;

/// Start with now, not with what exists. Since: 0.1
pub const NSW_NO_REPLAY: u32 = 0x1;
/// NSW_SOURCE_NAMED: a missing directory is -ENOENT at open, and its removal ends the watch with an
/// NSW_EVENT_DIR_DELETED that is always told. Since: 0.1
pub const NSW_NO_PARENT: u32 = 0x2;
/// NSW_SOURCE_NAMED: tell when the directory itself comes and goes. Since: 0.1
pub const NSW_DIR_EVENTS: u32 = 0x4;

/// NSW_SOURCE_NSID: tell what happens in peer namespaces too, those that have an id here. Needs CAP_NET_BROADCAST,
/// and over each peer that is to be heard of. Since: 0.1
pub const NSW_ALL_NSID: u32 = 0x10;

/// What to do differently, as C holds it.
pub struct nsw_options(pub(super) Options);

/// Makes options with the default values.
///
/// Returns them, or NULL if there is no memory.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_options_new() -> *mut nsw_options {
    std::panic::catch_unwind(|| Box::into_raw(Box::new(nsw_options(Options::default()))))
        .unwrap_or(std::ptr::null_mut())
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
/// @flags: NSW_NO_REPLAY, NSW_NO_PARENT, NSW_DIR_EVENTS, NSW_ALL_NSID, or 0.
///
/// Returns 0, or -EINVAL: @o is NULL, or a bit is unknown; then nothing is changed.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_flags(o: *mut nsw_options, flags: u32) -> c_int {
    guard(|| {
        // SAFETY: NULL or live, as the chapter demands.
        let options = unsafe { borrow_mut(o) }?;
        if flags & !(NSW_NO_REPLAY | NSW_NO_PARENT | NSW_DIR_EVENTS | NSW_ALL_NSID) != 0 {
            return Err(invalid());
        }
        let has = |flag| flags & flag != 0;
        options.0 = std::mem::take(&mut options.0)
            .replay(!has(NSW_NO_REPLAY))
            .parent(!has(NSW_NO_PARENT))
            .dir_events(has(NSW_DIR_EVENTS))
            .all_nsid(has(NSW_ALL_NSID));
        Ok(0)
    })
}

/// Sets the directory whose entries are the names, for NSW_SOURCE_NAMED. It need not exist.
///
/// @path: an absolute path; copied. Default: "/run/netns".
///
/// Returns 0, or -EINVAL: an argument is NULL, or the path is not absolute; then nothing is changed.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsw_options_set_dir(o: *mut nsw_options, path: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: NULL or live, as the chapter demands.
        let options = unsafe { borrow_mut(o) }?;
        if path.is_null() {
            return Err(invalid());
        }
        // SAFETY: not NULL, so it is a string of C.
        let path = unsafe { CStr::from_ptr(path) };
        options.0 = options.0.clone().dir(OsStr::from_bytes(path.to_bytes()))?;
        Ok(0)
    })
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
    guard(|| {
        // SAFETY: NULL or live, as the chapter demands.
        let options = unsafe { borrow_mut(o) }?;
        options.0 = std::mem::take(&mut options.0).rcvbuf(bytes);
        Ok(0)
    })
}
