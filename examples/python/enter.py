#!/usr/bin/env python3
"""Runs a command inside each network namespace that has a name, and in each new one: enter.py COMMAND [ARGUMENT…]

Try `enter.py ip -brief link`; it requires CAP_SYS_ADMIN.
"""

import subprocess
import sys

import nswatch


def enter(command: list[str]) -> None:
    with nswatch.Watcher() as watcher:
        for event in watcher:
            if event.type != nswatch.EventType.READY:
                continue
            name = nswatch.printable(event.name or "")
            print(f"in {name}:")
            # if one namespace is gone or one command fails, continue with the others
            try:
                with event.enter():
                    subprocess.run(command, check=True)
            except (OSError, subprocess.SubprocessError) as error:
                print(f"enter: {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: enter.py COMMAND [ARGUMENT…]", file=sys.stderr)
        sys.exit(2)
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    try:
        enter(sys.argv[1:])
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"enter: {error}")
