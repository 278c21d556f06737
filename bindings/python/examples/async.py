#!/usr/bin/env python3
"""Prints what happens to the names in /run/netns and, in the same thread, answers lines with how many there are.

Type a line to be told; end of input, or Ctrl-C, ends it.
"""

import asyncio
import sys

import nswatch


async def watch(watcher: nswatch.Watcher, names: set[str]) -> None:
    async for event in watcher:
        if event.name is not None:
            if event.type == nswatch.EventType.READY:
                names.add(event.name)
            elif event.type in (nswatch.EventType.DETACHED, nswatch.EventType.DELETED):
                names.discard(event.name)
        print(event.type, event.name or "-", flush=True)


async def answer(lines: asyncio.StreamReader, names: set[str]) -> None:
    while await lines.readline():
        print(len(names), "namespaces", flush=True)


async def main() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    names: set[str] = set()
    with nswatch.Watcher() as watcher:
        watching = asyncio.create_task(watch(watcher, names))
        await answer(lines, names)
        watcher.close()  # ends the iteration
        await watching


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"async: {error}")
