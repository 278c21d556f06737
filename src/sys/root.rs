//! The root directory of the calling thread.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags};

use super::files::{fstatat, has, mount_of, statx, unique_mount_id};
use super::{CWD, open, proc_error};

/// The root directory of a thread, and its mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) mount: RootMount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootMount {
    /// Its never-reused id (Linux 6.8).
    Unique(u64),
    /// Its id, which the kernel may give to another mount later.
    Reusable(u64),
    /// A filter refuses statx(2).
    Unknown,
}

/// The root directory of the calling thread, by one system call.
pub(crate) fn root() -> io::Result<Root> {
    let Ok(stat) = statx(CWD, c"/", AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID) else {
        let stat = fstatat(CWD, c"/", AtFlags::empty())?;
        #[allow(clippy::unnecessary_cast)] // the types of struct stat differ between architectures
        return Ok(Root { dev: stat.st_dev as u64, ino: stat.st_ino as u64, mount: RootMount::Unknown });
    };
    let reusable = has(&stat, StatxFlags::MNT_ID).then_some(RootMount::Reusable(stat.stx_mnt_id));
    Ok(Root {
        dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        mount: unique_mount_id(&stat).map(RootMount::Unique).or(reusable).unwrap_or(RootMount::Unknown),
    })
}

/// The inode number of the mount namespace of the calling thread.
pub(crate) fn mount_namespace() -> io::Result<u64> {
    let stat = fstatat(CWD, c"/proc/thread-self/ns/mnt", AtFlags::empty()).map_err(proc_error)?;
    #[allow(clippy::unnecessary_cast)] // the types of struct stat differ between architectures
    Ok(stat.st_ino as u64)
}

/// The reusable id of the mount of the root directory, without statx(2).
pub(crate) fn root_mount_id() -> io::Result<u64> {
    let root = open(CWD, c"/", libc::O_PATH | libc::O_DIRECTORY)?;
    mount_of(root.as_fd())?.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))
}
