#!/usr/bin/env python3
"""Prints what happens to the names in a directory: monitor.py [DIR]"""

import sys

import nswatch


def describe(event: nswatch.Event) -> str:
    words = [str(event.type)]
    if event.name is not None:
        words.append(event.name)
    if event.ino is not None:
        words.append(f"net:[{event.ino}]")
    if event.replayed:
        words.append("(existing)")
    return " ".join(words)


def main() -> None:
    # names are bytes to the kernel: those that are not UTF-8 are written as they are
    sys.stdout.reconfigure(errors="surrogateescape", line_buffering=True)  # type: ignore[union-attr]
    with nswatch.Watcher(dir=sys.argv[1] if len(sys.argv) > 1 else None) as watcher:
        for event in watcher:
            print(describe(event))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"monitor: {error}")
