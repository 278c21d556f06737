"""Waiting for descriptors, natively and in green threads.

eventlet and gevent replace functions of `select`, before or after the import of this package, so every wait looks them
up again. gevent replaces select.poll(). eventlet removes it and replaces select.select() by one without the limit of
1024.
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
    """Yields a function that waits at most so many seconds until a descriptor is readable or a signal arrives."""
    if not hasattr(select, "poll"):
        with ExitStack() as stack:
            copies = []
            # eventlet allows one waiting green thread for each descriptor
            for fd in fds:
                with in_our_terms("wait for events"):
                    copies.append(os.dup(fd))
                stack.callback(os.close, copies[-1])
            yield lambda seconds: select.select(copies, [], [], seconds)
        return
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    if is_green():
        # the waits of green threads overlap, and a process has one wakeup descriptor
        yield lambda seconds: poller.poll(math.ceil(seconds * 1000))
        return
    with _signals.noticed(poller) as woken:

        def wait(seconds: float) -> None:
            poller.poll(math.ceil(seconds * 1000))
            woken()

        yield wait
