"""Opening and entering a network namespace that is known by its path and its identity.

The C function nsw_open_netns() does the former for an event that is still borrowed. Here events are values that may
be looked at much later and in another thread, so the same is done from what they hold.
"""

import ctypes
import errno
import fcntl
import os
import platform
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ._errors import error, of_system

CLONE_NEWNET = 0x40000000

# _IO(0xb7, 3) and _IOR(0xb7, 13, uint64_t) of <linux/nsfs.h>: a few architectures number the directions differently
if platform.machine().startswith(("alpha", "mips", "ppc", "sparc")):
    _NS_GET_NSTYPE, _NS_GET_ID = 0x2000B703, 0x4008B70D
else:
    _NS_GET_NSTYPE, _NS_GET_ID = 0xB703, 0x8008B70D

NO_STAMP = -1
"""The stamp of a namespace that was gone before it could be had: nothing is equal to it."""

_setns = ctypes.CDLL(None, use_errno=True).setns
_setns.restype, _setns.argtypes = ctypes.c_int, (ctypes.c_int, ctypes.c_int)


def stamp(fd: int, path: str) -> int:
    """The time at which the kernel made the inode of an open namespace, in nanoseconds.

    0 if there is none to compare: nothing keeps the inode that a symbolic link leads to.
    """
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return 0
    except OSError:
        return NO_STAMP
    return os.fstat(fd).st_ctime_ns


def reopen(path: str, dev: int, ino: int, cookie: int | None, stamped: int) -> int:
    """Opens the namespace of that identity, if the path still leads to it; else raises ENOENT or ESTALE."""
    try:
        # the path may lead to anything by now, a FIFO too: look first, open then
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            # namespaces are on a device of their own
            is_namespace = os.fstat(handle).st_dev == dev
            fd = os.open(f"/proc/thread-self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC) if is_namespace else -1
        finally:
            os.close(handle)
    except OSError as failure:
        raise error(failure.errno or errno.EIO, path) from None
    if fd < 0:
        raise error(errno.ENOENT, path)
    try:
        if fcntl.ioctl(fd, _NS_GET_NSTYPE) != CLONE_NEWNET:
            raise error(errno.ENOENT, path)
        if os.fstat(fd).st_ino != ino or not _same(fd, path, cookie, stamped):
            raise error(errno.ESTALE, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _same(fd: int, path: str, cookie: int | None, stamped: int) -> bool:
    if cookie is None:
        return stamped != NO_STAMP and stamped in (0, stamp(fd, path))
    return int.from_bytes(fcntl.ioctl(fd, _NS_GET_ID, bytes(8)), sys.byteorder) == cookie


_HERE = "/proc/thread-self/ns/net"


@contextmanager
def entered(fd: int) -> Iterator[None]:
    """Runs a block with the calling thread in an open network namespace."""
    thread = threading.get_ident()
    try:
        before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise of_system(failure, _HERE) from None
    try:
        try:
            _enter(fd, "enter a network namespace")
            yield
        finally:
            if threading.get_ident() != thread:
                raise RuntimeError("a block that is in another network namespace was left by another thread")
            # whatever a signal handler raised, and wherever: the way back depends on where the thread is by now
            if not os.path.samestat(os.stat(_HERE), os.fstat(before)):
                _enter(before, "go back: this thread stays in another network namespace")
    finally:
        os.close(before)


def _enter(fd: int, what: str) -> None:
    # os.setns() came with Python 3.12
    if _setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise error(number, text=f"cannot {what}: {os.strerror(number)}")
