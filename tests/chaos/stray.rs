//! A caller who goes elsewhere: there, a path or its own network namespace is another one.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Instant;

use crate::stage::{BAIT, Dice};
use crate::support::DEADLINE;

/// A thread that is not where it was; dropping this takes it back.
pub enum Astray {
    /// In another root directory; this one was its own.
    Root(File),
    /// In another namespace of this kind; this one was its own.
    Namespace(File, i32),
}

impl Astray {
    /// `None`: not permitted, or an actor has covered the path.
    pub fn go(dice: &mut Dice) -> Option<Self> {
        let home = |path| File::open(path).unwrap();
        let unshare = |home, kind| {
            // SAFETY: no pointers; it concerns this thread alone.
            (unsafe { libc::unshare(kind) } == 0).then(|| Self::Namespace(home, kind))
        };
        match dice.below(3) {
            0 => {
                let root = home("/");
                std::os::unix::fs::chroot(BAIT).ok().map(|()| Self::Root(root))
            }
            // a copy, which does not change from now on
            1 => unshare(home("/proc/thread-self/ns/mnt"), libc::CLONE_NEWNS),
            _ => unshare(home("/proc/thread-self/ns/net"), libc::CLONE_NEWNET),
        }
    }

    /// Whether paths lead elsewhere.
    pub fn is_other_place(&self) -> bool {
        !matches!(self, Self::Namespace(_, libc::CLONE_NEWNET))
    }
}

impl Drop for Astray {
    fn drop(&mut self) {
        match self {
            Self::Root(root) => {
                rustix::process::fchdir(root).unwrap();
                std::os::unix::fs::chroot(".").unwrap();
            }
            Self::Namespace(home, kind) => {
                let end = Instant::now() + DEADLINE;
                // SAFETY: no pointers; it concerns this thread alone.
                while unsafe { libc::setns(home.as_raw_fd(), *kind) } != 0 {
                    let error = std::io::Error::last_os_error();
                    // a joined thread shares the root directory until the kernel has cleaned it up
                    assert!(error.raw_os_error() == Some(libc::EINVAL) && Instant::now() < end, "no way back: {error}");
                    std::thread::yield_now();
                }
            }
        }
    }
}
