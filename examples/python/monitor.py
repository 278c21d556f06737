#!/usr/bin/env python3
"""Prints what happens to the names in a directory: monitor.py [DIR]

Plain ctypes, nothing to install but libnswatch.so.0 itself.
"""

import ctypes
import os
import select
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p

NAMED = 1  # NSW_SOURCE_NAMED
READY = 2  # NSW_EVENT_READY
REPLAYED = 1  # NSW_EVENT_REPLAYED

lib = ctypes.CDLL(os.environ.get("NSWATCH_LIBRARY", "libnswatch.so.0"))
for name, result, *arguments in [
    ("nsw_options_new", c_void_p),
    ("nsw_options_free", None, c_void_p),
    ("nsw_options_set_dir", c_int, c_void_p, c_char_p),
    ("nsw_open", c_int, c_uint32, c_void_p, POINTER(c_void_p)),
    ("nsw_close", None, c_void_p),
    ("nsw_fd", c_int, c_void_p),
    ("nsw_next_event", c_int, c_void_p, POINTER(c_void_p)),
    ("nsw_event_type", c_uint32, c_void_p),
    ("nsw_event_type_name", c_char_p, c_uint32),
    ("nsw_event_flags", c_uint32, c_void_p),
    ("nsw_event_name", c_char_p, c_void_p),
    ("nsw_event_ino", c_uint64, c_void_p),
    ("nsw_strerror", c_char_p, c_int),
]:
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


def check(rc: int) -> int:
    """The result of a call, or an OSError with what the library says of it."""
    if rc < 0:
        raise OSError(-rc, lib.nsw_strerror(rc).decode())
    return rc


def main() -> None:
    options, watcher, event = lib.nsw_options_new(), c_void_p(), c_void_p()
    try:
        if len(sys.argv) > 1:
            check(lib.nsw_options_set_dir(options, os.fsencode(sys.argv[1])))
        check(lib.nsw_open(NAMED, options, byref(watcher)))
    finally:
        lib.nsw_options_free(options)
    try:
        # waiting is left to Python, which so gets to see Ctrl-C
        while select.select([lib.nsw_fd(watcher)], [], []):
            while check(lib.nsw_next_event(watcher, byref(event))):
                kind = lib.nsw_event_type(event)
                words = [lib.nsw_event_type_name(kind).decode()]
                if (name := lib.nsw_event_name(event)) is not None:
                    words.append(os.fsdecode(name))
                if kind == READY:
                    words.append(f"net:[{lib.nsw_event_ino(event)}]")
                if lib.nsw_event_flags(event) & REPLAYED:
                    words.append("(existing)")
                print(*words, flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        lib.nsw_close(watcher)


if __name__ == "__main__":
    main()
