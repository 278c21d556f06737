"""Watches with the Python binding, as watch_nswatch.c: names | drain."""

import sys
import time

import nswatch


def drain(watcher: nswatch.Watcher) -> None:
    events = 0
    began = time.thread_time_ns()
    while watcher.poll(0) is not None:
        events += 1
    print(f"{(time.thread_time_ns() - began) / events:.1f}")


def main() -> None:
    with nswatch.Watcher() as watcher:
        if sys.argv[1:] == ["drain"]:
            return drain(watcher)
        for event in watcher:
            print(time.monotonic_ns(), event.type, event.name or "", flush=True)


main()
