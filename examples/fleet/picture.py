"""What the collector believes, in an SQLite database together with how far it has read the stream.

Both change in one transaction. So whenever the collector dies, and whatever it is sent again, the picture is that of
some message and everything before it.
"""

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import wire
from wire import Alive, Feed, Message

REPLAYING = "replaying"  # an incarnation, or the end of an overflow, is being told
CURRENT = "current"
LOST = "lost"  # messages are missing: nothing is believed until another incarnation begins

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), stream TEXT, sequence INTEGER);
CREATE TABLE IF NOT EXISTS feeds (
    host TEXT, source TEXT, incarnation TEXT, number INTEGER, state TEXT, shown TEXT, heard INTEGER, every REAL,
    PRIMARY KEY (host, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS things (
    host TEXT, source TEXT, incarnation TEXT, key BLOB, told TEXT,
    PRIMARY KEY (host, source, incarnation, key)) WITHOUT ROWID;
"""


class Known(NamedTuple):
    """What is known of a feed."""

    incarnation: str
    number: int
    state: str
    shown: str | None
    """The incarnation whose replay was complete last: it is shown until the next one's is."""


class Picture:
    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode = WAL")
        # a message is acknowledged when it is on the disk
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def position(self, stream: str) -> int:
        """The last message that was read of that very stream, 0 if none was."""
        row = self._database.execute("SELECT stream, sequence FROM position").fetchone()
        return row[1] if row is not None and row[0] == stream else 0

    def add(self, stream: str, messages: Iterable[tuple[int, tuple[Feed, Message] | None]]) -> list[str]:
        """Takes messages by their sequence in the stream; None: of no meaning. A line for each thing that changes."""
        lines: list[str] = []
        position = self.position(stream)
        with self._database:
            for sequence, told in messages:
                # what is sent again was taken already
                if sequence <= position:
                    continue
                position = sequence
                if told is None or (line := self._take(*told)) is None:
                    continue
                feed = told[0]
                lines.append(f"{title({'name': feed.host})} {feed.source} {line}")
            self._database.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", (stream, position))
        return lines

    def known(self, feed: Feed) -> Known | None:
        row = self._database.execute(
            "SELECT incarnation, number, state, shown FROM feeds WHERE host = ? AND source = ?", feed
        ).fetchone()
        return None if row is None else Known(*row)

    def alive(self, feed: Feed, alive: Alive) -> bool:
        """Takes a sign of life; whether the feed had been silent, or unknown."""
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
        """Takes note that messages which the stream had, says a sign of life, will not come."""
        with self._database:
            self._turn(feed, alive.incarnation, -1, LOST)

    def forget(self, host: str) -> bool:
        """Removes a host; whether it was known. If it is alive it comes back."""
        with self._database:
            self._database.execute("DELETE FROM things WHERE host = ?", (host,))
            return self._database.execute("DELETE FROM feeds WHERE host = ?", (host,)).rowcount > 0

    def intervals(self) -> list[tuple[Feed, float]]:
        """The feeds, and how many seconds there are between their signs of life."""
        rows = self._database.execute("SELECT host, source, every FROM feeds")
        return [(Feed(host, source), every) for host, source, every in rows]

    def feeds(self) -> list[dict[str, Any]]:
        """All that there is to show, by host and source."""
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
            "SELECT told FROM things WHERE host = ? AND source = ? AND incarnation = ? ORDER BY key",
            (host, source, incarnation),
        )
        return [json.loads(told) for (told,) in rows]

    def _take(self, feed: Feed, message: Message) -> str | None:
        """Takes the next message of a feed; what has changed."""
        known = self.known(feed)
        same = known is not None and known.incarnation == message.incarnation
        if message.type == wire.BEGAN and message.number == 0 and not same:
            self._turn(feed, message.incarnation, 0, REPLAYING)
            return wire.BEGAN
        if known is None or not same:
            # its beginning is missing
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
                "INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?, ?)", (*key, json.dumps(message.told))
            )
        self._database.execute(
            "UPDATE feeds SET number = ?, state = ? WHERE host = ? AND source = ?", (message.number, state, *feed)
        )
        return line if not message.key else f"{line} {title(message.told)}"

    def _turn(self, feed: Feed, incarnation: str, number: int, state: str) -> None:
        """Turns to another incarnation, or gives one up."""
        # of what was replayed and never complete, nothing is kept
        self._database.execute(
            "DELETE FROM things WHERE host = ?1 AND source = ?2 AND incarnation <> ?3 AND incarnation IS NOT"
            " (SELECT shown FROM feeds WHERE host = ?1 AND source = ?2)",
            (*feed, incarnation),
        )
        self._database.execute(
            # of one that was never heard, the interval is not known
            "INSERT INTO feeds VALUES (?, ?, ?, ?, ?, NULL, 0, 5) ON CONFLICT (host, source) DO UPDATE SET"
            " incarnation = excluded.incarnation, number = excluded.number, state = excluded.state",
            (*feed, incarnation, number, state),
        )


def lines(feed: dict[str, Any]) -> list[str]:
    """One of Picture.feeds(), for people."""
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


def title(told: dict[str, Any]) -> str:
    """What a message is about, for people: one word, which a terminal does not obey."""
    if "name_hex" in told:
        return wire.printable(os.fsdecode(bytes.fromhex(told["name_hex"])))
    if told.get("type", "").startswith("netns"):
        return f"net:[{told['ino']}]"
    return wire.printable(str(told.get("name", told.get("nsid"))))
