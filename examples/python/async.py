#!/usr/bin/env python3
"""Has the watcher as one of several things that asyncio waits for: async.py [DIR]

The other one is standard input, where "resync" makes the watcher compare what it told with what the kernel has, and
the end of the input ends the program.
"""

import asyncio
import sys

import nswatch


async def tell(watcher: nswatch.Watcher) -> None:
    async for event in watcher:
        name = nswatch.printable(event.name or "-")
        print(event.type, name)
        if event.type == nswatch.EventType.READY:
            try:
                with event.open_netns():
                    print("opened", name)
            except OSError:
                pass  # it is gone or replaced already, and the next event says so


async def serve(directory: str | None) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    with nswatch.Watcher(dir=directory) as watcher:
        telling = asyncio.create_task(tell(watcher))
        async for line in lines:
            if line == b"resync\n":
                watcher.resync()
        watcher.close()  # ends the iteration of the other task
        await telling


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    try:
        asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"async: {error}")
