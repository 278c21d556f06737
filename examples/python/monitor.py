#!/usr/bin/env python3
"""Prints the events of the names in a directory: monitor.py [DIR]"""

import sys

import nswatch


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    with nswatch.Watcher(dir=sys.argv[1] if len(sys.argv) > 1 else None) as watcher:
        for event in watcher:
            print(event)  # str() escapes what could control a terminal


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"monitor: {error}")
