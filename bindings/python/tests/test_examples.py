"""Runs each example and reads what it prints."""

import os
import re
import select
import signal
import subprocess
import time

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

    def test_monitor(self) -> None:
        ip_netns("add", "before")
        program = self.program("monitor")
        self.assertEqual(program.line(), "created before (existing)")
        self.assertRegex(program.line(), r"^ready before net:\[\d+\] \(existing\)$")
        self.assertEqual(program.line(), "synced")
        raw = b"caf\xe9"
        subprocess.run([b"ip", b"netns", b"add", raw], check=True)
        self.assertEqual(os.fsencode(program.line()), b"created " + raw)
        inode = os.stat(b"/run/netns/" + raw).st_ino
        self.assertEqual(os.fsencode(program.line()), b"ready %s net:[%d]" % (raw, inode))
        ip_netns("del", "before")
        self.assertEqual(program.line(), "deleted before")
        self.assertEqual(program.end(signal.SIGINT), (0, ""))

    def test_a_refusal(self) -> None:
        for name in ("monitor", "list"):
            status, error = self.program(name, "relative").end()
            self.assertEqual(status, 1)
            self.assertRegex(error, rf"^{name}: .*invalid argument.*\n$")

    def test_async(self) -> None:
        program = self.program("async")
        self.assertEqual(program.line(), "synced -")
        ip_netns("add", "blue")
        self.assertEqual([program.line() for _ in range(3)], ["created blue", "ready blue", "opened blue"])
        assert program.process.stdin is not None
        program.process.stdin.write(b"resync\n")
        program.process.stdin.flush()
        self.assertEqual(program.line(), "synced -")
        ip_netns("del", "blue")
        self.assertEqual(program.line(), "deleted blue")
        self.assertEqual(program.end(), (0, ""))

    def test_async_interrupted(self) -> None:
        program = self.program("async")
        self.assertEqual(program.line(), "synced -")
        self.assertEqual(program.end(signal.SIGINT), (0, ""))

    def test_list(self) -> None:
        ip_netns("add", "red")
        ip_netns("add", "blue")
        with open("/run/netns/placeholder", "x"):
            pass
        program = self.program("list")
        blue, red = (os.stat(f"/run/netns/{name}").st_ino for name in ("blue", "red"))
        for expected in (f"blue net:[{blue}]", "placeholder -", f"red net:[{red}]"):
            self.assertEqual(program.line(), expected)
        self.assertEqual(program.end(), (0, ""))

    def test_enter(self) -> None:
        ip_netns("add", "before")
        program = self.program("enter", "readlink", "/proc/self/ns/net")
        for name in ("before", "blue"):
            if name != "before":
                ip_netns("add", name)
            self.assertEqual(program.line(), f"in {name}:")
            inode = os.stat(f"/run/netns/{name}").st_ino
            self.assertEqual(program.line(), f"net:[{inode}]")
        self.assertEqual(program.end(signal.SIGINT), (0, ""))

    def test_enter_goes_on_after_a_command_that_failed(self) -> None:
        ip_netns("add", "blue")
        program = self.program("enter", "false")
        self.assertEqual(program.line(), "in blue:")
        ip_netns("add", "red")
        self.assertEqual(program.line(), "in red:")
        status, error = program.end(signal.SIGINT)
        self.assertEqual(status, 0)
        self.assertIn("enter: blue: Command", error)

    def test_enter_without_a_command(self) -> None:
        status, error = self.program("enter").end()
        self.assertEqual((status, error[:6]), (2, "usage:"))

    def test_nsid(self) -> None:
        # a namespace that has no name: it lives as long as the process
        command = ["unshare", "--net", "sh", "-c", "echo; read line"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            first = self.program("nsid", str(process.pid))
            self.assertEqual(first.line(), f"process {process.pid} is in a namespace without an id")
            nsid = re.sub("now it is ", "", first.line())
            second = self.program("nsid", str(process.pid))
            self.assertEqual(second.line(), f"process {process.pid} is in the namespace that is {nsid} here")
            process.communicate(b"\n", DEADLINE)
        for each in (first, second):
            self.assertEqual(each.line(), f"{nsid} is gone")
            self.assertEqual(each.end(), (0, ""))
        status, error = self.program("nsid", "0").end()
        self.assertEqual(status, 1)
        self.assertIn("invalid argument", error)
