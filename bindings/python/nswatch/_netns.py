"""Network namespaces: their identity, and a block of code inside one.

The C library decides every identity. This module holds the four numbers and moves threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref
from dataclasses import dataclass, fields

from ._arguments import AnyPath, HasFileno, as_bytes, as_fd, as_i32, as_u64
from ._errors import check, error, of_system
from ._ffi import lib, nsw_netns
from ._printable import printable

CLONE_NEWNET = 0x40000000

_setns = ctypes.CDLL(None, use_errno=True).setns
_setns.restype, _setns.argtypes = ctypes.c_int, (ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True, order=True)
class Netns:
    """The identity of a network namespace: four numbers to keep, compare, send, and use as the key of a dict.

    A Netns holds no descriptor and keeps nothing alive. It is valid on this host until the next reboot.

    From Linux 6.18 on, two of them are equal if and only if they are the same namespace, however you obtained them.
    Before, namespaces have no cookie: compare with same(), which uses what both have. Sorting is by the numbers.
    """

    dev: int
    """st_dev of the namespace's file."""
    ino: int
    """st_ino of the namespace's file, the number in ``net:[4026531840]``. The kernel recycles these numbers."""
    cookie: int = 0
    """A number that the kernel never reuses, from Linux 6.18 on; 0 before."""
    stamp: int = 0
    """Without a cookie, where a mount pins the inode (a name): the change time of the inode in nanoseconds, which
    distinguishes this namespace from a later one with the same inode number; else 0."""

    def __post_init__(self) -> None:
        for name in ("dev", "ino", "cookie", "stamp"):
            as_u64(name, getattr(self, name))

    def __str__(self) -> str:
        return f"net:[{self.ino}]"

    @classmethod
    def for_fd(cls, fd: int | HasFileno) -> Netns:
        """Identifies an open network namespace.

        fd: a descriptor of the namespace, or an object that has one; O_PATH suffices.

        Raises nswatch.Error: EINVAL: it is not of a namespace; EBADF: it is negative or not open; EPROTOTYPE: it is of
        a namespace of another kind; EOPNOTSUPP: /proc is not mounted, or not that of this process; EMFILE, ENFILE,
        ENOMEM: a limit is reached.
        """
        number = as_fd("fd", fd)
        return cls._found(lib.nsw_netns_for_fd, f"file descriptor {number}", number)

    @classmethod
    def for_pid(cls, pid: int) -> Netns:
        """Identifies the network namespace of a process.

        pid: a process or thread of the caller's pid namespace. The kernel may reuse the pid before this call;
        for_pidfd() excludes that.

        Raises nswatch.Error: EINVAL: pid is not positive; ESRCH: no such process, or it has ended; EACCES: no ptrace
        access to the process, which requires its user, or CAP_SYS_PTRACE over it; EOPNOTSUPP, EMFILE, ENFILE, ENOMEM:
        as for_fd().
        """
        number = as_i32("pid", pid)
        return cls._found(lib.nsw_netns_for_pid, f"process {number}", number)

    @classmethod
    def for_pidfd(cls, pidfd: int | HasFileno) -> Netns:
        """Identifies the network namespace of the process of a pidfd, see os.pidfd_open().

        Raises nswatch.Error: EBADF: it is negative, not open, or no pidfd; ESRCH: the process has ended; EACCES: no
        ptrace access to the process, which requires its user, or CAP_SYS_PTRACE over it; or the process is in a pid
        namespace that the caller cannot see; EOPNOTSUPP, EMFILE, ENFILE, ENOMEM: as for_fd().
        """
        number = as_fd("pidfd", pidfd)
        return cls._found(lib.nsw_netns_for_pidfd, f"pidfd {number}", number)

    @classmethod
    def for_name(cls, name: AnyPath) -> Netns:
        """Identifies a named network namespace. The error states why a name is not usable.

        name: a name in /run/netns; with a ``/`` in it, a path.

        Raises nswatch.Error: ENOENT: no such name, or a dangling symbolic link; ENODEV: a file on which no network
        namespace is mounted (yet); EPROTOTYPE: a namespace of another kind; EINVAL: the name is empty or has ``..`` as
        a component; EACCES, ENOTDIR, ENAMETOOLONG, ELOOP: as open(2); EOPNOTSUPP, EMFILE, ENFILE, ENOMEM: as for_fd().
        """
        raw = as_bytes(name)
        found = nsw_netns()
        check(lib.nsw_netns_for_name(raw, byref(found)), "identify the namespace of", os.fsdecode(raw))
        return cls._of(found)

    @classmethod
    def for_nsid(cls, nsid: int) -> Netns:
        """Identifies the network namespace that has an nsid in the calling thread's network namespace.

        The library searches all namespaces that it can see: those mounted in the mount namespace of the calling thread,
        those of processes, and where listns(2) is permitted (Linux 6.19) all others.

        Raises nswatch.Error: EINVAL: nsid is negative; ENOENT: no namespace has the nsid, or the library cannot see the
        namespace; EAGAIN: a namespace kept leaving its places, call again; ENOBUFS: a limit is reached; EOPNOTSUPP,
        EMFILE, ENFILE, ENOMEM: as for_fd().
        """
        number = as_i32("nsid", nsid)
        return cls._found(lib.nsw_netns_for_nsid, f"nsid {number}", number)

    @contextmanager
    def open(self, path: AnyPath | None = None) -> Iterator[int]:
        """Opens exactly this namespace: ``with netns.open() as fd``.

        The descriptor is close-on-exec, and the end of the block closes it; call os.dup() to keep it. An open
        descriptor keeps the namespace alive.

        path: a path that may lead to the namespace, as Event.path; None: find it by its cookie alone. The path is
        resolved in the mount namespace of the calling thread.

        Raises nswatch.Error:
        ENOENT: the namespace is dead, or the path does not lead to a network namespace;
        ESTALE: the path leads to another network namespace;
        EACCES: a directory on the path may not be searched;
        EPERM: without a path: CAP_SYS_ADMIN is missing, over the namespace to open a living one, in the initial user
        and pid namespaces to be sure that it is dead;
        EOPNOTSUPP: without a path: the Netns has no cookie (before Linux 6.18), or a filter forbids
        open_by_handle_at(2); with a path: /proc is not mounted, or not that of this process;
        EMFILE, ENFILE, ENOMEM: a limit is reached.
        """
        fd = self._open(path)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def enter(self, path: AnyPath | None = None) -> Iterator[None]:
        """Runs a block inside this namespace: ``with netns.enter(): ...``

        Only the calling thread moves. It moves back when the block ends, also by an exception. Sockets made inside
        belong to that namespace for ever. Threads and processes started inside are inside. /sys still shows the
        namespace in which it was mounted.

        The whole thread is inside, not only the block. In a coroutine do not await inside: other tasks of the thread
        would run inside too. In a generator do not yield inside. Blocks may be nested. If another thread ends the
        block, it raises RuntimeError, and the thread that entered stays inside.

        path: as for open(). Requires CAP_SYS_ADMIN in the caller's user namespace and in the one that owns the network
        namespace.

        Raises as open(), and nswatch.Error: EPERM: the capability is missing. If the block gave up its capabilities,
        its end raises that error, the thread stays inside, and __context__ is the exception of the block.
        """
        with self.open(path) as fd, entered(fd, str(self) if path is None else os.fsdecode(path)):
            yield

    def same(self, other: Netns) -> bool:
        """Whether both are the same namespace: by cookie if both have one; else by dev and ino, and by the stamps if
        both have one.

        Before Linux 6.18, if one of the two has no stamp, a namespace can equal an earlier one with the same inode
        number.
        """
        return check(lib.nsw_netns_same(byref(self._raw()), byref(other._raw())), "compare network namespaces") == 1

    def is_alive(self) -> bool:
        """Whether the namespace is alive: a process, a mount, a descriptor or a socket keeps it. False is certain.

        From Linux 7.0 on the kernel does not find a namespace that only sockets keep: False.

        Raises nswatch.Error:
        EPERM: the library cannot know: CAP_SYS_ADMIN in the initial user and pid namespaces is missing;
        EOPNOTSUPP: the library cannot know: the Netns has no cookie (before Linux 6.18), or a filter forbids
        open_by_handle_at(2);
        EMFILE, ENFILE, ENOMEM: a limit is reached.
        """
        return check(lib.nsw_netns_is_alive(byref(self._raw())), f"look for the namespace {self}") == 1

    # inside

    def _open(self, path: AnyPath | None) -> int:
        if path is None:
            return check(lib.nsw_netns_open(byref(self._raw()), None), f"open the namespace {self}")
        raw = as_bytes(path)
        return check(lib.nsw_netns_open(byref(self._raw()), raw), "open the namespace", os.fsdecode(raw))

    def _raw(self) -> nsw_netns:
        return nsw_netns(self.dev, self.ino, self.cookie, self.stamp)

    @classmethod
    def _of(cls, raw: nsw_netns) -> Netns:
        """Without the checks of __init__(), which take longer than all else of an event: the library's numbers fit."""
        netns = object.__new__(cls)
        _set_dev(netns, raw.dev)
        _set_ino(netns, raw.ino)
        _set_cookie(netns, raw.cookie)
        _set_stamp(netns, raw.stamp)
        return netns

    @classmethod
    def _found(cls, find: Callable[..., int], what: str, number: int) -> Netns:
        found = nsw_netns()
        check(find(number, byref(found)), f"identify the namespace of {what}")
        return cls._of(found)


# past the frozen __setattr__(), and without looking the name up in each call
_set_dev, _set_ino, _set_cookie, _set_stamp = (vars(Netns)[field.name].__set__ for field in fields(Netns))

_HERE = "/proc/thread-self/ns/net"
_NEEDS = (
    "CAP_SYS_ADMIN is missing, in your user namespace or in the one that owns the network namespace; "
    "or a seccomp filter refuses setns(2)"
)


@contextmanager
def entered(fd: int, name: str) -> Iterator[None]:
    """Runs a block with the calling thread in an open network namespace. Errors use the name."""
    thread = threading.get_native_id()
    try:
        before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise of_system(failure, "open", _HERE) from None
    try:
        try:
            _enter(fd, f"enter the network namespace {printable(name)}")
            yield
        finally:
            if threading.get_native_id() != thread:
                raise RuntimeError(
                    "a block inside a network namespace was left by another thread than the one that entered"
                )
            # a signal handler may have raised anywhere: look where the thread is
            if not os.path.samestat(os.stat(_HERE), os.fstat(before)):
                _enter(before, f"go back: this thread stays in the network namespace {printable(name)}")
    finally:
        os.close(before)


def _enter(fd: int, what: str) -> None:
    # os.setns() came with Python 3.12
    if _setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise error(number, text=f"cannot {what}: {_NEEDS if number == errno.EPERM else os.strerror(number)}")
