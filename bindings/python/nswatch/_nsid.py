"""Asking for namespace ids and assigning them."""

from __future__ import annotations

import os
from ctypes import byref, c_int32, c_size_t

from ._arguments import AnyPath, HasFileno, as_bytes, as_fd, as_i32
from ._errors import check
from ._ffi import CONSTANTS, lib

_NOT_ASSIGNED = CONSTANTS["NSID_NOT_ASSIGNED"]


def nsid_for_pid(pid: int) -> int | None:
    """The id that the network namespace of a process has here; None: it has none.

    "Here" is the network namespace that the calling thread is in. Takes no privilege.

    pid: a process, or a thread, of the caller's pid namespace.

    Raises nswatch.Error: EINVAL: pid is not positive; ESRCH: there is no such process; EMFILE, ENFILE, ENOMEM,
    ENOBUFS: a limit is reached.
    """
    nsid = c_int32()
    check(lib.nsid_get_for_pid(as_i32("pid", pid), byref(nsid)), what=f"process {pid}")
    return _or_none(nsid)


def nsid_for_fd(fd: int | HasFileno) -> int | None:
    """The id that an open network namespace has here; None: it has none.

    fd: a descriptor of the namespace, or an object that has one.

    Raises nswatch.Error: EINVAL: it is not of a network namespace; EBADF: it is negative or not open; EMFILE, ENFILE,
    ENOMEM, ENOBUFS: a limit is reached.
    """
    number = as_fd("fd", fd)
    nsid = c_int32()
    check(lib.nsid_get_for_fd(number, byref(nsid)), what=f"descriptor {number}")
    return _or_none(nsid)


def nsid_for_name(name: AnyPath) -> int | None:
    """The id that a named network namespace has here; None: it has none.

    name: a name in /run/netns; if it has a ``/`` in it, a path.

    Raises nswatch.Error as Netns.for_name(), and ENOBUFS: a limit is reached.
    """
    raw = as_bytes(name)
    nsid = c_int32()
    check(lib.nsid_get_for_name(raw, byref(nsid)), os.fsdecode(raw))
    return _or_none(nsid)


def nsid_for_pidfd(pidfd: int | HasFileno) -> int | None:
    """The id that the network namespace of the process behind a pidfd has here; None: it has none.

    pidfd: see os.pidfd_open(), or an object that has one.

    Raises nswatch.Error as Netns.for_pidfd(), and ENOBUFS: a limit is reached.
    """
    number = as_fd("pidfd", pidfd)
    nsid = c_int32()
    check(lib.nsid_get_for_pidfd(number, byref(nsid)), what=f"pidfd {number}")
    return _or_none(nsid)


def nsid_as_seen_from(where: int | HasFileno, fd: int | HasFileno) -> int | None:
    """The id that one network namespace has in another one, whatever namespace the calling thread is in; None: it has
    none there.

    where: a descriptor of the namespace in which the id counts, or an object that has one.
    fd: a descriptor of the namespace that has the id, or an object that has one.

    Raises nswatch.Error: EINVAL: a descriptor is not of a namespace; EBADF: one is negative or not open; EPROTOTYPE:
    where is of a namespace of another kind; EPERM: where is another namespace than that of the calling thread, and the
    privilege to ask there is missing: CAP_NET_ADMIN over it if it has an id here, else CAP_SYS_ADMIN here and over it;
    EAGAIN: RLIMIT_NPROC prevents starting the thread that asks there; EOPNOTSUPP: /proc is not mounted, or not that of
    this process; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    place, number = as_fd("where", where), as_fd("fd", fd)
    nsid = c_int32()
    check(lib.nsid_get_as_seen_from(place, number, byref(nsid)), what=f"descriptor {number} as seen from {place}")
    return _or_none(nsid)


def assign_nsid(fd: int | HasFileno, wanted: int | None = None) -> int:
    """Gives an open network namespace an id here, for as long as it lives; returns the id.

    fd: a descriptor of the namespace, or an object that has one.
    wanted: the id that it is to have; None: the lowest that is free.

    Raises nswatch.Error: EEXIST: the namespace has an id here already, or another one has the wanted id; EPERM:
    CAP_NET_ADMIN is missing; EINVAL: wanted is negative, or fd is not of a network namespace; EBADF: fd is negative
    or not open; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    if wanted is not None and wanted < 0:
        # -1 means "any" to the C function, and nothing here
        raise ValueError(f"wanted must not be negative: {wanted}")
    number, choice = as_fd("fd", fd), _NOT_ASSIGNED if wanted is None else as_i32("wanted", wanted)
    nsid = c_int32()
    check(lib.nsid_assign(number, choice, byref(nsid)), what=f"descriptor {number}")
    return nsid.value


def translate_nsid(nsid: int, from_nsid: int) -> int | None:
    """The id here of a namespace that is known by its id in a peer; None: it has none here.

    nsid: the id that it has in the peer.
    from_nsid: the id that the peer has here.

    Raises nswatch.Error: EINVAL: an id is negative, or no peer has the id from_nsid; ENOENT: the peer has no such
    nsid; EACCES: CAP_NET_ADMIN over the peer is missing; EOPNOTSUPP: Linux before 5.0; EOVERFLOW: the peer has more
    ids than the kernel lists; EAGAIN: call again; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    result = c_int32()
    check(lib.nsid_translate(as_i32("nsid", nsid), as_i32("from_nsid", from_nsid), byref(result)))
    return _or_none(result)


def list_nsids() -> list[int]:
    """The ids that are assigned here, in ascending order.

    Raises nswatch.Error: EOVERFLOW: there are more ids than the kernel lists, and far apart, so that the list would
    not be complete; EAGAIN: call again; EMFILE, ENFILE, ENOMEM, ENOBUFS: a limit is reached.
    """
    capacity, count = 64, c_size_t()
    while True:
        nsids = (c_int32 * capacity)()
        check(lib.nsid_list(nsids, capacity, byref(count)))
        if count.value <= capacity:
            return list(nsids[: count.value])
        # there may be more of them by the next time
        capacity = count.value + 64


def _or_none(nsid: c_int32) -> int | None:
    return None if nsid.value == _NOT_ASSIGNED else nsid.value
