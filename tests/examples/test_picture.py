"""The collector and messages, one by one: no server, no namespaces."""

import contextlib
import json
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

import wire
from picture import Picture
from wire import Alive, Feed

A = Feed("a", "named")


class Pictures(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "fleet.db"
        self.sequence = 0
        self.open()

    def open(self) -> None:
        self.picture = Picture(self.path)
        self.addCleanup(self.picture.close)

    def receive(self, incarnation: str, number: int, kind: str, name: str | None = None, feed: Feed = A) -> list[str]:
        """Adds the next message of the stream; returns the lines of the picture."""
        self.sequence += 1
        members = {"incarnation": incarnation, "number": number, "type": kind} | ({"name": name} if name else {})
        message = wire.decode(json.dumps(members).encode())
        return self.picture.add("stream", [(self.sequence, (feed, message))])

    def begin(self, incarnation: str, *names: str) -> None:
        self.assertEqual(self.receive(incarnation, 0, "began"), ["a named began"])
        for number, name in enumerate(names, 1):
            self.assertEqual(self.receive(incarnation, number, "ready", name), [f"a named ready {name}"])
        self.assertEqual(self.receive(incarnation, len(names) + 1, "synced"), ["a named current"])

    def shown(self) -> tuple[str, list[str]]:
        (feed,) = self.picture.feeds()
        return feed["state"], [each["name"] for each in feed["things"]]

    def test_the_old_incarnation_is_shown_until_the_new_one_is_complete(self) -> None:
        self.begin("1", "blue", "red")
        self.receive("2", 0, "began")
        self.receive("2", 1, "ready", "green")
        self.assertEqual(self.shown(), ("replaying", ["blue", "red"]))
        # a third one begins before the second is complete
        self.receive("3", 0, "began")
        self.receive("3", 1, "ready", "red")
        self.assertEqual(self.shown(), ("replaying", ["blue", "red"]))
        self.receive("3", 2, "synced")
        self.assertEqual(self.shown(), ("current", ["red"]))

    def test_an_overflow_is_no_loss(self) -> None:
        self.begin("1", "blue", "red")
        self.receive("1", 4, "overflow")
        self.assertEqual(self.shown(), ("replaying", ["blue", "red"]))
        self.receive("1", 5, "deleted", "blue")
        self.receive("1", 6, "synced")
        self.assertEqual(self.shown(), ("current", ["red"]))

    def test_repeated_messages_change_nothing(self) -> None:
        self.begin("1", "blue")
        self.receive("1", 3, "deleted", "blue")
        # twice in the stream: the agent sent them again after the server had forgotten them
        self.assertEqual(self.receive("1", 0, "began") + self.receive("1", 1, "ready", "blue"), [])
        self.begin("2", "red")
        # delivered again, from the first on
        self.sequence = 0
        self.assertEqual(self.receive("1", 0, "began") + self.receive("1", 1, "ready", "blue"), [])
        self.assertEqual(self.shown(), ("current", ["red"]))

    def test_a_gap_is_reported_once_and_ends_with_another_incarnation(self) -> None:
        self.begin("1", "blue")
        self.assertEqual(self.receive("1", 4, "ready", "red"), ["a named lost"])
        self.assertEqual(self.receive("1", 5, "deleted", "blue"), [])
        self.assertEqual(self.shown(), ("lost", ["blue"]))
        self.begin("2", "red")
        self.assertEqual(self.shown(), ("current", ["red"]))

    def test_an_incarnation_without_its_beginning_is_ignored(self) -> None:
        self.begin("1", "blue")
        self.assertEqual(self.receive("2", 2, "deleted", "blue"), ["a named lost"])
        self.assertEqual(self.receive("2", 3, "synced"), [])
        self.assertEqual(self.shown(), ("lost", ["blue"]))

    def test_hosts_and_sources_are_apart(self) -> None:
        self.begin("1", "blue")
        self.receive("1", 0, "began", feed=Feed("b", "named"))
        self.receive("1", 0, "began", feed=Feed("a", "nsid"))
        states = [(each["host"], each["source"], each["state"]) for each in self.picture.feeds()]
        self.assertEqual(states, [("a", "named", "current"), ("a", "nsid", "replaying"), ("b", "named", "replaying")])
        self.assertTrue(self.picture.forget("a"))
        self.assertFalse(self.picture.forget("a"))
        self.assertEqual([each["host"] for each in self.picture.feeds()], ["b"])

    def test_it_is_on_the_disk_with_the_position(self) -> None:
        self.begin("1", "blue")
        self.picture.close()
        self.open()
        self.assertEqual((self.shown(), self.picture.position("stream")), (("current", ["blue"]), 3))
        # nothing was read of another stream
        self.assertEqual(self.picture.position("another"), 0)

    def test_messages_are_taken_all_or_not_at_all(self) -> None:
        def broken() -> Iterator[tuple[int, tuple[Feed, wire.Message]]]:
            yield 1, (A, wire.decode(b'{"incarnation": "1", "number": 0, "type": "began"}'))
            raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError):
            self.picture.add("stream", broken())
        self.assertEqual((self.picture.feeds(), self.picture.position("stream")), ([], 0))

    def test_a_sign_of_life_before_any_event(self) -> None:
        self.assertTrue(self.picture.alive(A, Alive("1", -1, 2.0)))
        self.assertEqual(self.shown(), ("replaying", []))
        for number, kind in enumerate(("began", "ready", "synced")):
            self.receive("1", number, kind, "blue" if kind == "ready" else None)
        self.assertEqual(self.shown(), ("current", ["blue"]))
        self.assertFalse(self.picture.feeds()[0]["silent"])

    def test_silence(self) -> None:
        self.begin("1")
        self.assertTrue(self.picture.feeds()[0]["silent"])
        self.assertTrue(self.picture.alive(A, Alive("1", 1, 2.0)))
        self.assertFalse(self.picture.feeds()[0]["silent"])
        self.assertEqual(self.picture.intervals(), [(A, 2.0)])
        self.picture.silent(A)
        self.assertTrue(self.picture.feeds()[0]["silent"])


class Wire(unittest.TestCase):
    def test_a_host_is_one_token_of_a_subject(self) -> None:
        for host in ("a", "node-7.example.org", "a b", "a*", ">", "%41", "caf\xe9"):
            feed = Feed(host, "named")
            subject = feed.subject("events")
            self.assertRegex(subject, r"^nswatch\.events\.[A-Za-z0-9_~%-]+\.named$")
            self.assertEqual(wire.feed(subject), feed)

    def test_invalid_subjects(self) -> None:
        # the second is another spelling of host a: a user who may use the one may not use the other
        for subject in ("nswatch.events.a.other", "nswatch.events.%61.named", "nswatch.events.a", "a.b.c.d.e"):
            with self.assertRaises(ValueError, msg=subject):
                wire.feed(subject)

    def test_an_invalid_message_is_a_value_error(self) -> None:
        good = {"incarnation": "1", "number": 1, "type": "ready", "name": "blue", "every": 1}
        wire.decode(json.dumps(good).encode())
        Alive.decode(json.dumps(good).encode())
        bad = [
            b"",
            b"{",
            b"[]",
            b"[" * 100_000,
            b"\xff",
            b'{"incarnation": 1, "number": 1e999, "type": "", "every": 1}',
        ]
        for change in ({"number": 1 << 63}, {"number": None}, {"number": "x"}, {"incarnation": "\ud800"}):
            bad.append(json.dumps(good | change).encode())
        for data in bad:
            with self.assertRaises(ValueError, msg=data[:60]):
                wire.decode(data)
            with self.assertRaises(ValueError, msg=data[:60]):
                Alive.decode(data)
        for change in ({"name": "\ud800"}, {"name_hex": "x"}, {"name_hex": 1}):
            with self.assertRaises(ValueError, msg=str(change)):
                wire.decode(json.dumps(good | change).encode())
        for name in ("dev", "ino", "cookie", "stamp", "nsid", "origin"):
            # `show` prints them, and a terminal would obey
            with self.assertRaises(ValueError, msg=name):
                wire.decode(json.dumps(good | {name: "\x1b[2J"}).encode())
        for every in (0, -1, 86400, float("nan"), "x", None):
            with self.assertRaises(ValueError, msg=str(every)):
                Alive.decode(json.dumps(good | {"every": every}).encode())


if __name__ == "__main__":
    unittest.main()
