#!/usr/bin/env python3
"""Tells when the network namespace of a process dies, though it has no name: nsid.py PID

It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.

Plain ctypes, nothing to install but libnswatch.so.0 itself.
"""

import contextlib
import ctypes
import os
import select
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_uint32, c_void_p

NSID = 2  # NSW_SOURCE_NSID
NSID_DEL = 8  # NSW_EVENT_NSID_DEL
NOT_ASSIGNED = -1  # NSID_NOT_ASSIGNED

lib = ctypes.CDLL(os.environ.get("NSWATCH_LIBRARY", "libnswatch.so.0"))
for name, result, *arguments in [
    ("nsw_open", c_int, c_uint32, c_void_p, POINTER(c_void_p)),
    ("nsw_close", None, c_void_p),
    ("nsw_fd", c_int, c_void_p),
    ("nsw_next_event", c_int, c_void_p, POINTER(c_void_p)),
    ("nsw_event_type", c_uint32, c_void_p),
    ("nsw_event_nsid", c_int32, c_void_p),
    ("nsw_strerror", c_char_p, c_int),
    ("nsid_get_for_pid", c_int, c_int32, POINTER(c_int32)),
    ("nsid_assign", c_int, c_int, c_int32, POINTER(c_int32)),
]:
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


def check(rc: int) -> int:
    """The result of a call, or an OSError with what the library says of it."""
    if rc < 0:
        raise OSError(-rc, lib.nsw_strerror(rc).decode())
    return rc


def number(pid: int) -> int:
    """The id that the namespace of a process has here, assigned if need be."""
    nsid = c_int32()
    check(lib.nsid_get_for_pid(pid, byref(nsid)))
    if nsid.value != NOT_ASSIGNED:
        print(f"process {pid} is in the namespace that is {nsid.value} here", flush=True)
        return nsid.value
    print(f"process {pid} is in a namespace without an id", flush=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        check(lib.nsid_assign(namespace.fileno(), NOT_ASSIGNED, byref(nsid)))
    print(f"now it is {nsid.value}", flush=True)
    return nsid.value


def wait_for_death(watcher: c_void_p, nsid: int) -> None:
    event = c_void_p()
    # waiting is left to Python, which so gets to see Ctrl-C
    while select.select([lib.nsw_fd(watcher)], [], []):
        while check(lib.nsw_next_event(watcher, byref(event))):
            if (lib.nsw_event_type(event), lib.nsw_event_nsid(event)) == (NSID_DEL, nsid):
                print(f"{nsid} is gone", flush=True)
                return


def main() -> None:
    pid, watcher = int(sys.argv[1]), c_void_p()
    try:
        # while it is open the namespace lives: it cannot die before there is a watcher to tell
        with open(f"/proc/{pid}/ns/net") if pid > 0 else contextlib.nullcontext():
            nsid = number(pid)
            check(lib.nsw_open(NSID, None, byref(watcher)))
        wait_for_death(watcher, nsid)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"nsid: {error.strerror}")
    finally:
        lib.nsw_close(watcher)


if __name__ == "__main__":
    main()
