"""Nsids: queries, assignment, watching."""

import errno
import os
import subprocess
from collections.abc import Callable

from .support import DEADLINE, EventType, TestCase, drop_capabilities, in_a_thread, ip_netns, next_event, nswatch, until


class Nsid(TestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("blue", "red"):
            ip_netns("add", name)
        # the kernel needs a moment to remove the namespaces of earlier tests, and their nsids
        watcher = nswatch.Watcher("nsid")
        with watcher:
            until(watcher, EventType.SYNCED)
            while nswatch.list_nsids():
                until(watcher, EventType.NSID_DEL)

    def test_none_where_none_is_assigned(self) -> None:
        own = os.pidfd_open(os.getpid())
        self.addCleanup(os.close, own)
        self.assertIsNone(nswatch.nsid_for_pidfd(own))
        self.assertIsNone(nswatch.nsid_for_name("blue"))
        self.assertEqual(nswatch.list_nsids(), [])

    def test_assigned_and_asked_for(self) -> None:
        with open("/run/netns/blue") as blue:
            self.assertEqual(nswatch.assign_nsid(blue, 7), 7)
            self.assertEqual(nswatch.nsid_for_fd(blue), 7)
            self.assertEqual(nswatch.nsid_for_fd(blue.fileno()), 7)
        self.assertEqual(nswatch.nsid_for_name("blue"), 7)
        self.assertEqual(nswatch.nsid_for_name(b"/run/netns/blue"), 7)
        with open("/run/netns/red") as red:
            self.assertEqual(nswatch.assign_nsid(red), 0)
        self.assertEqual(nswatch.list_nsids(), [0, 7])

    def test_of_a_process(self) -> None:
        with open("/run/netns/blue") as blue:
            nsid = nswatch.assign_nsid(blue)
        with subprocess.Popen(
            ["ip", "netns", "exec", "blue", "sh", "-c", "echo; read line"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            self.assertEqual(nswatch.nsid_for_pid(process.pid), nsid)
            pidfd = os.pidfd_open(process.pid)
            self.addCleanup(os.close, pidfd)
            self.assertEqual(nswatch.nsid_for_pidfd(pidfd), nsid)
            process.communicate(b"\n", DEADLINE)

    def test_many_are_listed(self) -> None:
        blue, red = os.open("/run/netns/blue", os.O_RDONLY), os.open("/run/netns/red", os.O_RDONLY)
        self.addCleanup(os.close, blue)
        self.addCleanup(os.close, red)
        made = []
        for number in range(100):
            ip_netns("add", f"many{number}")
            with open(f"/run/netns/many{number}") as namespace:
                made.append(nswatch.assign_nsid(namespace))
        self.assertEqual(nswatch.list_nsids(), made)

    def test_translated(self) -> None:
        # red has nsid 3 in blue, and blue has nsid 5 here
        ip_netns("set", "blue", "5")
        subprocess.run(["ip", "-n", "blue", "netns", "set", "red", "3"], check=True)
        self.assertIsNone(nswatch.translate_nsid(3, 5))
        ip_netns("set", "red", "9")
        self.assertEqual(nswatch.translate_nsid(3, 5), 9)
        with self.assertRaises(FileNotFoundError):
            nswatch.translate_nsid(4, 5)

    def test_as_seen_from_elsewhere(self) -> None:
        # red has nsid 3 in blue, and blue has nsid 5 here
        ip_netns("set", "blue", "5")
        subprocess.run(["ip", "-n", "blue", "netns", "set", "red", "3"], check=True)
        with open("/run/netns/blue") as blue, open("/run/netns/red") as red, open("/proc/self/ns/net") as here:
            self.assertEqual(nswatch.nsid_as_seen_from(blue, red), 3)
            self.assertEqual(nswatch.nsid_as_seen_from(here.fileno(), blue.fileno()), 5)
            self.assertIsNone(nswatch.nsid_as_seen_from(here, red))
            self.assertIsNone(nswatch.nsid_as_seen_from(blue, here))

            def ask() -> None:
                drop_capabilities()
                self.assertEqual(nswatch.nsid_as_seen_from(here, blue), 5)
                with self.assertRaisesRegex(
                    PermissionError, f"file descriptor {red.fileno()} as seen from file descriptor {blue.fileno()}: "
                ):
                    nswatch.nsid_as_seen_from(blue, red)

            in_a_thread(ask)
            with open("/proc/self/ns/uts") as uts, self.assertRaises(nswatch.Error) as caught:
                nswatch.nsid_as_seen_from(uts, red)
            self.assertEqual(caught.exception.errno, errno.EPROTOTYPE)

    def test_watched(self) -> None:
        watcher = self.watcher("nsid")
        with open("/run/netns/blue") as blue:
            nsid = nswatch.assign_nsid(blue)
        event = next_event(watcher)
        self.assertEqual((event.type, event.nsid, event.name, event.origin), (EventType.NSID_NEW, nsid, None, None))
        self.assertIsNotNone(event.portid)
        ip_netns("del", "blue")
        event = next_event(watcher)
        self.assertEqual((event.type, event.nsid), (EventType.NSID_DEL, nsid))

    def test_a_watcher_keeps_its_own_namespace_alive_until_it_is_closed(self) -> None:
        ip_netns("set", "blue", "5")
        ip_netns("set", "red", "6")
        here = self.watcher("nsid")
        with nswatch.Netns.for_name("blue").enter("/run/netns/blue"):
            inside = nswatch.Watcher("nsid")
        with inside:
            ip_netns("del", "blue")
            ip_netns("del", "red")
            # the kernel removes namespaces in the order of their deletion: blue is still alive
            event = next_event(here)
            self.assertEqual((event.type, event.nsid), (EventType.NSID_DEL, 6))
            self.assertEqual(nswatch.list_nsids(), [5])
        event = next_event(here)
        self.assertEqual((event.type, event.nsid), (EventType.NSID_DEL, 5))

    def test_errors(self) -> None:
        with open("/run/netns/blue") as blue, open("/dev/null") as null:
            nswatch.assign_nsid(blue, 1)
            cases: tuple[tuple[type[OSError], int, Callable[[], object]], ...] = (
                (ProcessLookupError, errno.ESRCH, lambda: nswatch.nsid_for_pid((1 << 22) + 1)),
                (nswatch.Error, errno.EINVAL, lambda: nswatch.nsid_for_pid(0)),
                (nswatch.Error, errno.EBADF, lambda: nswatch.nsid_for_fd(-1)),
                (nswatch.Error, errno.EINVAL, lambda: nswatch.nsid_for_fd(null)),
                (nswatch.Error, errno.EBADF, lambda: nswatch.nsid_for_pidfd(null)),
                (FileNotFoundError, errno.ENOENT, lambda: nswatch.nsid_for_name("nobody")),
                (nswatch.Error, errno.EINVAL, lambda: nswatch.nsid_for_name("../x")),
                (FileExistsError, errno.EEXIST, lambda: nswatch.assign_nsid(blue)),
                (nswatch.Error, errno.EINVAL, lambda: nswatch.translate_nsid(-1, 0)),
            )
            for kind, number, ask in cases:
                with self.subTest(number=number), self.assertRaises(kind) as caught:
                    ask()
                self.assertIsInstance(caught.exception, nswatch.Error)
                self.assertEqual(caught.exception.errno, number)
            with self.assertRaises(ValueError):
                nswatch.assign_nsid(blue, -1)
            with self.assertRaises(ValueError):
                nswatch.nsid_for_name("blue\0red")
            too_large: tuple[Callable[[], object], ...] = (
                lambda: nswatch.nsid_for_pid(1 << 32 | os.getpid()),
                lambda: nswatch.nsid_for_fd(1 << 32),
                lambda: nswatch.nsid_for_pidfd(1 << 32),
                lambda: nswatch.nsid_as_seen_from(blue, 1 << 32),
                lambda: nswatch.assign_nsid(blue, 1 << 31),
            )
            for too_much in too_large:
                with self.assertRaises(OverflowError):
                    too_much()
