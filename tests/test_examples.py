"""Runs each example against real namespaces and reads what it prints. Started by tests/run, in a sandbox."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest

BUILD = os.environ["NSWATCH_BUILD"]
DEADLINE = 20


def ip_netns(*arguments: str) -> None:
    subprocess.run(["ip", "netns", *arguments], check=True)


class Program:
    """A running example whose lines are read with a deadline."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rest = b""

    def line(self) -> str:
        end = time.monotonic() + DEADLINE
        out = self.process.stdout
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise AssertionError(f"no line in time, only {self.rest!r}")
            more = os.read(out.fileno(), 4096)
            if not more:
                raise AssertionError(f"it has ended: {self.process.stderr.read().decode()}")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return os.fsdecode(line)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        return status


class Examples(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(shutil.rmtree, "/run/netns", ignore_errors=True)

    def monitor(self, *command: str, end: int = signal.SIGTERM) -> None:
        ip_netns("add", "before")
        program = Program(*command)
        self.assertEqual(program.line(), "created before (existing)")
        self.assertRegex(program.line(), r"^ready before net:\[\d+\] \(existing\)$")
        self.assertEqual(program.line(), "synced")
        ip_netns("add", "blue")
        self.assertEqual(program.line(), "created blue")
        inode = os.stat("/run/netns/blue").st_ino
        self.assertEqual(program.line(), f"ready blue net:[{inode}]")
        ip_netns("del", "blue")
        self.assertEqual(program.line(), "deleted blue")
        ip_netns("del", "before")
        self.assertEqual(program.line(), "deleted before")
        self.assertEqual(program.end(end), 0)

    def refusal(self, *command: str) -> None:
        done = subprocess.run([*command, "relative"], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("invalid argument", done.stderr)

    def test_c_monitor(self) -> None:
        self.monitor(f"{BUILD}/monitor")
        self.refusal(f"{BUILD}/monitor")

    def test_c_monitor_under_valgrind(self) -> None:
        self.monitor("valgrind", "-q", "--leak-check=full", "--error-exitcode=9", f"{BUILD}/monitor")

    def test_python_monitor(self) -> None:
        self.monitor(sys.executable, "examples/python/monitor.py", end=signal.SIGINT)
        self.refusal(sys.executable, "examples/python/monitor.py")

    def nsid(self, *command: str) -> None:
        # a namespace that has no name: it lives as long as the process
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        program = Program(*command, str(process.pid))
        self.assertEqual(program.line(), f"process {process.pid} is in a namespace without an id")
        self.assertEqual(program.line(), "now it is 0")
        again = Program(*command, str(process.pid))
        self.assertEqual(again.line(), f"process {process.pid} is in the namespace that is 0 here")
        process.communicate(b"\n", DEADLINE)
        for each in (program, again):
            self.assertEqual(each.line(), "0 is gone")
            self.assertEqual(each.process.wait(DEADLINE), 0)
            for stream in (each.process.stdin, each.process.stdout, each.process.stderr):
                stream.close()
        done = subprocess.run([*command, "0"], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("invalid argument", done.stderr)

    def test_c_nsid(self) -> None:
        self.nsid("valgrind", "-q", "--leak-check=full", "--error-exitcode=9", f"{BUILD}/nsid")

    def test_python_nsid(self) -> None:
        self.nsid(sys.executable, "examples/python/nsid.py")

    def test_c_epoll(self) -> None:
        program = Program("valgrind", "-q", "--leak-check=full", "--error-exitcode=9", f"{BUILD}/epoll")
        self.assertEqual(program.line(), "synced -")
        ip_netns("add", "blue")
        self.assertEqual([program.line() for _ in range(3)], ["created blue", "ready blue", "opened blue"])
        program.process.stdin.write(b"resync\n")
        program.process.stdin.flush()
        self.assertEqual(program.line(), "synced -")
        ip_netns("del", "blue")
        self.assertEqual(program.line(), "deleted blue")
        program.process.stdin.close()
        self.assertEqual(program.process.wait(DEADLINE), 0)
        program.process.stdout.close()
        program.process.stderr.close()


if __name__ == "__main__":
    unittest.main()
