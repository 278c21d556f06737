"""Waiting in an asyncio loop, by a reader of the watcher's descriptor instead of a thread."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from ._wait import is_green

if TYPE_CHECKING:
    from ._watcher import Watcher


class Reader:
    """The tasks of one event loop that wait for one watcher."""

    def __init__(self, watcher: Watcher, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher = watcher
        self._loop = loop
        self._waiters: set[asyncio.Future[None]] = set()
        loop.add_reader(watcher._fd, self.stop)
        watcher._loops[loop] = self
        watcher._users += 1

    def enter(self) -> asyncio.Future[None]:
        woken = self._loop.create_future()
        self._waiters.add(woken)
        return woken

    def leave(self, woken: asyncio.Future[None]) -> None:
        self._waiters.discard(woken)
        if not self._waiters:
            self.stop()

    def stop(self) -> None:
        """Wakes all tasks: one of them gets the event, the others wait again."""
        watcher = self._watcher
        with watcher._lock:
            if watcher._loops.get(self._loop) is not self:
                return
            del watcher._loops[self._loop]
            if not self._loop.is_closed():
                self._loop.remove_reader(watcher._fd)
            for woken in self._waiters:
                if not woken.done():
                    woken.set_result(None)
            watcher._users -= 1
            watcher._free_if_unused()


_TRIO = (
    "this call waits in asyncio, but Trio runs: `await trio.lowlevel.wait_readable(watcher)`, then call "
    "`watcher.poll(0)` until it returns None"
)


def refuse_trio() -> None:
    """In Trio, raises an error that names what works there. An asyncio task inside Trio (trio-asyncio) passes."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_task():
        return
    try:
        if asyncio.current_task() is not None:
            return
    except RuntimeError:
        pass
    raise RuntimeError(_TRIO)


def inside(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop runs the caller, and not another thread or green thread while the loop waits."""
    try:
        if asyncio.get_running_loop() is not loop:
            return False
    except RuntimeError:
        return False
    # for asyncio all green threads of a thread are one thread
    return not is_green() or asyncio.current_task() is not None
