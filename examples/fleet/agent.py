#!/usr/bin/env python3
"""Publishes the events of the network namespaces of this host to a NATS JetStream stream: see README.md."""

import argparse
import asyncio
import functools
import secrets
import socket
from typing import Any

import nswatch
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header, PubAck

import link
import wire

STALLED = 3  # signs of life


class Publisher:
    """A watcher, and its events that the stream does not have yet.

    When those reach the limit, the publisher stops reading the watcher, and events wait in the kernel. If the kernel's
    queue overflows, the library reports `overflow`, the changes, and `synced`. So every loss is reported, and memory is
    bounded, however long the server is away.
    """

    def __init__(self, feed: wire.Feed, keep: int, options: dict[str, Any]) -> None:
        self.feed = feed
        self._keep = keep
        self._options = options
        self._process = secrets.token_hex(8)
        self._lives = 0
        self._number = -1
        # by incarnation and number, in order
        self._unacknowledged: dict[tuple[int, int], bytes] = {}
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._refused: BaseException | None = None
        self._watcher: nswatch.Watcher | None = None
        self._oldest: tuple[int, int] | None = None
        self._beats = 0

    @property
    def incarnation(self) -> str:
        return f"{self._process}.{self._lives}"

    async def watch(self) -> None:
        """Reads events, in one incarnation after the other; resync() ends one by closing its watcher."""
        while True:
            self._lives += 1
            self._number = -1
            self._unacknowledged.clear()
            self._add(None)
            with nswatch.Watcher(self.feed.source, **self._options) as self._watcher:
                async for event in self._watcher:
                    if str(event.type) not in wire.TYPES:
                        continue  # an event type of a later library
                    while len(self._unacknowledged) >= self._keep:
                        self._room.clear()
                        await self._room.wait()
                    self._add(event)

    def resync(self, incarnation: str) -> None:
        """Starts a new incarnation with a full replay, if the request is about the current one."""
        if incarnation == self.incarnation and self._watcher is not None:
            link.say(f"agent: a collector requests a full replay of {self.feed.source}")
            self._watcher.close()
            # wake watch() if it waits for room: it finds the watcher closed
            self._unacknowledged.clear()
            self._room.set()

    def _add(self, event: nswatch.Event | None) -> None:
        self._number += 1
        self._unacknowledged[self._lives, self._number] = wire.encode(self.incarnation, self._number, event)
        self._more.set()

    async def publish(self, stream: JetStreamContext) -> None:
        """Sends unacknowledged messages on this connection, then new ones, in order."""
        sent = (0, 0)
        self._refused = None
        while self._refused is None:
            # cleared before reading: a message added during a send sets it again
            self._more.clear()
            for key in [each for each in self._unacknowledged if each > sent]:
                if (message := self._unacknowledged.get(key)) is None:
                    continue
                # sending twice is safe: the stream drops duplicates
                once = f"{self.feed.host}/{self.feed.source}/{self._process}/{key[0]}/{key[1]}"
                acknowledged = await stream.publish_async(
                    self.feed.subject("events"), message, stream=wire.STREAM, headers={Header.MSG_ID: once}
                )
                acknowledged.add_done_callback(functools.partial(self._settled, key))
                sent = key
            await self._more.wait()
        raise self._refused

    def _settled(self, key: tuple[int, int], acknowledged: "asyncio.Future[PubAck]") -> None:
        if acknowledged.cancelled():
            return
        failure = acknowledged.exception()
        if failure is None:
            self._unacknowledged.pop(key, None)
            self._room.set()
        else:
            self._refused = failure
            self._more.set()

    def alive(self, every: float) -> wire.Alive:
        """Returns the sign of life; raises TimeoutError if the stream has acknowledged nothing for several of them."""
        oldest = next(iter(self._unacknowledged), None)
        self._beats = self._beats + 1 if oldest is not None and oldest == self._oldest else 0
        self._oldest = oldest
        if self._beats > STALLED:
            self._beats = 0
            raise asyncio.TimeoutError(f"the stream {wire.STREAM} acknowledges nothing")
        return wire.Alive(self.incarnation, self._number if oldest is None else oldest[1] - 1, every)


class Agent:
    def __init__(self, host: str, publishers: list[Publisher], every: float) -> None:
        self._host = host
        self._publishers = publishers
        self._every = every

    async def run(self, server: link.Server) -> None:
        await link.together(
            *(each.watch() for each in self._publishers),
            link.keep(server, "agent", f"agent.{wire.token(self._host)}", self._every, self._serve),
        )

    async def _serve(self, client: Client) -> None:
        for each in self._publishers:

            async def asked(request: Msg, publisher: Publisher = each) -> None:
                publisher.resync(request.data.decode(errors="replace"))

            await client.subscribe(each.feed.subject("resync"), cb=asked)
        stream = client.jetstream()
        await link.together(*(each.publish(stream) for each in self._publishers), self._beat(client))

    async def _beat(self, client: Client) -> None:
        while True:
            for each in self._publishers:
                await client.publish(each.feed.subject("alive"), each.alive(self._every).encode())
            await asyncio.sleep(self._every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    link.add_arguments(parser)
    parser.add_argument("--host", default=socket.gethostname(), help="name of this host; default: its host name")
    parser.add_argument("--dir", help="the directory of the names; default: /run/netns")
    parser.add_argument("--nsids", action="store_true", help="also publish the nsids that the kernel assigns")
    parser.add_argument("--all", action="store_true", help="also publish every namespace, with or without a name")
    parser.add_argument(
        "--keep", type=int, default=1000, metavar="N", help="unacknowledged messages to keep; default: %(default)s"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="interval of the signs of life; default: %(default)g",
    )
    given = parser.parse_args()
    if not given.host or given.keep < 1 or not 0 < given.every < wire.DAY:
        parser.error("the host must have a name, --keep must be at least 1, --every more than 0 and less than a day")

    server = link.server(given, given.host, parser)

    async def run() -> None:
        publishers = [Publisher(wire.Feed(given.host, "named"), given.keep, {"dir": given.dir, "mount_events": True})]
        if given.nsids:
            publishers.append(Publisher(wire.Feed(given.host, "nsid"), given.keep, {}))
        if given.all:
            publishers.append(Publisher(wire.Feed(given.host, "all"), given.keep, {}))
        await Agent(given.host, publishers, given.every).run(server)

    link.run("agent", run)


if __name__ == "__main__":
    main()
