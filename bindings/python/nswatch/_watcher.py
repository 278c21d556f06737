"""The watcher: an open handle of the C library, with Python's ways to wait."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import time
import warnings
from _thread import RLock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref
from dataclasses import dataclass, fields
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Literal, overload

from . import _event
from ._arguments import AnyPath, as_bytes
from ._errors import check_with, failed, in_our_terms
from ._event import Event
from ._ffi import CONSTANTS, handle, lib
from ._loop import Reader, inside, refuse_trio
from ._wait import is_green, waiting

_SOURCES = {
    "named": CONSTANTS["NSW_SOURCE_NAMED"],
    "nsid": CONSTANTS["NSW_SOURCE_NSID"],
    "all": CONSTANTS["NSW_SOURCE_ALL"],
}
_POLICIES = {
    "block": CONSTANTS["NSW_QUEUE_BLOCK"],
    "drop-newest": CONSTANTS["NSW_QUEUE_DROP_NEWEST"],
    "drop-oldest": CONSTANTS["NSW_QUEUE_DROP_OLDEST"],
}
_Policy = Literal["block", "drop-newest", "drop-oldest"]
_DEFAULT_DIR = "/run/netns"
_LONGEST_WAIT = 3600.0
_BURST = 64

# os.getpid() is a system call, which for each event would take as long as reading two of its fields
_here = SimpleNamespace(process=os.getpid())
os.register_at_fork(after_in_child=lambda: setattr(_here, "process", os.getpid()))


@dataclass(frozen=True, slots=True)
class Stats:
    """The counters of a watcher since it was opened, and what it holds now."""

    delivered: int
    """Events returned."""
    dropped: int
    """Lost events, as far as they could be counted."""
    overflows: int
    """OVERFLOW events."""
    resyncs: int
    """Completed comparisons with the kernel, including the replay at open."""
    queued: int
    """Events that wait to be returned."""
    queued_max: int
    """The maximum of queued."""
    pending: int
    """Pending names: they exist and do not refer to a network namespace."""
    known: int
    """Names, nsids or namespaces that exist."""


class Watcher:
    """Reports which network namespaces exist, appear and disappear.

    ::

        with nswatch.Watcher() as watcher:
            for event in watcher:
                print(event)

    Emits replayed events for what exists at open, then SYNCED. Wait for events by iterating, by ``async for``, by
    poll(), or in an event loop of your own by fileno(). Close the watcher by the with statement or close().

    Several threads or tasks may use one watcher: each event goes to one of them. Iterating ends when any of them closes
    the watcher. In a child of os.fork() all calls but close() raise RuntimeError: open another watcher there. If
    eventlet or gevent has patched the process, all this holds for green threads, and the others run while one waits.

    An nsid watcher keeps the network namespace in which it was opened alive until it is closed.

    Arguments, all but the first by keyword:

    source
        ``"named"``: names in a directory, as ``ip netns`` makes them; ``"nsid"``: nsids that the kernel assigns to
        peers of the calling thread's network namespace; or ``"all"``: every network namespace of this host that the
        library can see, with or without a name. What "all" reports, and when, depends on privileges: see
        Feature.LISTNS, Feature.BIRTHS and Feature.DEATHS. It may miss a namespace that exists very briefly.
    dir
        The directory, an absolute path, ``/run/netns`` by default. It may be missing. Only for "named".

        A user who may write to the directory controls what the watcher reports and how long its calls take. The watcher
        follows symbolic links there, and reports READY for every one that leads to a network namespace, even to your
        own. For a directory that others may write to, pass symlinks=False and a max_names.
    replay
        False: report only changes from now on, without replayed events and SYNCED.
    parent
        False: a missing directory raises ENOENT, and its removal ends the watch: DIR_DELETED, then iterating ends.
        Only for "named".
    dir_events
        True: report when the directory itself appears and disappears. Only for "named".
    mount_events
        Report unmounts and re-binds of known names, and the end of a process that a name links to, as they happen and
        not only at a resync. None: only where the watcher need not probe every known name for each change of a mount;
        True: always; False: never. Only for "named".
    symlinks
        False: for a directory that others may write to. The watcher never follows a name that is a symbolic link: it is
        CREATED and never READY. On the way to the directory the watcher follows only links that root owns. Another link
        there raises ELOOP at open; later the directory counts as missing until the link is removed. Only for "named".
    max_names
        The maximum of names, or namespaces, that the watcher keeps, without directories; 0: 1048576. More raise E2BIG
        at open. Later poll() raises E2BIG once each time that the number crosses the limit. The watcher continues with
        those that it knows, and reports the others when there is room. Not for "nsid".
    all_nsid
        True: report changes in peer namespaces too. Requires CAP_NET_BROADCAST. Only for "nsid".
    prepare
        True: allocate at open all that the watcher could need later, for a program that then gives up privileges or
        installs a seccomp filter.
    settle
        Debounce: report the net change of a name so many seconds (to the millisecond) after its first change; 0: report
        every change at once. Only for "named".
    rcvbuf
        The size of the socket's receive buffer in bytes; 0: the library's choice. Only for "nsid".
    queue
        Start a background thread that reads events from the kernel into a queue of this many events, 1 to 1048576. A
        process with such a thread can no longer call unshare(CLONE_NEWUSER). None: no thread.
    queue_policy
        What a full queue does: ``"block"``: the thread waits; ``"drop-newest"``, ``"drop-oldest"``: the watcher drops
        and counts events, reports OVERFLOW, and resyncs.

    Raises nswatch.Error:
    ENOTDIR: a part of the path is not a directory;
    EACCES: this process may not read or search the directory;
    ENOENT: the directory is missing, and parent is False;
    ELOOP: too many symbolic links on the way, or, if symlinks is False, one that root does not own;
    ENAMETOOLONG: as open(2);
    E2BIG: there are more names, or namespaces, than max_names;
    EMFILE, ENFILE: the limit of inotify instances, or of open files, is reached;
    ENOSPC: the limit of inotify watches is reached;
    EPERM: CAP_NET_BROADCAST is missing;
    EAGAIN: RLIMIT_NPROC prevents starting a thread: that of the queue, or the short-lived one of "all";
    EOPNOTSUPP: /proc is not mounted, or not that of this process;
    EINVAL, which is a ValueError too: the path is not absolute, the capacity of the queue is out of range, or the
    source does not have the argument (a default value counts as not given);
    and ValueError for any other value out of range.
    """

    @overload
    def __init__(
        self,
        source: Literal["named"] = "named",
        *,
        dir: AnyPath | None = None,
        replay: bool = True,
        parent: bool = True,
        dir_events: bool = False,
        mount_events: bool | None = None,
        symlinks: bool = True,
        max_names: int = 0,
        prepare: bool = False,
        settle: float = 0.0,
        queue: int | None = None,
        queue_policy: _Policy = "block",
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: Literal["nsid"],
        *,
        replay: bool = True,
        all_nsid: bool = False,
        prepare: bool = False,
        rcvbuf: int = 0,
        queue: int | None = None,
        queue_policy: _Policy = "block",
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: Literal["all"],
        *,
        replay: bool = True,
        max_names: int = 0,
        prepare: bool = False,
        queue: int | None = None,
        queue_policy: _Policy = "block",
    ) -> None: ...

    def __init__(
        self,
        source: Literal["named", "nsid", "all"] = "named",
        *,
        dir: AnyPath | None = None,  # noqa: A002 - as the C option
        replay: bool = True,
        parent: bool = True,
        dir_events: bool = False,
        mount_events: bool | None = None,
        symlinks: bool = True,
        max_names: int = 0,
        all_nsid: bool = False,
        prepare: bool = False,
        settle: float = 0.0,
        rcvbuf: int = 0,
        queue: int | None = None,
        queue_policy: _Policy = "block",
    ) -> None:
        self._handle: int | None = None
        self._closed = True
        # again here, for a child of a fork without Python's hooks
        self._process = _here.process = os.getpid()
        # one thread at a time in the library; a signal handler is in the same thread. Not the RLock of green threads:
        # they do not switch in the library, and theirs fails in signal handlers and, with eventlet, in other threads
        self._lock = RLock()
        self._taking = False
        # for an event while it is taken; passed itself, since byref() adds 0.1 µs to a call
        self._borrowed = handle()
        # users: waiting threads, a thread in the library, event loops; the last one after close() frees the handle
        self._users = 0
        self._wake: int | None = None
        self._loops: dict[asyncio.AbstractEventLoop, Reader] = {}
        self._burst = 0

        if source not in _SOURCES:
            raise ValueError(f"source must be one of {', '.join(map(repr, _SOURCES))}, not {source!r}")
        if queue_policy not in _POLICIES:
            raise ValueError(f"queue_policy must be one of {', '.join(map(repr, _POLICIES))}, not {queue_policy!r}")
        if not settle >= 0:
            raise ValueError(f"cannot settle for {settle} seconds: the time must not be negative")

        raw = as_bytes(_DEFAULT_DIR if dir is None else dir)
        directory = os.fsdecode(raw)
        flags = (
            (0 if replay else CONSTANTS["NSW_NO_REPLAY"])
            | (0 if parent else CONSTANTS["NSW_NO_PARENT"])
            | (CONSTANTS["NSW_DIR_EVENTS"] if dir_events else 0)
            | (CONSTANTS["NSW_MOUNT_EVENTS"] if mount_events else 0)
            | (CONSTANTS["NSW_NO_MOUNT_EVENTS"] if mount_events is False else 0)
            | (0 if symlinks else CONSTANTS["NSW_NO_SYMLINKS"])
            | (CONSTANTS["NSW_ALL_NSID"] if all_nsid else 0)
            | (CONSTANTS["NSW_PREPARE"] if prepare else 0)
        )
        options = lib.nsw_options_new()
        if options is None:
            raise failed(errno.ENOMEM, "watch")
        check = partial(check_with, lib.nsw_options_error, options)
        try:
            check(lib.nsw_options_set_flags(options, flags), "set the flags")
            check(lib.nsw_options_set_dir(options, raw), "watch", directory)
            check(lib.nsw_options_set_settle(options, _u32("settle", math.ceil(settle * 1000))), "settle")
            check(lib.nsw_options_set_max_names(options, _u32("max_names", max_names)), "limit the names")
            check(lib.nsw_options_set_rcvbuf(options, _u32("rcvbuf", rcvbuf)), "set the receive buffer")
            if queue is not None:
                # a number that does not fit into C fails like 0
                capacity = queue if 0 <= queue < 1 << 32 else 0
                check(lib.nsw_options_set_queue(options, capacity, _POLICIES[queue_policy]), "make a queue")
            opened = handle()
            self._subject = directory if source == "named" else None
            check(lib.nsw_open(_SOURCES[source], options, byref(opened)), "watch", self._subject)
        finally:
            lib.nsw_options_free(options)
        self._handle = opened.value
        self._fd: int = lib.nsw_fd(opened)
        self._closed = False

    def __repr__(self) -> str:
        return f"<nswatch.Watcher {'closed' if self._closed else f'fd={self._fd}'}>"

    def __enter__(self) -> Watcher:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Watcher:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # no attribute: __init__ failed before it
        if not getattr(self, "_closed", True) and self._process == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    @property
    def closed(self) -> bool:
        """Whether close() has been called."""
        return self._closed

    def close(self) -> None:
        """Closes the watcher. A second call does nothing.

        You may call it from any thread, any task, and a signal handler. It wakes all waiting calls: iterating ends,
        poll() raises ValueError. In a child of os.fork() it leaves the parent's watcher alone; the child's copies of
        the descriptors are closed when the child ends or executes a program.
        """
        if self._closed:
            return
        self._closed = True
        # also in a child of a fork without Python's hooks
        if self._process != os.getpid():
            return
        with self._lock:
            for loop, reader in list(self._loops.items()):
                if loop.is_running() and not inside(loop):
                    try:
                        loop.call_soon_threadsafe(reader.stop)
                        continue
                    except RuntimeError:  # the loop was closed meanwhile
                        pass
                reader.stop()
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)
            self._free_if_unused()

    def fileno(self) -> int:
        """The descriptor to wait on in an event loop of your own, for reading.

        It is level-triggered: readable while an event is available. Then call poll(0) until it returns None. It is
        close-on-exec and stays the same until close(). Do not read or close it.

        Raises ValueError if the watcher is closed.
        """
        self._check_open()
        return self._fd

    def poll(self, timeout: float | None = None) -> Event | None:
        """Waits for the next event; returns None if there was none for ``timeout`` seconds.

        timeout: how long to wait, in seconds; 0: do not wait; None: for ever. Signal handlers run meanwhile: Ctrl-C
        raises KeyboardInterrupt at once. An exception from a handler may replace an event. If your program must not
        lose that event, let the handler set a flag or call close() instead.

        Raises ValueError if the watcher is closed, also during the wait, and nswatch.Error:
        EMFILE, ENFILE, ENOMEM, ENOSPC; for "nsid" and "all" also ENOBUFS, EAGAIN: a limit is reached. Nothing is lost:
        call again;
        E2BIG: there are more names, or namespaces, than max_names. Raised once each time that the number crosses the
        limit: call again;
        ENOENT: the directory is gone, and parent is False: there will be no more events;
        ENOTRECOVERABLE: an internal error; close the watcher.
        """
        if timeout == 0:
            return self._take()
        if timeout is not None and not timeout >= 0:
            raise ValueError("timeout must not be negative")
        deadline = None if timeout is None else time.monotonic() + timeout
        self._burst += 1
        if self._burst > _BURST:
            self._burst = 0
            if is_green():
                time.sleep(0)
        event = self._take()
        if event is not None:
            return event
        self._burst = 0
        with self._waiting() as wait:
            while event is None:
                left = _LONGEST_WAIT
                if deadline is not None:
                    left = min(left, deadline - time.monotonic())
                    if left <= 0:
                        return None
                wait(left)
                event = self._take()
        return event

    def __iter__(self) -> Iterator[Event]:
        """Iterates over the events and waits for each; ends when the watcher is closed.

        Raises as poll(), but ends instead of raising ENOENT.
        """
        self._check_open()
        return self

    def __next__(self) -> Event:
        try:
            event = None
            while event is None:
                event = self.poll()
            return event
        except ValueError:
            if not self._closed:
                raise
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise
        raise StopIteration

    def __aiter__(self) -> Watcher:
        """As iterating, in asyncio: ``async for event in watcher``.

        The event loop waits on the descriptor, without a thread. You may cancel it at any time, as by
        asyncio.timeout(), and lose no event. Several tasks may iterate: each event goes to one of them.

        Raises RuntimeError in Trio: use ``await trio.lowlevel.wait_readable(watcher)`` and poll(0) there.
        """
        refuse_trio()
        self._check_open()
        return self

    async def __anext__(self) -> Event:
        refuse_trio()
        while True:
            # nothing awaits after an event is taken: a cancellation loses none
            if self._burst >= _BURST:
                self._burst = 0
                await asyncio.sleep(0)
            try:
                event = self._take()
            except ValueError:
                if not self._closed:
                    raise
                raise StopAsyncIteration from None
            except OSError as failure:
                if failure.errno != errno.ENOENT:
                    raise
                raise StopAsyncIteration from None
            if event is not None:
                self._burst += 1
                return event
            self._burst = 0
            await self._readable()

    def resync(self) -> None:
        """Compares the reported state with the kernel's.

        The watcher emits the differences as replayed events, then SYNCED. It probes every name, or for "all" every
        process.

        Raises as poll(); then a later poll() makes the comparison.
        """
        with self._using() as watcher:
            check_with(lib.nsw_error, watcher, lib.nsw_resync(watcher), "compare", self._subject)

    @property
    def stats(self) -> Stats:
        """The counters. Raises ValueError if the watcher is closed."""
        with self._using() as watcher:
            return Stats(*(lib.nsw_stat(watcher, CONSTANTS[f"NSW_STAT_{each.name.upper()}"]) for each in fields(Stats)))

    # inside

    def _check_process(self) -> None:
        # a child would steal events from its parent, and wait for ever for a lock that another thread held
        if self._process != _here.process:
            raise RuntimeError(f"the watcher belongs to process {self._process}: a child of os.fork() opens its own")

    def _check_open(self) -> None:
        self._check_process()
        self._check_closed()

    def _check_closed(self) -> None:
        if self._closed:
            raise ValueError("the watcher is closed")

    def _free_if_unused(self) -> None:
        """The caller holds the lock."""
        if self._closed and self._users == 0:
            watcher, self._handle = self._handle, None
            wake, self._wake = self._wake, None
            lib.nsw_close(watcher)
            if wake is not None:
                os.close(wake)

    @contextmanager
    def _using(self) -> Iterator[int | None]:
        """Yields the handle, for this thread alone. It stays valid until the block ends, also if it is closed
        meanwhile."""
        self._check_process()
        with self._lock:
            self._users += 1
            try:
                # after the count, since a signal handler may close the watcher at any line
                self._check_closed()
                yield self._handle
            finally:
                self._users -= 1
                self._free_if_unused()

    def _take(self) -> Event | None:
        """The next event; None: none now. As _using(), whose generator, and each call of a method, would take as long
        as reading a field of the event."""
        if self._process != _here.process:
            self._check_process()
        with self._lock:
            self._users += 1
            try:
                if self._closed:
                    self._check_closed()
                if self._taking:
                    raise RuntimeError("a signal handler called poll() while the same thread takes an event")
                self._taking = True
                try:
                    watcher = self._handle
                    result = lib.nsw_next_event(watcher, self._borrowed)
                    if result > 0:
                        return _event.copy(self._borrowed)
                    check_with(lib.nsw_error, watcher, result, "watch", self._subject)
                    return None
                finally:
                    self._taking = False
            finally:
                self._users -= 1
                if self._closed:
                    self._free_if_unused()

    @contextmanager
    def _waiting(self) -> Iterator[Callable[[float], object]]:
        """Yields a function that waits at most so many seconds for an event, a signal, or close()."""
        with self._lock:
            self._users += 1
        try:
            with self._using():
                if self._wake is None:
                    with in_our_terms("wait for events"):
                        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            with waiting(self._fd, self._wake) as wait:
                yield wait
        finally:
            with self._lock:
                self._users -= 1
                self._free_if_unused()

    async def _readable(self) -> None:
        """Waits for a possible event, or close()."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                return
            reader = self._loops.get(loop)
            if reader is None:
                reader = Reader(self, loop)
            woken = reader.enter()
        try:
            await woken
        finally:
            reader.leave(woken)


def _u32(name: str, number: int) -> int:
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{name} is out of range: {number}")
    return number
