"""What waits in an event loop of asyncio: not a thread, but a reader of the watcher's descriptor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._watcher import Watcher


class Reader:
    """The tasks of one event loop that wait for a watcher."""

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
        """Wakes them all: one of them gets the event, the others wait again."""
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


def running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
