"""Conversion of arguments for C."""

from __future__ import annotations

import operator
import os
from typing import Protocol


class HasFileno(Protocol):
    """Anything that has a file descriptor: an open file, a socket."""

    def fileno(self) -> int: ...


AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def as_fd(name: str, fd: int | HasFileno) -> int:
    if not isinstance(fd, int):
        if not hasattr(fd, "fileno"):
            raise TypeError(f"{name} must be a file descriptor or have one, not {type(fd).__name__}")
        fd = fd.fileno()
    return as_i32(name, fd)


def as_i32(name: str, number: int) -> int:
    """Range check: ctypes would truncate the number."""
    return _within(name, number, -(1 << 31), 1 << 31)


def as_u64(name: str, number: int) -> int:
    return _within(name, number, 0, 1 << 64)


def as_bytes(path: AnyPath) -> bytes:
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw


def _within(name: str, number: int, first: int, end: int) -> int:
    # refuses a float and a string
    number = operator.index(number)
    if not first <= number < end:
        raise OverflowError(f"{name} is out of range: {number}")
    return number
