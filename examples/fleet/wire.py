"""What goes over the wire: subjects and messages.

A feed is what one watcher of a host tells: its subject ends in the host and the source. An incarnation of a feed is one
life of that watcher. Its first message, number 0, is `began`; then come the replay, `synced`, and what happens. So a
reader who has every number of an incarnation up to some message knows what the watcher had told by then.
"""

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from urllib.parse import quote, unquote

# a collector needs no nswatch
if TYPE_CHECKING:
    from nswatch import Event

STREAM = "NSWATCH"
BEGAN = "began"
Source = Literal["named", "nsid"]
DAY = 86400
# the members of an event that go over, as `nswatch watch --json` calls them; a monotonic time means nothing elsewhere
_MEMBERS = ("dev", "ino", "cookie", "nsid", "origin", "portid", "dropped")


class Feed(NamedTuple):
    """What one watcher of a host tells."""

    host: str
    source: Source

    def subject(self, purpose: str) -> str:
        """Its subject for `events`, kept by the stream, or for `alive` or `resync`, which are not."""
        return f"nswatch.{purpose}.{token(self.host)}.{self.source}"


def token(host: str) -> str:
    """A name of a host as one token of a subject, where a dot would begin another."""
    return quote(host, safe="").replace(".", "%2E")


def subjects(purpose: str) -> str:
    """The subjects of all feeds."""
    return f"nswatch.{purpose}.*.*"


def feed(subject: str) -> Feed:
    """The feed that a subject is of."""
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
    """What it is about: a name, or an id in the namespace that it is assigned in."""
    told: dict[str, Any]
    """All that the event says, and the time."""


def encode(incarnation: str, number: int, event: "Event | None") -> bytes:
    """The message that tells an event, or that an incarnation began."""
    message: dict[str, Any] = {"incarnation": incarnation, "number": number}
    if event is None:
        return json.dumps(message | {"type": BEGAN, "time": round(time.time(), 6)}).encode()
    age = (time.monotonic_ns() - event.time_ns) / 1e9
    message |= {"type": str(event.type), "time": round(time.time() - age, 6), "replayed": event.replayed}
    if event.name is not None:
        raw = os.fsencode(event.name)
        message["name"] = raw.decode(errors="replace")
        if message["name"].encode() != raw:
            message["name_hex"] = raw.hex()
    message |= {name: value for name in _MEMBERS if (value := getattr(event, name)) is not None}
    return json.dumps(message).encode()


def decode(data: bytes) -> Message:
    """The message that was sent; ValueError if it is none."""
    told = _object(data)
    try:
        incarnation, number = _position(told)
        if "nsid" in told:
            key = f"{told.get('origin', '')}/{told['nsid']}".encode()
        elif "name_hex" in told:
            key = bytes.fromhex(told["name_hex"])
        else:
            key = str(told.get("name", "")).encode()
        return Message(incarnation, number, str(told["type"]), key, told)
    except (KeyError, TypeError, OverflowError) as failure:
        raise ValueError(f"no message of an agent: {failure!r}") from None


class Alive(NamedTuple):
    """The sign of life that a feed gives every so many seconds."""

    incarnation: str
    number: int
    """The last message that the stream has acknowledged; -1: none."""
    every: float

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Alive":
        told = _object(data)
        try:
            alive = cls(*_position(told), float(told["every"]))
        except (KeyError, TypeError, OverflowError) as failure:
            raise ValueError(f"no sign of life: {failure!r}") from None
        if not 0 < alive.every < DAY:
            raise ValueError(f"no sign of life: every {alive.every} seconds")
        return alive


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except RecursionError:
        told = None
    if not isinstance(told, dict):
        raise ValueError("not a JSON object")
    return told


def _position(told: dict[str, Any]) -> tuple[str, int]:
    incarnation, number = str(told.pop("incarnation")), int(told.pop("number"))
    incarnation.encode()  # a lone surrogate is a ValueError, here and not in the database
    if not -1 <= number < 1 << 63:
        raise ValueError(f"number {number} is out of range")
    return incarnation, number
