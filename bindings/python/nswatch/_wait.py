"""Waiting for descriptors, natively and in green threads.

eventlet and gevent replace functions of `select`, before or after this package is imported, so every wait looks them
up anew. gevent replaces select.poll(). eventlet removes it and replaces select.select(), whose limit of 1024 is gone.
"""

from __future__ import annotations

import math
import os
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import BuiltinFunctionType

from . import _signals
from ._errors import in_our_terms


def is_green() -> bool:
    """Whether a wait lets other green threads run."""
    return not isinstance(getattr(select, "poll", None), BuiltinFunctionType)


@contextmanager
def waiting(*fds: int) -> Iterator[Callable[[float], object]]:
    """Yields a function that waits until a descriptor is readable or a signal arrives, for at most so many seconds."""
    if not hasattr(select, "poll"):
        with ExitStack() as stack:
            copies = []
            # eventlet lets one green thread wait for a descriptor
            for fd in fds:
                with in_our_terms():
                    copies.append(os.dup(fd))
                stack.callback(os.close, copies[-1])
            yield lambda seconds: select.select(copies, [], [], seconds)
        return
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    if is_green():
        # green threads neither start nor end their waits in turn, as the one wakeup descriptor of a process requires
        yield lambda seconds: poller.poll(math.ceil(seconds * 1000))
        return
    with _signals.noticed(poller) as woken:

        def wait(seconds: float) -> None:
            poller.poll(math.ceil(seconds * 1000))
            woken()

        yield wait
