"""Runs the exporter and reads what it prints."""

import os
import select
import signal
import subprocess
import time
import urllib.error
import urllib.request

from .support import BINDING, DEADLINE, TestCase, ip_netns, python


class Program:
    """A running example whose lines are read with a deadline."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = python(str(BINDING / "examples" / f"{name}.py"), *arguments, stdin=subprocess.PIPE)
        self.rest = b""

    def line(self) -> str:
        end = time.monotonic() + DEADLINE
        assert self.process.stdout is not None
        out = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            if not select.select([out], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no line in time, only {self.rest!r}")
            more = os.read(out, 4096)
            if not more:
                raise AssertionError(f"it has ended: {self.process.communicate()[1].decode()}")
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        return os.fsdecode(line)

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Ends it by a signal, or by the end of its input; its exit status and what it said of errors."""
        if number is not None:
            self.process.send_signal(number)
        error = self.process.communicate(timeout=DEADLINE)[1]
        return self.process.returncode, error.decode()


class Examples(TestCase):
    def program(self, name: str, *arguments: str) -> Program:
        program = Program(name, *arguments)
        self.addCleanup(program.process.communicate)
        self.addCleanup(program.process.kill)
        return program

    def test_exporter(self) -> None:
        ip_netns("add", "before")
        program = self.program("exporter", "0")
        url = program.line()
        metrics = scrape(url)
        self.assertEqual(metrics["nswatch_namespaces"], 1)
        self.assertEqual(metrics['nswatch_events_total{type="ready"}'], 1)
        self.assertEqual(metrics['nswatch_events_total{type="deleted"}'], 0)
        self.assertEqual(metrics["nswatch_overflows_total"], 0)
        self.assertLess(metrics["nswatch_last_event_age_seconds"], DEADLINE)
        ip_netns("add", "blue")
        with open("/run/netns/placeholder", "x"):
            pass
        ip_netns("del", "before")
        end = time.monotonic() + DEADLINE
        while (metrics := scrape(url))['nswatch_events_total{type="deleted"}'] == 0 and time.monotonic() < end:
            pass
        self.assertEqual((metrics["nswatch_namespaces"], metrics["nswatch_names"]), (1, 2))
        self.assertEqual(metrics['nswatch_events_total{type="ready"}'], 2)
        self.assertEqual(metrics['nswatch_events_total{type="deleted"}'], 1)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            scrape(url + "/other")
        self.assertEqual(caught.exception.code, 404)
        caught.exception.close()
        self.assertEqual(program.end(signal.SIGINT)[0], 0)


def scrape(url: str) -> dict[str, float]:
    # no proxy: the server is on this side of it
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=DEADLINE) as answer:
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found
