#!/usr/bin/env python3
"""Prints the births and deaths of all network namespaces, with or without a name, and a process in each: all.py

Try it on `unshare --net sleep 10`. Without root it misses namespaces of other users' processes, and
reports new ones later.
"""

import os
import sys
from pathlib import Path

import nswatch
from nswatch import Event, EventType, Netns


def known_by(event: Event) -> str:
    """Describes a new namespace: a process in it, or a path to it."""
    if event.pid is None:
        return "" if event.path is None else f" {nswatch.printable(event.path)}"
    try:
        command = os.fsdecode(Path(f"/proc/{event.pid}/comm").read_bytes().removesuffix(b"\n"))
    except OSError:
        command = "?"  # the process has ended
    # the process chooses its command
    return f" {event.pid} {nswatch.printable(command)}"


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    # the identity is the key: names and pids may pass to others
    who: dict[Netns | None, str] = {}
    with nswatch.Watcher("all") as watcher:
        for event in watcher:
            if event.type == EventType.NETNS_NEW:
                who[event.netns] = known_by(event)
            about = "" if event.netns is None else f" {event.netns}{who.get(event.netns, '')}"
            print(f"{event.type}{about}{' (replayed)' if event.replayed else ''}")
            if event.type == EventType.NETNS_DEL:
                who.pop(event.netns, None)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"all: {error}")
