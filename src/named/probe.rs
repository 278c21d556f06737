//! Is it a network namespace, and which one?
//!
//! Two ways lead to the answer. Since Linux 6.18 the file handle of a namespace says it all in one system call.
//! Before, the name is opened, but never for reading unless it is a file of nsfs: a placeholder may be a FIFO or a
//! device. Which way this kernel and its filters permit is found out by trying, once a watcher.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::is_shortage;
use crate::event::Netns;
use crate::sys::{self, CWD};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// File handles work; namespaces are on this device.
    Handles { dev: u64 },
    /// They do not.
    Opens,
}

/// A network namespace that a path leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) netns: Netns,
    /// The never-reused id of the mount that the path ends on (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

/// The namespace that the calling thread is in.
const OWN: &CStr = c"/proc/thread-self/ns/net";

/// What a look at a namespace tells on this kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tells {
    pub(crate) by_handle: bool,
    pub(crate) has_cookie: bool,
    pub(crate) has_mount_id: bool,
}

/// What a look at the own namespace tells.
pub(crate) fn try_own() -> io::Result<Tells> {
    let probe = Probe::detect();
    // a look that found nothing where there is a namespace has found no /proc
    let found = probe.look(CWD, OWN)?.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    Ok(Tells {
        by_handle: matches!(probe, Probe::Handles { .. }),
        has_cookie: found.netns.cookie != 0,
        has_mount_id: found.mount_id.is_some(),
    })
}

/// Whether a mount says what it is mounted on: that of /proc, which is within reach wherever this process is rooted.
pub(crate) fn try_statmount() -> io::Result<bool> {
    let proc = sys::stat(CWD, c"/proc/thread-self", 0).map_err(sys::proc_error)?;
    Ok(matches!(proc.mount_id.map(sys::parent_mount).transpose()?, Some(Some(_))))
}

impl Probe {
    pub(crate) fn detect() -> Self {
        match (sys::handle(CWD, OWN), sys::stat(CWD, OWN, 0)) {
            (Ok(Some(handle)), Ok(stat)) if u64::from(handle.ino) == stat.ino => Self::Handles { dev: stat.dev },
            _ => Self::Opens,
        }
    }

    /// The network namespace that `path` leads to; `None` if it leads to anything else or nowhere.
    ///
    /// Fails only where the answer could not be had just now.
    pub(crate) fn look(&self, at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<Found>> {
        let answer = match *self {
            Self::Handles { dev } => by_handle(at, path, dev),
            Self::Opens => by_opening(at, path).map(|found| found.map(|(found, _)| found)),
        };
        match answer {
            Err(error) if is_shortage(&error) => Err(error),
            // it leads nowhere, or not for us
            Err(_) => Ok(None),
            found => found,
        }
    }

    /// Opens the network namespace that `path` leads to and says which one it is.
    pub(crate) fn open(&self, path: &CStr) -> io::Result<Option<(Netns, OwnedFd)>> {
        let Some((found, namespace)) = by_opening(CWD, path)? else { return Ok(None) };
        match *self {
            // what is open is asked in the way in which it was looked at, so that the answers can be compared
            Self::Handles { dev } => Ok(by_handle(namespace.as_fd(), c"", dev)?.map(|found| (found.netns, namespace))),
            Self::Opens => Ok(Some((found.netns, namespace))),
        }
    }
}

fn by_handle(at: BorrowedFd<'_>, path: &CStr, dev: u64) -> io::Result<Option<Found>> {
    let found = sys::handle(at, path)?.filter(|handle| handle.ns_type == libc::CLONE_NEWNET as u32);
    Ok(found.map(|handle| Found {
        netns: Netns { dev, ino: handle.ino.into(), cookie: handle.cookie, stamp: 0 },
        mount_id: Some(handle.mount_id),
    }))
}

fn by_opening(at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<(Found, OwnedFd)>> {
    // cheaper than opening, and the answer for nearly every name that is new
    if path.to_bytes().starts_with(b"/") && sys::filesystem_at(path)? != sys::NSFS_MAGIC {
        return Ok(None);
    }
    let found = sys::open(at, path, libc::O_PATH)?;
    let Some(namespace) = sys::net_namespace(found.as_fd())? else { return Ok(None) };
    let stat = sys::stat(namespace.as_fd(), c"", 0)?;
    let cookie = match sys::net_namespace_id(&namespace) {
        Err(error) if is_shortage(&error) => return Err(error),
        cookie => cookie.unwrap_or(0),
    };
    let stamp = if cookie != 0 {
        0
    } else if sys::stat(at, path, libc::AT_SYMLINK_NOFOLLOW)?.is_symlink {
        // nothing keeps the inode that a symbolic link leads to: its change time changes although nothing else does
        stat.mount_id.unwrap_or(0)
    } else {
        // its mount keeps the inode, which was made after the last one of the same number was gone; not the id of the
        // mount: binding the directory onto itself gives each name another one
        stat.ctime_ns
    };
    let netns = Netns { dev: stat.dev, ino: stat.ino, cookie, stamp };
    Ok(Some((Found { netns, mount_id: stat.mount_id }, namespace)))
}
