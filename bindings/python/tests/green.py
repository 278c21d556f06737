"""Green threads: python -m tests.green eventlet|gevent patched-first|imported-first, run by `wheel --test`.

A patched process stays patched, so each library and order runs in a process of its own.
"""

import asyncio
import contextlib
import faulthandler
import importlib
import importlib.util
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any

LIBRARY, ORDER = sys.argv[1:3]
ORDERS = {"patched-first": ("patch", "import"), "imported-first": ("import", "patch")}
if importlib.util.find_spec(LIBRARY) is None:
    print(f"SKIPPED: Python in green threads: {LIBRARY} is missing")
    sys.exit()


def patch() -> None:
    if LIBRARY == "eventlet":
        importlib.import_module("eventlet").monkey_patch()
    else:
        importlib.import_module("gevent.monkey").patch_all()


def early_watcher() -> Any:
    return importlib.import_module("nswatch").Watcher(dir="/run/early")


NATIVE_SELECT = select.select
for step in ORDERS[ORDER]:
    if step == "patch":
        patch()
    else:
        EARLY = early_watcher()
assert select.select is not NATIVE_SELECT

from .support import (  # noqa: E402 - the test needs this order
    DEADLINE,
    Event,
    EventType,
    TestCase,
    Watcher,
    in_a_thread,
    ip_netns,
    kinds,
    namespace_here,
    next_event,
    open_files,
    until,
)

BLUE = [("created", "blue"), ("ready", "blue"), ("deleted", "blue")]
LONG = 3600.0


def real_thread(body: Callable[[], object]) -> None:
    """Starts a thread of the operating system, not a green one."""
    if LIBRARY == "eventlet":
        start = importlib.import_module("eventlet.patcher").original("_thread").start_new_thread
    else:
        start = importlib.import_module("gevent.monkey").get_original("_thread", "start_new_thread")
    start(body, ())


@contextlib.contextmanager
def cancelled_after(seconds: float) -> Iterator[None]:
    """The timeout of the library."""
    timeout: Any = importlib.import_module(LIBRARY).Timeout
    with timeout(seconds, exception=False):
        yield


def gevent_closes() -> None:
    """gevent replaces os.close() by one that closes at the next turn of its loop."""
    time.sleep(0.001)


def waits(watcher: Watcher, threads: int = 1) -> None:
    """Returns when that many green threads wait for an event."""
    end = time.monotonic() + DEADLINE
    while watcher._users < threads:
        if time.monotonic() > end:
            raise AssertionError("they do not wait")
        time.sleep(0)
    # counted, they wait after one more turn
    time.sleep(0.01)


class Green(TestCase):
    def setUp(self) -> None:
        # if everything hangs, no green thread can report it
        faulthandler.dump_traceback_later(4 * DEADLINE, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        super().setUp()

    def remove_names(self) -> None:
        super().remove_names()
        gevent_closes()

    def green(self, body: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        return thread

    def over(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.join(DEADLINE)
            self.assertFalse(thread.is_alive())

    @contextlib.contextmanager
    def handling(self, handler: Callable[..., object]) -> Iterator[None]:
        old = signal.signal(signal.SIGUSR1, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, old)


class Waiting(Green):
    def test_others_run_while_one_iterates(self) -> None:
        watcher = self.watcher(mount_events=False)

        def change() -> None:
            waits(watcher)
            ip_netns("add", "blue")
            waits(watcher)
            ip_netns("del", "blue")

        self.green(change)
        seen = []
        for event in watcher:
            seen.append(event)
            if event.type == EventType.DELETED:
                break
        self.assertEqual(kinds(seen), BLUE)

    def test_a_green_thread_polls_while_the_main_one_works(self) -> None:
        for options in ({}, {"queue": 64}):
            with self.subTest(**options):
                watcher = self.watcher(mount_events=False, **options)
                seen: list[Event] = []

                def poll(watcher: Watcher = watcher, seen: list[Event] = seen) -> None:
                    while not seen or seen[-1].type != EventType.DELETED:
                        seen.append(next_event(watcher))

                polling = self.green(poll)
                waits(watcher)
                ip_netns("add", "blue")
                waits(watcher)
                ip_netns("del", "blue")
                self.over([polling])
                self.assertEqual(kinds(seen), BLUE)

    def test_a_watcher_of_ids(self) -> None:
        watcher = self.watcher("nsid")

        def change() -> None:
            waits(watcher)
            ip_netns("add", "blue")
            ip_netns("set", "blue", "5")

        self.green(change)
        self.assertEqual(until(watcher, EventType.NSID_NEW).nsid, 5)

    def test_a_watcher_that_was_opened_before(self) -> None:
        def change() -> None:
            waits(EARLY)
            os.mkdir("/run/early")
            os.symlink("/proc/self/ns/net", "/run/early/own")

        self.green(change)
        self.assertEqual(until(EARLY, EventType.READY).name, "own")

    def test_a_timeout(self) -> None:
        watcher = self.watcher()
        turns = 0
        going = True

        def other() -> None:
            nonlocal turns
            while going:
                turns += 1
                time.sleep(0.001)

        self.green(other)
        try:
            for _ in range(3):
                turns = 0
                start = time.monotonic()
                self.assertIsNone(watcher.poll(0.05))
                self.assertGreaterEqual(time.monotonic() - start, 0.05)
                self.assertGreater(turns, 2)
            self.assertIsNone(watcher.poll(0))
        finally:
            going = False

    def test_waiting_does_not_spin(self) -> None:
        watcher = self.watcher()
        polling = self.green(lambda: watcher.poll(1))
        start = time.process_time()
        self.assertIsNone(watcher.poll(1))
        self.over([polling])
        self.assertLess(time.process_time() - start, 0.25)

    def test_a_wait_given_up_loses_nothing(self) -> None:
        watcher = self.watcher()
        self.assertIsNone(watcher.poll(0.001))
        gevent_closes()
        before = open_files()
        for _ in range(3):
            with cancelled_after(0.01):
                watcher.poll(LONG)
                self.fail("the poll returned an event")
            self.assertEqual(watcher._users, 0)
        gevent_closes()
        self.assertEqual(open_files(), before)
        ip_netns("add", "blue")
        self.assertEqual(kinds([next_event(watcher), next_event(watcher)]), BLUE[:2])

    def test_a_burst_does_not_keep_others_from_running(self) -> None:
        os.mkdir("/run/many")
        self.addCleanup(shutil.rmtree, "/run/many")
        for number in range(1000):
            os.symlink("/proc/self/ns/net", f"/run/many/{number}")
        turns = 0
        going = True

        def other() -> None:
            nonlocal turns
            while going:
                turns += 1
                time.sleep(0)

        self.green(other)
        with Watcher(dir="/run/many") as watcher:
            before = turns
            try:
                until(watcher, EventType.SYNCED)
                self.assertGreater(turns - before, 10)
            finally:
                going = False

    def test_a_descriptor_beyond_what_select_can_wait_on(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        low: list[int] = []
        while not low or low[-1] < 1030:
            low.append(os.dup(0))
        try:
            watcher = self.watcher()
            self.assertGreater(watcher.fileno(), 1024)

            def change() -> None:
                waits(watcher)
                ip_netns("add", "blue")

            self.green(change)
            self.assertEqual(next_event(watcher).name, "blue")
        finally:
            for fd in low:
                os.close(fd)

    def test_no_descriptor_left_to_wait_with(self) -> None:
        watcher = self.watcher()
        self.assertIsNone(watcher.poll(0.001))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        for more in range(2):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
            try:
                if LIBRARY == "gevent":  # needs none
                    self.assertIsNone(watcher.poll(0.001))
                    continue
                with self.assertRaisesRegex(OSError, "RLIMIT_NOFILE"):
                    watcher.poll(0.001)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIsNone(watcher.poll(0.001))

    def test_the_descriptor_in_a_wait_of_your_own(self) -> None:
        watcher = self.watcher()

        def change() -> None:
            ip_netns("add", "blue")

        self.green(change)
        seen: list[Event] = []
        while len(seen) < 2:
            self.assertEqual(select.select([watcher], [], [], DEADLINE)[0], [watcher])
            while (event := watcher.poll(0)) is not None:
                seen.append(event)
        self.assertEqual(kinds(seen), BLUE[:2])


class Several(Green):
    def test_each_event_goes_to_one_green_thread(self) -> None:
        watcher = self.watcher()
        taken: list[tuple[str, str | None]] = []

        def consume() -> None:
            for event in watcher:
                taken.append((str(event.type), event.name))
                if len(taken) == 20:
                    watcher.close()

        threads = [self.green(consume) for _ in range(3)]
        waits(watcher, 3)
        for number in range(10):
            ip_netns("add", f"many{number}")
        self.over(threads)
        self.assertEqual(
            sorted(taken, key=str), sorted(((k, f"many{n}") for k in ("created", "ready") for n in range(10)), key=str)
        )
        self.assertIsNone(watcher._handle)

    def test_closed_by_another_green_thread(self) -> None:
        self.closed(lambda close: close())

    def test_closed_by_a_real_thread(self) -> None:
        self.closed(real_thread)

    def closed(self, run: Callable[[Callable[[], object]], object]) -> None:
        watcher = self.watcher()
        ends: list[object] = []

        def poll() -> None:
            try:
                watcher.poll(LONG)
            except ValueError as error:
                ends.append(str(error))

        threads = [self.green(poll), self.green(lambda: ends.append(list(watcher)))]
        waits(watcher, 2)
        run(watcher.close)
        self.over(threads)
        self.assertCountEqual(ends, [[], "the watcher is closed"])
        self.assertIsNone(watcher._handle)

    def test_a_real_thread_uses_it_too(self) -> None:
        watcher = self.watcher()
        failures: list[BaseException] = []
        rounds = 5000
        finished = [False, False]

        def use(which: int, turns: bool) -> None:
            try:
                for number in range(rounds):
                    watcher.poll(0)
                    self.assertEqual(watcher.stats.known, 0)
                    if turns and number % 10 == 0:
                        time.sleep(0)
            except BaseException as failure:
                failures.append(failure)
            finished[which] = True

        switched = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            real_thread(lambda: use(0, turns=False))
            polling = self.green(lambda: use(1, turns=True))
            end = time.monotonic() + DEADLINE
            while not all(finished) and time.monotonic() < end:
                time.sleep(0.001)
        finally:
            sys.setswitchinterval(switched)
        self.over([polling])
        self.assertEqual((failures, finished), ([], [True, True]))


class Signals(Green):
    """The hub runs the handlers, not delayed until the end of a wait."""

    def test_a_handler_may_close_while_the_main_one_waits(self) -> None:
        watcher = self.watcher()

        def disturb() -> None:
            waits(watcher)
            os.kill(os.getpid(), signal.SIGUSR1)

        with self.handling(lambda *_: watcher.close()):
            self.green(disturb)
            self.assertEqual(list(watcher), [])

    def test_a_handler_may_close_while_all_wait(self) -> None:
        watcher = self.watcher()
        with self.handling(lambda *_: watcher.close()):
            threads = [self.green(lambda: list(watcher)) for _ in range(2)]
            waits(watcher, 2)
            with subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -USR1 {os.getpid()}"]):
                self.over(threads)

    def test_ctrl_c(self) -> None:
        watcher = self.watcher()
        other = self.green(lambda: list(watcher))
        waits(watcher)
        with (
            subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -INT {os.getpid()}"]),
            self.assertRaises(KeyboardInterrupt),
        ):
            watcher.poll(LONG)
        watcher.close()
        self.over([other])

    def test_the_wakeup_descriptor_is_left_alone(self) -> None:
        out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        before = signal.set_wakeup_fd(into)
        try:
            watcher = self.watcher()
            first = self.green(lambda: watcher.poll(0.05))
            waits(watcher)
            self.assertIsNone(watcher.poll(0.1))
            self.over([first])
        finally:
            self.assertEqual(signal.set_wakeup_fd(before), into)
            os.close(out)
            os.close(into)

    def test_all_patched_but_threads(self) -> None:
        program = f"""
import signal, nswatch, {LIBRARY}
{LIBRARY + ".monkey_patch" if LIBRARY == "eventlet" else "from gevent import monkey; monkey.patch_all"}(thread=False)
with nswatch.Watcher() as watcher:
    watcher.poll(0)
    for thread in [{LIBRARY}.spawn(watcher.poll, seconds) for seconds in (0.1, 0.2)]:
        thread.{"wait" if LIBRARY == "eventlet" else "get"}()
print(signal.set_wakeup_fd(-1))
"""
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], capture_output=True, timeout=DEADLINE, check=False
        )
        self.assertEqual((result.stdout, result.stderr), (b"-1\n", b""))


class Asyncio(Green):
    def run_in_loop(self, watcher: Watcher) -> tuple[list[list[Event]], threading.Thread]:
        """A loop in a green thread, in which two tasks iterate."""
        seen: list[list[Event]] = []

        async def iterate() -> None:
            seen.append([event async for event in watcher])

        async def main() -> None:
            await asyncio.wait_for(asyncio.gather(iterate(), iterate()), DEADLINE)

        looping = self.green(lambda: asyncio.run(main()))
        end = time.monotonic() + DEADLINE
        while not watcher._loops or len(next(iter(watcher._loops.values()))._waiters) < 2:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.001)
        # now the loop waits
        time.sleep(0.01)
        return seen, looping

    def test_iterating_while_others_run(self) -> None:
        watcher = self.watcher(mount_events=False)
        seen, looping = self.run_in_loop(watcher)
        end = time.monotonic() + DEADLINE
        # a namespace that is deleted before a probe is never ready
        for change, delivered in (("add", 3), ("del", 4)):
            ip_netns(change, "blue")
            while watcher.stats.delivered < delivered:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.001)
        watcher.close()
        self.over([looping])
        self.assertCountEqual(kinds(seen[0] + seen[1]), BLUE)

    def test_closed_by_another_green_thread(self) -> None:
        watcher = self.watcher()
        seen, looping = self.run_in_loop(watcher)
        start = time.monotonic()
        watcher.close()
        self.over([looping])
        self.assertLess(time.monotonic() - start, DEADLINE / 2)
        self.assertEqual(seen, [[], []])
        self.assertIsNone(watcher._handle)

    def test_closed_by_a_task(self) -> None:
        watcher = self.watcher()

        async def main() -> None:
            iterating = asyncio.ensure_future(watcher.__anext__())
            while not watcher._loops:  # noqa: ASYNC110
                await asyncio.sleep(0)
            watcher.close()
            self.assertIsNone(watcher._handle)
            with self.assertRaises(StopAsyncIteration):
                await iterating

        asyncio.run(asyncio.wait_for(main(), DEADLINE))


class Entering(Green):
    def test_a_block_that_another_green_thread_ends(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "blue")
        ready = until(watcher, EventType.READY)
        here = namespace_here()
        block = ready.enter()
        block.__enter__()
        self.assertEqual(namespace_here(), ready.ino)
        # all green threads share one thread, and the thread goes back
        in_a_thread(lambda: block.__exit__(None, None, None))
        self.assertEqual(namespace_here(), here)


def tearDownModule() -> None:
    EARLY.close()


if __name__ == "__main__":
    # the libraries open descriptors and start threads at the first use, and keep them
    in_a_thread(lambda: until(EARLY, EventType.SYNCED))
    EARLY.poll(0.001)
    asyncio.run(asyncio.sleep(0))
    subprocess.run(["true"], check=True)
    unittest.main(argv=[f"{LIBRARY}, {ORDER}", *sys.argv[3:]])
