"""Network namespaces: the identity of one, and a block of code inside one.

The C library decides every identity; this module holds the four numbers and moves threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref
from dataclasses import dataclass

from ._arguments import AnyPath, HasFileno, as_bytes, as_fd, as_i32, as_u64
from ._errors import check, error, of_system
from ._ffi import lib, nsw_netns
from ._printable import printable

CLONE_NEWNET = 0x40000000

_setns = ctypes.CDLL(None, use_errno=True).setns
_setns.restype, _setns.argtypes = ctypes.c_int, (ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True, order=True)
class Netns:
    """Which network namespace: four numbers to keep, compare, send, and use as the key of a dict.

    A Netns holds no descriptor and keeps nothing alive. It means something on this host until the host reboots.

    From Linux 6.18 on, two of them are equal exactly if they are the same namespace, however they were obtained.
    Before, the kernel has no number for a namespace that it never reuses: compare with same(), which uses what both
    have. The order is that of the numbers.
    """

    dev: int
    """st_dev of the namespace's file."""
    ino: int
    """st_ino of the namespace's file, the number in ``net:[4026531840]``. The kernel recycles these numbers."""
    cookie: int = 0
    """The number that the kernel never reuses, from Linux 6.18 on; 0 before."""
    stamp: int = 0
    """Where there is no cookie and a mount pins the inode (a name): its change time in nanoseconds, which
    distinguishes this namespace from a later one with the same inode number; else 0."""

    def __post_init__(self) -> None:
        for name in ("dev", "ino", "cookie", "stamp"):
            as_u64(name, getattr(self, name))

    def __str__(self) -> str:
        return f"net:[{self.ino}]"

    @classmethod
    def for_fd(cls, fd: int | HasFileno) -> Netns:
        """Identifies an open network namespace.

        fd: a descriptor of the namespace, or an object that has one; O_PATH will do.

        Raises nswatch.Error: EINVAL: it is not of a namespace; EBADF: it is negative or not open; EPROTOTYPE: it is of
        a namespace of another kind; EOPNOTSUPP: /proc is not mounted, or not that of this process; EMFILE, ENFILE,
        ENOMEM: a limit is reached.
        """
        number = as_fd("fd", fd)
        return cls._found(lib.nsw_netns_for_fd, number, what=f"descriptor {number}")

    @classmethod
    def for_pid(cls, pid: int) -> Netns:
        """Identifies the network namespace of a process.

        pid: a process, or a thread, of the caller's pid namespace. A pid can be reused between the moment that you
        learned it and this call: for_pidfd() excludes that.

        Raises nswatch.Error: EINVAL: pid is not positive; ESRCH: there is no such process, or it has ended; EACCES: no
        ptrace access to the process: that takes its user, or CAP_SYS_PTRACE over it; EOPNOTSUPP, EMFILE, ENFILE,
        ENOMEM: as for_fd().
        """
        number = as_i32("pid", pid)
        return cls._found(lib.nsw_netns_for_pid, number, what=f"process {number}")

    @classmethod
    def for_pidfd(cls, pidfd: int | HasFileno) -> Netns:
        """Identifies the network namespace of the process that a pidfd refers to, see os.pidfd_open().

        Raises nswatch.Error: EBADF: it is negative, not open, or no pidfd; ESRCH: the process has ended; EACCES: no
        ptrace access to the process: that takes its user, or CAP_SYS_PTRACE over it; or it is in a pid namespace that
        cannot be seen from here; EOPNOTSUPP, EMFILE, ENFILE, ENOMEM: as for_fd().
        """
        number = as_fd("pidfd", pidfd)
        return cls._found(lib.nsw_netns_for_pidfd, number, what=f"pidfd {number}")

    @classmethod
    def for_name(cls, name: AnyPath) -> Netns:
        """Identifies a named network namespace. The error says why a name is not usable.

        name: a name in /run/netns; if it has a ``/`` in it, a path.

        Raises nswatch.Error: ENOENT: nothing is there, or a symbolic link that leads nowhere; ENODEV: a file on which
        no network namespace is mounted (yet); EPROTOTYPE: a namespace of another kind; EINVAL: the name is empty or has
        ``..`` as a component; EACCES, ENOTDIR, ENAMETOOLONG, ELOOP: as open(2); EOPNOTSUPP, EMFILE, ENFILE, ENOMEM: as
        for_fd().
        """
        raw = as_bytes(name)
        return cls._found(lib.nsw_netns_for_name, raw, path=os.fsdecode(raw))

    @classmethod
    def for_nsid(cls, nsid: int) -> Netns:
        """Identifies the network namespace that has an id in the namespace that the calling thread is in.

        The library searches all namespaces that it can see: those that are mounted in the mount namespace of the
        calling thread, those of processes, and where listns(2) is permitted (Linux 6.19) all others.

        Raises nswatch.Error: EINVAL: nsid is negative; ENOENT: no namespace has the id, or the one that has it cannot
        be seen; ENOBUFS: a limit is reached; EOPNOTSUPP, EMFILE, ENFILE, ENOMEM: as for_fd().
        """
        number = as_i32("nsid", nsid)
        return cls._found(lib.nsw_netns_for_nsid, number, what=f"nsid {number}")

    @contextmanager
    def open(self, path: AnyPath | None = None) -> Iterator[int]:
        """Opens exactly this namespace: ``with netns.open() as fd``.

        The descriptor is close-on-exec and closed at the end of the block; os.dup() it to keep it. As long as one is
        open the namespace lives.

        path: where the namespace may be found, as Event.path; None: by its cookie alone, wherever it is. Paths are
        resolved in the mount namespace of the calling thread.

        Raises nswatch.Error:
        ENOENT: it is dead, or the path does not lead to a network namespace;
        ESTALE: the path leads to another network namespace;
        EACCES: the path may not be searched;
        EPERM: without a path, and CAP_SYS_ADMIN is missing: over the namespace to open one that lives, in the initial
        user and pid namespaces to be sure that it is dead;
        EOPNOTSUPP: without a path, and it has no cookie (before Linux 6.18), or a filter forbids open_by_handle_at(2);
        with a path, /proc is not mounted, or not that of this process;
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

        Only the calling thread goes there, and it is back where it was when the block ends, by an exception too.
        Sockets made inside stay of that namespace for ever, wherever they are used. Threads and processes started
        inside are inside. /sys keeps showing the namespace that it was mounted in.

        The namespace belongs to the thread, not to the block: in a coroutine, do not await inside, because other
        tasks of the thread would run inside too; in a generator, do not yield inside. Blocks may be nested. A block
        that is left by another thread is a RuntimeError, and the thread that entered stays inside.

        path: as for open(). Takes CAP_SYS_ADMIN, here and over the user namespace that owns the network namespace.

        Raises as open(), and nswatch.Error: EPERM: the capability is missing. At the end of a block that gave up
        its capabilities the error says that the thread stays inside; what the block raised is its __context__.
        """
        with self.open(path) as fd, entered(fd, str(self) if path is None else os.fsdecode(path)):
            yield

    def same(self, other: Netns) -> bool:
        """Whether both are the same namespace: by cookie where both have one; else by dev and ino, and by the stamps
        where both have one.

        Before Linux 6.18, where one of the two has no stamp, a namespace can pass for an earlier one that had its inode
        number.
        """
        return check(lib.nsw_netns_same(byref(self._raw()), byref(other._raw()))) == 1

    def is_alive(self) -> bool:
        """Whether the namespace lives: a process, a mount, a descriptor or a socket keeps it. False is certain.

        From Linux 7.0 on the kernel does not find a namespace that only sockets keep: False.

        Raises nswatch.Error:
        EPERM: it cannot be known here: CAP_SYS_ADMIN in the initial user and pid namespaces is missing;
        EOPNOTSUPP: it cannot be known here: it has no cookie (before Linux 6.18), or a filter forbids
        open_by_handle_at(2);
        EMFILE, ENFILE, ENOMEM: a limit is reached.
        """
        return check(lib.nsw_netns_is_alive(byref(self._raw())), what=str(self)) == 1

    # inside

    def _open(self, path: AnyPath | None) -> int:
        if path is None:
            return check(lib.nsw_netns_open(byref(self._raw()), None), what=str(self))
        raw = as_bytes(path)
        return check(lib.nsw_netns_open(byref(self._raw()), raw), os.fsdecode(raw))

    def _raw(self) -> nsw_netns:
        return nsw_netns(self.dev, self.ino, self.cookie, self.stamp)

    @classmethod
    def _of(cls, raw: nsw_netns) -> Netns:
        return cls(raw.dev, raw.ino, raw.cookie, raw.stamp)

    @classmethod
    def _found(
        cls, find: Callable[..., int], where: int | bytes, path: str | None = None, what: str | None = None
    ) -> Netns:
        raw = nsw_netns()
        check(find(where, byref(raw)), path, what)
        return cls._of(raw)


_HERE = "/proc/thread-self/ns/net"
_NEEDS = (
    "CAP_SYS_ADMIN is missing, in your user namespace or in the one that owns the network namespace; "
    "or a seccomp filter refuses setns(2)"
)


@contextmanager
def entered(fd: int, name: str) -> Iterator[None]:
    """Runs a block with the calling thread in an open network namespace, which errors call by a name."""
    thread = threading.get_native_id()
    try:
        before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise of_system(failure, _HERE) from None
    try:
        try:
            _enter(fd, f"enter the network namespace {printable(name)}")
            yield
        finally:
            if threading.get_native_id() != thread:
                raise RuntimeError("a block that is in another network namespace was left by another thread")
            # whatever a signal handler raised, and wherever: the way back depends on where the thread is by now
            if not os.path.samestat(os.stat(_HERE), os.fstat(before)):
                _enter(before, f"go back: this thread stays in the network namespace {printable(name)}")
    finally:
        os.close(before)


def _enter(fd: int, what: str) -> None:
    # os.setns() came with Python 3.12
    if _setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise error(number, text=f"cannot {what}: {_NEEDS if number == errno.EPERM else os.strerror(number)}")
