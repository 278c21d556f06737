//! Every network namespace of the host that can be seen, with or without a name.

mod births;
mod cadence;
mod census;
mod hotplug;
mod perf;
pub(crate) mod records;
mod source;

pub(crate) use census::numbers_in;
pub use census::{Sighting, census};
pub(crate) use source::All;

use std::io;

/// Whether listns(2) lists every network namespace.
pub(crate) fn try_list() -> io::Result<bool> {
    Ok(false)
}

/// Whether the kernel reports namespaces as they are made.
pub(crate) fn try_births() -> io::Result<bool> {
    perf::try_open()
}

/// Whether the kernel reports deaths of namespaces.
pub(crate) fn try_deaths() -> io::Result<bool> {
    Ok(false)
}
