//! Optional features of this kernel and these privileges, probed at run time.
//!
//! Each probe runs the code that a watcher runs, so the result is what a watcher would use. Nothing stays open
//! afterwards.

use std::fmt;

use crate::error::{Doing, Result, is_transient};
use crate::{all, mounts, netns, nsid};

/// An optional feature: watchers use it if it is available, and a fallback if not.
///
/// It depends on the kernel, on the privileges of the calling thread, on its namespaces, and on seccomp filters. So
/// each call probes it, and never derives it from a version.
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
    /// Fanotify reports mounts. Requires Linux 6.15 and `CAP_SYS_ADMIN` over the mount namespace. Fallback:
    /// [`MountPoll`](Self::MountPoll).
    MountEvents = 1,
    /// A kernel AIO poll of mountinfo. Requires Linux 4.18 and permission to use AIO. Without this and
    /// [`MountEvents`](Self::MountEvents), the watcher polls mountinfo itself, and only one poll of the watcher's
    /// descriptor sees a wake-up for a mount: call [`Watcher::next_event`](crate::Watcher::next_event) after every
    /// wake-up.
    MountPoll = 2,
    /// Namespaces have a cookie, a number that the kernel never reuses, which distinguishes one from its successor.
    /// Requires Linux 6.18. Fallback: the change time of the inode while the namespace is mounted; nothing behind a
    /// symbolic link to `/proc/PID/ns/net`.
    Cookie = 3,
    /// Mounts have an id that the kernel never reuses. By it the watcher finds the names of a mount that goes. Requires
    /// Linux 6.8. Fallback, with mount events: a probe of every known name at each change of a mount.
    MountId = 4,
    /// A file handle identifies the namespace behind a name in one system call. Requires Linux 6.18. Fallback: the
    /// watcher opens names.
    NsHandles = 5,
    /// `statmount(2)` returns where a mount is mounted. Requires Linux 6.8. Without it, mount events are not the
    /// default; with them, the watcher probes every known name at each change of a mount.
    Statmount = 6,
    /// The kernel lists the nsids of a peer. Requires Linux 5.0 and `CAP_NET_ADMIN` over the peer. Without it
    /// [`nsid::translate`] fails.
    TargetNsid = 8,
    /// The kernel notifies of nsids in peers. Requires Linux 4.2 and `CAP_NET_BROADCAST`. Without it
    /// [`Options::all_nsid`](crate::Options::all_nsid) fails.
    AllNsid = 9,
    /// listns(2) lists every network namespace. Requires Linux 6.19 and `CAP_SYS_ADMIN` in the initial user and
    /// pid namespaces. Fallback: a census searches mounts, processes and their descriptors.
    ListNs = 10,
    /// The watcher reports new namespaces as they are made, by the kernel's perf records. Requires `CAP_PERFMON` or
    /// `CAP_SYS_ADMIN` in the initial user namespace. Fallback: it notices them when mounts change, when a namespace
    /// dies, and at a resync.
    Births = 11,
    /// The watcher reports deaths of namespaces as they happen, from an observation post: a network namespace of its
    /// own. Requires `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, or permission to make user namespaces. Fallback: it notices
    /// them at a resync.
    Deaths = 12,
}

impl Feature {
    /// All features.
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

    /// Probes whether a watcher that the calling thread opened now would have the feature.
    ///
    /// # Errors
    /// A limit is reached (`EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`, `ENOSPC`, `EAGAIN`), and the probe has no result.
    /// `EOPNOTSUPP`: /proc is not mounted.
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

    /// The name of the feature in the command and in C, such as `mount_events`.
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// The purpose and the requirements in one line, as `nswatch features` prints them.
    pub fn purpose(self) -> &'static str {
        self.texts().1
    }

    /// The table of names and purposes.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::MountEvents => {
                ("mount_events", "mount events by fanotify: Linux 6.15, CAP_SYS_ADMIN over the mount namespace")
            }
            Self::MountPoll => {
                ("mount_poll", "mount events by a kernel AIO poll of mountinfo: Linux 4.18, no filter on AIO")
            }
            Self::Cookie => ("cookie", "a cookie identifies each namespace: Linux 6.18"),
            Self::MountId => ("mount_id", "a never-reused mount id finds the names of an unmount: Linux 6.8"),
            Self::NsHandles => ("ns_handles", "one system call per name, without opening it: Linux 6.18"),
            Self::Statmount => ("statmount", "statmount(2) finds the names of a new mount: Linux 6.8"),
            Self::TargetNsid => ("target_nsid", "lists the nsids of a peer: Linux 5.0, CAP_NET_ADMIN over the peer"),
            Self::AllNsid => ("all_nsid", "nsid events from peers: Linux 4.2, CAP_NET_BROADCAST"),
            Self::ListNs => ("listns", "the kernel lists every namespace: Linux 6.19, CAP_SYS_ADMIN"),
            Self::Births => ("births", "reports new namespaces as they are made: CAP_PERFMON or CAP_SYS_ADMIN"),
            Self::Deaths => (
                "deaths",
                "reports deaths of namespaces as they happen: CAP_SYS_ADMIN, or permission to make user namespaces",
            ),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
