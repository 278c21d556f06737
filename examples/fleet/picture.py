"""The collector's picture, in an SQLite database together with its position in the stream.

Both change in one transaction. So at any crash, and after any redelivery, the picture is the sum of all messages up to
one of them.
"""

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import wire
from wire import Alive, Feed, Message

REPLAYING = "replaying"  # the replay of an incarnation, or after an overflow, is not complete
CURRENT = "current"
LOST = "lost"  # messages are missing: the collector ignores this incarnation from here on

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), stream TEXT, sequence INTEGER);
CREATE TABLE IF NOT EXISTS feeds (
    host TEXT, source TEXT, incarnation TEXT, number INTEGER, state TEXT, shown TEXT, heard INTEGER, every REAL,
    PRIMARY KEY (host, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS things (
    host TEXT, source TEXT, incarnation TEXT, key BLOB, members TEXT,
    PRIMARY KEY (host, source, incarnation, key)) WITHOUT ROWID;
"""


class Known(NamedTuple):
    """The state of a feed."""

    incarnation: str
    number: int
    state: str
    shown: str | None
    """The last incarnation with a complete replay: shown until the next one is complete."""


class Picture:
    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode = WAL")
        # messages are acknowledged after they are on the disk
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def position(self, stream: str) -> int:
        """The last message read from exactly that stream; 0: none."""
        row = self._database.execute("SELECT stream, sequence FROM position").fetchone()
        return row[1] if row is not None and row[0] == stream else 0

    def add(self, stream: str, messages: Iterable[tuple[int, tuple[Feed, Message] | None]]) -> list[str]:
        """Applies messages with their sequence in the stream; None: malformed. Returns a line for each change."""
        lines: list[str] = []
        position = self.position(stream)
        with self._database:
            for sequence, message in messages:
                # skip redelivered messages
                if sequence <= position:
                    continue
                position = sequence
                if message is None or (line := self._take(*message)) is None:
                    continue
                feed = message[0]
                lines.append(f"{title({'name': feed.host})} {feed.source} {line}")
            self._database.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", (stream, position))
        return lines

    def known(self, feed: Feed) -> Known | None:
        row = self._database.execute(
            "SELECT incarnation, number, state, shown FROM feeds WHERE host = ? AND source = ?", feed
        ).fetchone()
        return None if row is None else Known(*row)

    def alive(self, feed: Feed, alive: Alive) -> bool:
        """Records a sign of life; returns whether the feed was silent or unknown."""
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO feeds VALUES (?, ?, ?, -1, ?, NULL, 1, ?) ON CONFLICT (host, source) DO UPDATE"
                " SET heard = 1, every = excluded.every WHERE heard = 0 OR every <> excluded.every",
                (*feed, alive.incarnation, REPLAYING, alive.every),
            )
        return cursor.rowcount > 0

    def silent(self, feed: Feed) -> None:
        with self._database:
            self._database.execute("UPDATE feeds SET heard = 0 WHERE host = ? AND source = ?", feed)

    def lose(self, feed: Feed, alive: Alive) -> None:
        """Marks a feed as lost: by a sign of life, the stream had messages that will not arrive."""
        with self._database:
            self._turn(feed, alive.incarnation, -1, LOST)

    def forget(self, host: str) -> bool:
        """Removes a host; returns whether it was known. A running agent adds it again."""
        with self._database:
            self._database.execute("DELETE FROM things WHERE host = ?", (host,))
            return self._database.execute("DELETE FROM feeds WHERE host = ?", (host,)).rowcount > 0

    def intervals(self) -> list[tuple[Feed, float]]:
        """The feeds, and the seconds between their signs of life."""
        rows = self._database.execute("SELECT host, source, every FROM feeds")
        return [(Feed(host, source), every) for host, source, every in rows]

    def feeds(self) -> list[dict[str, Any]]:
        """The whole picture, by host and source."""
        self._database.execute("BEGIN")
        try:
            return [
                {"host": host, "source": source, "state": state, "silent": not heard, "things": self._things(*key)}
                for host, source, state, heard, *key in self._database.execute(
                    "SELECT host, source, state, heard, host, source, shown FROM feeds ORDER BY host, source"
                ).fetchall()
            ]
        finally:
            self._database.rollback()

    def _things(self, host: str, source: str, incarnation: str | None) -> list[dict[str, Any]]:
        rows = self._database.execute(
            "SELECT members FROM things WHERE host = ? AND source = ? AND incarnation = ? ORDER BY key",
            (host, source, incarnation),
        )
        return [json.loads(members) for (members,) in rows]

    def _take(self, feed: Feed, message: Message) -> str | None:
        """Applies the next message of a feed; returns the change."""
        known = self.known(feed)
        same = known is not None and known.incarnation == message.incarnation
        if message.type == wire.BEGAN and message.number == 0 and not same:
            self._turn(feed, message.incarnation, 0, REPLAYING)
            return wire.BEGAN
        if known is None or not same:
            # the beginning of the incarnation is missing
            self._turn(feed, message.incarnation, -1, LOST)
            return LOST
        if known.state == LOST or message.number <= known.number:
            return None
        if message.number != known.number + 1:
            self._turn(feed, message.incarnation, -1, LOST)
            return LOST
        return self._apply(feed, message, known)

    def _apply(self, feed: Feed, message: Message, known: Known) -> str:
        key = (*feed, message.incarnation, message.key)
        state, line = known.state, message.type
        if message.type == "synced":
            state = line = CURRENT
            self._database.execute(
                "DELETE FROM things WHERE host = ? AND source = ? AND incarnation <> ?", (*feed, message.incarnation)
            )
            self._database.execute(
                "UPDATE feeds SET shown = ? WHERE host = ? AND source = ?", (message.incarnation, *feed)
            )
        elif message.type == "overflow":
            state = REPLAYING
        elif message.type in ("deleted", "nsid_del", "netns_del"):
            self._database.execute(
                "DELETE FROM things WHERE host = ? AND source = ? AND incarnation = ? AND key = ?", key
            )
        elif message.type in ("created", "ready", "detached", "nsid_new", "netns_new"):
            self._database.execute(
                "INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?, ?)", (*key, json.dumps(message.members))
            )
        self._database.execute(
            "UPDATE feeds SET number = ?, state = ? WHERE host = ? AND source = ?", (message.number, state, *feed)
        )
        return line if not message.key else f"{line} {title(message.members)}"

    def _turn(self, feed: Feed, incarnation: str, number: int, state: str) -> None:
        """Switches to another incarnation, or marks one as lost."""
        # drop incomplete replays
        self._database.execute(
            "DELETE FROM things WHERE host = ?1 AND source = ?2 AND incarnation <> ?3 AND incarnation IS NOT"
            " (SELECT shown FROM feeds WHERE host = ?1 AND source = ?2)",
            (*feed, incarnation),
        )
        self._database.execute(
            # without a sign of life so far, assume the default interval
            "INSERT INTO feeds VALUES (?, ?, ?, ?, ?, NULL, 0, 5) ON CONFLICT (host, source) DO UPDATE SET"
            " incarnation = excluded.incarnation, number = excluded.number, state = excluded.state",
            (*feed, incarnation, number, state),
        )


def lines(feed: dict[str, Any]) -> list[str]:
    """Formats one of Picture.feeds() for people."""
    silent = ", silent" if feed["silent"] else ""
    found = [f"{title({'name': feed['host']})} {feed['source']}: {feed['state']}{silent}"]
    for each in feed["things"]:
        words = [f"    {title(each):16}", f"{each['type']:9}"]
        words += [f"net:[{each['ino']}]"] if each["type"] == "ready" and "ino" in each else []
        words += [f"cookie {each['cookie']}"] if "cookie" in each else []
        words += [f"in {each['origin']}"] if "origin" in each else []
        words += [f"process {each['pid']}"] if "pid" in each else []
        found.append(" ".join(words).rstrip())
    return found


def title(members: dict[str, Any]) -> str:
    """The subject of a message for people: one word, escaped for a terminal."""
    if "name_hex" in members:
        return wire.printable(os.fsdecode(bytes.fromhex(members["name_hex"])))
    if members.get("type", "").startswith("netns"):
        return f"net:[{members['ino']}]"
    return wire.printable(str(members.get("name", members.get("nsid"))))
