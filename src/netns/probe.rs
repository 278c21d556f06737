//! Probes a path: finds the network namespace that it leads to.
//!
//! "No" is an answer about the path. If a system call fails in a way that may be a refusal, by a seccomp filter, a
//! security policy or a missing privilege, the probe tries the same call on the own namespace. If it fails there in the
//! same way, the call is refused, and the probe takes the next way. Without a next way it returns an error, never a
//! "no".

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Netns;
use crate::error::{errno_of, is_refused, is_shortage, is_transient, refusal, refused};
use crate::sys::{self, CWD, Handle};
use crate::walk::Links;

/// The namespace of the calling thread. Every process may read it.
const OWN: &CStr = c"/proc/thread-self/ns/net";

/// A network namespace that a path leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) netns: Netns,
    /// The never-reused id of the mount that the path ends on (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

/// The ways to probe a path that this kernel and its filters permit. Detected once per watcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// By file handles, or by opening if handles are refused later; namespaces are on this device. `None`: by opening.
    handles: Option<u64>,
    links: Links,
}

impl Probe {
    /// Detects the ways by probing the own namespace. Fails if no way leads to it. `links`: whether to follow a link at
    /// the end of a path.
    pub(crate) fn detect(links: Links) -> io::Result<Self> {
        match own_handle() {
            Ok(Some(handle)) => match sys::stat(CWD, OWN, 0) {
                Ok(stat) if u64::from(handle.ino) == stat.ino => return Ok(Self { handles: Some(stat.dev), links }),
                _ => {}
            },
            Err(error) if is_shortage(&error) => return Err(error),
            _ => {}
        }
        of_calling_thread().map(|_| Self { handles: None, links })
    }

    /// The network namespace that `path` leads to; `None`: `path` leads to something else or nowhere.
    ///
    /// Fails if there is no answer: a limit is reached, all ways are [refused](is_refused), or the caller may not read
    /// what is at `path` (`EACCES`), whether it is a symbolic link or not.
    pub(crate) fn look(&self, at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<Found>> {
        let found = match self.handles {
            Some(dev) => by_handle(at, path, self.links, dev),
            None => by_opening(at, path, self.links),
        };
        match found {
            Err(error) if errno_of(&error) == libc::EACCES && !is_refused(&error) => {
                match sys::stat(at, path, libc::AT_SYMLINK_NOFOLLOW) {
                    Err(error) if errno_of(&error) == libc::EACCES || is_transient(&error) => Err(error),
                    // it leads to a place that this process may not enter
                    _ => Ok(None),
                }
            }
            found => found,
        }
    }
}

fn own_handle() -> io::Result<Option<Handle>> {
    sys::handle(CWD, OWN, libc::AT_SYMLINK_FOLLOW)
}

fn by_handle(at: BorrowedFd<'_>, path: &CStr, links: Links, dev: u64) -> io::Result<Option<Found>> {
    let follow = if links.are_followed() { libc::AT_SYMLINK_FOLLOW } else { 0 };
    let handle = match sys::handle(at, path, follow) {
        Err(error) if is_about_path(&error) => return Ok(None),
        Err(error) if is_shortage(&error) => return Err(error),
        Err(error) => match own_handle() {
            Err(own) if errno_of(&own) == errno_of(&error) => return by_opening(at, path, links),
            Err(own) if is_shortage(&own) => return Err(own),
            _ if errno_of(&error) == libc::EACCES => return Err(error),
            _ => return Ok(None),
        },
        Ok(handle) => handle,
    };
    Ok(handle.filter(|handle| handle.ns_type == libc::CLONE_NEWNET as u32).map(|handle| Found {
        netns: Netns { dev, ino: handle.ino.into(), cookie: handle.cookie, stamp: 0 },
        mount_id: Some(handle.mount_id),
    }))
}

fn by_opening(at: BorrowedFd<'_>, path: &CStr, links: Links) -> io::Result<Option<Found>> {
    match open_path(at, path, links).and_then(|namespace| identify_open(namespace.as_fd())) {
        Err(error) if is_transient(&error) || is_refused(&error) || errno_of(&error) == libc::EACCES => Err(error),
        // it leads nowhere, or to something else
        Err(_) => Ok(None),
        found => found.map(Some),
    }
}

/// Whether an error is about the target of the path, for every caller.
fn is_about_path(error: &io::Error) -> bool {
    matches!(
        errno_of(error),
        libc::ENOENT
            | libc::ENOTDIR
            | libc::ELOOP
            | libc::ENAMETOOLONG
            | libc::ENODEV
            | libc::ENXIO
            | libc::EPROTOTYPE
            | libc::EBADF
    )
}

/// A failed system call, and the sentence for its refusal.
struct Failure {
    error: io::Error,
    why: &'static str,
}

impl Failure {
    fn of(why: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { error, why }
    }

    /// A plain error if it is about the object, a [refusal](is_refused) if the own namespace meets it too.
    fn classified(self) -> io::Error {
        let Self { error, why } = self;
        if is_about_path(&error) || is_transient(&error) {
            return error;
        }
        match try_open(CWD, OWN, Links::All) {
            Err(own) if errno_of(&own.error) == errno_of(&error) => refused(&error, why),
            Err(own) if is_shortage(&own.error) => own.error,
            // a /proc that hides other users' processes returns this
            _ if errno_of(&error) == libc::EPERM => io::Error::from_raw_os_error(libc::EACCES),
            _ => error,
        }
    }
}

/// Opens the target of a path, if it is a network namespace.
///
/// `links`: whether to follow a link at the end of the path. `ENODEV`: not a namespace. `EPROTOTYPE`: a namespace of
/// another kind. Opens only files of nsfs, so it cannot block on a FIFO or trigger a device.
pub(crate) fn open_path(at: BorrowedFd<'_>, path: &CStr, links: Links) -> io::Result<OwnedFd> {
    try_open(at, path, links).map_err(Failure::classified)
}

fn try_open(at: BorrowedFd<'_>, path: &CStr, links: Links) -> Result<OwnedFd, Failure> {
    let follow = if links.are_followed() { 0 } else { libc::O_NOFOLLOW };
    let found = sys::open(at, path, libc::O_PATH | follow).map_err(Failure::of(refusal!("openat(2)")))?;
    try_reopen(found.as_fd())
}

/// Opens the file behind `fd` (any descriptor, `O_PATH` too), as [`open_path`] does.
fn try_reopen(fd: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let not = |errno| Failure { error: io::Error::from_raw_os_error(errno), why: "" };
    if !sys::is_namespace(fd).map_err(Failure::of(refusal!("fstatfs(2)")))? {
        return Err(not(libc::ENODEV));
    }
    let namespace = sys::open_again(fd).map_err(Failure::of(refusal!("openat(2) of namespaces")))?;
    match sys::is_network(namespace.as_fd()).map_err(Failure::of(refusal!("ioctl(2) NS_GET_NSTYPE")))? {
        true => Ok(namespace),
        false => Err(not(libc::EPROTOTYPE)),
    }
}

/// Identifies the file behind a descriptor.
pub(super) fn identify(fd: BorrowedFd<'_>) -> io::Result<Found> {
    identify_open(try_reopen(fd).map_err(Failure::classified)?.as_fd())
}

/// Identifies an open network namespace. Errors here are never about this namespace only.
pub(crate) fn identify_open(namespace: BorrowedFd<'_>) -> io::Result<Found> {
    let unless_transient = |why| move |error| if is_transient(&error) { error } else { refused(&error, why) };
    let stat = sys::stat(namespace, c"", 0).map_err(unless_transient(refusal!("statx(2) and fstatat(2)")))?;
    let cookie = match sys::cookie(namespace) {
        // before Linux 6.18
        Err(error) if matches!(errno_of(&error), libc::ENOTTY | libc::EINVAL) => 0,
        cookie => cookie.map_err(unless_transient(refusal!("ioctl(2) NS_GET_ID")))?,
    };
    // The change time shows that the inode is newer than the end of the last namespace with this number. It is reliable
    // only while a mount pins the inode: for /proc/PID/ns/net the kernel makes a new inode at any time. The mount id
    // does not work, because a bind of the directory onto itself gives each name another one.
    let is_pinned = match stat.is_mount_root {
        _ if cookie != 0 => false,
        Some(is_mount_root) => is_mount_root,
        None => is_mounted(namespace).map_err(unless_transient(refusal!("statx(2), and /proc/thread-self/fdinfo")))?,
    };
    let stamp = if is_pinned { stat.ctime_ns } else { 0 };
    Ok(Found { netns: Netns { dev: stat.dev, ino: stat.ino, cookie, stamp }, mount_id: stat.mount_id })
}

/// Whether an open namespace was opened through a mount of its own, where `statx(2)` does not show it: those of /proc
/// are on an internal mount.
fn is_mounted(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    let own = sys::open(CWD, OWN, libc::O_RDONLY)?;
    Ok(sys::mount_of(namespace)? != sys::mount_of(own.as_fd())?)
}

/// Identifies the network namespace of the calling thread. `EOPNOTSUPP`: /proc is not mounted.
pub(crate) fn of_calling_thread() -> io::Result<Netns> {
    let namespace = open_path(CWD, OWN, Links::All).map_err(sys::proc_error)?;
    Ok(identify_open(namespace.as_fd())?.netns)
}

/// The result of probing the own namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) by_handle: bool,
    pub(crate) has_cookie: bool,
    pub(crate) has_mount_id: bool,
}

/// Probes the own namespace.
pub(crate) fn try_own() -> io::Result<Trial> {
    let probe = Probe::detect(Links::All)?;
    // without the own namespace, /proc is missing
    let found = probe.look(CWD, OWN)?.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    Ok(Trial {
        by_handle: probe.handles.is_some(),
        has_cookie: found.netns.cookie != 0,
        has_mount_id: found.mount_id.is_some(),
    })
}
