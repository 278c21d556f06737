"""Listing, and waiting for one name."""

import asyncio
import errno
import os
import threading
import time

from .support import DEADLINE, EventType, TestCase, ip_netns, kinds, nswatch


def adding(name: str) -> threading.Thread:
    thread = threading.Thread(target=ip_netns, args=("add", name))
    thread.start()
    return thread


class Now(TestCase):
    def test_the_names(self) -> None:
        self.assertEqual(nswatch.list_named(), [])
        self.assertEqual(nswatch.list_named("/run/not/there"), [])
        ip_netns("add", "blue")
        with open("/run/netns/pending", "x"):
            pass
        events = nswatch.list_named()
        self.assertEqual(sorted(kinds(events)), [("created", "blue"), ("created", "pending"), ("ready", "blue")])
        self.assertTrue(all(event.replayed for event in events))
        self.assertEqual(kinds(nswatch.list_named("/run/netns")), kinds(events))
        with self.assertRaisesRegex(ValueError, "absolute"):
            nswatch.list_named("netns")

    def test_all(self) -> None:
        ip_netns("add", "blue")
        events = nswatch.list_all()
        self.assertEqual({event.type for event in events}, {EventType.NETNS_NEW})
        found = [event.netns for event in events if event.netns is not None]
        for netns in (nswatch.Netns.for_name("blue"), nswatch.Netns.for_pid(os.getpid())):
            self.assertEqual(sum(netns.same(each) for each in found), 1)


class Waiting(TestCase):
    def test_a_name_that_exists(self) -> None:
        ip_netns("add", "blue")
        blue = nswatch.Netns.for_name("blue")
        self.assertTrue(nswatch.wait_ready("blue", 0).same(blue))
        self.assertTrue(nswatch.wait_ready("/run/netns/blue").same(blue))
        self.assertTrue(nswatch.wait_ready(b"/run/netns/blue").same(blue))
        self.assertTrue(asyncio.run(nswatch.wait_ready_async("blue")).same(blue))

    def test_a_name_that_appears(self) -> None:
        for wait in (
            nswatch.wait_ready,
            lambda name, timeout: asyncio.run(nswatch.wait_ready_async(name, timeout)),
        ):
            thread = adding("late")
            try:
                netns = wait("late", DEADLINE)
                self.assertTrue(netns.same(nswatch.Netns.for_name("late")))
            finally:
                thread.join()
            ip_netns("delete", "late")

    def test_the_time_is_over(self) -> None:
        with open(self.directory() + "/pending", "x"):
            pass
        for name in ("pending", "missing", "/run/not/there"):
            for timeout in (0, 0.01):
                begin = time.monotonic()
                with self.assertRaisesRegex(TimeoutError, f"{name} cannot be opened after {timeout} seconds"):
                    nswatch.wait_ready(name, timeout)
                with self.assertRaises(TimeoutError):
                    asyncio.run(nswatch.wait_ready_async(name, timeout))
                self.assertLess(time.monotonic() - begin, DEADLINE)

    def test_what_cannot_be_waited_for(self) -> None:
        for name, number in (
            ("", errno.EINVAL),
            ("/", errno.EINVAL),
            ("../netns/blue", errno.EINVAL),
            ("/dev/null/blue", errno.ENOTDIR),
        ):
            for wait in (nswatch.wait_ready, lambda name: asyncio.run(nswatch.wait_ready_async(name))):
                with self.subTest(name), self.assertRaises(nswatch.Error) as caught:
                    wait(name)
                self.assertEqual(caught.exception.errno, number)
        for wait in (nswatch.wait_ready, lambda *what: asyncio.run(nswatch.wait_ready_async(*what))):
            with self.assertRaisesRegex(ValueError, "negative"):
                wait("blue", -1)

    def directory(self) -> str:
        os.makedirs("/run/netns", exist_ok=True)
        return "/run/netns"


class Asking(TestCase):
    def test_a_watcher_is_closed_by_async_with(self) -> None:
        async def main() -> nswatch.Watcher:
            async with nswatch.Watcher() as watcher:
                async for event in watcher:
                    self.assertEqual(event.type, EventType.SYNCED)
                    return watcher
            raise AssertionError("no event")

        self.assertTrue(asyncio.run(main()).closed)

    def test_mypy_knows_which_options_a_source_has(self) -> None:
        # mypy reports an unused comment
        with self.assertRaises(ValueError):
            nswatch.Watcher("nsid", dir="/run")  # type: ignore[call-overload]
        with self.assertRaises(ValueError):
            nswatch.Watcher("all", rcvbuf=1)  # type: ignore[call-overload]
        with self.assertRaises(ValueError):
            nswatch.Watcher(all_nsid=True)  # type: ignore[call-overload]

    def test_a_feature_by_its_name(self) -> None:
        self.assertEqual(nswatch.feature("cookie"), nswatch.feature(nswatch.Feature.COOKIE))
        self.assertEqual(nswatch.feature("mount_events"), nswatch.feature(nswatch.Feature.MOUNT_EVENTS))
        with self.assertRaisesRegex(ValueError, "no feature 'cookies': mount_events, .*, deaths"):
            nswatch.feature("cookies")
