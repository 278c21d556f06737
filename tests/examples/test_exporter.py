"""Runs the exporter for Prometheus on real namespaces and asks it over HTTP."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import DEADLINE, ENVIRONMENT, ROOT, Program, overflow, remove_names, require_sandbox, run, start

EXPORTER = str(ROOT / "examples/python/exporter.py")


class Exporter(unittest.TestCase):
    def setUp(self) -> None:
        require_sandbox(self)
        self.addCleanup(remove_names)

    def start(self, *options: str) -> Program:
        self.program = start(self, sys.executable, EXPORTER, "--listen", "127.0.0.1:0", *options, mixed=True)
        self.url = self.program.line()
        self.assertRegex(self.url, r"^http://127\.0\.0\.1:\d+/metrics$")
        return self.program

    def get(self, method: str = "GET", suffix: str = "") -> str:
        # no proxy: the server is on this side of it
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.url + suffix, method=method), timeout=DEADLINE) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            body: bytes = answer.read()
        return body.decode()

    def metrics(self) -> dict[str, float]:
        """The samples; every line about them is in the format."""
        found: dict[str, float] = {}
        family = ""
        for line in self.get().splitlines():
            if about := re.fullmatch(r"# (HELP|TYPE) (nswatch_[a-z_]+) (.+)", line):
                if about[1] == "HELP":
                    family = about[2]
                else:
                    self.assertEqual(about[3], "counter" if family.endswith("_total") else "gauge")
                self.assertEqual(about[2], family)
                continue
            label = r'[a-z]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
            sample = re.fullmatch(rf"({family}(?:\{{{label}(?:,{label})*\}})?) (\d+(?:\.\d+)?)", line)
            assert sample is not None, line
            self.assertNotIn(sample[1], found)
            found[sample[1]] = float(sample[2])
        return found

    def until(self, come: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Requests the metrics until `come` holds: an answer covers the events before it."""
        end = time.monotonic() + DEADLINE
        while not come(metrics := self.metrics()):
            self.assertLess(time.monotonic(), end, metrics)
        return metrics

    def test_names_and_ids(self) -> None:
        run("ip", "netns", "add", "before")
        begin = time.time()
        self.start()
        metrics = self.metrics()
        self.assertEqual(metrics['nswatch_names{state="ready"}'], 1)
        self.assertEqual(metrics['nswatch_events_total{source="named",type="ready"}'], 1)
        self.assertEqual(metrics['nswatch_events_total{source="named",type="deleted"}'], 0)
        self.assertEqual(metrics["nswatch_namespaces"], 1)
        self.assertEqual(metrics["nswatch_nsids"], 0)
        for source in ("named", "nsid", "all"):
            self.assertEqual(metrics[f'nswatch_events_total{{source="{source}",type="synced"}}'], 1)
            self.assertEqual(metrics[f'nswatch_resyncs_total{{source="{source}"}}'], 1)
            self.assertTrue(
                begin <= metrics[f'nswatch_last_sync_timestamp_seconds{{source="{source}"}}'] <= time.time()
            )
        self.assertNotIn("nswatch_ready_timestamp_seconds", self.get())
        synced = metrics['nswatch_last_event_timestamp_seconds{source="named"}']
        run("ip", "netns", "add", "blue")
        run("ip", "netns", "set", "blue", "7")
        with open("/run/netns/placeholder", "x"):
            pass
        run("umount", "/run/netns/before")
        run("ip", "netns", "add", "gone")
        run("ip", "netns", "del", "gone")
        metrics = self.until(
            lambda found: (
                found['nswatch_events_total{source="named",type="deleted"}'] == 1
                and found['nswatch_names{state="detached"}'] == 1
                and found["nswatch_nsids"] == 1
            )
        )
        self.assertEqual(metrics['nswatch_names{state="ready"}'], 1)
        self.assertEqual(metrics['nswatch_names{state="created"}'], 1)
        self.assertEqual(metrics['nswatch_events_total{source="named",type="created"}'], 4)
        self.assertEqual(metrics['nswatch_events_total{source="nsid",type="nsid_new"}'], 1)
        self.assertGreater(metrics['nswatch_last_event_timestamp_seconds{source="named"}'], synced)
        self.assertEqual(metrics['nswatch_last_sync_timestamp_seconds{source="named"}'], synced)
        run("ip", "netns", "del", "blue")
        metrics = self.until(lambda found: found["nswatch_nsids"] == found["nswatch_namespaces"] == 0)
        self.assertEqual(metrics['nswatch_events_total{source="nsid",type="nsid_del"}'], 1)
        self.assertEqual(self.program.kill(signal.SIGTERM), 0)

    def test_all_namespaces(self) -> None:
        run("ip", "netns", "add", "before")
        self.start()
        metrics = self.metrics()
        # including its own
        self.assertGreaterEqual(metrics["nswatch_netns"], 2)
        self.assertEqual(metrics['nswatch_events_total{source="all",type="overflow"}'], 0)
        # others of this host come and go meanwhile
        births, deaths = "nswatch_netns_births_total", "nswatch_netns_deaths_total"
        at_first = metrics["nswatch_netns"] - metrics[births] + metrics[deaths]
        run("ip", "netns", "add", "blue")
        metrics = self.until(lambda found: found[births] > metrics[births])
        run("ip", "netns", "del", "before")
        metrics = self.until(lambda found: found[deaths] > metrics[deaths])
        self.assertEqual(metrics["nswatch_netns"], at_first + metrics[births] - metrics[deaths])
        self.assertEqual(metrics['nswatch_events_total{source="all",type="netns_new"}'], at_first + metrics[births])
        self.assertEqual(metrics['nswatch_events_total{source="all",type="netns_del"}'], metrics[deaths])
        self.assertEqual(self.program.kill(signal.SIGTERM), 0)

    def test_a_namespace_with_two_names_counts_once(self) -> None:
        run("ip", "netns", "add", "blue")
        run("ip", "netns", "attach", "azure", str(os.getpid()))
        with open("/run/netns/own", "x"):
            pass
        run("mount", "--bind", "/run/netns/azure", "/run/netns/own")
        self.start()
        metrics = self.metrics()
        self.assertEqual((metrics['nswatch_names{state="ready"}'], metrics["nswatch_namespaces"]), (3, 2))
        run("ip", "netns", "del", "azure")
        metrics = self.until(lambda found: found['nswatch_names{state="ready"}'] == 2)
        self.assertEqual(metrics["nswatch_namespaces"], 2)

    def test_each_name(self) -> None:
        # the third is shown like the second
        for name in (b"blue", b"caf\xe9", rb"caf\xe9", "snow\u2603".encode(), b'a "b"', b"new\nline", b"\x1b[2J"):
            run(b"ip", b"netns", b"add", name)
        with open("/run/netns/placeholder", "x"):
            pass
        self.start("--names")
        found = {each for each in self.metrics() if each.startswith("nswatch_ready")}
        labels = ("blue", r"caf\\xe9", r"caf\\\\xe9", "snow\u2603", r"a\\x20\\\"b\\\"", r"new\\nline", r"\\u{1b}[2J")
        self.assertEqual(found, {f'nswatch_ready_timestamp_seconds{{name="{each}"}}' for each in labels})

    def test_others_read_it(self) -> None:
        for name in (b"blue", b"caf\xe9", rb"back\slash", b'a "b"'):
            run(b"ip", b"netns", b"add", name)
        self.start("--names")
        text = self.get()
        if (promtool := shutil.which("promtool")) is not None:
            done = subprocess.run(
                [promtool, "check", "metrics"], check=False, input=text, capture_output=True, text=True
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError:
            self.skipTest("SKIPPED: no other program reads the exporter's text: there is no prometheus-client")
        families = {each.name: each for each in text_string_to_metric_families(text)}
        self.assertEqual(families["nswatch_events"].type, "counter")
        states = {each.labels["state"]: each.value for each in families["nswatch_names"].samples}
        self.assertEqual(states, {"ready": 4, "created": 0, "detached": 0})
        names = {each.labels["name"] for each in families["nswatch_ready_timestamp_seconds"].samples}
        self.assertEqual(names, {"blue", r"caf\xe9", r"back\\slash", r"a\x20\"b\""})

    def test_an_overflow(self) -> None:
        run("ip", "netns", "add", "before")
        program = self.start()
        program.process.send_signal(signal.SIGSTOP)
        overflow("/run/netns")
        run("ip", "netns", "add", "after")
        program.process.send_signal(signal.SIGCONT)
        metrics = self.until(lambda found: found['nswatch_names{state="ready"}'] == 2)
        self.assertEqual(metrics['nswatch_overflows_total{source="named"}'], 1)
        self.assertEqual(metrics['nswatch_events_total{source="named",type="overflow"}'], 1)
        self.assertEqual(metrics['nswatch_overflows_total{source="nsid"}'], 0)

    def test_requests(self) -> None:
        self.start()
        self.assertEqual(self.get("HEAD"), "")
        self.assertIn("nswatch_names", self.get(suffix="?name=value"))
        for method, suffix, code in (("GET", "/other", 404), ("POST", "", 405)):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.get(method, suffix)
            self.assertEqual(caught.exception.code, code)
            caught.exception.close()
        address = ("127.0.0.1", int(re.findall(r":(\d+)/", self.url)[0]))
        # a silent client delays nobody; one that sends nonsense, or without end, is disconnected
        with socket.create_connection(address, DEADLINE):
            for nonsense in (b"\r\n\r\n", b"x" * (1 << 17)):
                with socket.create_connection(address, DEADLINE) as other:
                    try:
                        other.sendall(nonsense)
                        self.assertEqual(other.recv(1), b"")
                    except ConnectionError:
                        pass
            self.assertIn("nswatch_names", self.get())
            self.assertEqual(self.program.kill(signal.SIGINT), 0)
        self.assertEqual(self.program.lines, [self.url])

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.program.process.pid}/fd"))

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(re.findall(r":(\d+)/", self.url)[0])

    def test_a_thousand_connections(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.start()
        before = self.descriptors()
        with contextlib.ExitStack() as held:
            # they send nothing, or half a request, and never disconnect
            for number in range(1000):
                connection = held.enter_context(socket.create_connection(self.address(), DEADLINE))
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"GET /metrics HTTP/1.1\r\n"[: number % 30])
                if number % 100 == 99:
                    self.assertIn("nswatch_names", self.get())
                    self.assertLess(self.descriptors(), before + 50)
            # the events meanwhile need descriptors, and there are some
            run("ip", "netns", "add", "blue")
            self.until(lambda found: found['nswatch_names{state="ready"}'] == 1)
        self.assertEqual(self.program.kill(signal.SIGTERM), 0)
        self.assertEqual(self.program.lines, [self.url])

    def test_no_descriptors_are_left_for_a_while(self) -> None:
        run("ip", "netns", "add", "blue")
        self.start()
        self.until(lambda found: found['nswatch_names{state="ready"}'] == 1)
        pid = self.program.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(each) for each in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        with socket.create_connection(self.address(), DEADLINE) as waiting:
            waiting.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            # now a scan of a directory that was replaced needs descriptors
            run("umount", "-R", "/run/netns")
            os.rename("/run/netns", "/run/netns.old")
            self.addCleanup(shutil.rmtree, "/run/netns.old")
            os.mkdir("/run/netns")
            # so does a census, which a change of a mount causes too
            while (complaint := self.program.line()).startswith("exporter: all: "):
                pass
            self.assertRegex(complaint, "^exporter: named: .*limit reached.*; trying every 1 s$")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            self.assertRegex(waiting.recv(1 << 16), b"^HTTP/1.1 200 OK")
        run("ip", "netns", "add", "green")
        metrics = self.until(lambda found: found['nswatch_names{state="ready"}'] == 1)
        self.assertEqual(metrics['nswatch_names{state="detached"}'], 0)
        self.assertEqual(metrics["nswatch_namespaces"], 1)
        self.assertEqual(self.program.kill(signal.SIGTERM), 0)

    def test_refusals(self) -> None:
        self.start()
        taken = re.findall(r"//(.+)/", self.url)[0]
        for status, text, *options in (
            (1, "the path must be absolute", "--listen", "127.0.0.1:0", "--dir", "relative"),
            (1, "in use", "--listen", taken),
            (2, "not 9975", "--listen", "9975"),
            (2, "not 127.0.0.1:x", "--listen", "127.0.0.1:x"),
        ):
            done = subprocess.run(
                [sys.executable, EXPORTER, *options],
                check=False,
                capture_output=True,
                text=True,
                env=ENVIRONMENT,
                timeout=DEADLINE,
            )
            self.assertEqual(done.returncode, status)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
