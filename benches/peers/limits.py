"""Limits of the kernel that a benchmark raises while it measures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def raised(limits: dict[str, int]) -> Iterator[None]:
    """Makes each limit, by its path below /proc/sys, at least this. One that may not be raised stays as it is."""
    old = {}
    for name, least in limits.items():
        file = Path("/proc/sys") / name
        try:
            value = file.read_text()
            if int(value) < least:
                file.write_text(str(least))
                old[file] = value
        except OSError as error:
            print(f"{name} stays as it is: {error}", file=sys.stderr)
    try:
        yield
    finally:
        for file, value in old.items():
            file.write_text(value)
