#!/usr/bin/env python3
"""Waits for the watcher and standard input in asyncio: async.py [DIR]

The line "resync" makes the watcher compare its state with the kernel's. The end of the input ends the program.
"""

import asyncio
import sys

import nswatch


async def report(watcher: nswatch.Watcher) -> None:
    async for event in watcher:
        name = nswatch.printable(event.name or "-")
        print(event.type, name)
        if event.type == nswatch.EventType.READY:
            try:
                with event.open_netns():
                    print("opened", name)
            except OSError:
                pass  # gone or replaced already; an event for that follows


async def serve(directory: str | None) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    with nswatch.Watcher(dir=directory) as watcher:
        reporting = asyncio.create_task(report(watcher))
        async for line in lines:
            if line == b"resync\n":
                watcher.resync()
        watcher.close()  # ends the iteration of the other task
        await reporting


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    try:
        asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"async: {error}")
