"""Optional features of the kernel, and whether they are available here."""

from __future__ import annotations

import enum

from ._errors import check
from ._ffi import lib


class Feature(enum.Enum):
    """An optional feature of the kernel. A watcher uses it where it is available, and a fallback elsewhere."""

    MOUNT_EVENTS = 1
    """Fanotify reports mounts. Requires Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Fallback: MOUNT_POLL."""
    MOUNT_POLL = 2
    """A kernel AIO poll of mountinfo. Requires Linux 4.18, and no filter against AIO. Without this and MOUNT_EVENTS,
    one poll of fileno() consumes the wake-up for a mount: call poll(0) after every wake-up."""
    COOKIE = 3
    """Namespaces have a cookie, a number that the kernel never reuses. Requires Linux 6.18. Without it Event.cookie is
    None."""
    MOUNT_ID = 4
    """Mounts have an id that the kernel never reuses. Requires Linux 6.8. The watcher finds the names of an unmounted
    mount by it. Fallback, with mount_events: each change of a mount makes the watcher probe every known name."""
    NS_HANDLES = 5
    """A file handle identifies the namespace of a name in one system call. Requires Linux 6.18. Fallback: the watcher
    opens the name."""
    STATMOUNT = 6
    """statmount(2) returns the mount point of a mount. Requires Linux 6.8. Without it mount_events=None means False,
    and with True each change of a mount makes the watcher probe every known name."""
    TARGET_NSID = 8
    """The kernel lists the nsids of a peer. Requires Linux 5.0, and CAP_NET_ADMIN over the peer. Without it
    translate_nsid() fails, and with all_nsid a watcher reports only the changes in peers."""
    ALL_NSID = 9
    """The kernel reports changes in peers. Requires Linux 4.2 and CAP_NET_BROADCAST. Without it all_nsid raises
    EPERM."""
    LISTNS = 10
    """listns(2) lists every network namespace. Requires Linux 6.19, since 7.0 also CAP_SYS_ADMIN in the initial user
    and pid namespaces. Fallback: the source "all" searches mounts, processes and their descriptors."""
    BIRTHS = 11
    """The source "all" reports new namespaces as they are made, by perf records. Requires CAP_PERFMON or CAP_SYS_ADMIN
    in the initial user namespace. Fallback: it finds them when mounts change, when a namespace dies, and at a
    resync."""
    DEATHS = 12
    """The source "all" reports deaths as they happen, from a network namespace of its own. Requires CAP_SYS_ADMIN and
    CAP_NET_ADMIN, or permission to make user namespaces. Fallback: it finds deaths at a resync, as far as the kernel
    reports them."""


def feature(which: Feature | str) -> bool:
    """Whether a watcher opened by the calling thread now would have a feature. Each call probes the kernel.

    which: the feature, or its name in lower case, as "cookie".

    Raises ValueError for another name, and nswatch.Error: EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EAGAIN: a limit
    prevents the probe; EOPNOTSUPP: /proc is not mounted.
    """
    if isinstance(which, str):
        named = {each.name.lower(): each for each in Feature}
        if which not in named:
            raise ValueError(f"there is no feature {which!r}: {', '.join(named)}")
        which = named[which]
    return check(lib.nsw_feature(which.value), f"try the feature {which.name.lower()}") == 1
