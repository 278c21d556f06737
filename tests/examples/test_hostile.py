"""The collector and messages from users who may publish and are no agents: no server, no namespaces."""

import contextlib
import json
import os
import unittest
from pathlib import Path
from typing import Any

try:
    from hypothesis import given, settings, strategies
except ImportError:
    raise unittest.SkipTest("SKIPPED: hostile messages: there is no hypothesis") from None

import wire
from picture import Picture, lines
from wire import Alive, Feed

A = Feed("a", "named")
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=5,
)
SPECIAL = strategies.sampled_from(
    [*wire.TYPES, "\x1b]0;owned\x07\x1b[2J", "\ud800", "zz", "ff", "2f", "00", "", "caf\xe9", "a/b", "blue", "1" * 300]
)
MEMBERS = ["incarnation", "number", "type", "time", "replayed", "name", "name_hex", "dev", "ino", "cookie", "stamp"]
MEMBERS += ["nsid", "origin", "portid", "dropped", "pid", "every", "\x1b[2J"]
RIGHT: list[dict[str, Any]] = [
    {"type": "created", "name": "\x1b[2J two"},
    {"type": "ready", "name": "\x1b[2J two", "dev": 4, "ino": 2**64 - 1, "cookie": 1, "stamp": 5, "time": 1.5},
    {"type": "detached", "name": "\ufffd", "name_hex": "ff", "replayed": True},
    {"type": "deleted", "name": "\ufffd", "name_hex": "ff"},
    {"type": "nsid_new", "nsid": 0, "origin": 3, "portid": 2**32 - 1},
    {"type": "nsid_del", "nsid": 0, "origin": 3},
    {"type": "netns_new", "dev": 4, "ino": 2**64 - 1, "cookie": 1, "stamp": 5, "pid": 2**31 - 1, "replayed": True},
    {"type": "netns_del", "dev": 4, "ino": 2**64 - 1, "cookie": 1, "stamp": 5},
    {"type": "overflow", "dropped": 7},
    {"type": "synced"},
]
# valid but for a member or two
NEARLY = strategies.builds(
    lambda right, change: right | change,
    strategies.sampled_from(RIGHT),
    strategies.dictionaries(
        strategies.sampled_from(MEMBERS), SPECIAL | JSON | strategies.integers(-1, 2**65), max_size=2
    ),
)
HOSTS = strategies.text().map(lambda host: Feed(host.encode(errors="replace").decode() or "a", "named"))


class Hostile(unittest.TestCase):
    """A user who may publish chooses every byte. A ValueError refuses it; the rest can be applied and printed."""

    def setUp(self) -> None:
        self.fresh()

    def fresh(self) -> None:
        self.picture = Picture(Path(":memory:"))
        self.addCleanup(self.picture.close)
        self.taken = 0

    def begin(self, feed: Feed) -> None:
        self.fresh()
        self.assertTrue(self.take(feed, self.next({"type": "began"})))

    def next(self, message: dict[str, Any]) -> bytes:
        """The next message of an incarnation."""
        return json.dumps({"incarnation": "1", "number": self.taken} | message).encode()

    def take(self, feed: Feed, data: bytes) -> bool:
        """Gives a message to the picture as the collector does; returns whether it was valid."""
        with contextlib.suppress(ValueError):
            self.picture.alive(feed, Alive.decode(data))
        try:
            message = wire.decode(data)
        except ValueError as failure:
            self.assertTrue(str(failure).isprintable(), ascii(failure))
            return False
        self.taken += 1
        for line in self.picture.add("stream", [(self.taken, (feed, message))]):
            self.assertTrue(line.isprintable(), ascii(line))
        return True

    def show(self) -> None:
        for each in self.picture.feeds():
            json.dumps(each)
            for line in lines(each):
                self.assertTrue(line.isprintable(), ascii(line))

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(HOSTS, strategies.lists(NEARLY, min_size=1, max_size=6))
    def test_messages_that_are_nearly_right(self, feed: Feed, messages: list[dict[str, Any]]) -> None:
        self.begin(feed)
        for each in messages:
            self.take(feed, self.next(each))
        self.take(feed, self.next({"type": "synced"}))
        self.show()
        self.assertEqual(wire.feed(feed.subject("events")), feed)

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(strategies.binary() | JSON.map(lambda value: json.dumps(value).encode()))
    def test_invalid_bytes(self, data: bytes) -> None:
        self.assertFalse(self.take(A, data))

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(strategies.text(strategies.characters(exclude_characters=" ")) | strategies.binary().map(os.fsdecode))
    def test_printed_text_is_one_word(self, text: str) -> None:
        shown = wire.printable(text)
        self.assertTrue(shown.isprintable() and " " not in shown, ascii(shown))
        self.assertTrue(wire.printable(text, keep=" '").isprintable())

    def test_messages_that_are_right_are_taken(self) -> None:
        self.begin(A)
        for each in RIGHT:
            self.assertTrue(self.take(A, self.next(each)), each)
        (feed,) = self.picture.feeds()
        self.assertEqual((feed["state"], feed["things"]), ("current", [RIGHT[1]]))
        self.show()

    def test_members_of_another_kind_are_refused(self) -> None:
        good = {"incarnation": "1", "number": 1, "type": "ready", "name": "blue", "ino": 5, "every": 1}
        wire.decode(json.dumps(good).encode())
        for change in (
            # these ended the collector, in the transaction, and again at each start
            {"name_hex": "zz"},
            {"nsid": 1, "name_hex": 5},
            {"type": ["created"]},
            {"type": "\ud800"},
            # and the terminal obeyed these
            {"type": "\x1b]0;owned\x07\x1b[2Jx"},
            {"ino": "\x1b[2J"},
            {"type": None},
            {"type": "netns_new"},
            {"ino": True},
            {"ino": 2**64},
            {"ino": -1},
            {"ino": 5.0},
            {"nsid": 1},
            {"type": "synced"},
            {"type": "nsid_new"},
            {"name": ""},
            {"name": "a/b"},
            {"name": "a\0b"},
            {"name": "x" * 256},
            {"name": None},
            {"name": "red", "name_hex": "626c7565"},
            {"name": "blue", "name_hex": "ff"},
            {"name": "blue", "name_hex": "626c7565"},
            {"time": "now"},
            {"time": float("nan")},
            {"time": 10**400},
            {"replayed": 1},
            {"incarnation": "\x1b[2J"},
            {"incarnation": "1" * 65},
            {"incarnation": "1\n"},
            {"incarnation": ""},
            {"number": -1},
            {"number": True},
            {"number": 1.0},
            {"number": "1"},
        ):
            with self.assertRaises(ValueError, msg=str(change)):
                wire.decode(json.dumps(good | change).encode())
        # unknown members are not kept
        decoded = wire.decode(json.dumps(good | {"\x1b[2J": [[]], "every": [[]]}).encode())
        self.assertEqual(decoded.members, {"type": "ready", "name": "blue", "ino": 5})


if __name__ == "__main__":
    unittest.main()
