"""Other event loops: uvloop, and Trio by fileno(). They come from PyPI, so only `wheel --test` runs this."""

import asyncio
import threading

import trio
import trio_asyncio
import uvloop

from .support import DEADLINE, Event, EventType, TestCase, Watcher, ip_netns, kinds, next_event, nswatch
from .test_async import ip, waits


class Uvloop(TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # libuv opens a pipe with the first loop, and keeps it
        uvloop.run(asyncio.sleep(0))

    def test_iterating_and_cancelling(self) -> None:
        watcher = self.watcher(mount_events=False)

        async def main() -> list[Event]:
            self.assertIsInstance(asyncio.get_running_loop(), uvloop.Loop)
            for _ in range(3):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(watcher.__anext__(), 0.01)
            self.assertEqual(watcher._loops, {})
            changes = asyncio.create_task(change())
            seen = []
            async for event in watcher:
                seen.append(event)
                if event.type == EventType.DELETED:
                    break
            await changes
            return seen

        async def change() -> None:
            await waits(watcher)
            await ip("add", "blue")
            await waits(watcher)
            await ip("del", "blue")

        seen = uvloop.run(asyncio.wait_for(main(), DEADLINE))
        self.assertEqual(kinds(seen), [("created", "blue"), ("ready", "blue"), ("deleted", "blue")])

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

        self.assertEqual(uvloop.run(asyncio.wait_for(main(), DEADLINE)), [])
        self.assertIsNone(watcher._handle)


class Trio(TestCase):
    def test_the_recipe_of_the_readme(self) -> None:
        watcher = self.watcher(mount_events=False)

        async def events(watcher: Watcher) -> list[Event]:
            seen: list[Event] = []
            while not seen or seen[-1].type != EventType.DELETED:
                await trio.lowlevel.wait_readable(watcher)
                while (event := watcher.poll(0)) is not None:
                    seen.append(event)
                    if event.type == EventType.READY:
                        await trio.to_thread.run_sync(ip_netns, "del", "blue")
            return seen

        async def main() -> list[Event]:
            with trio.fail_after(DEADLINE):
                # a cancelled wait loses nothing
                with trio.move_on_after(0.01):
                    await trio.lowlevel.wait_readable(watcher)
                await trio.to_thread.run_sync(ip_netns, "add", "blue")
                return await events(watcher)

        self.assertEqual(kinds(trio.run(main)), [("created", "blue"), ("ready", "blue"), ("deleted", "blue")])

    def test_the_asyncio_calls_name_the_recipe(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "blue")

        async def iterate() -> None:
            async for _ in watcher:
                self.fail("an event")

        async def take() -> None:
            await anext(watcher)

        async def wait() -> None:
            await nswatch.wait_ready_async("blue")

        for waits_in_asyncio in (iterate, take, wait):
            with self.assertRaisesRegex(RuntimeError, r"`await trio\.lowlevel\.wait_readable\(watcher\)`"):
                trio.run(waits_in_asyncio)
        # no event was taken
        self.assertEqual(kinds([next_event(watcher), next_event(watcher)]), [("created", "blue"), ("ready", "blue")])

    def test_asyncio_beside_trio(self) -> None:
        watcher = self.watcher()
        ip_netns("add", "blue")

        async def take() -> Event:
            return await watcher.__anext__()

        # a loop of asyncio in another thread, and one whose process has Trio loaded
        async def main() -> Event:
            event: Event = await trio.to_thread.run_sync(asyncio.run, take())
            return event

        self.assertEqual(kinds([trio.run(main), asyncio.run(take())]), [("created", "blue"), ("ready", "blue")])

    def test_asyncio_inside_trio(self) -> None:
        watcher = self.watcher()

        async def main() -> Event:
            async with trio_asyncio.open_loop():
                event: Event = await trio_asyncio.aio_as_trio(watcher.__anext__)()
                return event

        ip_netns("add", "blue")
        self.assertEqual(kinds([trio.run(main)]), [("created", "blue")])
