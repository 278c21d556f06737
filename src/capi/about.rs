//! About the library
//!
//! These may be called at any time from any thread.

use std::ffi::{CStr, c_char};

use libc::c_int;

use crate::error::explain;

/// The version of the header: major. Since: 0.1
pub const NSW_VERSION_MAJOR: u32 = 0;
/// The version of the header: minor. Since: 0.1
pub const NSW_VERSION_MINOR: u32 = 1;
/// The version of the header: patch. Since: 0.1
pub const NSW_VERSION_PATCH: u32 = 0;

/// Returns the version of the library that is loaded, as "0.1.0". Static text.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// Returns what a result of this library means, and what can be done about it.
///
/// @rc: 0 or a negative errno, as returned; a positive one is taken for its negative.
///
/// Static text, never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_strerror(rc: c_int) -> *const c_char {
    explain(rc.checked_abs().unwrap_or(c_int::MAX)).as_ptr()
}
