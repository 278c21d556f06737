#!/usr/bin/env python3
"""Metrics of the network namespaces of this machine for Prometheus: exporter.py [PORT [DIR]]

Serves http://127.0.0.1:PORT/metrics; the port is 9975 if none is given, and one that is free for 0.
"""

import selectors
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nswatch
from nswatch import EventType


class Metrics:
    """What was told so far, added up."""

    def __init__(self, watcher: nswatch.Watcher) -> None:
        self.watcher = watcher
        self.ready: set[str] = set()
        self.events: Counter[str] = Counter({str(kind): 0 for kind in EventType})
        self.last_ns = time.monotonic_ns()

    def add(self, event: nswatch.Event) -> None:
        self.events[str(event.type)] += 1
        self.last_ns = event.time_ns
        if event.name is not None:
            if event.type == EventType.READY:
                self.ready.add(event.name)
            elif event.type in (EventType.DETACHED, EventType.DELETED):
                self.ready.discard(event.name)

    def text(self) -> str:
        stats = self.watcher.stats
        age = (time.monotonic_ns() - self.last_ns) / 1e9
        lines: list[str] = []

        def metric(name: str, kind: str, text: str, *samples: str) -> None:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}", *(f"{name}{each}" for each in samples)))

        metric("nswatch_namespaces", "gauge", "Names that refer to a network namespace.", f" {len(self.ready)}")
        metric("nswatch_names", "gauge", "Names that exist.", f" {stats.known}")
        by_type = (f'{{type="{kind}"}} {count}' for kind, count in sorted(self.events.items()))
        metric("nswatch_events_total", "counter", "Events by type.", *by_type)
        metric("nswatch_last_event_age_seconds", "gauge", "Time since the last event.", f" {age:.3f}")
        metric(
            "nswatch_overflows_total", "counter", "Times that events were lost and made good.", f" {stats.overflows}"
        )
        return "\n".join(lines) + "\n"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    metrics: Metrics


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        server = self.server
        if self.path != "/metrics" or not isinstance(server, Server):
            self.send_error(404)
            return
        body = server.metrics.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        pass


def main(port: int, directory: str | None) -> None:
    with (
        nswatch.Watcher(dir=directory, mount_events=True) as watcher,
        Server(("127.0.0.1", port), Handler) as server,
        selectors.DefaultSelector() as selector,
    ):
        server.metrics = Metrics(watcher)
        selector.register(watcher, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)
        while (event := watcher.poll(0)) is not None:  # what exists is known before anybody asks
            server.metrics.add(event)
        print(f"http://127.0.0.1:{server.server_port}/metrics", flush=True)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            while (event := watcher.poll(0)) is not None:
                server.metrics.add(event)
            if server in ready:
                server.handle_request()  # in a thread of its own: a slow client keeps nobody waiting


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9975, sys.argv[2] if len(sys.argv) > 2 else None)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"exporter: {error}")
