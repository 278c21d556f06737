"""Running programs, whose lines are read with a deadline."""

import os
import select
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 40.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}


def run(*command: str | bytes) -> None:
    subprocess.run(command, check=True, timeout=DEADLINE)


class Program:
    """A running program whose lines are read with a deadline."""

    def __init__(self, test: unittest.TestCase, *command: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT, **options
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self._rest = b""
        self.lines: list[str] = []
        test.addCleanup(self.kill)

    def line(self, end: float) -> str:
        """The next line, if it comes before `end`, a time of the monotonic clock."""
        while b"\n" not in self._rest:
            if not select.select([self._out], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no line in time after {self.lines[-20:]}")
            more = os.read(self._out, 1 << 16)
            if not more:
                raise AssertionError(f"it has ended: {self.lines[-20:]} {self._rest!r}")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        self.lines.append(line.decode())
        return self.lines[-1]

    def has_line(self) -> bool:
        """Whether something can be read at once."""
        return b"\n" in self._rest or bool(select.select([self._out], [], [], 0)[0])

    def until(self, *wanted: str) -> None:
        """Reads lines until each of these was among them."""
        missing, end = set(wanted), time.monotonic() + DEADLINE
        while missing:
            line = self.line(end)
            missing -= {each for each in missing if each in line}

    def ended(self) -> int:
        """Its exit status, when it ends by itself; the rest of its lines is read."""
        rest = self.process.communicate(timeout=DEADLINE)[0]
        self.lines += (self._rest + rest).decode().splitlines()
        return self.process.returncode

    def kill(self, number: int = signal.SIGKILL) -> int:
        if not self.process.stdout or self.process.stdout.closed:
            return self.process.returncode
        self.process.send_signal(number)
        return self.ended()
