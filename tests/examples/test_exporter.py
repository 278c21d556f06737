"""Runs the exporter for Prometheus on real namespaces and asks it over HTTP."""

import re
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
        """The samples; all that is said of them is in the format."""
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
        """Asks until it is so: an answer is of the events before it."""
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
        self.assertEqual(metrics["nswatch_nsids"], 0)
        for source in ("named", "nsid"):
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
        metrics = self.until(lambda found: found["nswatch_nsids"] == 0)
        self.assertEqual(metrics['nswatch_events_total{source="nsid",type="nsid_del"}'], 1)
        self.assertEqual(self.program.kill(signal.SIGTERM), 0)

    def test_each_name(self) -> None:
        # the third looks like the second, as it is shown
        for name in (b"blue", b"caf\xe9", rb"caf\xe9", "snow\u2603".encode(), b'a "b"', b"new\nline"):
            run(b"ip", b"netns", b"add", name)
        with open("/run/netns/placeholder", "x"):
            pass
        self.start("--names")
        found = {each for each in self.metrics() if each.startswith("nswatch_ready")}
        labels = ("blue", r"caf\\xe9", r"caf\\\\xe9", "snow\u2603", r"a \"b\"", r"new\nline")
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
            self.skipTest("SKIPPED: the text of the exporter is not read by others: there is no prometheus-client")
        families = {each.name: each for each in text_string_to_metric_families(text)}
        self.assertEqual(families["nswatch_events"].type, "counter")
        states = {each.labels["state"]: each.value for each in families["nswatch_names"].samples}
        self.assertEqual(states, {"ready": 4, "created": 0, "detached": 0})
        names = {each.labels["name"] for each in families["nswatch_ready_timestamp_seconds"].samples}
        self.assertEqual(names, {"blue", r"caf\xe9", r"back\\slash", 'a "b"'})

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
        # one who says nothing keeps nobody waiting; one who talks nonsense, or without end, is hung up on
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

    def test_refusals(self) -> None:
        self.start()
        taken = re.findall(r"//(.+)/", self.url)[0]
        for status, text, *options in (
            (1, "invalid argument", "--listen", "127.0.0.1:0", "--dir", "relative"),
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
