#!/usr/bin/env python3
"""Metrics of the network namespaces of this machine for Prometheus: exporter.py [OPTIONS]

Serves http://127.0.0.1:9975/metrics to at most 32 clients at a time, each for at most 10 seconds. A new connection
beyond that closes the oldest, so clients cannot use up the descriptors of the watchers. Prometheus computes ages from
the timestamps:

    time() - nswatch_last_event_timestamp_seconds
"""

import argparse
import asyncio
import errno
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable

import nswatch
from nswatch import Event, EventType, Netns

PATIENCE = 10.0  # seconds for a request and its answer
ROOM = 32  # connections at a time: one more replaces the oldest
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
RETRY = 1.0  # seconds to wait after one of these errors
GONE = (
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
)  # the connection failed before it was accepted; EPERM: a firewall
EVENTS = {
    "named": (EventType.CREATED, EventType.READY, EventType.DETACHED, EventType.DELETED),
    "nsid": (EventType.NSID_NEW, EventType.NSID_DEL),
    "all": (EventType.NETNS_NEW, EventType.NETNS_DEL),
}
OF_EACH = (EventType.SYNCED, EventType.OVERFLOW)


class Source:
    """One watcher, and the sum of its events."""

    def __init__(self, name: str, watcher: nswatch.Watcher) -> None:
        self.name = name
        self.watcher = watcher
        self.synced = asyncio.Event()
        self.events = Counter({str(kind): 0 for kind in (*EVENTS[name], *OF_EACH)})
        self.last_event = self.last_sync = 0.0
        self.births = self.deaths = 0
        # each existing name, nsid or namespace: the type and time of its last event, and the identity
        self.known: dict[object, tuple[str, float, Netns | None]] = {}

    async def follow(self) -> None:
        complaint = ""
        while True:
            try:
                async for event in self.watcher:
                    self._add(event)
                    complaint = ""
            except nswatch.Error as error:
                # nothing is lost: the watcher continues when there is room again
                if error.errno not in LIMITS:
                    raise
                if complaint != str(error):
                    complaint = str(error)
                    print(f"exporter: {self.name}: {complaint}; trying every {RETRY:g} s", file=sys.stderr, flush=True)
                await asyncio.sleep(RETRY)
            else:
                return

    def _add(self, event: Event) -> None:
        kind = str(event.type)
        self.events[kind] += 1
        self.last_event = time.time() - (time.monotonic_ns() - event.time_ns) / 1e9
        if event.type == EventType.SYNCED:
            self.last_sync = self.last_event
            self.synced.set()
        elif event.type in (EventType.DELETED, EventType.NSID_DEL, EventType.NETNS_DEL):
            self.deaths += self.known.pop(_subject(event), None) is not None
        elif event.type in EVENTS[self.name]:
            self.births += self.synced.is_set() and _subject(event) not in self.known
            self.known[_subject(event)] = kind, self.last_event, event.netns


def _subject(event: Event) -> object:
    """The key of the name, nsid or namespace of an event."""
    if event.name is not None:
        return event.name
    return event.netns if event.nsid is None else (event.origin, event.nsid)


class Metrics:
    """All metrics, in the text format of Prometheus."""

    def __init__(self, named: Source, nsid: Source, everything: Source, each_name: bool) -> None:
        self._named = named
        self._nsid = nsid
        self._all = everything
        self._each_name = each_name

    def text(self) -> str:
        lines: list[str] = []

        def metric(name: str, kind: str, text: str, samples: Iterable[tuple[dict[str, str], float]]) -> None:
            lines.extend((f"# HELP nswatch_{name} {text}", f"# TYPE nswatch_{name} {kind}"))
            for labels, value in samples:
                inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
                lines.append(f"nswatch_{name}{{{inside}}} {value}" if inside else f"nswatch_{name} {value}")

        sources = (self._named, self._nsid, self._all)
        labels = [{"source": each.name} for each in sources]
        stats = [each.watcher.stats for each in sources]
        states = Counter(state for state, _, _ in self._named.known.values())
        metric(
            "names",
            "gauge",
            "Names by state: ready is a network namespace, created none yet, detached no longer one.",
            [({"state": str(kind)}, states[str(kind)]) for kind in EVENTS["named"][:3]],
        )
        metric(
            "namespaces",
            "gauge",
            "Network namespaces with a name: one with two names counts once.",
            [({}, len({netns for _, _, netns in self._named.known.values() if netns is not None}))],
        )
        metric(
            "nsids", "gauge", "Nsids that the kernel has assigned to peer namespaces.", [({}, len(self._nsid.known))]
        )
        metric(
            "netns",
            "gauge",
            "Network namespaces that the library can see, with or without a name.",
            [({}, len(self._all.known))],
        )
        metric("netns_births_total", "counter", "New network namespaces.", [({}, self._all.births)])
        metric("netns_deaths_total", "counter", "Dead network namespaces.", [({}, self._all.deaths)])
        metric(
            "events_total",
            "counter",
            "Events, by source and type.",
            [
                ({"source": each.name, "type": kind}, count)
                for each in sources
                for kind, count in sorted(each.events.items())
            ],
        )
        for name, text, times in (
            ("last_event", "the library noticed the last event", [each.last_event for each in sources]),
            ("last_sync", "the last replay or resync was complete", [each.last_sync for each in sources]),
        ):
            metric(f"{name}_timestamp_seconds", "gauge", f"When {text}, Unix time.", zip(labels, times, strict=True))
        for name, text, values in (
            (
                "overflows_total",
                "Overflows: events were lost, and replayed events followed.",
                [each.overflows for each in stats],
            ),
            (
                "dropped_events_total",
                "Lost events, as far as they could be counted.",
                [each.dropped for each in stats],
            ),
            (
                "resyncs_total",
                "Comparisons with the kernel, including the replay at the start.",
                [s.resyncs for s in stats],
            ),
        ):
            metric(name, "counter", text, zip(labels, values, strict=True))
        if self._each_name:
            metric(
                "ready_timestamp_seconds",
                "gauge",
                "When the name became ready, Unix time.",
                [
                    ({"name": nswatch.printable(str(name))}, when)
                    for name, (state, when, _) in sorted(self._named.known.items(), key=str)
                    if state == str(EventType.READY)
                ],
            )
        return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Server:
    """Answers requests, with limits on their number and time."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._metrics = metrics
        self._listening = socket.create_server(address[:2], family=family)
        self._listening.settimeout(0)
        # in order of arrival
        self._answering: dict[asyncio.Task[None], None] = {}

    @property
    def url(self) -> str:
        host, port, *_ = self._listening.getsockname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    async def run(self) -> None:
        try:
            while True:
                try:
                    connection, _ = await asyncio.get_running_loop().sock_accept(self._listening)
                except OSError as error:
                    if error.errno in LIMITS:
                        await asyncio.sleep(RETRY)  # this connection waits, and so do the later ones
                    elif error.errno not in GONE:
                        raise
                    continue
                if len(self._answering) >= ROOM:
                    oldest = next(iter(self._answering))
                    oldest.cancel()
                    await asyncio.wait([oldest])
                task = asyncio.ensure_future(self._answer(connection))
                self._answering[task] = None
                task.add_done_callback(self._answering.pop)
                await asyncio.sleep(0)  # let it begin before the next one is accepted
        finally:
            self._listening.close()

    async def _answer(self, connection: socket.socket) -> None:
        """Answers one request and closes the connection."""
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        try:
            await asyncio.wait_for(self._converse(reader, writer), PATIENCE)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            # a malformed or slow request gets no answer
            writer.transport.abort()
        except asyncio.CancelledError:
            # another connection replaces it, or the program ends
            writer.transport.abort()
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, *_ = head.decode("latin-1").split(" ", 2)
        if path.partition("?")[0] != "/metrics":
            status, kind, body = "404 Not Found", "text/plain", "The metrics are at /metrics.\n"
        elif method not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", "Only GET and HEAD are supported.\n"
        else:
            status, kind, body = "200 OK", "text/plain; version=0.0.4; charset=utf-8", self._metrics.text()
        raw = body.encode()
        fields = f"Content-Type: {kind}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + (b"" if method == "HEAD" else raw))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def serve(host: str, port: int, directory: str | None, each_name: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with (
        nswatch.Watcher(dir=directory, mount_events=True) as names,
        nswatch.Watcher("nsid") as ids,
        nswatch.Watcher("all") as netns,
    ):
        sources = Source("named", names), Source("nsid", ids), Source("all", netns)
        server = Server(Metrics(*sources, each_name), host, port)
        running = [asyncio.ensure_future(each) for each in (*(source.follow() for source in sources), _until(stop))]
        known = asyncio.ensure_future(_until(*(source.synced for source in sources)))
        # replay before the first request
        await asyncio.wait([known, *running], return_when=asyncio.FIRST_COMPLETED)
        running.append(asyncio.ensure_future(server.run()))
        print(server.url, flush=True)
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for each in (known, *running):
            each.cancel()
        for each in done:
            each.result()


async def _until(*come: asyncio.Event) -> None:
    for each in come:
        await each.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Metrics of the network namespaces of this machine for Prometheus.")
    parser.add_argument("--listen", default="127.0.0.1:9975", metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument("--dir", help="the directory of the names; default: /run/netns")
    parser.add_argument("--names", action="store_true", help="also export a time series for each ready name")
    given = parser.parse_args()
    host, _, port = given.listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) >= 1 << 16:
        parser.error(f"--listen requires an address and a port, as 127.0.0.1:9975, not {given.listen}")
    try:
        asyncio.run(serve(host.strip("[]"), int(port), given.dir, given.names))
    except OSError as error:
        sys.exit(f"exporter: {error}")


if __name__ == "__main__":
    main()
