"""What is raised: one class to catch all errors of this library, which are also those that Python knows."""

import builtins
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._ffi import lib


class Error(OSError):
    """A failure that the kernel or the C library reports.

    An OSError: ``errno`` is the number, ``strerror`` the library's text with the remedy, ``filename`` the path, where
    there is one. Where Python has a class for the number, as PermissionError for EPERM and ValueError for EINVAL, the
    error is an instance of that one too.
    """

    def __str__(self) -> str:
        # a whole sentence names the path itself
        if isinstance(self.strerror, str) and self.strerror.startswith("cannot "):
            return f"[Errno {self.errno}] {self.strerror}"
        return super().__str__()


class PermissionError(Error, builtins.PermissionError):  # noqa: A001 - one name for one thing
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


def error(number: int, path: str | None = None, text: str | None = None) -> Error:
    """The exception for an errno, with the library's text if there is no other."""
    if text is None:
        text = lib.nsw_strerror(-number).decode()
    kind = _CLASSES.get(number, Error)
    return kind(number, text) if path is None else kind(number, text, path)


@contextmanager
def in_our_terms() -> Iterator[None]:
    """For system calls whose errors mean what they mean to the library: a limit, most often."""
    try:
        yield
    except OSError as failure:
        raise error(failure.errno or errno.EIO) from None


def of_system(failure: OSError, path: str | None = None) -> Error:
    """The exception for one of Python's, where the system's own text says more than the library's."""
    number = failure.errno or errno.EIO
    return error(number, path, os.strerror(number))


def check_with(sentence: Callable[[object], bytes], handle: object, result: int, path: str | None = None) -> int:
    """The result of a C function, or its exception, with the sentence that the handle has for the failure."""
    if result < 0:
        # these two leave the sentence of another failure
        known = -result not in (errno.EBUSY, errno.ECHILD)
        raise error(-result, path, (sentence(handle).decode() or None) if known else None)
    return result


def check(result: int, path: str | None = None, what: str | None = None) -> int:
    """The result of a C function, or its exception, which names what was asked about: a path, or anything else."""
    if result < 0:
        text = None if what is None else f"{what}: {lib.nsw_strerror(result).decode()}"
        raise error(-result, path, text)
    return result
