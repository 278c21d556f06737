#!/usr/bin/env python3
"""Lists the names in a directory and the network namespaces that they refer to: list.py [DIR]"""

import os
import sys

import nswatch
from nswatch import EventType


def names(directory: str | None) -> dict[str, str]:
    """Applies the replayed events until SYNCED. A program that keeps watching does the same."""
    found: dict[str, str] = {}
    with nswatch.Watcher(dir=directory) as watcher:
        for event in watcher:
            if event.type == EventType.SYNCED:
                break
            if event.name is None:
                continue
            if event.type == EventType.READY:
                found[event.name] = str(event.netns)
            elif event.type == EventType.DELETED:
                del found[event.name]
            else:
                found[event.name] = "-"
    return found


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        found = names(sys.argv[1] if len(sys.argv) > 1 else None)
    except nswatch.Error as error:
        sys.exit(f"list: {error}")
    for name in sorted(found, key=os.fsencode):
        print(nswatch.printable(name), found[name])
