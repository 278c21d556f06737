//! Walks a path one component at a time, as the kernel does, so that the caller can watch or refuse each step.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{refusal, refused};
use crate::sys::{self, CWD};

/// The maximum number of symbolic links in one path, as in the kernel.
pub(crate) const MAX_LINKS: usize = 40;

/// The symbolic links that a walk follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// All, as the kernel does.
    All,
    /// Links that root owns, on the way to a directory, no others: root chose their targets.
    RootsOnTheWay,
}

impl Links {
    pub(crate) fn are_followed(self) -> bool {
        self == Self::All
    }

    /// Whether to follow this link on the way, opened as itself.
    fn permit(self, link: BorrowedFd<'_>) -> io::Result<bool> {
        match self {
            Self::All => Ok(true),
            // stat requires no permission; an owner without a number in this user namespace is not root
            Self::RootsOnTheWay => sys::stat(link, c"", 0)
                .map(|stat| stat.access.belongs_to_root())
                .map_err(refused_if_denied(refusal!("statx(2) and fstatat(2)"))),
        }
    }
}

/// Opens the directory that a path leads to, with `O_PATH`. `step` opens one component in a directory, a link as
/// itself. `ELOOP`: too many links on the way, or one that `links` excludes.
pub(crate) fn walk(
    path: &CStr,
    links: Links,
    step: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    // opening the root requires no permission
    let root = || {
        let root = sys::open(CWD, c"/", libc::O_PATH | libc::O_DIRECTORY);
        root.map_err(refused_if_denied(refusal!("openat(2)")))
    };
    let mut components = reversed(path.to_bytes());
    let mut followed = 0;
    let mut here = root()?;
    while let Some(next) = components.pop() {
        let found = step(here.as_fd(), &next)?;
        // neither does reading a link
        let target = sys::link_target(found.as_fd()).map_err(refused_if_denied(refusal!("readlinkat(2)")))?;
        let Some(target) = target else {
            here = found;
            continue;
        };
        if followed == MAX_LINKS || !links.permit(found.as_fd())? {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        followed += 1;
        let filesystem = sys::filesystem_of(found.as_fd()).map_err(refused_if_denied(refusal!("fstatfs(2)")))?;
        if filesystem == sys::PROC {
            // the text of links such as /proc/PID/root is not where they lead
            here = sys::open(here.as_fd(), &next, libc::O_PATH | libc::O_DIRECTORY)?;
            continue;
        }
        if target.as_bytes().starts_with(b"/") {
            here = root()?;
        }
        components.extend(reversed(target.as_bytes()));
    }
    Ok(here)
}

/// Walks without an action at each step.
pub(crate) fn walk_to(path: &CStr, links: Links) -> io::Result<OwnedFd> {
    walk(path, links, &mut open_step)
}

/// Opens a component, a link as itself.
pub(crate) fn open_step(here: BorrowedFd<'_>, next: &CStr) -> io::Result<OwnedFd> {
    sys::open(here, next, libc::O_PATH | libc::O_NOFOLLOW)
}

/// Turns an error into a refusal where no permission can be missing.
fn refused_if_denied(why: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| if error.kind() == io::ErrorKind::PermissionDenied { refused(&error, why) } else { error }
}

/// Splits a path into components, from the last one on, without empty ones and `.`. Keeps `..`, which depends on the
/// directory before it.
fn reversed(path: &[u8]) -> Vec<CString> {
    Path::new(OsStr::from_bytes(path))
        .components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => CString::new(name.as_bytes()).ok(),
            Component::ParentDir => Some(c"..".to_owned()),
            _ => None,
        })
        .collect()
}
