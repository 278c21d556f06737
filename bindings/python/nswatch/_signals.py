"""Waiting in the main thread without missing a signal that arrives just before the wait."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ._errors import in_our_terms


def _nothing() -> None:
    pass


@contextmanager
def noticed(poller: select.poll) -> Iterator[Callable[[], None]]:
    """Makes a poller wake up for each signal. Call the yielded function after each wake-up.

    A signal that arrives just before the system call, or in another thread, does not interrupt the system call: the
    handler would run after the wait, perhaps never. So Python writes to a pipe, which wakes the poller. Only the main
    thread handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    with in_our_terms("wait for events"):
        out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            other = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
        except ValueError:  # the main thread of a subinterpreter handles no signals
            yield _nothing
            return

        def pass_on() -> None:
            """Forwards to the previous wakeup descriptor, which asyncio sets, for example."""
            numbers = bytearray(select.PIPE_BUF)
            with suppress(OSError):  # nothing to read, or the other pipe is full
                # eventlet replaces os.read() and os.write() by functions that always wait
                del numbers[os.readv(out, [numbers]) :]
                if other != -1:
                    os.writev(other, [numbers])

        poller.register(out, select.POLLIN)
        try:
            yield pass_on
        finally:
            signal.set_wakeup_fd(other)
            pass_on()
    finally:
        os.close(out)
        os.close(into)
