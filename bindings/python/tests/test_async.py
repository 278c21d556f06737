"""`async for`: cancelled, by several tasks, closed meanwhile."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .support import DEADLINE, Event, EventType, TestCase, Watcher, ip_netns, kinds

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    async def in_time() -> T:
        return await asyncio.wait_for(main, DEADLINE)

    return asyncio.run(in_time())


async def waits(watcher: Watcher, tasks: int = 1) -> None:
    """Returns when that many tasks of this loop wait for an event."""
    loop = asyncio.get_running_loop()
    while loop not in watcher._loops or len(watcher._loops[loop]._waiters) < tasks:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def ip(*arguments: str) -> None:
    await asyncio.to_thread(ip_netns, *arguments)


class Async(TestCase):
    def test_iterating(self) -> None:
        async def main() -> list[Event]:
            seen = []
            with Watcher(mount_events=False) as watcher:
                changes = asyncio.create_task(change(watcher))
                async for event in watcher:
                    seen.append(event)
                    if event.type == EventType.DELETED:
                        break
                await changes
            return seen

        async def change(watcher: Watcher) -> None:
            await waits(watcher)
            await ip("add", "blue")
            await waits(watcher)
            await ip("del", "blue")

        expected = [("synced", None), ("created", "blue"), ("ready", "blue"), ("deleted", "blue")]
        self.assertEqual(kinds(run(main())), expected)

    def test_a_timeout_loses_nothing(self) -> None:
        watcher = self.watcher()

        async def main() -> Event:
            for _ in range(3):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(watcher.__anext__(), 0.01)
                self.assertEqual(watcher._loops, {})
            await ip("add", "blue")
            return await watcher.__anext__()

        self.assertEqual(kinds([run(main())]), [("created", "blue")])

    def test_cancelled_when_an_event_is_available(self) -> None:
        watcher = self.watcher()

        async def main() -> Event:
            task = asyncio.ensure_future(watcher.__anext__())
            await waits(watcher)
            ip_netns("add", "blue")
            # the loop wakes the task, and the cancellation comes before it runs
            reader = watcher._loops[asyncio.get_running_loop()]
            reader.stop()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return await watcher.__anext__()

        self.assertEqual(kinds([run(main())]), [("created", "blue")])

    def test_each_event_goes_to_one_task(self) -> None:
        watcher = self.watcher()
        taken: list[Event] = []

        async def consume() -> None:
            async for event in watcher:
                taken.append(event)

        async def main() -> None:
            tasks = [asyncio.create_task(consume()) for _ in range(3)]
            await waits(watcher, 3)
            tasks[1].cancel()
            await asyncio.wait([tasks[1]])
            for number in range(5):
                await ip("add", f"many{number}")
            while len(taken) < 10:
                await waits(watcher)
                await asyncio.sleep(0)
            await waits(watcher, 2)
            watcher.close()
            await asyncio.gather(tasks[0], tasks[2])

        run(main())
        # events of several names may interleave: one probe can find several new names
        for number in range(5):
            name = f"many{number}"
            self.assertEqual([k for k in kinds(taken) if k[1] == name], [("created", name), ("ready", name)])
        self.assertIsNone(watcher._handle)

    def test_a_burst_does_not_keep_the_loop_from_other_tasks(self) -> None:
        os.mkdir("/run/netns")
        for number in range(1000):
            os.symlink("/proc/self/ns/net", f"/run/netns/many{number}")
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def main() -> int:
            task = asyncio.create_task(other())
            with Watcher() as watcher:
                async for event in watcher:
                    if event.type == EventType.SYNCED:
                        break
            task.cancel()
            return turns

        self.assertGreater(run(main()), 10)

    def test_closed_by_another_thread(self) -> None:
        watcher = self.watcher()

        async def main() -> list[Event]:
            async def close() -> None:
                await waits(watcher)
                thread = threading.Thread(target=watcher.close)
                thread.start()
                await asyncio.to_thread(thread.join, DEADLINE)

            closing = asyncio.create_task(close())
            seen = [event async for event in watcher]
            await closing
            return seen

        self.assertEqual(run(main()), [])
        self.assertIsNone(watcher._handle)

    def test_one_loop_after_another(self) -> None:
        watcher = self.watcher()

        async def main(name: str) -> Event:
            task = asyncio.ensure_future(watcher.__anext__())
            await waits(watcher)
            await ip("add", name)
            first = await task
            await watcher.__anext__()
            return first

        self.assertEqual(run(main("one")).name, "one")
        self.assertEqual(run(main("two")).name, "two")

    def test_the_end_of_the_directory_ends_the_iteration(self) -> None:
        os.mkdir("/run/short")

        async def main() -> list[Event]:
            with Watcher(dir="/run/short", parent=False) as watcher:
                os.rmdir("/run/short")
                return [event async for event in watcher]

        self.assertEqual(kinds(run(main()))[-1], ("dir_deleted", None))

    def test_a_loop_that_is_left_behind(self) -> None:
        watcher = self.watcher()
        loop = asyncio.new_event_loop()
        task = loop.create_task(watcher.__anext__())
        loop.run_until_complete(asyncio.wait_for(waits(watcher), DEADLINE))
        watcher.close()
        self.assertIsNone(watcher._handle)
        with self.assertRaises(StopAsyncIteration):
            loop.run_until_complete(task)
        loop.close()
