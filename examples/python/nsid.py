#!/usr/bin/env python3
"""Tells when the network namespace of a process dies, though it has no name: nsid.py PID

It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.

Plain ctypes, nothing to install but libnswatch.so.0 itself.
"""

import ctypes
import os
import select
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_uint32, c_void_p

NSID = 2  # NSW_SOURCE_NSID
NO_REPLAY = 1  # NSW_NO_REPLAY
NSID_DEL = 8  # NSW_EVENT_NSID_DEL
NOT_ASSIGNED = -1  # NSID_NOT_ASSIGNED

lib = ctypes.CDLL(os.environ.get("NSWATCH_LIBRARY", "libnswatch.so.0"))
for name, result, *arguments in [
    ("nsw_options_new", c_void_p),
    ("nsw_options_free", None, c_void_p),
    ("nsw_options_set_flags", c_int, c_void_p, c_uint32),
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


def watch() -> c_void_p:
    """A watcher of namespace ids that starts with now."""
    options, watcher = lib.nsw_options_new(), c_void_p()
    try:
        check(lib.nsw_options_set_flags(options, NO_REPLAY))
        check(lib.nsw_open(NSID, options, byref(watcher)))
    finally:
        lib.nsw_options_free(options)
    return watcher


def main() -> None:
    pid, nsid, event = int(sys.argv[1]), c_int32(), c_void_p()
    watcher = watch()  # first, so that a death right after the assignment is not missed
    try:
        check(lib.nsid_get_for_pid(pid, byref(nsid)))
        if nsid.value == NOT_ASSIGNED:
            print(f"process {pid} is in a namespace without an id", flush=True)
            with open(f"/proc/{pid}/ns/net") as namespace:  # while it is open the namespace lives
                check(lib.nsid_assign(namespace.fileno(), NOT_ASSIGNED, byref(nsid)))
            print(f"now it is {nsid.value}", flush=True)
        else:
            print(f"process {pid} is in the namespace that is {nsid.value} here", flush=True)
        # waiting is left to Python, which so gets to see Ctrl-C
        while select.select([lib.nsw_fd(watcher)], [], []):
            while check(lib.nsw_next_event(watcher, byref(event))):
                if (lib.nsw_event_type(event), lib.nsw_event_nsid(event)) == (NSID_DEL, nsid.value):
                    print(f"{nsid.value} is gone", flush=True)
                    return
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"nsid: {error.strerror}")
    finally:
        lib.nsw_close(watcher)


if __name__ == "__main__":
    main()
