#!/usr/bin/env python3
"""Keeps the picture of the network namespaces of all hosts that run an agent: see README.md."""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, DeliverPolicy
from nats.js.errors import NotFoundError

import link
import wire
from picture import LOST, Picture, lines, title
from wire import Alive, Feed, Message

SILENT = 3  # signs of life missing
BATCH = 256


class Collector:
    def __init__(self, picture: Picture, name: str, max_age: float) -> None:
        self._picture = picture
        self._name = name
        self._max_age = max_age
        self._stream = ""
        self._timers: dict[Feed, asyncio.TimerHandle] = {}

    async def run(self, server: link.Server, every: float) -> None:
        for feed, interval in self._picture.intervals():
            self._expect(feed, interval)
        await link.keep(server, self._name, f"collector.{self._name}", every, self._serve)

    async def _serve(self, client: Client) -> None:
        stream = client.jetstream()
        await self._lay(stream)
        await link.together(self._take(client), self._listen(client, stream))

    async def _lay(self, stream: JetStreamContext) -> None:
        """Creates the stream if it is missing, and the durable consumer again, after the position in the database.

        So messages in flight to a collector that died are delivered at once, before newer ones.
        """
        try:
            info = await stream.stream_info(wire.STREAM)
        except NotFoundError:
            info = await stream.add_stream(name=wire.STREAM, subjects=[wire.subjects("events")], max_age=self._max_age)
        self._stream = str(info.created)
        with contextlib.suppress(NotFoundError):
            await stream.delete_consumer(wire.STREAM, self._name)
        await stream.add_consumer(
            wire.STREAM,
            durable_name=self._name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._picture.position(self._stream) + 1,
            ack_policy=AckPolicy.EXPLICIT,
        )

    async def _take(self, client: Client) -> None:
        """Pulls messages; acknowledges each after the picture with it is on the disk."""
        inbox = client.new_inbox()
        arriving = await client.subscribe(inbox)
        asked = 0
        while True:
            if asked <= 0:
                # without an expiry: no request is repeated while nothing happens
                request = json.dumps({"batch": BATCH}).encode()
                await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{wire.STREAM}.{self._name}", request, reply=inbox)
                asked += BATCH
            batch = [await arriving.next_msg(timeout=None)]
            while arriving.pending_msgs and len(batch) < BATCH:
                batch.append(await arriving.next_msg(timeout=None))
            asked -= len(batch)
            for message in batch:
                if not message.reply:
                    raise OSError(f"the consumer {self._name} is gone: {message.headers}")
            changes = self._picture.add(self._stream, [(each.metadata.sequence.stream, _read(each)) for each in batch])
            for message in batch:
                await message.ack()
            for line in changes:
                print(line, flush=True)

    async def _listen(self, client: Client, stream: JetStreamContext) -> None:
        """Receives signs of life, detects by them missing messages at the end, and requests full replays."""
        arriving = await client.subscribe(wire.subjects("alive"))
        while True:
            message = await arriving.next_msg(timeout=None)
            try:
                feed, alive = wire.feed(message.subject), Alive.decode(message.data)
            except ValueError as failure:
                link.say(f"{self._name}: {wire.printable(message.subject)}: {failure}")
                continue
            self._expect(feed, alive.every)
            if self._picture.alive(feed, alive):
                _print(feed, "heard")
            if self._behind(feed, alive) and await self._read_all(stream) and self._behind(feed, alive):
                self._picture.lose(feed, alive)
                _print(feed, LOST)
            known = self._picture.known(feed)
            # one request for each sign of life, so as not to flood a stream that cannot hold the answer; none if
            # another incarnation has begun
            if known is not None and known.state == LOST and known.incarnation == alive.incarnation:
                await client.publish(feed.subject("resync"), alive.incarnation.encode())

    def _behind(self, feed: Feed, alive: Alive) -> bool:
        """Whether the stream had messages of this feed that the picture lacks."""
        known = self._picture.known(feed)
        if alive.number < 0 or (known is not None and known.state == LOST and known.incarnation == alive.incarnation):
            return False
        return known is None or known.incarnation != alive.incarnation or known.number < alive.number

    async def _read_all(self, stream: JetStreamContext) -> bool:
        """Whether the picture has all messages of the stream."""
        info = await stream.consumer_info(wire.STREAM, self._name)
        return not info.num_pending and not info.num_ack_pending

    def _expect(self, feed: Feed, every: float) -> None:
        if (timer := self._timers.get(feed)) is not None:
            timer.cancel()
        self._timers[feed] = asyncio.get_running_loop().call_later(SILENT * every, self._silent, feed)

    def _silent(self, feed: Feed) -> None:
        del self._timers[feed]
        self._picture.silent(feed)
        _print(feed, "silent")


def _print(feed: Feed, line: str) -> None:
    print(title({"name": feed.host}), feed.source, line, flush=True)


def _read(message: Msg) -> tuple[Feed, Message] | None:
    """Parses a message; None, and a line on standard error, if it is malformed."""
    try:
        return wire.feed(message.subject), wire.decode(message.data)
    except ValueError as failure:
        link.say(f"collector: {wire.printable(message.subject)}: {failure}")
        return None


@contextlib.contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Yields whether this process got the lock, which it holds until the block ends."""
    with open(f"{path}.lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def show(path: Path, as_json: bool) -> None:
    with lock(path) as alone, contextlib.closing(Picture(path)) as picture:
        feeds = picture.feeds()
    if as_json:
        # json escapes all but ASCII, and leaves DEL
        print(json.dumps({"collecting": not alone, "feeds": feeds}).replace("\x7f", r"\u007f"))
        return
    if alone:
        print("No collector is running: this is the last picture.")
    for feed in feeds:
        print("\n".join(lines(feed)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, default=Path("fleet.db"), help="default: %(default)s")
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("run", help="keep the picture, and print the changes")
    link.add_arguments(collecting)
    collecting.add_argument(
        "--name", default="collector", help="name of the durable consumer, different for each collector"
    )
    collecting.add_argument(
        "--every", type=float, default=5.0, metavar="SECONDS", help="interval of the pings of the server"
    )
    collecting.add_argument(
        "--max-age",
        type=float,
        default=86400.0,
        metavar="SECONDS",
        help="maximum age of messages, if it creates the stream",
    )
    showing = commands.add_parser("show", help="print the picture")
    showing.add_argument("--json", action="store_true", help="as one JSON object")
    commands.add_parser("forget", help="remove a host").add_argument("host")
    given = parser.parse_args()
    path: Path = given.database
    if given.command != "run" and not path.exists():
        sys.exit(f"collector: {path}: no such database: start a collector with it, by `run`")
    if given.command == "show":
        show(path, given.json)
    elif given.command == "forget":
        with contextlib.closing(Picture(path)) as picture:
            if not picture.forget(given.host):
                sys.exit(f"collector: {given.host}: not known")
    else:
        server = link.server(given, given.name, parser)
        with lock(path) as alone:
            if not alone:
                sys.exit(f"collector: {path}: another collector has it: each requires a database of its own")
            with contextlib.closing(Picture(path)) as picture:
                collector = Collector(picture, given.name, given.max_age)
                link.run("collector", lambda: collector.run(server, given.every))


if __name__ == "__main__":
    # not every terminal can show the characters of every name
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main()
    except BrokenPipeError:
        # the reader has closed the pipe: no failure, and nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
