//! Looking at a path: which network namespace does it lead to?
//!
//! "No" is an answer about the path. Where a system call fails in a way that may be a refusal, by a seccomp filter, a
//! security policy or for want of a privilege, the own namespace decides: if the same call fails there in the same way,
//! it is refused, and the next way is taken. If there is none, that is an error and never a "no".

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Netns;
use crate::error::{errno_of, is_refused, is_shortage, is_transient, refusal, refused};
use crate::sys::{self, CWD, Handle};
use crate::walk::Links;

/// The namespace that the calling thread is in. Every process may look at it.
const OWN: &CStr = c"/proc/thread-self/ns/net";

/// A network namespace that a path leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) netns: Netns,
    /// The never-reused id of the mount that the path ends on (Linux 6.8).
    pub(crate) mount_id: Option<u64>,
}

/// How this kernel and its filters permit to look at a path. Probed once a watcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// By file handles, and by opening where they are refused later; namespaces are on this device. `None`: by opening.
    handles: Option<u64>,
    links: Links,
}

impl Probe {
    /// Finds out by the own namespace. Fails where no way leads to it. `links`: those that a path ends on.
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

    /// The network namespace that `path` leads to; `None` if it leads to anything else or nowhere.
    ///
    /// Fails where the answer could not be had: because of a shortage, as all ways are [refused](is_refused), or as what
    /// is at `path` may not be looked at, whether it is a symbolic link or not (`EACCES`).
    pub(crate) fn look(&self, at: BorrowedFd<'_>, path: &CStr) -> io::Result<Option<Found>> {
        let found = match self.handles {
            Some(dev) => by_handle(at, path, self.links, dev),
            None => by_opening(at, path, self.links),
        };
        match found {
            Err(error) if errno_of(&error) == libc::EACCES && !is_refused(&error) => {
                match sys::stat(at, path, libc::AT_SYMLINK_NOFOLLOW) {
                    Err(error) if errno_of(&error) == libc::EACCES || is_transient(&error) => Err(error),
                    // it leads to where this process may not go
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

/// Whether an error is about what the path leads to, whoever asks.
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

/// A system call that failed, and the sentence for the case that it is refused.
struct Failure {
    error: io::Error,
    why: &'static str,
}

impl Failure {
    fn of(why: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { error, why }
    }

    /// A plain error where it is about the object, a [refusal](is_refused) where the own namespace meets it too.
    fn told_apart(self) -> io::Error {
        let Self { error, why } = self;
        if is_about_path(&error) || is_transient(&error) {
            return error;
        }
        match try_open(CWD, OWN, Links::All) {
            Err(own) if errno_of(&own.error) == errno_of(&error) => refused(&error, why),
            Err(own) if is_shortage(&own.error) => own.error,
            // a /proc that hides the processes of others says so in its own way
            _ if errno_of(&error) == libc::EPERM => io::Error::from_raw_os_error(libc::EACCES),
            _ => error,
        }
    }
}

/// Opens what a path leads to, if it is a network namespace.
///
/// `links`: those that the path ends on. `ENODEV`: it is no namespace; `EPROTOTYPE`: it is one of another kind. Opens nothing but a file of nsfs, so it cannot
/// block on a FIFO or set off a device.
pub(crate) fn open_path(at: BorrowedFd<'_>, path: &CStr, links: Links) -> io::Result<OwnedFd> {
    try_open(at, path, links).map_err(Failure::told_apart)
}

fn try_open(at: BorrowedFd<'_>, path: &CStr, links: Links) -> Result<OwnedFd, Failure> {
    let follow = if links.are_followed() { 0 } else { libc::O_NOFOLLOW };
    let found = sys::open(at, path, libc::O_PATH | follow).map_err(Failure::of(refusal!("openat(2)")))?;
    try_reopen(found.as_fd())
}

/// Opens what `fd` (any descriptor, `O_PATH` too) refers to, as [`open_path`] does.
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

/// Identifies what a descriptor refers to.
pub(super) fn identify(fd: BorrowedFd<'_>) -> io::Result<Found> {
    identify_open(try_reopen(fd).map_err(Failure::told_apart)?.as_fd())
}

/// Identifies an open network namespace. Of an open one there is nothing that only this one could be refused for.
pub(crate) fn identify_open(namespace: BorrowedFd<'_>) -> io::Result<Found> {
    let unless_transient = |why| move |error| if is_transient(&error) { error } else { refused(&error, why) };
    let stat = sys::stat(namespace, c"", 0).map_err(unless_transient(refusal!("statx(2) and fstatat(2)")))?;
    let cookie = match sys::cookie(namespace) {
        // before Linux 6.18
        Err(error) if matches!(errno_of(&error), libc::ENOTTY | libc::EINVAL) => 0,
        cookie => cookie.map_err(unless_transient(refusal!("ioctl(2) NS_GET_ID")))?,
    };
    // The inode was made after the last one of the same number had gone. That says something only while a mount pins it:
    // of /proc/PID/ns/net the kernel makes another one at any time. The id of the mount will not do, since binding the
    // directory onto itself gives each name another one.
    let is_pinned = match stat.is_mount_root {
        _ if cookie != 0 => false,
        Some(is_mount_root) => is_mount_root,
        None => is_mounted(namespace).map_err(unless_transient(refusal!("statx(2), and /proc/thread-self/fdinfo")))?,
    };
    let stamp = if is_pinned { stat.ctime_ns } else { 0 };
    Ok(Found { netns: Netns { dev: stat.dev, ino: stat.ino, cookie, stamp }, mount_id: stat.mount_id })
}

/// Whether an open namespace was opened by a mount of its own, where `statx(2)` does not say so: those of /proc are on a
/// mount of the kernel's.
fn is_mounted(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    let own = sys::open(CWD, OWN, libc::O_RDONLY)?;
    Ok(sys::mount_of(namespace)? != sys::mount_of(own.as_fd())?)
}

/// Identifies the network namespace that the calling thread is in. `EOPNOTSUPP`: /proc is not mounted.
pub(crate) fn of_calling_thread() -> io::Result<Netns> {
    let namespace = open_path(CWD, OWN, Links::All).map_err(sys::proc_error)?;
    Ok(identify_open(namespace.as_fd())?.netns)
}

/// What probing the own namespace shows of this kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) by_handle: bool,
    pub(crate) has_cookie: bool,
    pub(crate) has_mount_id: bool,
}

/// Probes the own namespace.
pub(crate) fn try_own() -> io::Result<Trial> {
    let probe = Probe::detect(Links::All)?;
    // where the own namespace is not found, /proc is not there
    let found = probe.look(CWD, OWN)?.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    Ok(Trial {
        by_handle: probe.handles.is_some(),
        has_cookie: found.netns.cookie != 0,
        has_mount_id: found.mount_id.is_some(),
    })
}
