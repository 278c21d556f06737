//! The place where a watcher was opened: the root directory and the mount namespace in which it resolves paths.
//!
//! A thread can change both between two calls (chroot, unshare, setns), and another thread of the process can change
//! its root at any moment. So code that probes a path checks the place before and after, and discards the result if the
//! place has changed. It keeps no descriptor of a directory: that would be a way out of a container.

use crate::error::{Doing, Error, Result, errno_of, refusal, refused};
use crate::sys::{self, Root, RootMount};

/// The root directory and the mount namespace of a thread.
///
/// The id of the root mount shows both: a copied mount namespace has mounts with ids of their own. Before Linux 6.8 the
/// kernel reuses the ids, so this compares the inode number of the namespace, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    root: Root,
    /// The fallback without never-reused ids; `None`: /proc was missing.
    other: Option<Reusable>,
}

/// Numbers that the kernel reuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reusable {
    mount_id: u64,
    namespace: u64,
}

const FIND_OUT: &str = "identify the root directory and the mount namespace of the calling thread";

impl Place {
    /// The place of the calling thread.
    pub(crate) fn of_caller() -> Result<Self> {
        let root = root().doing(FIND_OUT)?;
        Ok(Self { root, other: Reusable::of_caller(root.mount).ok() })
    }

    /// Fails with `EXDEV` if the calling thread is in another place.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_here().doing(FIND_OUT)? {
            true => Ok(()),
            false => Err(Error::new(libc::EXDEV, "resolve paths")),
        }
    }

    fn is_here(&self) -> std::io::Result<bool> {
        let now = root()?;
        if (now.dev, now.ino) != (self.root.dev, self.root.ino) {
            return Ok(false);
        }
        match (now.mount, self.root.mount) {
            (RootMount::Unique(now), RootMount::Unique(then)) => Ok(now == then),
            // an older kernel, or a filter that refused statx(2) then or refuses it now
            _ => Ok(Some(Reusable::of_caller(now.mount)?) == self.other),
        }
    }
}

/// The root of the calling thread, which every process may read.
fn root() -> std::io::Result<Root> {
    sys::root().map_err(|error| match errno_of(&error) {
        libc::EPERM | libc::ENOSYS | libc::EACCES => refused(&error, refusal!("statx(2) and fstatat(2)")),
        _ => error,
    })
}

impl Reusable {
    fn of_caller(mount: RootMount) -> std::io::Result<Self> {
        let mount_id = match mount {
            RootMount::Reusable(id) => id,
            RootMount::Unique(_) | RootMount::Unknown => sys::root_mount_id()?,
        };
        Ok(Self { mount_id, namespace: sys::mount_namespace()? })
    }
}
