"""Querying and assigning nsids."""

from __future__ import annotations

import os
from ctypes import byref, c_int32, c_size_t

from ._arguments import AnyPath, HasFileno, as_bytes, as_fd, as_i32
from ._errors import check
from ._ffi import CONSTANTS, lib

_NOT_ASSIGNED = CONSTANTS["NSID_NOT_ASSIGNED"]


def nsid_for_pid(pid: int) -> int | None:
    """Returns the nsid that the network namespace of a process has here; None: it has none.

    "Here" is the network namespace of the calling thread. Requires no privilege.

    pid: a process or thread of the caller's pid namespace.

    Raises nswatch.Error: EINVAL: pid is not positive; ESRCH: no such process; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit
    is reached.
    """
    nsid = c_int32()
    check(lib.nsid_get_for_pid(as_i32("pid", pid), byref(nsid)), f"ask for the nsid of process {pid}")
    return _or_none(nsid)


def nsid_for_fd(fd: int | HasFileno) -> int | None:
    """Returns the nsid that an open network namespace has here; None: it has none.

    fd: a descriptor of the namespace, or an object that has one.

    Raises nswatch.Error: EINVAL: it is not of a network namespace; EBADF: it is negative or not open; EMFILE, ENFILE,
    ENOMEM, ENOBUFS: a limit is reached.
    """
    number = as_fd("fd", fd)
    nsid = c_int32()
    check(lib.nsid_get_for_fd(number, byref(nsid)), f"ask for the nsid of file descriptor {number}")
    return _or_none(nsid)


def nsid_for_name(name: AnyPath) -> int | None:
    """Returns the nsid that a named network namespace has here; None: it has none.

    name: a name in /run/netns; with a ``/`` in it, a path.

    Raises nswatch.Error as Netns.for_name(), and ENOBUFS: a limit is reached.
    """
    raw = as_bytes(name)
    nsid = c_int32()
    check(lib.nsid_get_for_name(raw, byref(nsid)), "ask for the nsid of", os.fsdecode(raw))
    return _or_none(nsid)


def nsid_for_pidfd(pidfd: int | HasFileno) -> int | None:
    """Returns the nsid that the network namespace of the process of a pidfd has here; None: it has none.

    pidfd: a pidfd, see os.pidfd_open(), or an object that has one.

    Raises nswatch.Error as Netns.for_pidfd(), and ENOBUFS: a limit is reached.
    """
    number = as_fd("pidfd", pidfd)
    nsid = c_int32()
    check(lib.nsid_get_for_pidfd(number, byref(nsid)), f"ask for the nsid of pidfd {number}")
    return _or_none(nsid)


def nsid_as_seen_from(where: int | HasFileno, fd: int | HasFileno) -> int | None:
    """Returns the nsid that one network namespace has in another one; None: it has none there. The namespace of the
    calling thread does not matter.

    where: a descriptor of the namespace in which the nsid is valid, or an object that has one.
    fd: a descriptor of the namespace that has the nsid, or an object that has one.

    Raises nswatch.Error: EINVAL: a descriptor is not of a namespace; EBADF: one is negative or not open; EPROTOTYPE:
    where is of a namespace of another kind; EPERM: where is not the namespace of the calling thread, and a privilege is
    missing: CAP_NET_ADMIN over where if it has an nsid here, else CAP_SYS_ADMIN here and over it; EAGAIN: RLIMIT_NPROC
    prevents starting a thread inside where; EOPNOTSUPP: /proc is not mounted, or not that of this process; EMFILE,
    ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    place, number = as_fd("where", where), as_fd("fd", fd)
    nsid = c_int32()
    op = f"ask for the nsid of file descriptor {number} as seen from file descriptor {place}"
    check(lib.nsid_get_as_seen_from(place, number, byref(nsid)), op)
    return _or_none(nsid)


def assign_nsid(fd: int | HasFileno, wanted: int | None = None) -> int:
    """Assigns an nsid here to an open network namespace, for as long as it lives, and returns the nsid.

    fd: a descriptor of the namespace, or an object that has one.
    wanted: the nsid to assign; None: the lowest free one.

    Raises nswatch.Error: EEXIST: the namespace has an nsid here already, or another one has the wanted nsid; EPERM:
    CAP_NET_ADMIN is missing; EINVAL: wanted is negative, or fd is not of a network namespace; EBADF: fd is negative
    or not open; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    if wanted is not None and wanted < 0:
        # -1 means "any" in C
        raise ValueError(f"wanted must not be negative: {wanted}")
    number, choice = as_fd("fd", fd), _NOT_ASSIGNED if wanted is None else as_i32("wanted", wanted)
    nsid = c_int32()
    check(lib.nsid_assign(number, choice, byref(nsid)), f"assign an nsid to file descriptor {number}")
    return nsid.value


def translate_nsid(nsid: int, from_nsid: int) -> int | None:
    """Returns the nsid here of a namespace given by its nsid in a peer; None: it has none here.

    nsid: the nsid of the namespace in the peer.
    from_nsid: the nsid of the peer here.

    Raises nswatch.Error: EINVAL: a number is negative, or no peer has the nsid from_nsid; ENOENT: the peer has no such
    nsid; EACCES: CAP_NET_ADMIN over the peer is missing; EOPNOTSUPP: Linux before 5.0; EOVERFLOW: the peer has more
    nsids than the kernel lists; EAGAIN: call again; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    result = c_int32()
    op = f"translate nsid {nsid} of the peer {from_nsid}"
    check(lib.nsid_translate(as_i32("nsid", nsid), as_i32("from_nsid", from_nsid), byref(result)), op)
    return _or_none(result)


def list_nsids() -> list[int]:
    """Returns the nsids assigned here, in ascending order.

    Raises nswatch.Error: EOVERFLOW: the list would be incomplete: there are more nsids than the kernel lists, and far
    apart; EAGAIN: call again; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    capacity, count = 64, c_size_t()
    while True:
        nsids = (c_int32 * capacity)()
        check(lib.nsid_list(nsids, capacity, byref(count)), "list nsids")
        if count.value <= capacity:
            return list(nsids[: count.value])
        # more may appear before the next call
        capacity = count.value + 64


def _or_none(nsid: c_int32) -> int | None:
    return None if nsid.value == _NOT_ASSIGNED else nsid.value
