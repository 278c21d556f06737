"""The exceptions: one class for every error of this library, which is also the class that Python has for the errno."""

import builtins
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._ffi import lib
from ._printable import printable


class Error(OSError):
    """The kernel or the C library refused a call.

    An OSError: ``errno`` is the number, ``strerror`` a sentence that names the attempt, its object, the reason and the
    remedy, ``filename`` the path or None. Where Python has a class for the errno, as PermissionError for EPERM and
    ValueError for EINVAL, the error is an instance of that class too.
    """

    def __str__(self) -> str:
        # the sentence names the path already
        if isinstance(self.strerror, str) and self.strerror.startswith("cannot "):
            return f"[Errno {self.errno}] {self.strerror}"
        return super().__str__()


class PermissionError(Error, builtins.PermissionError):  # noqa: A001 - as in Python
    """EPERM, EACCES."""


class FileNotFoundError(Error, builtins.FileNotFoundError):  # noqa: A001
    """ENOENT."""


class FileExistsError(Error, builtins.FileExistsError):  # noqa: A001
    """EEXIST."""


class NotADirectoryError(Error, builtins.NotADirectoryError):  # noqa: A001
    """ENOTDIR."""


class ProcessLookupError(Error, builtins.ProcessLookupError):  # noqa: A001
    """ESRCH."""


class ValueError(Error, builtins.ValueError):  # noqa: A001
    """EINVAL."""


class ChildProcessError(Error, builtins.ChildProcessError):  # noqa: A001
    """ECHILD."""


class BlockingIOError(Error, builtins.BlockingIOError):  # noqa: A001
    """EAGAIN."""


_CLASSES: dict[int, type[Error]] = {
    errno.EPERM: PermissionError,
    errno.EACCES: PermissionError,
    errno.ENOENT: FileNotFoundError,
    errno.EEXIST: FileExistsError,
    errno.ENOTDIR: NotADirectoryError,
    errno.ESRCH: ProcessLookupError,
    errno.EINVAL: ValueError,
    errno.ECHILD: ChildProcessError,
    errno.EAGAIN: BlockingIOError,
}


def sentence(op: str, path: str | None, why: str) -> str:
    """A sentence in the form of the library's own."""
    if path is not None:
        op += f" {printable(path) or repr(path)}"
    return f"cannot {op}: {why}"


def error(number: int, path: str | None = None, text: str | None = None) -> Error:
    """The exception for an errno, by default with the library's general text."""
    if text is None:
        text = lib.nsw_strerror(-number).decode()
    kind = _CLASSES.get(number, Error)
    return kind(number, text) if path is None else kind(number, text, path)


def failed(number: int, op: str, path: str | None = None) -> Error:
    """The exception for an attempt, with the library's text for the errno."""
    return error(number, path, sentence(op, path, lib.nsw_strerror(-number).decode()))


def of_system(failure: OSError, op: str, path: str | None = None) -> Error:
    """The exception for one of Python's, where the system's text says more than the library's."""
    number = failure.errno or errno.EIO
    return error(number, path, sentence(op, path, os.strerror(number)))


@contextmanager
def in_our_terms(op: str) -> Iterator[None]:
    """For system calls whose errors have the library's meaning, most often a limit."""
    try:
        yield
    except OSError as failure:
        raise failed(failure.errno or errno.EIO, op) from None


def check_with(last: Callable[[object], bytes], handle: object, result: int, op: str, path: str | None = None) -> int:
    """Returns the result of a C function, or raises its error with the handle's last sentence."""
    if result >= 0:
        return result
    # EBUSY and ECHILD leave the sentence of an earlier failure
    text = None if -result in (errno.EBUSY, errno.ECHILD) else last(handle).decode() or None
    raise failed(-result, op, path) if text is None else error(-result, path, text)


def check(result: int, op: str, path: str | None = None) -> int:
    """Returns the result of a C function, or raises its error, which names the attempt and the path."""
    if result < 0:
        raise failed(-result, op, path)
    return result
