#!/usr/bin/env python3
"""Lists the network namespaces that have names, with inode number and id here: list.py [DIR]"""

import sys

import nswatch


def main() -> None:
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    with nswatch.Watcher(dir=sys.argv[1] if len(sys.argv) > 1 else None) as watcher:
        for event in watcher:
            if event.type == nswatch.EventType.SYNCED:
                break
            if event.type == nswatch.EventType.READY:
                try:
                    with event.open_netns() as fd:
                        nsid = nswatch.nsid_for_fd(fd)
                except OSError:
                    continue  # gone already
                print(f"{event.name} net:[{event.ino}] {'-' if nsid is None else nsid}")


if __name__ == "__main__":
    try:
        main()
    except nswatch.Error as error:
        sys.exit(f"list: {error}")
