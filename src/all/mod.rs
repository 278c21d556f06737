//! Every network namespace of the host in sight, with or without a name.

// source → due, state, births, deaths; births ← perf → records, cadence, hotplug; deaths → post, asking. The state is
// pure and depends on none of them.
mod asking;
mod births;
mod cadence;
mod deaths;
mod due;
mod hotplug;
mod perf;
mod post;
pub(crate) mod records;
mod source;
mod state;

pub(crate) use source::All;

use std::io;

use crate::sys;

/// Fails without /proc, because no watcher works without it.
fn needs_proc() -> io::Result<()> {
    sys::is_proc_ours().then_some(()).ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))
}

/// Whether listns(2) lists every network namespace.
pub(crate) fn try_list() -> io::Result<bool> {
    needs_proc()?;
    sys::list_namespaces(0).map(|_| sys::sees_all_namespaces())
}

/// Whether the kernel reports namespaces as they are made.
pub(crate) fn try_births() -> io::Result<bool> {
    needs_proc()?;
    perf::try_open()
}

/// Whether the kernel reports deaths of namespaces.
pub(crate) fn try_deaths() -> io::Result<bool> {
    needs_proc()?;
    deaths::try_deaths()
}
