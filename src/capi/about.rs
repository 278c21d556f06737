//! About the library
//!
//! Any thread may call these functions at any time.

use std::ffi::{CStr, c_char};

use libc::c_int;

use crate::error::explain;

/// The major version of this header. Since: 0.1
pub const NSW_VERSION_MAJOR: u32 = 0;
/// The minor version of this header. Since: 0.1
pub const NSW_VERSION_MINOR: u32 = 1;
/// The patch version of this header. Since: 0.1
pub const NSW_VERSION_PATCH: u32 = 0;

/// Returns the version of the loaded library, as "0.1.0". Static text.
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

/// Returns what a result of this library means, and the remedy.
///
/// @rc: 0 or a negative errno; a positive errno counts as its negative.
///
/// Static text, never NULL.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn nsw_strerror(rc: c_int) -> *const c_char {
    explain(rc.checked_abs().unwrap_or(c_int::MAX)).as_ptr()
}
