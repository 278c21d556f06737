"""What this kernel and these privileges have that not all have."""

from __future__ import annotations

import enum

from ._errors import check
from ._ffi import lib


class Feature(enum.Enum):
    """Something that makes watchers better where it is there, and that they do without where it is not."""

    MOUNT_EVENTS = 1
    """Fanotify reports mounts: Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Without, by MOUNT_POLL."""
    MOUNT_POLL = 2
    """A kernel AIO poll of mountinfo: Linux 4.18, where AIO is not forbidden. Without both this and MOUNT_EVENTS the
    readiness of fileno() for what a mount did is gone once polled: call poll(0) after every wake-up."""
    COOKIE = 3
    """Namespaces have a cookie, a number that the kernel never reuses: Linux 6.18. Without, Event.cookie is None."""
    MOUNT_ID = 4
    """Mounts have an id that is never used again: Linux 6.8. A mount that goes is traced to its names by it;
    without, with mount_events, each change of a mount costs a look at every known name."""
    NS_HANDLES = 5
    """A file handle says in one system call which namespace a name leads to: Linux 6.18. Without, names are opened."""
    STATMOUNT = 6
    """statmount(2) says what a mount is mounted on: Linux 6.8. Without, mount_events=None is no, and with True each
    change of a mount costs a look at every known name."""
    TARGET_NSID = 8
    """A peer's ids can be asked for, given CAP_NET_ADMIN over it: Linux 5.0. Without, translate_nsid() fails, and
    all_nsid tells of peers only what is notified."""
    ALL_NSID = 9
    """What happens in peers can be listened to: Linux 4.2 and CAP_NET_BROADCAST. Without, all_nsid is EPERM."""
    LISTNS = 10
    """listns(2) lists every network namespace: Linux 6.19, since 7.0 with CAP_SYS_ADMIN in the initial user and pid
    namespaces. Without, the source "all" goes through mounts, processes and their descriptors."""
    BIRTHS = 11
    """The source "all" reports new namespaces as they are made, by perf records: CAP_PERFMON or CAP_SYS_ADMIN in the
    initial user namespace. Without, it notices them when mounts change, when a namespace dies, and at a resync."""
    DEATHS = 12
    """The source "all" reports deaths as they happen, from a network namespace of its own: CAP_SYS_ADMIN and
    CAP_NET_ADMIN, or user namespaces may be made. Without, it notices them at a resync, as far as the kernel tells."""


def feature(which: Feature | str) -> bool:
    """Whether a watcher that the calling thread opened now would have a feature; found out by trying, each time.

    which: the feature, or its name in lower case, as "cookie".

    Raises ValueError for another name, and nswatch.Error: EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EAGAIN: a limit is
    reached, so that it cannot be found out now; EOPNOTSUPP: /proc is not mounted.
    """
    if isinstance(which, str):
        named = {each.name.lower(): each for each in Feature}
        if which not in named:
            raise ValueError(f"there is no feature {which!r}: {', '.join(named)}")
        which = named[which]
    return check(lib.nsw_feature(which.value)) == 1
