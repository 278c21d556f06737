"""Events as values, and opening their namespaces."""

import contextlib
import copy
import dataclasses
import errno
import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
import unicodedata
from unittest import mock

from nswatch import Netns, _event, _netns

from .support import (
    DEADLINE,
    Event,
    EventType,
    TestCase,
    drop_capabilities,
    in_a_thread,
    ip_netns,
    namespace_here,
    next_event,
    nswatch,
    until,
)


class Values(TestCase):
    def test_types(self) -> None:
        self.assertEqual(str(EventType.DIR_CREATED), "dir_created")
        self.assertEqual(f"{EventType.READY:>7}", "  ready")
        self.assertEqual(EventType.READY, 2)

    def test_a_type_of_a_later_version(self) -> None:
        stranger = EventType(4711)
        self.assertIsInstance(stranger, EventType)
        self.assertEqual(stranger, 4711)
        self.assertEqual(str(stranger), "unknown")
        self.assertNotIn(stranger, list(EventType))
        self.assertEqual(len({stranger, EventType(4711)}), 1)
        with self.assertRaises(ValueError):
            EventType("ready")  # type: ignore[arg-type]

    def test_an_event_of_a_later_version(self) -> None:
        with (
            mock.patch.object(_event, "_type", return_value=4711),
            mock.patch.object(_event, "_flags", return_value=0xFFFFFFFE),
            nswatch.Watcher() as watcher,
        ):
            event = next_event(watcher)
        self.assertEqual((event.type, str(event.type), event.replayed), (4711, "unknown", False))
        self.assertTrue(repr(event).startswith("Event(UNKNOWN_4711, time_ns="), event)
        for same in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
            self.assertEqual(same, event)
            self.assertEqual(same.type.name, "UNKNOWN_4711")
        with self.assertRaisesRegex(ValueError, "only ready and netns_new"), event.open_netns():
            pass

    def test_frozen(self) -> None:
        event = Event(EventType.SYNCED, 1)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            event.name = "x"  # type: ignore[misc]
        self.assertEqual(event, Event(EventType.SYNCED, 1))
        self.assertEqual(hash(event), hash(Event(EventType.SYNCED, 1)))
        self.assertEqual(repr(event), "Event(SYNCED, time_ns=1, replayed=False)")

    def test_matched(self) -> None:
        def about(event: Event) -> object:
            match event:
                case Event(EventType.READY, name=str(name), netns=Netns(dev=4) as netns):
                    return name, netns
                case Event(EventType.CREATED | EventType.READY, name=str(name)):
                    return name
                case Event(EventType.NSID_NEW, nsid=int(nsid)):
                    return nsid
                case Event(EventType.SYNCED):
                    return "synced"
            return None

        netns = Netns(dev=4, ino=5)
        self.assertEqual(about(Event(EventType.READY, 1, name="blue", netns=netns)), ("blue", netns))
        self.assertEqual(about(Event(EventType.READY, 1, name="blue", netns=Netns(1, 5))), "blue")
        self.assertEqual(about(Event(EventType.CREATED, 1, name="blue")), "blue")
        self.assertEqual(about(Event(EventType.NSID_NEW, 1, nsid=0)), 0)
        self.assertEqual(about(Event(EventType.SYNCED, 1)), "synced")
        self.assertIsNone(about(Event(EventType.DELETED, 1, name="blue")))
        self.assertIsNone(about(Event(EventType(4711), 1)))
        with self.assertRaises(TypeError):
            match Event(EventType.READY, 1, name="blue"):
                case Event(EventType.READY, _name):  # type: ignore[misc]
                    self.fail("the second position is the time")

    def test_a_line_for_people(self) -> None:
        netns = Netns(dev=4, ino=5)
        for event, line in (
            (Event(EventType.SYNCED, 1), "synced"),
            (Event(EventType.OVERFLOW, 1, dropped=3), "overflow"),
            (Event(EventType.READY, 1, replayed=True, name="blue", netns=netns), "ready blue net:[5] (replayed)"),
            (Event(EventType.NSID_NEW, 1, nsid=3, origin=0, portid=9), "nsid_new 3 in 0"),
            (Event(EventType.NSID_DEL, 1, nsid=0), "nsid_del 0"),
            (Event(EventType.NETNS_NEW, 1, netns=netns, pid=9), "netns_new net:[5]"),
            (Event(EventType.NETNS_NEW, 1, path="/run/a b", netns=netns), r"netns_new net:[5] /run/a\x20b"),
            (Event(EventType.NETNS_DEL, 1, replayed=True, netns=netns), "netns_del net:[5] (replayed)"),
        ):
            self.assertEqual(str(event), line)

    def test_a_name_cannot_control_the_terminal(self) -> None:
        raw = b"\x1b]0;owned\x07 a\tb\r\n\x7f\xc2\x9b\xe2\x80\xae\\'\"\xff\xed\xa0\x80caf\xc3\xa9"
        shown = r"\u{1b}]0;owned\u{7}\x20a\tb\r\n\u{7f}\u{9b}\u{202e}\\\'\"\xff\xed\xa0\x80café"
        watcher = self.watcher()
        ip_netns("add", os.fsdecode(raw))
        ready = until(watcher, EventType.READY)
        self.assertEqual(os.fsencode(ready.name or ""), raw)
        self.assertEqual(str(ready), f"ready {shown} net:[{ready.ino}]")
        self.assertEqual(nswatch.printable(ready.name or ""), shown)
        ip_netns("del", os.fsdecode(raw))
        with self.assertRaises(nswatch.Error) as caught, ready.open_netns():
            pass
        for text in (repr(ready), str(caught.exception), repr(caught.exception)):
            self.assertTrue(text.isprintable(), ascii(text))

    def test_control_and_white_characters_are_escaped(self) -> None:
        for character in map(chr, range(sys.maxunicode + 1)):
            text = nswatch.printable(character)
            self.assertFalse(
                any(unicodedata.category(each)[0] in "Z" or each < " " or "\x7f" <= each <= "\x9f" for each in text)
            )
            text.encode()

    def test_copied_and_pickled(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "blue")
        ready = until(watcher, EventType.READY)
        for same in (copy.deepcopy(ready), pickle.loads(pickle.dumps(ready))):
            self.assertEqual(same, ready)
            with same.open_netns() as fd:
                self.assertEqual(os.fstat(fd).st_ino, ready.ino)


class Opening(TestCase):
    def ready(self, name: str = "blue") -> Event:
        watcher = self.watcher()
        ip_netns("add", name)
        return until(watcher, EventType.READY)

    def refused(self, event: Event, number: int) -> None:
        with self.assertRaises(nswatch.Error) as caught, event.open_netns():
            pass
        self.assertEqual(caught.exception.errno, number)
        self.assertEqual(caught.exception.filename, event.path)

    def test_it_is_the_namespace_and_closed_in_the_end(self) -> None:
        event = self.ready()
        with event.open_netns() as fd:
            self.assertEqual(os.fstat(fd).st_ino, event.ino)
            self.assertFalse(os.get_inheritable(fd))
        with self.assertRaises(OSError):
            os.fstat(fd)

    def test_after_other_events_in_another_thread_and_after_close(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "one")
        ip_netns("add", "two")
        events: queue.Queue[Event] = queue.Queue()
        for _ in range(4):
            events.put(next_event(watcher))
        watcher.close()
        opened = []

        def consume() -> None:
            while not events.empty():
                event = events.get()
                if event.type == EventType.READY:
                    with event.open_netns() as fd:
                        opened.append((event.name, os.fstat(fd).st_ino == event.ino))

        thread = threading.Thread(target=consume)
        thread.start()
        thread.join(DEADLINE)
        # names in a new directory come in no particular order
        self.assertCountEqual(opened, [("one", True), ("two", True)])

    def test_gone(self) -> None:
        event = self.ready()
        ip_netns("del", "blue")
        self.refused(event, errno.ENOENT)

    def test_no_namespace_any_more(self) -> None:
        event = self.ready()
        subprocess.run(["umount", "/run/netns/blue"], check=True)
        self.refused(event, errno.ENOENT)

    def test_a_fifo_in_its_place_is_not_waited_for(self) -> None:
        event = self.ready()
        ip_netns("del", "blue")
        os.mkfifo("/run/netns/blue")
        self.refused(event, errno.ENOENT)

    def test_another_kind_of_namespace_in_its_place(self) -> None:
        event = self.ready()
        ip_netns("del", "blue")
        os.symlink("/proc/self/ns/mnt", "/run/netns/blue")
        self.refused(event, errno.ENOENT)

    def test_replaced(self) -> None:
        event = self.ready()
        ip_netns("del", "blue")
        ip_netns("add", "blue")
        self.refused(event, errno.ESTALE)

    def test_another_one_of_the_same_inode_number(self) -> None:
        event = self.ready()
        assert event.netns is not None
        # as if the kernel had recycled the inode number
        what = "stamp" if event.cookie is None else "cookie"
        before = dataclasses.replace(event.netns, **{what: getattr(event.netns, what) - 1})
        self.refused(dataclasses.replace(event, netns=before), errno.ESTALE)

    def test_the_same_on_a_kernel_without_cookies(self) -> None:
        event = self.ready()
        assert event.netns is not None
        event = dataclasses.replace(event, netns=Netns(event.netns.dev, event.netns.ino))
        self.assertIsNone(event.cookie)
        with event.open_netns() as fd:
            self.assertEqual(os.fstat(fd).st_ino, event.ino)
        ip_netns("del", "blue")
        self.refused(event, errno.ENOENT)

    def test_a_symbolic_link(self) -> None:
        watcher = self.watcher()
        os.makedirs("/run/netns", exist_ok=True)
        os.symlink("/proc/self/ns/net", "/run/netns/own")
        event = until(watcher, EventType.READY)
        # nothing pins that inode, so its change time does not identify the namespace
        assert event.netns is not None
        self.assertEqual(event.netns.stamp, 0)
        with event.open_netns() as fd:
            self.assertEqual(os.fstat(fd).st_ino, event.ino)

    def test_events_hold_nothing_open(self) -> None:
        # the NSID_DEL shows that the namespace died
        event = self.ready()
        deaths = self.watcher("nsid")
        with event.open_netns() as fd:
            nsid = nswatch.assign_nsid(fd)
        ip_netns("del", "blue")
        self.assertEqual(until(deaths, EventType.NSID_DEL).nsid, nsid)

    def test_only_ready_events_open(self) -> None:
        for event in (
            Event(EventType.SYNCED, 1),
            Event(EventType.CREATED, 1, name="blue", path="/run/netns/blue"),
            Event(EventType.NETNS_DEL, 1, netns=Netns(dev=4, ino=5)),
        ):
            with self.assertRaisesRegex(ValueError, "only ready and netns_new"), event.open_netns():
                pass
            with self.assertRaisesRegex(ValueError, "only ready and netns_new"), event.enter():
                pass


class Entering(TestCase):
    def setUp(self) -> None:
        super().setUp()
        watcher = self.watcher()
        ip_netns("add", "blue")
        self.event = until(watcher, EventType.READY)
        self.here = namespace_here()

    def test_there_and_back(self) -> None:
        with self.event.enter():
            self.assertEqual(namespace_here(), self.event.ino)
            self.assertEqual([name for _, name in socket.if_nameindex()], ["lo"])
        self.assertEqual(namespace_here(), self.here)

    def test_back_after_an_exception(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "inside"), self.event.enter():
            raise RuntimeError("inside")
        self.assertEqual(namespace_here(), self.here)

    def test_nested(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "red")
        red = until(watcher, EventType.READY)
        with self.event.enter():
            with red.enter():
                self.assertEqual(namespace_here(), red.ino)
            self.assertEqual(namespace_here(), self.event.ino)
        self.assertEqual(namespace_here(), self.here)

    def test_only_this_thread_goes(self) -> None:
        seen: queue.Queue[int] = queue.Queue()
        go = threading.Event()

        def look() -> None:
            go.wait(DEADLINE)
            seen.put(namespace_here())

        thread = threading.Thread(target=look)
        thread.start()
        with self.event.enter():
            go.set()
            thread.join(DEADLINE)
        self.assertEqual(seen.get(timeout=DEADLINE), self.here)

    def test_not_entered_when_it_is_gone(self) -> None:
        ip_netns("del", "blue")
        with self.assertRaises(FileNotFoundError), self.event.enter():
            self.fail("inside")
        self.assertEqual(namespace_here(), self.here)

    def test_refused_by_the_kernel(self) -> None:
        with (
            mock.patch.object(_netns, "CLONE_NEWNET", 0x00020000),  # of another kind
            self.assertRaisesRegex(nswatch.Error, "cannot enter"),
            open("/proc/self/ns/net") as own,
            _netns.entered(own.fileno(), "own"),
        ):
            self.fail("inside")

    def test_it_may_be_deleted_while_inside(self) -> None:
        with self.event.enter():
            ip_netns("del", "blue")
            self.assertEqual(namespace_here(), self.event.ino)
        self.assertEqual(namespace_here(), self.here)

    def test_no_way_back(self) -> None:
        def give_up() -> None:
            stays = "cannot go back: this thread stays in the network namespace /run/netns/blue: CAP_SYS_ADMIN is"
            refused = self.assertRaisesRegex(PermissionError, stays)
            with refused as caught, self.event.enter():
                drop_capabilities()
                raise KeyError("the block's own")
            self.assertEqual(caught.exception.errno, errno.EPERM)
            self.assertIsInstance(caught.exception.__context__, KeyError)
            self.assertEqual(namespace_here(), self.event.ino)

        in_a_thread(give_up)
        self.assertEqual(namespace_here(), self.here)

    def test_no_way_in(self) -> None:
        def try_it() -> None:
            drop_capabilities()
            refused = self.assertRaises(PermissionError)
            with refused as caught, self.event.enter():
                self.fail("inside")
            self.assertIsNone(caught.exception.__context__)
            # one sentence in all languages
            self.assertEqual(
                str(caught.exception),
                "[Errno 1] cannot enter the network namespace /run/netns/blue: CAP_SYS_ADMIN is missing, in your user "
                "namespace or in the one that owns the network namespace; or a seccomp filter refuses setns(2)",
            )
            self.assertEqual(namespace_here(), self.here)

        in_a_thread(try_it)

    def test_interrupted_on_the_way_in(self) -> None:
        enter = _netns._enter

        def interrupted(fd: int, what: str) -> None:
            enter(fd, what)
            if what.startswith("enter"):
                raise KeyboardInterrupt

        with mock.patch.object(_netns, "_enter", interrupted), self.assertRaises(KeyboardInterrupt), self.event.enter():
            self.fail("inside")
        self.assertEqual(namespace_here(), self.here)

    def test_left_by_another_thread(self) -> None:
        block = contextlib.ExitStack()
        in_a_thread(lambda: block.enter_context(self.event.enter()))
        with self.assertRaisesRegex(RuntimeError, "left by another thread"):
            block.close()
        self.assertEqual(namespace_here(), self.here)
