"""Events: plain values, which outlive their watcher."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from ctypes import byref
from dataclasses import dataclass, fields
from typing import TypeVar

from ._errors import Error
from ._ffi import CONSTANTS, lib, nsw_netns
from ._netns import Netns
from ._printable import printable

_T = TypeVar("_T")


class EventType(enum.IntEnum):
    """What happened. ``str()`` of it is the library's name for it, as ``"ready"``.

    Later versions of the library may tell of more: a number that is not listed here is an EventType all the same,
    equal to its number. Ignore those that you do not know.
    """

    CREATED = 1
    """A name appeared; it may not be a namespace yet."""
    READY = 2
    """The name now refers to a network namespace that can be opened; after another READY of the same name: it was
    replaced by another namespace."""
    DETACHED = 3
    """The name is still there but no longer refers to a network namespace."""
    DELETED = 4
    """The name is gone."""
    DIR_CREATED = 5
    """The watched directory came."""
    DIR_DELETED = 6
    """The watched directory went; each name in it has been told as deleted before."""
    NSID_NEW = 7
    """An id was assigned to a peer namespace."""
    NSID_DEL = 8
    """The namespace that had the id died."""
    SYNCED = 9
    """What was replayed at open, or by a resync, is complete."""
    OVERFLOW = 10
    """Events were lost; what they did follows as replayed events, then SYNCED."""
    NETNS_NEW = 11
    """A network namespace exists, with or without a name. Only from the source "all"."""
    NETNS_DEL = 12
    """The network namespace is gone. Only from the source "all"."""

    @classmethod
    def _missing_(cls, value: object) -> EventType | None:
        if not isinstance(value, int):
            return None
        stranger = int.__new__(cls, value)
        stranger._name_ = f"UNKNOWN_{value}"
        stranger._value_ = value
        return stranger

    def __reduce_ex__(self, _protocol: object) -> tuple[type[EventType], tuple[int]]:
        # some versions of Python, as 3.11.2, copy and pickle by the name, which finds none that is not listed
        return EventType, (self._value_,)

    def __str__(self) -> str:
        name: bytes = lib.nsw_event_type_name(self._value_)
        return name.decode()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a name, an id, a namespace, or the watch itself.

    What does not apply to its type is None.

    Events are plain values: they may be kept, compared, sent to other threads and used after their watcher is closed.
    They hold no file descriptor, so they keep no namespace alive.

    ::

        match event:
            case Event(EventType.READY, name=str(name)):
                print(name, event.netns)
    """

    # what follows the type would be the time, which nobody means by it
    __match_args__ = ("type",)

    type: EventType
    """What happened."""
    time_ns: int
    """When the library learned of it, in nanoseconds of ``time.monotonic_ns()``."""
    replayed: bool = False
    """Whether it tells of what was there already: at open, or found by a resync."""
    name: str | None = None
    """The name, decoded by os.fsdecode(): os.fsencode() gives its bytes back, whatever they are."""
    path: str | None = None
    """The path of the name, decoded likewise: the watched directory, ``/`` and the name. NETNS_NEW: a path by which the
    namespace could be opened when the watcher found it; None: there is none."""
    netns: Netns | None = None
    """READY, NETNS_NEW, NETNS_DEL: which namespace it is."""
    nsid: int | None = None
    """NSID_NEW, NSID_DEL: the id."""
    origin: int | None = None
    """NSID_NEW, NSID_DEL: the id of the namespace that it happened in; None: the watched one."""
    portid: int | None = None
    """NSID_NEW: the netlink port of who asked for the id explicitly."""
    dropped: int | None = None
    """OVERFLOW: how many events were lost; None: the kernel did not say, or ids may be missing."""
    pid: int | None = None
    """NETNS_NEW: a process or thread that was in the namespace when the watcher found it, and may have ended since;
    None: none is known."""

    @property
    def dev(self) -> int | None:
        """READY, NETNS_NEW, NETNS_DEL: st_dev of the namespace."""
        return None if self.netns is None else self.netns.dev

    @property
    def ino(self) -> int | None:
        """READY, NETNS_NEW, NETNS_DEL: st_ino of the namespace. The kernel recycles these numbers."""
        return None if self.netns is None else self.netns.ino

    @property
    def cookie(self) -> int | None:
        """READY, NETNS_NEW, NETNS_DEL: the cookie of the namespace, a number that the kernel never reuses; None before
        Linux 6.18."""
        return None if self.netns is None else self.netns.cookie or None

    def __repr__(self) -> str:
        given = ((each.name, getattr(self, each.name)) for each in fields(self)[1:])
        return f"Event({self.type.name}{''.join(f', {name}={value!r}' for name, value in given if value is not None)})"

    def __str__(self) -> str:
        """A line for people, as ``ready blue net:[4026532177] (existing)``: the one that Go and Rust print."""
        words = [str(self.type)]
        if self.name is not None:
            words.append(printable(self.name))
        if self.netns is not None:
            words.append(str(self.netns))
        if self.type == EventType.NETNS_NEW and self.path is not None:
            words.append(printable(self.path))
        if self.nsid is not None:
            words.append(str(self.nsid))
            if self.origin is not None:
                words += ["in", str(self.origin)]
        if self.replayed:
            words.append("(existing)")
        return " ".join(words)

    @contextmanager
    def open_netns(self) -> Iterator[int]:
        """Opens exactly the namespace that a READY or NETNS_NEW announced: ``with event.open_netns() as fd``.

        The descriptor is close-on-exec and closed at the end of the block; os.dup() it to keep it. As long as one is
        open the namespace lives.

        This is event.netns.open(event.path); where that fails for a NETNS_NEW, event.netns.open(), which finds the
        namespace by its cookie (Linux 6.18, CAP_SYS_ADMIN). It works for as long as the path refers to that namespace,
        in any thread, however many events came since and even after the watcher was closed. Paths are resolved in the
        mount namespace of the calling thread.

        Raises ValueError if the event announces no namespace, and nswatch.Error:
        ENOENT: what was at the path is gone, or is no network namespace any more;
        ESTALE: the path leads to another namespace by now;
        EACCES: the path may not be searched;
        EPERM: a NETNS_NEW has no path, and CAP_SYS_ADMIN is missing;
        EOPNOTSUPP: /proc is not mounted, or not that of this process;
        EMFILE, ENFILE, ENOMEM: a limit is reached.
        """
        netns = self._announced()
        with ExitStack() as stack:
            yield self._reach(lambda path: stack.enter_context(netns.open(path)))

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Runs a block inside the namespace that a READY or NETNS_NEW announced: ``with event.enter(): ...``

        This is event.netns.enter(event.path), which says more; for a NETNS_NEW also by its cookie, as open_netns().
        Takes CAP_SYS_ADMIN, here and over the user namespace that owns the network namespace.

        Raises as open_netns(), and as Netns.enter().
        """
        netns = self._announced()
        with ExitStack() as stack:
            self._reach(lambda path: stack.enter_context(netns.enter(path)))
            yield

    def _announced(self) -> Netns:
        if self.netns is None or self.type == EventType.NETNS_DEL:
            raise ValueError(f"only ready and netns_new have a namespace to open, this event is {self.type}")
        return self.netns

    def _reach(self, way: Callable[[str | None], _T]) -> _T:
        """Goes by the path; to a namespace that may have left the path, by its cookie."""
        try:
            return way(self.path)
        except Error:
            if self.type != EventType.NETNS_NEW or self.path is None:
                raise
            with suppress(Error):
                return way(None)
            raise


def _decoded(raw: bytes | None) -> str | None:
    return None if raw is None else os.fsdecode(raw)


def _positive(number: int) -> int | None:
    return number or None


def _assigned(nsid: int) -> int | None:
    return None if nsid == CONSTANTS["NSID_NOT_ASSIGNED"] else nsid


def copy(borrowed: object) -> Event:
    """Copies an event that is borrowed from its watcher."""
    kind = EventType(lib.nsw_event_type(borrowed))
    time_ns = lib.nsw_event_time_ns(borrowed)
    replayed = bool(lib.nsw_event_flags(borrowed) & CONSTANTS["NSW_EVENT_REPLAYED"])
    name, path = _decoded(lib.nsw_event_name(borrowed)), _decoded(lib.nsw_event_path(borrowed))
    if kind in (EventType.CREATED, EventType.DETACHED, EventType.DELETED):
        return Event(kind, time_ns, replayed, name, path)
    netns = nsw_netns()
    return Event(
        kind,
        time_ns,
        replayed,
        name,
        path,
        Netns._of(netns) if lib.nsw_event_netns(borrowed, byref(netns)) == 0 else None,
        _assigned(lib.nsw_event_nsid(borrowed)),
        _assigned(lib.nsw_event_origin(borrowed)),
        _positive(lib.nsw_event_portid(borrowed)),
        _positive(lib.nsw_event_dropped(borrowed)),
        _positive(lib.nsw_event_pid(borrowed)),
    )
