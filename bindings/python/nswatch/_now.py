"""Listing namespaces, and waiting for one name: each call opens a watcher and closes it."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from itertools import takewhile

from ._arguments import AnyPath
from ._errors import Error, error, sentence
from ._event import Event, EventType
from ._loop import refuse_trio
from ._netns import Netns
from ._printable import printable
from ._watcher import Watcher

_DEFAULT_DIR = "/run/netns"
_NOT_YET = (errno.ENOENT, errno.ENODEV, errno.EPROTOTYPE)


def list_named(dir: AnyPath = _DEFAULT_DIR) -> list[Event]:  # noqa: A002 - as for Watcher
    """Returns the names in a directory: a CREATED for each, followed by a READY if you can open it. For a missing
    directory the list is empty.

    Raises as Watcher().
    """
    with Watcher(dir=dir) as watcher:
        return _until_synced(watcher)


def list_all() -> list[Event]:
    """Returns every network namespace of this host that the library can see: a NETNS_NEW for each.

    Raises as Watcher().
    """
    with Watcher("all") as watcher:
        return _until_synced(watcher)


def wait_ready(name: AnyPath, timeout: float | None = None) -> Netns:
    """Waits until you can open a named network namespace, by events, and returns its identity.

    name: a name in /run/netns; with a ``/`` in it, a path. The name, its directory and all directories on the way may
    be missing at first. On a filesystem that reports no changes, as /proc, the call finds only what exists at the
    start.
    timeout: how long to wait, in seconds; None: for ever. Signal handlers run meanwhile, as in Watcher.poll().

    Raises TimeoutError when the time is over, ValueError for a negative timeout, and nswatch.Error as Watcher() and
    poll(); EINVAL, which is a ValueError: the name is empty, has ``..`` as a component, or is the root directory.
    """
    if timeout is not None and not timeout >= 0:
        raise ValueError("timeout must not be negative")
    deadline = None if timeout is None else time.monotonic() + timeout
    found = _usable(name)
    if found is not None:
        return found
    with _watch(name) as watcher:
        last = _last(name)
        while event := watcher.poll(None if deadline is None else max(0.0, deadline - time.monotonic())):
            if event.type == EventType.READY and event.name == last and event.netns is not None:
                return event.netns
    raise _over(name, timeout)


async def wait_ready_async(name: AnyPath, timeout: float | None = None) -> Netns:
    """As wait_ready(), in asyncio, without a thread. You may cancel it at any time."""
    refuse_trio()
    if timeout is not None and not timeout >= 0:
        raise ValueError("timeout must not be negative")
    try:
        return await asyncio.wait_for(_ready(name), timeout)
    except asyncio.TimeoutError:
        raise _over(name, timeout) from None


async def _ready(name: AnyPath) -> Netns:
    found = _usable(name)
    if found is not None:
        return found
    with _watch(name) as watcher:
        last = _last(name)
        async for event in watcher:
            if event.type == EventType.READY and event.name == last and event.netns is not None:
                return event.netns
    raise AssertionError("nobody closes the watcher")


def _usable(name: AnyPath) -> Netns | None:
    try:
        return Netns.for_name(name)
    except Error as failure:
        if failure.errno in _NOT_YET:
            return None
        raise


def _path(name: AnyPath) -> str:
    text = os.fsdecode(name)
    return os.path.abspath(text if "/" in text else os.path.join(_DEFAULT_DIR, text))


def _last(name: AnyPath) -> str:
    return os.path.basename(_path(name))


def _watch(name: AnyPath) -> Watcher:
    if not _last(name):
        text = sentence("wait for the network namespace", "/", "the path does not end in a name")
        raise error(errno.EINVAL, "/", text)
    return Watcher(dir=os.path.dirname(_path(name)))


def _over(name: AnyPath, timeout: float | None) -> TimeoutError:
    return TimeoutError(f"{printable(os.fsdecode(name))} cannot be opened after {timeout} seconds")


def _until_synced(watcher: Watcher) -> list[Event]:
    return list(takewhile(lambda event: event.type != EventType.SYNCED, watcher))
