"""Watches with the Python binding, as watch_nswatch.c: names | queue (names, with a queue) | ids | drain | list."""

import sys
import time

import nswatch

#: Room for the names of the load `plain`, each made and removed.
QUEUE = 1 << 18


def drain() -> None:
    events = 0
    with nswatch.Watcher() as watcher:
        began = time.thread_time_ns()
        while watcher.poll(0) is not None:
            events += 1
    print(f"{(time.thread_time_ns() - began) / events:.1f}")


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "names"
    if what == "list":
        for event in nswatch.list_all():
            print(event.ino)
        return
    if what == "drain":
        for _ in range(9):
            drain()
        return
    queue = QUEUE if what == "queue" else None
    with nswatch.Watcher("nsid") if what == "ids" else nswatch.Watcher(queue=queue) as watcher:
        for event in watcher:
            print(time.monotonic_ns(), event.type, event.nsid if what == "ids" else event.name, flush=True)


main()
