"""The identity of a namespace: obtained in every way, compared, opened, entered, queried."""

import contextlib
import copy
import dataclasses
import errno
import os
import pickle
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from nswatch import Netns

from .support import (
    BINDING,
    DEADLINE,
    EventType,
    TestCase,
    drop_capabilities,
    in_a_thread,
    ip_netns,
    is_real_root,
    namespace_here,
    nswatch,
    python,
    until,
)

HERE = "/proc/thread-self/ns/net"
NOBODY = (1 << 22) + 1
HAS_COOKIE = Netns.for_pid(os.getpid()).cookie != 0


@contextlib.contextmanager
def process(*command: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that runs until the block ends; yields when it is in its namespace."""
    with subprocess.Popen([*command, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"x")
        running.stdin.flush()
        assert running.stdout.read(1) == b"x"
        yield running
        running.stdin.close()
        assert running.wait(DEADLINE) == 0


class Values(TestCase):
    def test_frozen_slotted_and_printed(self) -> None:
        netns = Netns(4, 4026531840, 7)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            netns.ino = 1  # type: ignore[misc]
        self.assertFalse(hasattr(netns, "__dict__"))
        self.assertEqual(str(netns), "net:[4026531840]")
        self.assertEqual(repr(netns), "Netns(dev=4, ino=4026531840, cookie=7, stamp=0)")
        self.assertEqual(netns, Netns(**dataclasses.asdict(netns)))

    def test_a_key(self) -> None:
        named = {Netns(4, 10, 7): "blue", Netns(4, 10, 8): "red", Netns(4, 10, 0, 9): "green"}
        self.assertEqual((named[Netns(4, 10, 8)], named[Netns(4, 10, 0, 9)], len(named)), ("red", "green", 3))
        self.assertEqual(list(named), sorted(named, key=lambda netns: (netns.cookie == 0, netns)))
        self.assertLess(Netns(4, 10, 7), Netns(4, 10, 8))

    def test_copied_and_pickled(self) -> None:
        netns = Netns(1, 2, (1 << 64) - 1, 4)
        for same in (copy.copy(netns), copy.deepcopy(netns), pickle.loads(pickle.dumps(netns))):
            self.assertEqual(same, netns)
            self.assertEqual(hash(same), hash(netns))

    def test_wrong_types_are_refused(self) -> None:
        for number in (1.0, "1", None):
            with self.assertRaises(TypeError):
                Netns(1, number)  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                Netns.for_fd(number)  # type: ignore[arg-type]

    def test_numbers_that_c_could_not_hold(self) -> None:
        for numbers in ((-1, 2), (1, 1 << 64), (1, 2, -1), (1, 2, 0, 1 << 64)):
            with self.assertRaisesRegex(OverflowError, "is out of range"):
                Netns(*numbers)
        with self.assertRaises(TypeError):
            Netns("4", 10)  # type: ignore[arg-type]

    def test_the_same(self) -> None:
        # by cookie if both have one; else by the numbers that both have
        for one, other, same in (
            (Netns(4, 10, 7), Netns(4, 10, 7), True),
            (Netns(4, 10, 7), Netns(4, 10, 8), False),
            (Netns(4, 10, 7), Netns(4, 10), True),
            (Netns(4, 10, 0, 5), Netns(4, 10), True),
            (Netns(4, 10, 0, 5), Netns(4, 10, 0, 6), False),
            (Netns(4, 10), Netns(4, 11), False),
            (Netns(4, 10), Netns(5, 10), False),
        ):
            with self.subTest(one=one, other=other):
                self.assertIs(one.same(other), same)
                self.assertIs(other.same(one), same)


class Identified(TestCase):
    def assert_same(self, one: Netns, other: Netns) -> None:
        self.assertTrue(one.same(other), (one, other))
        if HAS_COOKIE:
            self.assertEqual(one, other)
            self.assertEqual({one: "it"}[other], "it")

    def test_every_way_leads_to_the_same(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "blue")
        ip_netns("set", "blue", "5")
        ready = until(watcher, EventType.READY)
        assert ready.netns is not None
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(process("ip", "netns", "exec", "blue"))
            file = stack.enter_context(open("/run/netns/blue"))
            located, pidfd = os.open("/run/netns/blue", os.O_PATH), os.pidfd_open(running.pid)
            stack.callback(os.close, located)
            stack.callback(os.close, pidfd)
            for each in (
                Netns.for_name("blue"),
                Netns.for_name(b"blue"),
                Netns.for_name("/run/netns/blue"),
                Netns.for_name(f"/proc/{running.pid}/ns/net"),
                Netns.for_fd(file),
                Netns.for_fd(file.fileno()),
                Netns.for_fd(located),
                Netns.for_pid(running.pid),
                Netns.for_pidfd(pidfd),
                Netns.for_nsid(5),
            ):
                self.assert_same(each, ready.netns)
            status = os.stat("/run/netns/blue")
            self.assertEqual((ready.netns.dev, ready.netns.ino), (status.st_dev, status.st_ino))
            self.assertFalse(ready.netns.same(Netns.for_pid(os.getpid())))
            self.assertEqual(nswatch.nsid_for_pidfd(pidfd), 5)

    def test_an_event_has_it_and_the_path(self) -> None:
        watcher = self.watcher(dir=b"/run/netns")
        ip_netns("add", os.fsdecode(b"caf\xe9"))
        created, ready = until(watcher, EventType.CREATED), until(watcher, EventType.READY)
        self.assertEqual((created.netns, created.dev, created.ino, created.cookie), (None, None, None, None))
        assert ready.netns is not None
        assert ready.path is not None
        self.assertEqual((ready.path, created.path), (os.fsdecode(b"/run/netns/caf\xe9"),) * 2)
        self.assertEqual(ready.netns, Netns.for_name(ready.path))
        self.assertEqual((ready.dev, ready.ino), (ready.netns.dev, ready.netns.ino))
        self.assertEqual(ready.cookie, ready.netns.cookie or None)
        # without a cookie, a mounted namespace has a stamp
        self.assertEqual(ready.netns.stamp == 0, HAS_COOKIE)
        for event in (created, ready):
            self.assertEqual(pickle.loads(pickle.dumps(event)), event)

    def test_why_a_name_is_not_usable(self) -> None:
        os.makedirs("/run/odd")
        self.addCleanup(shutil.rmtree, "/run/odd")
        os.close(os.open("/run/odd/waits", os.O_CREAT))
        os.symlink("/nowhere", "/run/odd/dangles")
        os.symlink("loop", "/run/odd/loop")
        os.symlink("/proc/self/ns/uts", "/run/odd/uts")
        for name, number in (
            ("missing", errno.ENOENT),
            ("/run/odd/dangles", errno.ENOENT),
            ("/run/odd/waits", errno.ENODEV),
            ("/run/odd/uts", errno.EPROTOTYPE),
            ("/run/odd/loop", errno.ELOOP),
            ("/run/odd/waits/x", errno.ENOTDIR),
            ("/run/odd/" + "x" * 256, errno.ENAMETOOLONG),
            ("", errno.EINVAL),
            ("/run/../x", errno.EINVAL),
        ):
            with self.subTest(name), self.assertRaises(nswatch.Error) as caught:
                Netns.for_name(name)
            self.assertEqual((caught.exception.errno, caught.exception.filename), (number, name))
        with self.assertRaisesRegex(ValueError, "null byte"):
            Netns.for_name("blue\0red")

    def test_each_refusal_names_its_object(self) -> None:
        with open("/dev/null") as null, open("/proc/self/ns/uts") as uts:
            cases: tuple[tuple[type[OSError], int, str, Callable[[], object]], ...] = (
                (nswatch.Error, errno.EINVAL, f"file descriptor {null.fileno()}: ", lambda: Netns.for_fd(null)),
                (nswatch.Error, errno.EPROTOTYPE, f"file descriptor {uts.fileno()}: ", lambda: Netns.for_fd(uts)),
                (nswatch.Error, errno.EBADF, "file descriptor -1: ", lambda: Netns.for_fd(-1)),
                (nswatch.Error, errno.EINVAL, "process 0: ", lambda: Netns.for_pid(0)),
                (ProcessLookupError, errno.ESRCH, f"process {NOBODY}: ", lambda: Netns.for_pid(NOBODY)),
                (nswatch.Error, errno.EBADF, f"pidfd {null.fileno()}: ", lambda: Netns.for_pidfd(null)),
                (nswatch.Error, errno.EINVAL, "nsid -1: ", lambda: Netns.for_nsid(-1)),
                (FileNotFoundError, errno.ENOENT, "nsid 4711: ", lambda: Netns.for_nsid(4711)),
            )
            for kind, number, text, ask in cases:
                with self.subTest(text), self.assertRaises(kind) as caught:
                    ask()
                self.assertIsInstance(caught.exception, nswatch.Error)
                self.assertEqual(caught.exception.errno, number)
                self.assertTrue(
                    str(caught.exception.strerror).startswith(f"cannot identify the namespace of {text}"),
                    caught.exception,
                )
        too_large: tuple[Callable[[], object], ...] = (
            lambda: Netns.for_fd(1 << 32),
            lambda: Netns.for_pid(1 << 32 | os.getpid()),
            lambda: Netns.for_pidfd(1 << 31),
            lambda: Netns.for_nsid(1 << 31),
        )
        for too_much in too_large:
            with self.assertRaises(OverflowError):
                too_much()

    def test_a_process_that_has_ended(self) -> None:
        with process() as running:
            pidfd = os.pidfd_open(running.pid)
            self.addCleanup(os.close, pidfd)
            self.assert_same(Netns.for_pidfd(pidfd), Netns.for_pid(os.getpid()))
        with self.assertRaisesRegex(ProcessLookupError, f"pidfd {pidfd}: "):
            Netns.for_pidfd(pidfd)
        with self.assertRaises(ProcessLookupError):
            nswatch.nsid_for_pidfd(pidfd)


class Documented(TestCase):
    def test_the_example_of_the_readme(self) -> None:
        if not HAS_COOKIE:
            self.skipTest("SKIPPED: no cookie before Linux 6.18")
        text = (BINDING / "README.md").read_text()
        code, shown = re.findall(
            r"```python\n(import socket.*?)```.*?```\n\$ python3 same.py (.*?)```", text, re.DOTALL
        )[0]
        arguments, *lines = shown.splitlines()
        ip_netns("add", "blue")
        ip_netns("attach", "own", str(os.getpid()))
        out, errors = python("-c", code, *arguments.split()).communicate(timeout=DEADLINE)
        self.assertEqual(errors, b"")
        said = out.decode()
        for name in ("blue", "own"):
            self.assertIn(f"{Netns.for_name(name)} {name}", said)
        # numbers and links differ between machines
        numbers, links = r"net:\[\d+\]", r", '[^]]*"
        self.assertEqual(
            [re.sub(links, "", re.sub(numbers, "", line)) for line in said.splitlines()],
            [re.sub(links, "", re.sub(numbers, "", line)) for line in lines],
        )


class Opened(TestCase):
    def setUp(self) -> None:
        super().setUp()
        ip_netns("add", "blue")
        self.path = "/run/netns/blue"
        self.blue = Netns.for_name("blue")

    def refused(self, number: int, block: AbstractContextManager[object], path: str | None = None) -> None:
        with self.assertRaises(nswatch.Error) as caught, block:
            self.fail("opened")
        self.assertEqual((caught.exception.errno, caught.exception.filename), (number, path))
        if path is None:
            self.assertTrue(
                str(caught.exception.strerror).startswith(f"cannot open the namespace {self.blue}: "), caught.exception
            )

    def test_by_path_and_by_cookie(self) -> None:
        for path in (self.path, os.fsencode(self.path), *((None,) if HAS_COOKIE else ())):
            with self.blue.open(path) as fd:
                self.assertTrue(Netns.for_fd(fd).same(self.blue))
                self.assertFalse(os.get_inheritable(fd))
            with self.assertRaises(OSError):
                os.fstat(fd)
        with self.assertRaisesRegex(ValueError, "null byte"), self.blue.open("/run/\0"):
            pass

    def test_a_successor_is_another_one(self) -> None:
        ip_netns("del", "blue")
        self.refused(errno.ENOENT, self.blue.open(self.path), self.path)
        ip_netns("add", "blue")
        successor = Netns.for_name("blue")
        self.assertNotEqual(successor, self.blue)
        self.assertFalse(successor.same(self.blue))
        self.refused(errno.ESTALE, self.blue.open(self.path), self.path)
        if HAS_COOKIE:
            self.wait_until_dead(self.blue)
            self.refused(errno.ENOENT if is_real_root() else errno.EPERM, self.blue.open())
        with successor.open(self.path):
            pass

    def test_another_one_of_the_same_inode_number(self) -> None:
        # as if the kernel had recycled the inode number
        what = "cookie" if HAS_COOKIE else "stamp"
        before = dataclasses.replace(self.blue, **{what: getattr(self.blue, what) - 1})
        self.refused(errno.ESTALE, before.open(self.path), self.path)

    def test_without_a_cookie(self) -> None:
        self.blue = Netns(self.blue.dev, self.blue.ino)
        with self.blue.open(self.path) as fd:
            self.assertTrue(Netns.for_fd(fd).same(self.blue))
        other = dataclasses.replace(self.blue, ino=self.blue.ino + 1)
        self.refused(errno.ESTALE, other.open(self.path), self.path)
        self.refused(errno.EOPNOTSUPP, self.blue.open())
        with self.assertRaises(nswatch.Error) as caught:
            self.blue.is_alive()
        self.assertEqual(caught.exception.errno, errno.EOPNOTSUPP)

    def test_a_namespace_without_a_name_dies(self) -> None:
        if not HAS_COOKIE:
            self.skipTest("SKIPPED: no cookie before Linux 6.18")
        with process("unshare", "--net") as running:
            netns = Netns.for_pid(running.pid)
            self.assertFalse(netns.same(Netns.for_pid(os.getpid())))
            self.assertTrue(netns.is_alive())
        self.wait_until_dead(netns)
        if is_real_root():
            self.assertFalse(netns.is_alive())

    def wait_until_dead(self, netns: Netns) -> None:
        """Polls, since nothing reports when the kernel has removed it."""
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(PermissionError):  # without the privilege: unknown
            while netns.is_alive():
                self.assertLess(time.monotonic(), end)

    def test_without_the_privilege_the_answer_is_an_error(self) -> None:
        if not HAS_COOKIE:
            self.skipTest("SKIPPED: no cookie before Linux 6.18")

        def ask() -> None:
            drop_capabilities()
            with self.assertRaisesRegex(PermissionError, r"net:\[\d+\]: ") as caught:
                self.blue.is_alive()
            self.assertIsInstance(caught.exception, nswatch.Error)
            self.assertEqual(caught.exception.errno, errno.EPERM)
            self.refused(errno.EPERM, self.blue.open())
            # a thread can always open its own namespace, and True is certain
            self.assertTrue(Netns.for_name(HERE).is_alive())

        in_a_thread(ask)

    def test_entered(self) -> None:
        here = namespace_here()
        for path in (self.path, *((None,) if HAS_COOKIE else ())):
            with self.assertRaisesRegex(RuntimeError, "inside"), self.blue.enter(path):
                self.assertEqual(namespace_here(), self.blue.ino)
                raise RuntimeError("inside")
            self.assertEqual(namespace_here(), here)
        ip_netns("del", "blue")
        self.refused(errno.ENOENT, self.blue.enter(self.path), self.path)

    def test_nameless_and_entered(self) -> None:
        if not HAS_COOKIE:
            self.skipTest("SKIPPED: no cookie before Linux 6.18")
        with process("unshare", "--net") as running, Netns.for_pid(running.pid).enter():
            self.assertTrue(Netns.for_name(HERE).same(Netns.for_pid(running.pid)))
