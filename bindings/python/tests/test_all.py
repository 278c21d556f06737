"""Every network namespace, with or without a name: birth, opening, death. Other namespaces of this host may change
meanwhile."""

import asyncio
import errno
import os

from nswatch import Event, EventType, Feature, Netns, Watcher

from .support import DEADLINE, TestCase, drop_capabilities, in_a_thread, ip_netns, namespace_here, next_event, nswatch
from .test_netns import process


def about(watcher: Watcher, netns: Netns) -> Event:
    """Returns the next event of that namespace."""
    while (event := next_event(watcher)).netns is None or not event.netns.same(netns):
        pass
    return event


class All(TestCase):
    def births(self, watcher: Watcher) -> None:
        """Without the feature, a resync finds births."""
        if not nswatch.feature(Feature.BIRTHS):
            watcher.resync()

    def deaths(self, watcher: Watcher) -> None:
        if not nswatch.feature(Feature.DEATHS):
            watcher.resync()

    def test_a_namespace_without_a_name_is_born_and_dies(self) -> None:
        watcher = self.watcher("all")
        with process("unshare", "--net") as running:
            netns = Netns.for_pid(running.pid)
            self.births(watcher)
            born = about(watcher, netns)
            self.assertEqual(born.type, EventType.NETNS_NEW)
            self.assertEqual((born.pid, born.path, born.name), (running.pid, f"/proc/{running.pid}/ns/net", None))
            self.assertEqual((born.dev, born.ino, born.cookie or 0), (netns.dev, netns.ino, netns.cookie))
            self.assertIsNone(born.nsid)
            line = f"netns_new net:[{netns.ino}] /proc/{running.pid}/ns/net"
            self.assertEqual(str(born).removesuffix(" (replayed)"), line)
            with born.open_netns() as fd:
                self.assertEqual(os.fstat(fd).st_ino, netns.ino)
            here = namespace_here()
            with born.enter():
                self.assertEqual(namespace_here(), netns.ino)
            self.assertEqual(namespace_here(), here)
        self.deaths(watcher)
        dead = about(watcher, netns)
        self.assertEqual((dead.type, dead.pid, dead.path, dead.name), (EventType.NETNS_DEL, None, None, None))
        self.assertEqual(str(dead).removesuffix(" (replayed)"), f"netns_del net:[{netns.ino}]")
        for way in (dead.open_netns, dead.enter):
            with self.assertRaisesRegex(ValueError, "this event is netns_del"), way():
                pass

    def test_what_exists_is_replayed(self) -> None:
        ip_netns("add", "blue")
        netns, own = Netns.for_name("blue"), Netns.for_pid(os.getpid())
        with nswatch.Watcher("all") as watcher:
            replayed = []
            while (event := next_event(watcher)).type != EventType.SYNCED:
                replayed.append(event)
            self.assertLessEqual(2, watcher.stats.known)
            self.assertEqual(watcher.stats.pending, 0)
        self.assertTrue(all(event.replayed and event.type == EventType.NETNS_NEW for event in replayed))
        (blue,) = (event for event in replayed if event.netns is not None and event.netns.same(netns))
        self.assertEqual((blue.path, blue.pid), ("/run/netns/blue", None))
        self.assertEqual(len([event for event in replayed if event.netns is not None and event.netns.same(own)]), 1)

    def test_by_its_cookie_where_the_path_leads_elsewhere(self) -> None:
        watcher = self.watcher("all")
        ip_netns("add", "blue")
        netns = Netns.for_name("blue")
        born = about(watcher, netns)
        with netns.open("/run/netns/blue"):
            ip_netns("del", "blue")
            self.reached(born, errno.ENOENT)
            ip_netns("add", "blue")
            self.reached(born, errno.ESTALE)

    def reached(self, born: Event, number: int) -> None:
        """Opens by the cookie, which requires Linux 6.18 and a privilege; else expects the error of the path."""
        if nswatch.feature(Feature.COOKIE):
            with born.open_netns() as fd:
                self.assertEqual(os.fstat(fd).st_ino, born.ino)
            with born.enter():
                self.assertEqual(namespace_here(), born.ino)

        def without_capabilities() -> None:
            drop_capabilities()
            self.refused(born, number)

        in_a_thread(without_capabilities)

    def refused(self, event: Event, number: int) -> None:
        with self.assertRaises(nswatch.Error) as caught, event.open_netns():
            pass
        self.assertEqual(caught.exception.errno, number)

    def test_async(self) -> None:
        async def first(watcher: Watcher, netns: Netns) -> Event:
            async for event in watcher:
                if event.netns is not None and event.netns.same(netns):
                    return event
            raise AssertionError("it ended")

        watcher = self.watcher("all")
        ip_netns("add", "blue")
        netns = Netns.for_name("blue")
        event = asyncio.run(asyncio.wait_for(first(watcher, netns), DEADLINE))
        self.assertEqual((event.type, event.path), (EventType.NETNS_NEW, "/run/netns/blue"))

    def test_more_than_may_be_kept(self) -> None:
        with self.assertRaises(nswatch.Error) as caught:
            nswatch.Watcher("all", max_names=1)
        self.assertEqual(caught.exception.errno, errno.E2BIG)
