"""Events: plain values that outlive their watcher."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from typing import TypeVar

from ._errors import Error
from ._ffi import CONSTANTS, lib, nsw_netns
from ._netns import Netns
from ._printable import printable

_T = TypeVar("_T")


class EventType(enum.IntEnum):
    """What happened. ``str()`` returns the library's name of the type, as ``"ready"``.

    Later versions of the library may add types. A number without a name here is an EventType too, equal to that number.
    Ignore types that you do not know.
    """

    CREATED = 1
    """A name appeared. It may not be a namespace yet."""
    READY = 2
    """You can open the network namespace of the name. A READY after a READY of the same name: another namespace
    replaced the first."""
    DETACHED = 3
    """The name still exists but no longer refers to a network namespace."""
    DELETED = 4
    """The name is gone."""
    DIR_CREATED = 5
    """The watched directory appeared."""
    DIR_DELETED = 6
    """The watched directory disappeared. A DELETED for each name in it came before."""
    NSID_NEW = 7
    """The kernel assigned an nsid to a peer namespace."""
    NSID_DEL = 8
    """The namespace that had the nsid died."""
    SYNCED = 9
    """The replay at open, or the resync, is complete."""
    OVERFLOW = 10
    """Events were lost. Replayed events with their net effect follow, then SYNCED."""
    NETNS_NEW = 11
    """A network namespace exists, with or without a name. Only from the source "all"."""
    NETNS_DEL = 12
    """A network namespace is gone. Only from the source "all"."""

    @classmethod
    def _missing_(cls, value: object) -> EventType | None:
        if not isinstance(value, int):
            return None
        stranger = int.__new__(cls, value)
        stranger._name_ = f"UNKNOWN_{value}"
        stranger._value_ = value
        return stranger

    def __reduce_ex__(self, _protocol: object) -> tuple[type[EventType], tuple[int]]:
        # some versions of Python, as 3.11.2, copy and pickle by name, which fails for a type without one
        return EventType, (self._value_,)

    def __str__(self) -> str:
        name: bytes = lib.nsw_event_type_name(self._value_)
        return name.decode()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


@dataclass(frozen=True)
class Event:
    """Something happened to a name, an nsid, a namespace, or the watcher.

    Attributes that do not apply to the type are None.

    Events are plain values: keep them, compare them, send them to other threads, use them after their watcher is
    closed. They hold no file descriptor and keep no namespace alive.

    ::

        match event:
            case Event(EventType.READY, name=str(name)):
                print(name, event.netns)
    """

    # by position only the type: the next field is the time, which no pattern means
    __match_args__ = ("type",)

    type: EventType
    """What happened."""
    time_ns: int
    """When the library noticed it, in nanoseconds of ``time.monotonic_ns()``."""
    replayed: bool = False
    """Whether it is a replayed event: state that existed at open, or that a resync found."""
    name: str | None = None
    """The name, decoded by os.fsdecode(). os.fsencode() returns its bytes, also if they are not UTF-8."""
    path: str | None = None
    """The path of the name, decoded likewise: the watched directory, ``/`` and the name. NETNS_NEW: a path that led to
    the namespace when the watcher found it; None: no path did."""
    netns: Netns | None = None
    """READY, NETNS_NEW, NETNS_DEL: the identity of the namespace."""
    nsid: int | None = None
    """NSID_NEW, NSID_DEL: the nsid."""
    origin: int | None = None
    """NSID_NEW, NSID_DEL: the nsid of the namespace in which it happened; None: the watched namespace."""
    portid: int | None = None
    """NSID_NEW: the netlink port of the program that assigned the nsid explicitly."""
    dropped: int | None = None
    """OVERFLOW: how many events were lost; None: the kernel did not count them, or nsids may be missing."""
    pid: int | None = None
    """NETNS_NEW: a process or thread that was in the namespace when the watcher found it. It may have ended since.
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
        """READY, NETNS_NEW, NETNS_DEL: the cookie of the namespace, which the kernel never reuses; None before Linux
        6.18."""
        return None if self.netns is None else self.netns.cookie or None

    def __repr__(self) -> str:
        given = ((each.name, getattr(self, each.name)) for each in fields(self)[1:])
        return f"Event({self.type.name}{''.join(f', {name}={value!r}' for name, value in given if value is not None)})"

    def __str__(self) -> str:
        """One line for people, as ``ready blue net:[4026532177] (replayed)``. Go and Rust print the same line."""
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
            words.append("(replayed)")
        return " ".join(words)

    @contextmanager
    def open_netns(self) -> Iterator[int]:
        """Opens exactly the namespace that a READY or NETNS_NEW announced: ``with event.open_netns() as fd``.

        The descriptor is close-on-exec, and the end of the block closes it; call os.dup() to keep it. An open
        descriptor keeps the namespace alive.

        Opens event.netns by event.path. If that fails for a NETNS_NEW, opens it by its cookie (requires Linux 6.18 and
        CAP_SYS_ADMIN). This works in any thread, after later events and after the watcher is closed, as long as the
        path refers to that namespace. The path is resolved in the mount namespace of the calling thread.

        Raises ValueError if the event announces no namespace, and nswatch.Error:
        ENOENT: the path no longer leads to a network namespace;
        ESTALE: the path leads to another namespace;
        EACCES: a directory on the path may not be searched;
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

        Works as event.netns.enter(event.path); for a NETNS_NEW also by its cookie, as open_netns(). Requires
        CAP_SYS_ADMIN in the caller's user namespace and in the one that owns the network namespace.

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
        """By the path; if that fails for a NETNS_NEW, by the cookie, since the namespace may have left the path."""
        try:
            return way(self.path)
        except Error:
            if self.type != EventType.NETNS_NEW or self.path is None:
                raise
            with suppress(Error):
                return way(None)
            raise


# os.fsdecode(), which looks these up in each call
_ENCODING, _ON_ERROR = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def _assigned(nsid: int) -> int | None:
    return None if nsid == _NOT_ASSIGNED else nsid


def _identity(borrowed: object) -> Netns | None:
    found = nsw_netns()
    # the struct itself, as in the watcher
    return Netns._of(found) if _netns(borrowed, found) == 0 else None


_set = object.__setattr__

# what most events need
_type, _time_ns, _flags = lib.nsw_event_type, lib.nsw_event_time_ns, lib.nsw_event_flags
_path, _netns = lib.nsw_event_path, lib.nsw_event_netns
_NOT_ASSIGNED, _REPLAYED = CONSTANTS["NSID_NOT_ASSIGNED"], CONSTANTS["NSW_EVENT_REPLAYED"]
_KINDS = {kind.value: kind for kind in EventType}


def _numbers(*kinds: EventType) -> frozenset[int]:
    """Plain numbers: an EventType computes its hash from its name, which takes longer than a call of the library."""
    return frozenset(kind.value for kind in kinds)


# Each call of the library costs as much as the rest of a field, so only those fields are read that a type may have.
_NAMES = _numbers(EventType.CREATED, EventType.READY, EventType.DETACHED, EventType.DELETED)
_NAMESPACES = _numbers(EventType.NETNS_NEW, EventType.NETNS_DEL)
_NSIDS = _numbers(EventType.NSID_NEW, EventType.NSID_DEL)
_READY, _NETNS_NEW, _OVERFLOW = EventType.READY.value, EventType.NETNS_NEW.value, EventType.OVERFLOW.value


def copy(borrowed: object) -> Event:
    """Copies an event borrowed from its watcher."""
    number = _type(borrowed)
    kind = _KINDS.get(number)
    values = {
        "type": EventType(number) if kind is None else kind,
        "time_ns": _time_ns(borrowed),
        "replayed": _flags(borrowed) & _REPLAYED != 0,
    }
    if number in _NAMES:
        # the directory, a slash, the name
        values["path"] = path = _path(borrowed).decode(_ENCODING, _ON_ERROR)
        values["name"] = path.rpartition("/")[2]
        if number == _READY:
            values["netns"] = _identity(borrowed)
    elif number in _NAMESPACES:
        values["netns"] = _identity(borrowed)
        if number == _NETNS_NEW:
            found = _path(borrowed)
            values["path"] = None if found is None else found.decode(_ENCODING, _ON_ERROR)
            values["pid"] = lib.nsw_event_pid(borrowed) or None
    elif number in _NSIDS:
        values["nsid"] = _assigned(lib.nsw_event_nsid(borrowed))
        values["origin"] = _assigned(lib.nsw_event_origin(borrowed))
        values["portid"] = lib.nsw_event_portid(borrowed) or None
    elif number == _OVERFLOW:
        values["dropped"] = lib.nsw_event_dropped(borrowed) or None
    # __init__() of a frozen dataclass stores each field by a call, which takes as long as all this
    event = object.__new__(Event)
    _set(event, "__dict__", values)
    return event
