#!/usr/bin/env python3
"""Tells when the network namespace of a process dies, though it has no name: nsid.py PID

It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.
"""

import sys

import nswatch


def number(pid: int) -> int:
    """The id that the namespace of a process has here, assigned if need be."""
    nsid = nswatch.nsid_for_pid(pid)
    if nsid is not None:
        print(f"process {pid} is in the namespace that is {nsid} here", flush=True)
        return nsid
    print(f"process {pid} is in a namespace without an id", flush=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        nsid = nswatch.assign_nsid(namespace)
    print(f"now it is {nsid}", flush=True)
    return nsid


def main(pid: int) -> None:
    # a watcher from before the question cannot miss the answer
    with nswatch.Watcher("nsid") as watcher:
        nsid = number(pid)
        for event in watcher:
            if event.type == nswatch.EventType.NSID_DEL and event.nsid == nsid:
                print(f"{nsid} is gone", flush=True)
                return


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"nsid: {error}")
