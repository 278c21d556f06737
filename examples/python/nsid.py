#!/usr/bin/env python3
"""Tells when the network namespace of a process dies, though it has no name: nsid.py PID

It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.
"""

import sys

import nswatch


def watch(pid: int) -> tuple[int, nswatch.Watcher]:
    nsid = nswatch.nsid_for_pid(pid)
    # while it is open the namespace lives: it cannot die before there is a watcher to tell
    with open(f"/proc/{pid}/ns/net") as namespace:
        if nsid is not None:
            print(f"process {pid} is in the namespace that is {nsid} here")
        else:
            print(f"process {pid} is in a namespace without an id")
            nsid = nswatch.assign_nsid(namespace)
            print(f"now it is {nsid}")
        return nsid, nswatch.Watcher("nsid")


def until_death(pid: int) -> None:
    nsid, watcher = watch(pid)
    with watcher:
        for event in watcher:
            if event.type == nswatch.EventType.NSID_DEL and event.nsid == nsid:
                print(f"{nsid} is gone")
                return


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        until_death(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"nsid: {error}")
