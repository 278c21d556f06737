//! Optional features of this kernel and these privileges, probed at run time.
//!
//! Each trial is a call of the very code that a watcher uses, so the answer is what a watcher would use. It leaves
//! nothing behind.

use std::fmt;

use crate::error::{Doing, Result, is_transient};
use crate::{all, mounts, netns, nsid};

/// Something that makes watchers better where it is there, and that they do without where it is not.
///
/// It depends on the kernel, on the privileges of the calling thread and on its namespaces, and on seccomp filters:
/// so it is tried, each time it is asked for, and never concluded from a version.
///
/// ```no_run
/// for feature in nswatch::Feature::ALL {
///     println!("{feature}: {}", feature.is_available()?);
/// }
/// # Ok::<(), nswatch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// Fanotify reports mounts (Linux 6.15, `CAP_SYS_ADMIN` over the mount namespace). Without it, by
    /// [`MountPoll`](Self::MountPoll).
    MountEvents = 1,
    /// A kernel AIO poll of mountinfo (Linux 4.18, where AIO is not forbidden). Where neither this nor
    /// [`MountEvents`](Self::MountEvents) is there, mountinfo itself is polled, whose readiness is gone once polled:
    /// ask for events after every wake-up.
    MountPoll = 2,
    /// Namespaces have a cookie, a number that the kernel never reuses (Linux 6.18), which distinguishes one from its
    /// successor. Without it, the change time of its inode does while the namespace is mounted, and nothing does behind
    /// a symbolic link to `/proc/PID/ns/net`.
    Cookie = 3,
    /// Mounts have an id that is never used again (Linux 6.8), so that a mount that goes is traced to its names. Without
    /// it each change of a mount costs a look at every known name, if mount events are wanted.
    MountId = 4,
    /// A file handle says in one system call which namespace a name leads to (Linux 6.18). Without it names are opened.
    NsHandles = 5,
    /// `statmount(2)` says what a mount is mounted on (Linux 6.8). Without it mount events are not the
    /// default, and where they are wanted each change of a mount costs a look at every known name.
    Statmount = 6,
    /// A peer's ids can be asked for by the id of the peer (Linux 5.0), with `CAP_NET_ADMIN` over the peer. Without it
    /// [`nsid::translate`] fails.
    TargetNsid = 8,
    /// What happens in peers can be listened to (Linux 4.2, `CAP_NET_BROADCAST`). Without it
    /// [`Options::all_nsid`](crate::Options::all_nsid) fails.
    AllNsid = 9,
    /// listns(2) lists every network namespace (Linux 6.19; since 7.0 to `CAP_SYS_ADMIN` in the initial user and pid
    /// namespaces). Without it a census goes through mounts, processes and their descriptors.
    ListNs = 10,
    /// New namespaces are reported as they are made, by the kernel's perf records (`CAP_PERFMON` or `CAP_SYS_ADMIN` in the
    /// initial user namespace). Without it they are noticed when mounts change, when a namespace dies, and by a resync.
    Births = 11,
    /// Deaths of namespaces are reported as they happen, from an observation post: a network namespace of the watcher's own
    /// (`CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, or user namespaces may be made). Without it they are noticed at a resync.
    Deaths = 12,
}

impl Feature {
    /// All that there are.
    pub const ALL: [Self; 11] = [
        Self::MountEvents,
        Self::MountPoll,
        Self::Cookie,
        Self::MountId,
        Self::NsHandles,
        Self::Statmount,
        Self::TargetNsid,
        Self::AllNsid,
        Self::ListNs,
        Self::Births,
        Self::Deaths,
    ];

    /// Tries it: whether a watcher that the calling thread opened now would have it.
    ///
    /// # Errors
    /// Where it could not be found out just now, as a limit was reached (`EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`,
    /// `ENOSPC`, `EAGAIN`), or `EOPNOTSUPP`: /proc is not mounted.
    pub fn is_available(self) -> Result<bool> {
        let tried = match self {
            Self::MountEvents => mounts::try_events(),
            Self::MountPoll => mounts::try_poll(),
            Self::Cookie => netns::try_own().map(|own| own.has_cookie),
            Self::MountId => netns::try_own().map(|own| own.has_mount_id),
            Self::NsHandles => netns::try_own().map(|own| own.by_handle),
            Self::Statmount => mounts::try_statmount(),
            Self::TargetNsid => nsid::request::try_target(),
            Self::AllNsid => nsid::listener::try_all(),
            Self::ListNs => all::try_list(),
            Self::Births => all::try_births(),
            Self::Deaths => all::try_deaths(),
        };
        match tried {
            Err(error) if !is_transient(&error) => Ok(false),
            tried => tried.doing_on("try the feature", self.name()),
        }
    }

    /// The name by which the command and C call it, such as `mount_events`.
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// What it is good for and what it requires, in a line, as `nswatch features` prints it.
    pub fn purpose(self) -> &'static str {
        self.texts().1
    }

    /// The table of both.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::MountEvents => {
                ("mount_events", "mounts reported by fanotify: Linux 6.15, CAP_SYS_ADMIN over the mount namespace")
            }
            Self::MountPoll => {
                ("mount_poll", "mounts reported by a kernel AIO poll of mountinfo: Linux 4.18, no filter on AIO")
            }
            Self::Cookie => ("cookie", "namespaces identified by a cookie: Linux 6.18"),
            Self::MountId => ("mount_id", "a mount that goes traced to its names by a never-reused id: Linux 6.8"),
            Self::NsHandles => ("ns_handles", "one system call a name, none is opened: Linux 6.18"),
            Self::Statmount => ("statmount", "a new mount traced to the names it concerns: Linux 6.8"),
            Self::TargetNsid => ("target_nsid", "ids of a peer asked for: Linux 5.0, CAP_NET_ADMIN over the peer"),
            Self::AllNsid => ("all_nsid", "peers listened to: Linux 4.2, CAP_NET_BROADCAST"),
            Self::ListNs => ("listns", "every namespace listed by the kernel: Linux 6.19, CAP_SYS_ADMIN"),
            Self::Births => ("births", "new namespaces reported as they are made: CAP_PERFMON or CAP_SYS_ADMIN"),
            Self::Deaths => (
                "deaths",
                "deaths of namespaces reported as they happen: CAP_SYS_ADMIN, or user namespaces may be made",
            ),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
