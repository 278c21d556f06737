"""Programs under test, whose lines are read with a deadline."""

from __future__ import annotations

import collections
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DEADLINE = 20.0

ROOT = Path(__file__).resolve().parents[2]
# what ci/run has built and staged, also for who runs a test by hand afterwards
TARGET = os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target")
BUILD = os.environ.get("NSWATCH_BUILD", f"{TARGET}/c")
ENVIRONMENT = {
    "LD_LIBRARY_PATH": f"{TARGET}/stage/lib",
    "NSWATCH_LIBRARY": f"{TARGET}/stage/lib/libnswatch.so.0",
    "PKG_CONFIG_PATH": f"{TARGET}/stage/lib/pkgconfig",
    **os.environ,
    "PYTHONPATH": f"{ROOT}/bindings/python",
}


class Program:
    """A running program. Its errors go to a file, so that it never waits for somebody to read them."""

    def __init__(self, *command: str) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - kill() closes it
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=ENVIRONMENT
        )
        self.rest = b""
        self.lines: collections.deque[bytes] = collections.deque()

    def write(self, line: str) -> None:
        self.process.stdin.write(os.fsencode(line) + b"\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """The next line, which must come in time."""
        line = self.line_or_end()
        if line is None:
            raise AssertionError(f"it has ended: {self.said()}")
        return line

    def line_or_end(self, patience: float = DEADLINE) -> str | None:
        end = time.monotonic() + patience
        while not self.lines:
            if not select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"no line in time, only {self.rest!r}; {self.said()}")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                if self.rest:
                    raise AssertionError(f"half a line at the end: {self.rest!r}")
                return None
            *whole, self.rest = (self.rest + more).split(b"\n")
            self.lines.extend(whole)
        return os.fsdecode(self.lines.popleft())

    def said(self) -> str:
        """What it wrote to standard error so far."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Ends it by a signal, or by the end of its input; its exit status and errors. It must say no more."""
        if number is not None:
            self.process.send_signal(number)
        self.process.stdin.close()
        more = self.line_or_end()
        if more is not None:
            raise AssertionError(f"it said more: {more!r}")
        return self.process.wait(DEADLINE), self.said()

    def kill(self) -> None:
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()
