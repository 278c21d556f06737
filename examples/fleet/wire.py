"""The protocol: subjects and messages.

A feed has the events of one watcher of a host: its subject ends in the host and the source. An incarnation of a feed is
one life of that watcher. Its first message, number 0, is `began`; the replay, `synced`, and the changes follow. So a
reader that has every number of an incarnation up to some message has all that the watcher had reported by then.
"""

import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from urllib.parse import quote, unquote

# a collector runs without nswatch
if TYPE_CHECKING:
    from nswatch import Event

STREAM = "NSWATCH"
BEGAN = "began"
Source = Literal["named", "nsid", "all"]
DAY = 86400
# the numeric members of an event, as in `nswatch watch --json`, with their maximum; without the monotonic time, which
# is valid only on its host
_MEMBERS = {"nsid": 2**31 - 1, "origin": 2**31 - 1, "portid": 2**32 - 1, "dropped": 2**64 - 1, "pid": 2**31 - 1}
# and those of its nswatch.Netns; members that are 0 are not sent
_NETNS = dict.fromkeys(("dev", "ino", "cookie", "stamp"), 2**64 - 1)
# the message types, and the members of each
_NAME, _ID = ("name", "name_hex"), ("nsid", "origin")
TYPES: dict[str, tuple[str, ...]] = {
    BEGAN: (),
    "created": _NAME,
    "ready": (*_NAME, *_NETNS),
    "detached": _NAME,
    "deleted": _NAME,
    "nsid_new": (*_ID, "portid"),
    "nsid_del": _ID,
    "netns_new": (*_NETNS, "pid"),
    "netns_del": (*_NETNS,),
    "synced": (),
    "overflow": ("dropped",),
}


class Feed(NamedTuple):
    """The events of one watcher of a host."""

    host: str
    source: Source

    def subject(self, purpose: str) -> str:
        """Its subject for `events`, which the stream keeps, or for `alive` or `resync`, which it does not keep."""
        return f"nswatch.{purpose}.{token(self.host)}.{self.source}"


def token(host: str) -> str:
    """The name of a host as one token of a subject, without dots."""
    return quote(host, safe="").replace(".", "%2E")


def subjects(purpose: str) -> str:
    """The subjects of all feeds."""
    return f"nswatch.{purpose}.*.*"


def feed(subject: str) -> Feed:
    """The feed of a subject."""
    _, purpose, host, source = subject.split(".")
    for known in get_args(Source):
        found = Feed(unquote(host), known)
        if source == known and found.subject(purpose) == subject:
            return found
    raise ValueError("not a subject of a feed")


@dataclass(frozen=True)
class Message:
    """One message of a feed."""

    incarnation: str
    number: int
    type: str
    key: bytes
    """The key of its subject: a name, an nsid with its origin, or a namespace."""
    members: dict[str, Any]
    """The members of the event, and the time."""


def encode(incarnation: str, number: int, event: "Event | None") -> bytes:
    """The message for an event; None: for the start of an incarnation."""
    message: dict[str, Any] = {"incarnation": incarnation, "number": number}
    if event is None:
        return json.dumps(message | {"type": BEGAN, "time": round(time.time(), 6)}).encode()
    age = (time.monotonic_ns() - event.time_ns) / 1e9
    message |= {"type": str(event.type), "time": round(time.time() - age, 6), "replayed": event.replayed}
    if event.name is not None:
        message |= _named(os.fsencode(event.name))
    if event.netns is not None:
        message |= {name: value for name in _NETNS if (value := getattr(event.netns, name))}
    message |= {name: value for name in _MEMBERS if (value := getattr(event, name)) is not None}
    return json.dumps(message).encode()


def decode(data: bytes) -> Message:
    """Parses a message; raises ValueError for anything else.

    The publisher chose every byte. The result has only members of the types and ranges that agents send: it is safe to
    keep, apply and print.
    """
    members = _object(data)
    incarnation, number = _position(members, 0)
    kind = members.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError("no message of an agent: it has no type, or an unknown one")
    message: dict[str, Any] = {"type": kind}
    if "time" in members:
        message["time"] = _real(members, "time", 0, 2.0**53)
    if "replayed" in members:
        if not isinstance(members["replayed"], bool):
            raise ValueError("no message of an agent: replayed is neither true nor false")
        message["replayed"] = members["replayed"]
    for name, greatest in (_NETNS | _MEMBERS).items():
        if name in members:
            if name not in TYPES[kind]:
                raise ValueError(f"no message of an agent: {kind} has no {name}")
            message[name] = _integer(members, name, 0, greatest)
    key = b""
    if "name" in TYPES[kind]:
        key = _name(members)
        message |= _named(key)
    elif "name" in members or "name_hex" in members:
        raise ValueError(f"no message of an agent: {kind} has no name")
    elif "ino" in TYPES[kind]:
        _integer(members, "ino", 1, _NETNS["ino"])
        key = "/".join(str(message.get(each, 0)) for each in _NETNS).encode()
    if "nsid" in TYPES[kind]:
        key = f"{message.get('origin', '')}/{_integer(members, 'nsid', 0, _MEMBERS['nsid'])}".encode()
    return Message(incarnation, number, kind, key, message)


class Alive(NamedTuple):
    """The periodic sign of life of a feed."""

    incarnation: str
    number: int
    """The last message that the stream has acknowledged; -1: none."""
    every: float

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Alive":
        """Parses a sign of life; raises ValueError for anything else."""
        members = _object(data)
        alive = cls(*_position(members, -1), _real(members, "every", 0, DAY))
        if not 0 < alive.every < DAY:
            raise ValueError(f"no sign of life: every {alive.every} seconds")
        return alive


def printable(text: str, keep: str = "") -> str:
    r"""Escapes text for a terminal, in the form of nswatch.printable(): `\u{1b}`, `\xff`.

    keep: characters to leave unescaped in sentences, though not in names.
    """
    return "".join(each if each in keep else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if character == " ":
        return r"\x20"
    if character in "\\'\"":
        return f"\\{character}"
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # from os.fsdecode(): a byte that is not UTF-8
        return rf"\x{number - 0xDC00:02x}"
    return {"\t": r"\t", "\n": r"\n", "\r": r"\r"}.get(character, rf"\u{{{number:x}}}")


def _object(data: bytes) -> dict[str, Any]:
    try:
        members = json.loads(data)
    except RecursionError:
        members = None
    if not isinstance(members, dict):
        raise ValueError("not a JSON object")
    return members


def _integer(members: dict[str, Any], name: str, least: int, greatest: int) -> int:
    value = members.get(name)
    # true is an int too
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        raise ValueError(f"{name} is no number from {least} to {greatest}")
    return value


def _real(members: dict[str, Any], name: str, least: float, greatest: float) -> float:
    value = members.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= greatest:
        raise ValueError(f"{name} is no number from {least:g} to {greatest:g}")
    return float(value)


def _position(members: dict[str, Any], least: int) -> tuple[str, int]:
    incarnation = members.get("incarnation")
    if not isinstance(incarnation, str) or not re.fullmatch(r"[0-9A-Za-z.]{1,64}", incarnation):
        raise ValueError("incarnation is not 1 to 64 letters, digits and dots")
    return incarnation, _integer(members, "number", least, 2**63 - 1)


def _named(raw: bytes) -> dict[str, str]:
    """The members of a message for a name."""
    name = raw.decode(errors="replace")
    return {"name": name} if name.encode() == raw else {"name": name, "name_hex": raw.hex()}


def _name(members: dict[str, Any]) -> bytes:
    """The bytes of the name of a message; raises ValueError for all that no agent writes, as a lone surrogate."""
    name, digits = members.get("name"), members.get("name_hex")
    if not isinstance(name, str) or not isinstance(digits, (str, type(None))):
        raise ValueError("the name is no text")
    raw = name.encode() if digits is None else bytes.fromhex(digits)
    if not 1 <= len(raw) <= 255 or b"/" in raw or b"\0" in raw:
        raise ValueError("the name is not that of a file")
    if _named(raw) != ({"name": name} if digits is None else {"name": name, "name_hex": digits}):
        raise ValueError("name and name_hex are not of one name")
    return raw
