//! Walking a path one component at a time, as the kernel does, so that each step can be watched or refused.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use crate::error::{refusal, refused};
use crate::sys::{self, CWD};

/// The most symbolic links in one path, as in the kernel.
pub(crate) const MAX_LINKS: usize = 40;

/// Which symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// All, as the kernel does.
    All,
    /// Those on the way to a directory that root owns, and no other: what root links to, nobody else chose.
    RootsOnTheWay,
}

impl Links {
    pub(crate) fn are_followed(self) -> bool {
        self == Self::All
    }

    /// Whether this link on the way, opened as itself, is to be followed.
    fn permit(self, link: BorrowedFd<'_>) -> io::Result<bool> {
        match self {
            Self::All => Ok(true),
            // it takes no permission to ask; an owner without a number in this user namespace is not root
            Self::RootsOnTheWay => sys::stat(link, c"", 0)
                .map(|stat| stat.access.belongs_to_root())
                .map_err(refused_if_denied(refusal!("statx(2) and fstatat(2)"))),
        }
    }
}

/// The directory that a path leads to, opened with `O_PATH`. `step` opens one component in a directory, a link as itself.
/// `ELOOP`: there are too many links on the way, or one that is not to be followed.
pub(crate) fn walk(
    path: &CStr,
    links: Links,
    step: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    // it takes no permission to open the root
    let root = || {
        let root = sys::open(CWD, c"/", libc::O_PATH | libc::O_DIRECTORY);
        root.map_err(refused_if_denied(refusal!("openat(2)")))
    };
    let mut components = split(path.to_bytes());
    let mut followed = 0;
    let mut here = root()?;
    while let Some(next) = components.pop_front() {
        let found = step(here.as_fd(), &next)?;
        // nor does it to read a link
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
            // the text of /proc/PID/root and its like is not where they lead
            here = sys::open(here.as_fd(), &next, libc::O_PATH | libc::O_DIRECTORY)?;
            continue;
        }
        if target.as_bytes().starts_with(b"/") {
            here = root()?;
        }
        let mut target = split(target.as_bytes());
        target.append(&mut components);
        components = target;
    }
    Ok(here)
}

/// The same where nothing is to be done at a step.
pub(crate) fn walk_to(path: &CStr, links: Links) -> io::Result<OwnedFd> {
    walk(path, links, &mut open_step)
}

/// Opens a component, a link as itself.
pub(crate) fn open_step(here: BorrowedFd<'_>, next: &CStr) -> io::Result<OwnedFd> {
    sys::open(here, next, libc::O_PATH | libc::O_NOFOLLOW)
}

/// Makes a refusal of an error where no permission could be missing.
fn refused_if_denied(why: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| if error.kind() == io::ErrorKind::PermissionDenied { refused(&error, why) } else { error }
}

/// Components without those that lead nowhere else. `..` is one to be walked: it depends on where one is.
fn split(path: &[u8]) -> VecDeque<CString> {
    let path = OsString::from_vec(path.to_vec());
    Path::new(&path)
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => CString::new(name.as_bytes()).ok(),
            Component::ParentDir => Some(c"..".to_owned()),
            _ => None,
        })
        .collect()
}
