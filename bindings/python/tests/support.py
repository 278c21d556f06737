"""Shared by the tests: real namespaces, deadlines, and a check for leaked descriptors."""

import concurrent.futures
import contextlib
import ctypes
import gc
import os
import shutil
import struct
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import nswatch
from nswatch import Event, EventType, Watcher

ROOT = Path(__file__).resolve().parents[3]
BINDING = ROOT / "bindings/python"
DEADLINE = 20.0


def ip_netns(*arguments: str) -> None:
    subprocess.run(["ip", "netns", *arguments], check=True, timeout=DEADLINE)


def next_event(watcher: Watcher) -> Event:
    event = watcher.poll(DEADLINE)
    if event is None:
        raise AssertionError("no event in time")
    return event


def until(watcher: Watcher, wanted: EventType) -> Event:
    """Returns the next event of that type."""
    while (event := next_event(watcher)).type != wanted:
        pass
    return event


def kinds(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(str(event.type), event.name) for event in events]


def open_files() -> dict[str, str]:
    """Returns the descriptors of this process, with their targets."""
    gc.collect()
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def namespace_here() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def drop_capabilities() -> None:
    """Only in the calling thread."""
    header = struct.pack("Ii", 0x20080522, 0)
    capset = ctypes.CDLL(None, use_errno=True).capset
    if capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def in_a_thread(body: Callable[[], object]) -> None:
    """Runs the body in a thread of its own, whose privileges and namespaces end with it."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(body).result(DEADLINE)


def is_real_root() -> bool:
    """Whether the process is root of the host, and not only of a user namespace."""
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split()[2] == "4294967295"


def python(*arguments: str, stdin: int | None = None) -> "subprocess.Popen[bytes]":
    """Starts a Python program that can import the binding."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"},
        stdin=stdin,
    )


class TestCase(unittest.TestCase):
    """Removes the test's namespaces, and fails if a descriptor is left open."""

    def setUp(self) -> None:
        if not os.environ.get("NSWATCH_SANDBOX"):
            self.fail("run in tests/sandbox: these tests make and delete namespaces")
        before = open_files()
        # the first registered runs last
        self.addCleanup(lambda: self.assertEqual(open_files(), before))
        self.addCleanup(self.remove_names)

    def remove_names(self) -> None:
        names = Path("/run/netns")
        if names.exists():
            for name in os.listdir(os.fsencode(names)):
                path = os.path.join(os.fsencode(names), name)
                subprocess.run([b"umount", b"-q", path], check=False)
                os.unlink(path)
            subprocess.run(["umount", "-ql", str(names)], check=False)
            shutil.rmtree(names)

    def watcher(self, *arguments: object, **options: object) -> Watcher:
        """Returns an open watcher that has emitted its replay."""
        watcher: Watcher = Watcher(*arguments, **options)  # type: ignore[call-overload]
        self.addCleanup(watcher.close)
        until(watcher, EventType.SYNCED)
        return watcher


__all__ = [
    "BINDING",
    "DEADLINE",
    "ROOT",
    "Event",
    "EventType",
    "TestCase",
    "Watcher",
    "drop_capabilities",
    "in_a_thread",
    "ip_netns",
    "is_real_root",
    "kinds",
    "namespace_here",
    "next_event",
    "nswatch",
    "open_files",
    "python",
    "until",
]
