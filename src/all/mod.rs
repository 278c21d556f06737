//! Every network namespace of the host that can be seen, with or without a name.

// source → due, state, census, births, deaths; births ← perf → records, cadence, hotplug; deaths → post, asking. The state
// is pure and knows none of them.
mod asking;
mod births;
mod cadence;
mod census;
mod deaths;
mod due;
mod hotplug;
mod perf;
mod post;
pub(crate) mod records;
mod source;
mod state;

pub(crate) use census::numbers_in;
pub use census::{Sighting, census};
pub(crate) use deaths::try_deaths;
pub(crate) use source::All;

use std::io;

use crate::sys;

/// Whether listns(2) lists every network namespace.
pub(crate) fn try_list() -> io::Result<bool> {
    sys::list_namespaces(0).map(|_| sys::sees_all_namespaces())
}

/// Whether the kernel reports namespaces as they are made.
pub(crate) fn try_births() -> io::Result<bool> {
    perf::try_open()
}
