"""The watcher: an open handle of the C library, to wait on in Python's ways."""

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
from types import TracebackType
from typing import Literal, overload

from . import _event
from ._arguments import AnyPath, as_bytes
from ._errors import check_with, error, in_our_terms
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


@dataclass(frozen=True, slots=True)
class Stats:
    """What a watcher has counted since it was opened, and what it holds now."""

    delivered: int
    """Events handed out."""
    dropped: int
    """Events known to be lost, as far as the loss could be counted."""
    overflows: int
    """OVERFLOW events."""
    resyncs: int
    """Completed comparisons with the kernel, the replay at open among them."""
    queued: int
    """Events that wait to be handed out."""
    queued_max: int
    """The most events that ever waited."""
    pending: int
    """Names that exist and do not refer to a network namespace."""
    known: int
    """Names, ids, or namespaces, that exist."""


class Watcher:
    """Tells which network namespaces there are, come and go.

    ::

        with nswatch.Watcher() as watcher:
            for event in watcher:
                print(event)

    What exists already is told first, as replayed events that end with SYNCED. Wait for events by iterating, by
    ``async for``, by poll(), or in an event loop of your own by fileno(). Close it by the with statement or close().

    It may be used by several threads or tasks: each event goes to one of them. Iterating ends when the watcher is
    closed, by whichever of them. A child of os.fork() may not use it (RuntimeError) and opens its own. Where eventlet
    or gevent has patched the process, green threads are threads in this sense, and the others run while one waits.

    A watcher of ids keeps the network namespace in which it was opened alive until it is closed.

    Arguments, all but the first by keyword:

    source
        ``"named"``: names in a directory, as ``ip netns`` makes them; ``"nsid"``: ids that the kernel assigns to
        peers of the network namespace that the calling thread is in; or ``"all"``: every network namespace of this host
        that can be seen, with or without a name. What "all" sees, and when, depends on privileges: see Feature.LISTNS,
        Feature.BIRTHS and Feature.DEATHS. A namespace that lives too briefly to be looked at may be left out.
    dir
        The directory, an absolute path, ``/run/netns`` by default. It need not exist. Only for "named".

        Whoever may write to the directory decides what the watcher reports and how long its calls take: it looks at
        whatever a symbolic link there leads to, and reports the name as READY if that is a network namespace, be it
        your own. For a directory that others may write to, pass symlinks=False and a max_names.
    replay
        False: start with now, not with what exists; there is no SYNCED then.
    parent
        False: a missing directory is ENOENT, and its removal ends the watch: DIR_DELETED is told, iterating ends.
        Only for "named".
    dir_events
        True: tell when the directory itself comes and goes. Only for "named".
    mount_events
        Report unmounts and re-binds of known names, and the end of a process that a name is a link to, as they happen
        and not only at a resync. None: where a change of a mount does not cost a look at every known name; True: in any
        case; False: no. Only for "named".
    symlinks
        False: for a directory that others may write to. A name that is a symbolic link is never followed: it is CREATED
        and never READY. On the way to the directory only links that root owns are followed: another one is ELOOP, and
        later the directory counts as gone until the link goes. Only for "named".
    max_names
        The most names, or namespaces, that the watcher keeps; directories do not count; 0: 1048576. More are E2BIG.
        Later poll() raises E2BIG once each time that the limit is crossed; the watcher goes on with those that it
        knows, and reports those that it left out when others have gone. Not for "nsid".
    all_nsid
        True: tell what happens in peer namespaces too. Needs CAP_NET_BROADCAST. Only for "nsid".
    prepare
        True: make now all that could be needed later, for a program that gives up privileges or installs a seccomp
        filter after this.
    settle
        For how many seconds (to the millisecond) a name may change before the outcome is told; 0: every change is
        told at once. Only for "named".
    rcvbuf
        The size of the socket's receive buffer in bytes; 0: the library's choice. Only for "nsid".
    queue
        Ask for a background thread that takes events from the kernel as they come, into a queue of that many events,
        1 to 1048576. The price: a process with such a thread cannot unshare(CLONE_NEWUSER) any more. None: no thread.
    queue_policy
        What a full queue does: ``"block"``: the thread waits; ``"drop-newest"``, ``"drop-oldest"``: what is dropped
        is counted, reported by OVERFLOW, and made good by a resync.

    Raises nswatch.Error:
    ENOTDIR: a part of the path is not a directory;
    EACCES: the directory may not be read or searched by this process;
    ENOENT: the directory is missing, and parent is False;
    ELOOP: too many symbolic links on the way, or, if symlinks is False, one that root does not own;
    ENAMETOOLONG: as open(2);
    E2BIG: there are more names, or namespaces, than max_names;
    EMFILE, ENFILE: the limit of inotify instances, or of open files, is reached;
    ENOSPC: the limit of inotify watches is reached;
    EPERM: CAP_NET_BROADCAST is missing;
    EAGAIN: RLIMIT_NPROC prevents starting a thread: that of the queue, or one that "all" starts for a moment;
    EOPNOTSUPP: /proc is not mounted, or not that of this process;
    EINVAL, which is a ValueError too: the path is not absolute, the queue has no such capacity, or an argument is not
    of this source (a default value counts as not given);
    and ValueError for another value that is out of range.
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
        self._process = os.getpid()
        # one thread at a time in the library; a signal handler that interrupts it is the same thread. Green threads do
        # not switch in there, and their RLock suits neither signal handlers nor, in eventlet, other threads
        self._lock = RLock()
        self._taking = False
        # the handle is freed when it is closed and nobody uses it: a thread that waits, one in the library, a loop
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
            raise error(errno.ENOMEM)
        check = partial(check_with, lib.nsw_options_error, options)
        try:
            check(lib.nsw_options_set_flags(options, flags))
            check(lib.nsw_options_set_dir(options, raw), directory)
            check(lib.nsw_options_set_settle(options, _u32("settle", math.ceil(settle * 1000))))
            check(lib.nsw_options_set_max_names(options, _u32("max_names", max_names)))
            check(lib.nsw_options_set_rcvbuf(options, _u32("rcvbuf", rcvbuf)))
            if queue is not None:
                # what C has no number for is as wrong as 0
                capacity = queue if 0 <= queue < 1 << 32 else 0
                check(lib.nsw_options_set_queue(options, capacity, _POLICIES[queue_policy]))
            opened = handle()
            self._subject = directory if source == "named" else None
            check(lib.nsw_open(_SOURCES[source], options, byref(opened)), self._subject)
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
        # without the attribute, __init__ has not come to it
        if not getattr(self, "_closed", True) and self._process == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def close(self) -> None:
        """Closes the watcher. Once more does nothing.

        It may be called from any thread, from any task and from a signal handler. Those that wait for an event are
        woken up: iterating ends, poll() raises ValueError. In a child of os.fork() it leaves the watcher alone, which
        is the parent's; the child's copies of its descriptors end with the child, or as it executes a program.
        """
        if self._closed:
            return
        self._closed = True
        if self._process != os.getpid():
            return
        with self._lock:
            for loop, reader in list(self._loops.items()):
                if loop.is_running() and not inside(loop):
                    try:
                        loop.call_soon_threadsafe(reader.stop)
                        continue
                    except RuntimeError:  # it was closed meanwhile
                        pass
                reader.stop()
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)
            self._free_if_unused()

    def fileno(self) -> int:
        """The descriptor to wait on in an event loop of your own, for reading.

        It is level-triggered: readable while there is an event to be had; then call poll(0) until it answers None.
        It is close-on-exec, the same for the life of the watcher, and not to be read or closed.

        Raises ValueError if the watcher is closed.
        """
        self._check_open()
        return self._fd

    def poll(self, timeout: float | None = None) -> Event | None:
        """Waits for the next event; None: there was none for ``timeout`` seconds.

        timeout: how long to wait, in seconds; 0: not at all; None: for ever. Signals are handled meanwhile: Ctrl-C
        raises KeyboardInterrupt at once. What a handler raises may replace an event that has just been taken: a program
        that goes on afterwards, and must miss none, has its handlers set a flag or call close() instead.

        Raises ValueError if the watcher is closed, also while it waits, and nswatch.Error:
        EMFILE, ENFILE, ENOMEM, ENOSPC; of ids and of all namespaces also ENOBUFS, EAGAIN: a limit kept the watcher from
        looking. Nothing is lost: call it again;
        E2BIG: there are more names, or namespaces, than max_names. Raised once each time that the limit is crossed:
        call it again;
        ENOENT: the directory is gone, and parent is False: no event will come any more;
        ENOTRECOVERABLE: an internal error; the watcher is of no more use.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError("timeout must not be negative")
        if timeout == 0:
            return self._take()
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

        Raises as poll() does, but where no event will come any more because the directory is gone, it ends.
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

        There is no thread: the event loop waits on the descriptor. It may be cancelled at any time, as by
        asyncio.timeout(), and no event is lost. Several tasks may do so: each event goes to one of them.

        Raises RuntimeError in Trio, where ``await trio.lowlevel.wait_readable(watcher)`` and poll(0) do this.
        """
        refuse_trio()
        self._check_open()
        return self

    async def __anext__(self) -> Event:
        refuse_trio()
        while True:
            # an event is taken last, so that a cancellation finds none in our hands
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
        """Compares what has been told with what the kernel has now.

        The differences follow as replayed events, then SYNCED. Costs one look at every name, or for "all" at every
        process.

        Raises as poll() does; then the comparison is still due, and is made by the next poll() that can.
        """
        with self._using() as watcher:
            check_with(lib.nsw_error, watcher, lib.nsw_resync(watcher), self._subject)

    @property
    def stats(self) -> Stats:
        """What the watcher has counted. Raises ValueError if it is closed."""
        with self._using() as watcher:
            return Stats(*(lib.nsw_stat(watcher, CONSTANTS[f"NSW_STAT_{each.name.upper()}"]) for each in fields(Stats)))

    # inside

    def _check_process(self) -> None:
        # a child would take events away from its parent, and a lock that another thread holds is never released there
        if self._process != os.getpid():
            raise RuntimeError(f"the watcher belongs to process {self._process}: a child of os.fork() opens its own")

    def _check_open(self) -> None:
        self._check_process()
        if self._closed:
            raise ValueError("the watcher is closed")

    def _free_if_unused(self) -> None:
        """To be called with the lock."""
        if self._closed and self._users == 0:
            watcher, self._handle = self._handle, None
            wake, self._wake = self._wake, None
            lib.nsw_close(watcher)
            if wake is not None:
                os.close(wake)

    @contextmanager
    def _using(self) -> Iterator[int | None]:
        """The handle, for this thread alone, and alive until the block ends whoever closes it meanwhile."""
        self._check_process()
        with self._lock:
            self._users += 1
            try:
                # after the count: a signal handler may close the watcher between any two lines
                self._check_open()
                yield self._handle
            finally:
                self._users -= 1
                self._free_if_unused()

    def _take(self) -> Event | None:
        """The next event, if there is one now."""
        with self._using() as watcher:
            if self._taking:
                raise RuntimeError("a signal handler asks for an event while one is being handed out")
            self._taking = True
            try:
                borrowed = handle()
                if check_with(lib.nsw_error, watcher, lib.nsw_next_event(watcher, byref(borrowed)), self._subject) == 0:
                    return None
                return _event.copy(borrowed)
            finally:
                self._taking = False

    @contextmanager
    def _waiting(self) -> Iterator[Callable[[float], object]]:
        """Yields a function that waits for an event, a signal, or close(), for at most so many seconds."""
        with self._lock:
            self._users += 1
        try:
            with self._using():
                if self._wake is None:
                    with in_our_terms():
                        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            with waiting(self._fd, self._wake) as wait:
                yield wait
        finally:
            with self._lock:
                self._users -= 1
                self._free_if_unused()

    async def _readable(self) -> None:
        """Waits until there may be an event, or the watcher is closed."""
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
