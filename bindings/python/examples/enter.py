#!/usr/bin/env python3
"""Runs something in each new namespace: enter.py [COMMAND [ARGUMENT…]]

Without a command it prints the names of the network interfaces. Takes CAP_SYS_ADMIN.
"""

import socket
import subprocess
import sys

import nswatch


def main(command: list[str]) -> None:
    with nswatch.Watcher(replay=False) as watcher:
        for event in watcher:
            if event.type != nswatch.EventType.READY:
                continue
            try:
                with event.enter():
                    if command:
                        subprocess.run(command, check=False)
                    else:
                        print(event.name, *(name for _, name in socket.if_nameindex()), flush=True)
            except FileNotFoundError:
                print(event.name, "is gone already", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        pass
    except nswatch.Error as error:
        sys.exit(f"enter: {error}")
