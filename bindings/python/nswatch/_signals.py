"""Waiting in the main thread without missing a signal that comes just before the wait begins."""

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
    """Lets a poller wake up for each signal. What it gives is to be called after each wake-up.

    A signal that comes between the last look of the interpreter and the system call, or that the kernel gives to
    another thread, interrupts no system call: its handler would run when the wait is over, perhaps never. So Python
    writes to a pipe, which no wait overlooks. Only the main thread handles signals: others are not concerned.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    with in_our_terms():
        out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            other = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
        except ValueError:  # the main thread of a subinterpreter, which handles no signals either
            yield _nothing
            return

        def pass_on() -> None:
            """Hands over to who had Python write to a descriptor before, as asyncio does."""
            numbers = bytearray(select.PIPE_BUF)
            with suppress(OSError):  # there is nothing, or no room: as it would be without us
                # eventlet replaces os.read() and os.write() by functions that wait whatever the descriptor
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
