#!/usr/bin/env python3
"""Reports the death of the network namespace of a process, also without a name: nsid.py PID

It queries the nsid of the namespace, assigns one if there is none, and waits for NSID_DEL. Try it on
`unshare --net sleep 10`; assigning requires CAP_NET_ADMIN.
"""

import sys

import nswatch


def watch(pid: int) -> tuple[int, nswatch.Watcher]:
    nsid = nswatch.nsid_for_pid(pid)
    # an open descriptor keeps the namespace alive until the watcher exists
    with open(f"/proc/{pid}/ns/net") as namespace:
        if nsid is not None:
            print(f"process {pid} is in the namespace with nsid {nsid}")
        else:
            print(f"process {pid} is in a namespace without an nsid")
            nsid = nswatch.assign_nsid(namespace)
            print(f"assigned nsid {nsid}")
        return nsid, nswatch.Watcher("nsid")


def until_death(pid: int) -> None:
    nsid, watcher = watch(pid)
    with watcher:
        for event in watcher:
            if event.type == nswatch.EventType.NSID_DEL and event.nsid == nsid:
                print(f"the namespace with nsid {nsid} is dead")
                return


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        until_death(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"nsid: {error}")
