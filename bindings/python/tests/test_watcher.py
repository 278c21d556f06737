"""Events, waiting, closing."""

import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

from .support import (
    DEADLINE,
    EventType,
    TestCase,
    Watcher,
    drop_capabilities,
    in_a_thread,
    ip_netns,
    kinds,
    next_event,
    nswatch,
    open_files,
    python,
    until,
)


def in_system_call(watcher: Watcher, threads: int) -> None:
    """Returns when that many threads wait for an event."""
    end = time.monotonic() + DEADLINE
    while watcher._users < threads or watcher._wake is None:
        if time.monotonic() > end:
            raise AssertionError("they do not wait")
        os.sched_yield()


class Events(TestCase):
    def test_prepared_for_a_loss_of_capabilities(self) -> None:
        def unprivileged() -> None:
            drop_capabilities()
            self.assertEqual(next_event(watcher).type, EventType.CREATED)
            self.assertEqual(next_event(watcher).type, EventType.READY)

        with nswatch.Watcher(prepare=True, mount_events=True) as watcher:
            self.assertEqual(next_event(watcher).type, EventType.SYNCED)
            ip_netns("add", "blue")
            in_a_thread(unprivileged)

    def test_a_directory_that_others_write_to(self) -> None:
        ip_netns("add", "blue")
        os.symlink("/proc/self/ns/net", "/run/netns/own")
        with self.assertRaises(nswatch.Error) as caught:
            Watcher(max_names=1)
        self.assertEqual(caught.exception.errno, errno.E2BIG)
        with Watcher(symlinks=False, max_names=2) as watcher:
            replay = kinds([next_event(watcher) for _ in range(4)])
            expected = [("created", "own"), ("created", "blue"), ("ready", "blue"), ("synced", None)]
            self.assertCountEqual(replay, expected)
            os.symlink("blue", "/run/netns/alias")
            with self.assertRaises(nswatch.Error) as caught:
                watcher.poll(0)
            self.assertEqual(caught.exception.errno, errno.E2BIG)
            self.assertIsNone(watcher.poll(0))
            os.unlink("/run/netns/own")
            seen = kinds([next_event(watcher), next_event(watcher)])
            self.assertEqual(seen, [("deleted", "own"), ("created", "alias")])

    def test_existing_names_are_replayed_and_changes_reported(self) -> None:
        ip_netns("add", "before")
        with Watcher() as watcher:
            replay = [next_event(watcher) for _ in range(3)]
            self.assertEqual(kinds(replay), [("created", "before"), ("ready", "before"), ("synced", None)])
            self.assertEqual([event.replayed for event in replay], [True, True, False])
            self.assertIsNone(watcher.poll(0))

            start = time.monotonic_ns()
            ip_netns("add", "blue")
            namespace = os.stat("/run/netns/blue")
            created, ready = next_event(watcher), next_event(watcher)
            self.assertEqual(kinds([created, ready]), [("created", "blue"), ("ready", "blue")])
            self.assertFalse(ready.replayed)
            self.assertEqual(ready.path, "/run/netns/blue")
            self.assertEqual((ready.dev, ready.ino), (namespace.st_dev, namespace.st_ino))
            self.assertLess(start, created.time_ns)
            self.assertLess(ready.time_ns, time.monotonic_ns())
            self.assertIsNone(created.ino)
            self.assertIsNone(ready.nsid)
            self.assertIsNone(ready.dropped)
            ip_netns("del", "blue")
            self.assertEqual(kinds([next_event(watcher)]), [("deleted", "blue")])

    def test_without_replay(self) -> None:
        ip_netns("add", "before")
        with Watcher(replay=False) as watcher:
            self.assertIsNone(watcher.poll(0))
            # no deletion is reported of a name that was never reported
            ip_netns("del", "before")
            ip_netns("add", "blue")
            self.assertEqual(
                kinds([next_event(watcher), next_event(watcher)]), [("created", "blue"), ("ready", "blue")]
            )

    def test_iterating(self) -> None:
        ip_netns("add", "blue")
        seen = []
        with Watcher() as watcher:
            for event in watcher:
                seen.append(event)
                if event.type == EventType.SYNCED:
                    ip_netns("del", "blue")
                if event.type == EventType.DELETED:
                    break
        self.assertEqual(kinds(seen), [("created", "blue"), ("ready", "blue"), ("synced", None), ("deleted", "blue")])

    def test_another_directory_and_its_life(self) -> None:
        directory = "/run/elsewhere"
        with Watcher(dir=directory, dir_events=True) as watcher:
            until(watcher, EventType.SYNCED)
            os.mkdir(directory)
            self.assertEqual(kinds([next_event(watcher)]), [("dir_created", None)])
            os.symlink("/proc/self/ns/net", f"{directory}/own")
            ready = until(watcher, EventType.READY)
            self.assertEqual(ready.path, f"{directory}/own")
            os.unlink(f"{directory}/own")
            os.rmdir(directory)
            self.assertEqual(
                kinds([next_event(watcher), next_event(watcher)]), [("deleted", "own"), ("dir_deleted", None)]
            )

    def test_the_end_of_the_directory_ends_the_iteration(self) -> None:
        directory = "/run/short"
        os.mkdir(directory)
        with Watcher(dir=directory.encode(), parent=False) as watcher:
            os.rmdir(directory)
            self.assertEqual(kinds(list(watcher))[-1], ("dir_deleted", None))
            with self.assertRaises(FileNotFoundError):
                watcher.poll(DEADLINE)

    def test_names_of_any_bytes(self) -> None:
        raw = b"caf\xe9 \xff"
        watcher = self.watcher()
        subprocess.run([b"ip", b"netns", b"add", raw], check=True)
        ready = until(watcher, EventType.READY)
        assert ready.name is not None
        self.assertEqual(os.fsencode(ready.name), raw)
        with ready.open_netns() as fd:
            self.assertEqual(os.fstat(fd).st_ino, ready.ino)

    def test_resync_and_stats(self) -> None:
        ip_netns("add", "blue")
        watcher = self.watcher()
        self.assertEqual((watcher.stats.known, watcher.stats.delivered, watcher.stats.resyncs), (1, 3, 1))
        # an unmount raises no inotify event
        subprocess.run(["umount", "/run/netns/blue"], check=True)
        watcher.resync()
        self.assertEqual(kinds([next_event(watcher), next_event(watcher)]), [("detached", "blue"), ("synced", None)])
        stats = watcher.stats
        self.assertEqual((stats.pending, stats.delivered, stats.resyncs, stats.queued), (1, 5, 2, 0))

    def test_after_an_overflow_of_the_queue_the_watcher_resyncs(self) -> None:
        watcher = self.watcher(queue=4, queue_policy="drop-oldest")
        for number in range(8):
            ip_netns("add", f"many{number}")
        overflow = until(watcher, EventType.OVERFLOW)
        self.assertGreater(overflow.dropped or 0, 0)
        until(watcher, EventType.SYNCED)
        while watcher.stats.known < 8:
            next_event(watcher)
        self.assertGreaterEqual(watcher.stats.overflows, 1)

    def test_settled_names_are_reported_once(self) -> None:
        os.mkdir("/run/netns")
        watcher = self.watcher(settle=0.2)
        with open("/run/netns/short", "x"):
            pass
        os.unlink("/run/netns/short")
        ip_netns("add", "stays")
        self.assertEqual(kinds([next_event(watcher), next_event(watcher)]), [("created", "stays"), ("ready", "stays")])


class Waiting(TestCase):
    def test_a_timeout(self) -> None:
        watcher = self.watcher()
        start = time.monotonic()
        self.assertIsNone(watcher.poll(0.05))
        self.assertGreaterEqual(time.monotonic() - start, 0.05)
        for wrong in (-1, float("nan")):
            with self.assertRaises(ValueError):
                watcher.poll(wrong)

    def test_for_ever_is_a_timeout_too(self) -> None:
        watcher = self.watcher()
        with subprocess.Popen(["ip", "netns", "add", "blue"]):
            event = watcher.poll(float("inf"))
        assert event is not None
        self.assertEqual(event.name, "blue")

    def test_the_descriptor_is_readable_while_there_is_an_event(self) -> None:
        watcher = self.watcher()
        self.assertEqual(select.select([watcher], [], [], 0)[0], [])
        ip_netns("add", "blue")
        for _ in range(3):
            self.assertEqual(select.select([watcher], [], [], DEADLINE)[0], [watcher])
        while watcher.poll(0):
            pass
        self.assertEqual(select.select([watcher], [], [], 0)[0], [])

    def test_a_descriptor_beyond_what_select_can_wait_on(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        low: list[int] = []
        while not low or low[-1] < 1030:
            low.append(os.open("/dev/null", os.O_RDONLY))
        try:
            watcher = self.watcher()
            self.assertGreater(watcher.fileno(), 1024)
            self.assertIsNone(watcher.poll(0.01))
        finally:
            for fd in low:
                os.close(fd)

    def test_each_event_goes_to_one_thread(self) -> None:
        watcher = self.watcher()
        taken: list[tuple[str, str | None]] = []

        def consume() -> None:
            for event in watcher:
                taken.append((str(event.type), event.name))
                if len(taken) == 20:
                    watcher.close()

        threads = [threading.Thread(target=consume, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(10):
            ip_netns("add", f"many{number}")
        for thread in threads:
            thread.join(DEADLINE)
            self.assertFalse(thread.is_alive())
        self.assertEqual(
            sorted(taken, key=str), sorted(((k, f"many{n}") for k in ("created", "ready") for n in range(10)), key=str)
        )

    def interrupted(self, body: str) -> None:
        program = python(
            "-c",
            "import nswatch\nwatcher = nswatch.Watcher()\nwatcher.poll()\n"
            f"try:\n    print('waits', flush=True)\n    {body}\n"
            "except KeyboardInterrupt:\n    print('interrupted', flush=True)\nwatcher.close()\n",
        )
        assert program.stdout is not None
        self.assertEqual(program.stdout.readline(), b"waits\n")
        # the program must end at once, wherever it is
        start = time.monotonic()
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=DEADLINE)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual((out, err, program.returncode), (b"interrupted\n", b"", 0))

    def test_ctrl_c_while_polling(self) -> None:
        self.interrupted("watcher.poll()")

    def test_ctrl_c_while_iterating(self) -> None:
        self.interrupted("next(watcher)")

    def test_other_signals_are_handled_and_the_wait_goes_on(self) -> None:
        watcher = self.watcher()
        handled = threading.Event()
        old = signal.signal(signal.SIGUSR1, lambda *_: handled.set())
        self.addCleanup(signal.signal, signal.SIGUSR1, old)

        def disturb() -> None:
            os.kill(os.getpid(), signal.SIGUSR1)
            handled.wait(DEADLINE)
            ip_netns("add", "blue")

        thread = threading.Thread(target=disturb, daemon=True)
        thread.start()
        self.assertEqual(next_event(watcher).name, "blue")
        thread.join()
        self.assertTrue(handled.is_set())

    def test_what_a_signal_handler_raises_comes_through_as_it_is(self) -> None:
        watcher = self.watcher()

        def alarm(*_: object) -> None:
            raise TimeoutError("enough")

        old = signal.signal(signal.SIGALRM, alarm)
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with self.assertRaises(TimeoutError) as caught:
            watcher.poll(DEADLINE)
        self.assertEqual((type(caught.exception), str(caught.exception)), (TimeoutError, "enough"))
        self.assertEqual(signal.set_wakeup_fd(-1), -1)


class Closing(TestCase):
    def test_closing_twice(self) -> None:
        watcher = Watcher()
        self.assertFalse(watcher.closed)
        watcher.close()
        watcher.close()
        self.assertTrue(watcher.closed)
        self.assertIn("closed", repr(watcher))

    def test_every_call_on_a_closed_watcher_fails(self) -> None:
        watcher = Watcher()
        watcher.close()
        for use in (
            watcher.fileno,
            watcher.poll,
            lambda: watcher.poll(0),
            watcher.resync,
            lambda: watcher.stats,
            lambda: iter(watcher),
            watcher.__aiter__,
            watcher.__enter__,
        ):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()

    def test_those_who_wait_are_woken_up(self) -> None:
        watcher = self.watcher()
        about_to_wait = threading.Barrier(3)
        ends: list[object] = []

        def iterate() -> None:
            about_to_wait.wait(DEADLINE)
            ends.append(list(watcher))

        def poll() -> None:
            about_to_wait.wait(DEADLINE)
            try:
                watcher.poll()
            except ValueError as error:
                ends.append(str(error))

        threads = [threading.Thread(target=body, daemon=True) for body in (iterate, poll)]
        for thread in threads:
            thread.start()
        about_to_wait.wait(DEADLINE)
        in_system_call(watcher, 2)
        watcher.close()
        for thread in threads:
            thread.join(DEADLINE)
            self.assertFalse(thread.is_alive())
        self.assertCountEqual(ends, [[], "the watcher is closed"])

    def closed_by_a_signal(self, kill: Callable[[], None]) -> None:
        watcher = self.watcher()
        old = signal.signal(signal.SIGUSR1, lambda *_: watcher.close())
        self.addCleanup(signal.signal, signal.SIGUSR1, old)

        def disturb() -> None:
            in_system_call(watcher, 1)
            kill()

        thread = threading.Thread(target=disturb, daemon=True)
        thread.start()
        self.assertEqual(list(watcher), [])
        thread.join()

    def test_a_signal_handler_may_close(self) -> None:
        self.closed_by_a_signal(lambda: os.kill(os.getpid(), signal.SIGUSR1))

    def test_a_signal_that_interrupts_no_system_call_is_handled_at_once(self) -> None:
        # the kernel interrupts the other thread, as if the signal came just before the wait
        self.closed_by_a_signal(lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))

    def test_signals_are_passed_on_to_who_had_them_before(self) -> None:
        watcher = self.watcher()
        mine, theirs = socket.socketpair()
        with mine, theirs:
            theirs.settimeout(0)
            mine.settimeout(DEADLINE)
            old = signal.signal(signal.SIGUSR1, lambda *_: None)
            self.addCleanup(signal.signal, signal.SIGUSR1, old)
            before = signal.set_wakeup_fd(theirs.fileno())

            def disturb() -> None:
                in_system_call(watcher, 1)
                os.kill(os.getpid(), signal.SIGUSR1)
                # arrives during the wait
                self.assertEqual(mine.recv(1), bytes([signal.SIGUSR1]))
                ip_netns("add", "blue")

            thread = threading.Thread(target=disturb, daemon=True)
            thread.start()
            try:
                self.assertEqual(next_event(watcher).name, "blue")
            finally:
                self.assertEqual(signal.set_wakeup_fd(before), theirs.fileno())
            thread.join()

    def test_no_descriptor_left_to_wait_with(self) -> None:
        watcher = self.watcher()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        for more in range(3):
            resource.setrlimit(resource.RLIMIT_NOFILE, (fd + more, hard))
            try:
                with self.assertRaises(nswatch.Error) as caught:
                    watcher.poll(DEADLINE)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.assertEqual(caught.exception.errno, errno.EMFILE)
            self.assertIn("RLIMIT_NOFILE", str(caught.exception))
        self.assertIsNone(watcher.poll(0.01))

    def test_a_signal_handler_may_close_while_an_event_is_copied(self) -> None:
        from nswatch import _event

        ip_netns("add", "blue")
        watcher = Watcher()
        copy = _event.copy

        def disturbed(*arguments: object) -> object:
            watcher.close()
            # the event belongs to the watcher, which must not be freed before the copy is complete
            self.assertIsNotNone(watcher._handle)
            os.fstat(watcher._fd)
            with self.assertRaises(ValueError):
                watcher.poll(0)
            return copy(*arguments)

        _event.copy = disturbed  # type: ignore[assignment]
        try:
            event = watcher.poll(0)
        finally:
            _event.copy = copy
        assert event is not None
        self.assertEqual(event.name, "blue")
        self.assertIsNone(watcher._handle)

    def test_a_signal_handler_may_not_poll_while_an_event_is_copied(self) -> None:
        from nswatch import _event

        watcher = Watcher()
        self.addCleanup(watcher.close)
        copy = _event.copy

        def disturbed(*arguments: object) -> object:
            with self.assertRaises(RuntimeError):
                watcher.poll(0)
            return copy(*arguments)

        _event.copy = disturbed  # type: ignore[assignment]
        try:
            event = watcher.poll(0)
        finally:
            _event.copy = copy
        assert event is not None
        self.assertEqual(event.type, EventType.SYNCED)

    def test_a_forgotten_one_is_warned_of_and_closed(self) -> None:
        before = open_files()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watcher = Watcher()
            del watcher
        self.assertEqual([each.category for each in caught], [ResourceWarning])
        self.assertIn("unclosed <nswatch.Watcher", str(caught[0].message))
        self.assertEqual(open_files(), before)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaises(OSError):
                Watcher(dir="relative")
            with Watcher():
                pass

    def test_no_descriptor_is_left_of_a_thousand(self) -> None:
        before = open_files()
        for _ in range(1000):
            with Watcher() as watcher:
                watcher.poll(0)
        self.assertEqual(open_files(), before)

    def test_no_child_inherits_a_descriptor(self) -> None:
        watcher = self.watcher()
        watcher.poll(0.001)
        program = """
import os
for fd in range(3, 1024):
    try:
        print(os.readlink(f"/proc/self/fd/{fd}"))
    except FileNotFoundError:
        pass
"""
        child = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, close_fds=False, check=True)
        ours = set(open_files().values())
        for kind in ("eventpoll", "inotify", "eventfd"):
            self.assertTrue(any(kind in each for each in ours), kind)
            self.assertNotIn(kind, child.stdout.decode())
