"""Programs under test, whose lines are read with a deadline, and the names that they see."""

from __future__ import annotations

import collections
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

DEADLINE = 40.0

ROOT = Path(__file__).resolve().parents[2]
# built and staged by ci/run, also for a test that is run by hand afterwards
TARGET = os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target")
BUILD = os.environ.get("NSWATCH_BUILD", f"{TARGET}/c")
ENVIRONMENT = {
    "LD_LIBRARY_PATH": f"{TARGET}/stage/lib",
    "NSWATCH_LIBRARY": f"{TARGET}/stage/lib/libnswatch.so.0",
    "PKG_CONFIG_PATH": f"{TARGET}/stage/lib/pkgconfig",
    **os.environ,
    "PYTHONPATH": f"{ROOT}/bindings/python",
}


def run(*command: str | bytes) -> None:
    subprocess.run(command, check=True, timeout=DEADLINE)


def require_sandbox(test: unittest.TestCase) -> None:
    if not os.environ.get("NSWATCH_SANDBOX"):
        test.fail("run in tests/sandbox: these tests make and delete namespaces")


def remove_names() -> None:
    """Empties /run/netns."""
    if os.path.isdir("/run/netns"):
        for entry in os.scandir(b"/run/netns"):
            subprocess.run(["umount", "-q", entry.path], check=False)
        subprocess.run(["umount", "-ql", "/run/netns"], check=False)
        shutil.rmtree(b"/run/netns")


def overflow(directory: str) -> None:
    """Changes more in a directory than the kernel keeps for a watcher that is stopped."""
    for number in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
        path = f"{directory}/{number % 64}"
        os.close(os.open(path, os.O_CREAT))
        os.unlink(path)


class Program:
    """A running program. Its errors go to a file, so that they never block it, or, if `mixed`, among its lines."""

    def __init__(self, *command: str, mixed: bool = False, **options: Any) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - kill() closes it
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if mixed else self._errors,
            env=ENVIRONMENT,
            **options,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        self._rest = b""
        self._unread: collections.deque[bytes] = collections.deque()
        self.lines: list[str] = []  # that were read

    def write(self, line: str) -> None:
        self._in.write(os.fsencode(line) + b"\n")
        self._in.flush()

    def _read(self, end: float) -> bool:
        """Reads more, if anything comes before `end`; returns whether there was more."""
        if not select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError(f"no line in time after {self.lines[-20:]}, only {self._rest!r}; {self.said()}")
        more = os.read(self._out.fileno(), 1 << 16)
        *whole, self._rest = (self._rest + more).split(b"\n")
        self._unread.extend(whole)
        return more != b""

    def has_line(self) -> bool:
        """Whether a line can be read at once."""
        return bool(self._unread) or bool(select.select([self._out], [], [], 0)[0])

    def line(self, end: float | None = None) -> str:
        """The next line, which must come before `end`, a time of the monotonic clock."""
        line = self.line_or_end(end)
        if line is None:
            raise AssertionError(f"it has ended after {self.lines[-20:]}: {self.said()}")
        return line

    def line_or_end(self, end: float | None = None) -> str | None:
        end = end or time.monotonic() + DEADLINE
        while not self._unread:
            if not self._read(end):
                if self._rest:
                    raise AssertionError(f"half a line at the end: {self._rest!r}")
                return None
        self.lines.append(os.fsdecode(self._unread.popleft()))
        return self.lines[-1]

    def until(self, *wanted: str) -> None:
        """Reads lines until each of these has come."""
        missing, end = set(wanted), time.monotonic() + DEADLINE
        while missing:
            line = self.line(end)
            missing -= {each for each in missing if each in line}

    def said(self) -> str:
        """Its standard error so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Ends it by a signal, or by the end of its input; returns its exit status and errors. Prints no more."""
        if number is not None:
            self.process.send_signal(number)
        self._in.close()
        more = self.line_or_end()
        if more is not None:
            raise AssertionError(f"it said more: {more!r}")
        return self.process.wait(DEADLINE), self.said()

    def ended(self) -> int:
        """Its exit status when it ends by itself; reads the rest of its lines."""
        self._in.close()
        end = time.monotonic() + DEADLINE
        while self._read(end):
            pass
        self.lines += map(os.fsdecode, [*self._unread, *([self._rest] if self._rest else [])])
        self._unread.clear()
        self._out.close()
        self._errors.close()
        return self.process.wait(DEADLINE)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Kills it, whatever its state; returns its exit status."""
        if self._out.closed:
            return self.process.returncode
        self.process.send_signal(number)
        return self.ended()


def start(test: unittest.TestCase, *command: str, **options: Any) -> Program:
    """Starts a program that ends with the test."""
    program = Program(*command, **options)
    test.addCleanup(program.kill)
    return program
