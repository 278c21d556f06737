"""The C library: which file is loaded, and the prototypes, constants and struct of include/nswatch.h.

Private. Each function has its prototype as in the header, and its types. tests/test_abi.py compares the prototypes, the
constants and the struct with the header, and the types with the prototypes.
"""

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

SONAME = "libnswatch.so.0"

CONSTANTS = {
    "NSW_SOURCE_NAMED": 1,
    "NSW_SOURCE_NSID": 2,
    "NSW_SOURCE_ALL": 3,
    "NSW_STAT_DELIVERED": 1,
    "NSW_STAT_DROPPED": 2,
    "NSW_STAT_OVERFLOWS": 3,
    "NSW_STAT_RESYNCS": 4,
    "NSW_STAT_QUEUED": 5,
    "NSW_STAT_QUEUED_MAX": 6,
    "NSW_STAT_PENDING": 7,
    "NSW_STAT_KNOWN": 8,
    "NSW_EVENT_CREATED": 1,
    "NSW_EVENT_READY": 2,
    "NSW_EVENT_DETACHED": 3,
    "NSW_EVENT_DELETED": 4,
    "NSW_EVENT_DIR_CREATED": 5,
    "NSW_EVENT_DIR_DELETED": 6,
    "NSW_EVENT_NSID_NEW": 7,
    "NSW_EVENT_NSID_DEL": 8,
    "NSW_EVENT_SYNCED": 9,
    "NSW_EVENT_OVERFLOW": 10,
    "NSW_EVENT_NETNS_NEW": 11,
    "NSW_EVENT_NETNS_DEL": 12,
    "NSW_EVENT_REPLAYED": 1,
    "NSID_NOT_ASSIGNED": -1,
    "NSW_NO_REPLAY": 1,
    "NSW_NO_PARENT": 2,
    "NSW_DIR_EVENTS": 4,
    "NSW_MOUNT_EVENTS": 8,
    "NSW_ALL_NSID": 16,
    "NSW_NO_MOUNT_EVENTS": 32,
    "NSW_NO_SYMLINKS": 64,
    "NSW_PREPARE": 128,
    "NSW_QUEUE_BLOCK": 1,
    "NSW_QUEUE_DROP_NEWEST": 2,
    "NSW_QUEUE_DROP_OLDEST": 3,
    "NSW_FEATURE_MOUNT_EVENTS": 1,
    "NSW_FEATURE_MOUNT_POLL": 2,
    "NSW_FEATURE_COOKIE": 3,
    "NSW_FEATURE_MOUNT_ID": 4,
    "NSW_FEATURE_NS_HANDLES": 5,
    "NSW_FEATURE_STATMOUNT": 6,
    "NSW_FEATURE_TARGET_NSID": 8,
    "NSW_FEATURE_ALL_NSID": 9,
    "NSW_FEATURE_LISTNS": 10,
    "NSW_FEATURE_BIRTHS": 11,
    "NSW_FEATURE_DEATHS": 12,
}

# the opaque handles: nsw_watcher *, nsw_options *, nsw_event *
handle = c_void_p


class nsw_netns(Structure):  # noqa: N801 - as in the header
    """The one public struct: 32 bytes, and it never grows."""

    _fields_ = (("dev", c_uint64), ("ino", c_uint64), ("cookie", c_uint64), ("stamp", c_uint64))
    dev: int
    ino: int
    cookie: int
    stamp: int


# (prototype, type of the result, type of each argument)
PROTOTYPES: list[tuple[Any, ...]] = [
    # watching
    (
        "int nsw_open(uint32_t source, nsw_options *options, nsw_watcher **watcher)",
        *(c_int, c_uint32, handle, POINTER(handle)),
    ),
    (
        "void nsw_close(nsw_watcher *watcher)",
        *(None, handle),
    ),
    (
        "int nsw_fd(const nsw_watcher *watcher)",
        *(c_int, handle),
    ),
    (
        "int nsw_next_event(nsw_watcher *watcher, const nsw_event **event)",
        *(c_int, handle, POINTER(handle)),
    ),
    (
        "int nsw_wait_event(nsw_watcher *watcher, int timeout_ms, const nsw_event **event)",
        *(c_int, handle, c_int, POINTER(handle)),
    ),
    (
        "int nsw_resync(nsw_watcher *watcher)",
        *(c_int, handle),
    ),
    (
        "int nsw_open_netns(const nsw_watcher *watcher, const nsw_event *event)",
        *(c_int, handle, handle),
    ),
    (
        "uint64_t nsw_stat(const nsw_watcher *watcher, uint32_t which)",
        *(c_uint64, handle, c_uint32),
    ),
    (
        "const char *nsw_error(const nsw_watcher *watcher)",
        *(c_char_p, handle),
    ),
    # events
    (
        "uint32_t nsw_event_type(const nsw_event *e)",
        *(c_uint32, handle),
    ),
    (
        "const char *nsw_event_type_name(uint32_t type)",
        *(c_char_p, c_uint32),
    ),
    (
        "uint32_t nsw_event_flags(const nsw_event *e)",
        *(c_uint32, handle),
    ),
    (
        "uint64_t nsw_event_time_ns(const nsw_event *e)",
        *(c_uint64, handle),
    ),
    (
        "const char *nsw_event_name(const nsw_event *e)",
        *(c_char_p, handle),
    ),
    (
        "size_t nsw_event_name_len(const nsw_event *e)",
        *(c_size_t, handle),
    ),
    (
        "const char *nsw_event_path(const nsw_event *e)",
        *(c_char_p, handle),
    ),
    (
        "uint64_t nsw_event_dev(const nsw_event *e)",
        *(c_uint64, handle),
    ),
    (
        "uint64_t nsw_event_ino(const nsw_event *e)",
        *(c_uint64, handle),
    ),
    (
        "uint64_t nsw_event_cookie(const nsw_event *e)",
        *(c_uint64, handle),
    ),
    (
        "int32_t nsw_event_pid(const nsw_event *e)",
        *(c_int32, handle),
    ),
    (
        "int32_t nsw_event_nsid(const nsw_event *e)",
        *(c_int32, handle),
    ),
    (
        "int32_t nsw_event_origin(const nsw_event *e)",
        *(c_int32, handle),
    ),
    (
        "uint32_t nsw_event_portid(const nsw_event *e)",
        *(c_uint32, handle),
    ),
    (
        "uint64_t nsw_event_dropped(const nsw_event *e)",
        *(c_uint64, handle),
    ),
    # identity
    (
        "int nsw_event_netns(const nsw_event *e, struct nsw_netns *netns)",
        *(c_int, handle, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_for_fd(int fd, struct nsw_netns *netns)",
        *(c_int, c_int, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_for_pid(int32_t pid, struct nsw_netns *netns)",
        *(c_int, c_int32, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_for_pidfd(int pidfd, struct nsw_netns *netns)",
        *(c_int, c_int, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_for_name(const char *name, struct nsw_netns *netns)",
        *(c_int, c_char_p, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_for_nsid(int32_t nsid, struct nsw_netns *netns)",
        *(c_int, c_int32, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_open(const struct nsw_netns *netns, const char *path)",
        *(c_int, POINTER(nsw_netns), c_char_p),
    ),
    (
        "int nsw_netns_same(const struct nsw_netns *a, const struct nsw_netns *b)",
        *(c_int, POINTER(nsw_netns), POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_is_alive(const struct nsw_netns *netns)",
        *(c_int, POINTER(nsw_netns)),
    ),
    (
        "int nsw_netns_wait(const char *name, int timeout_ms, struct nsw_netns *netns)",
        *(c_int, c_char_p, c_int, POINTER(nsw_netns)),
    ),
    # options
    (
        "nsw_options *nsw_options_new(void)",
        *(handle,),
    ),
    (
        "void nsw_options_free(nsw_options *o)",
        *(None, handle),
    ),
    (
        "int nsw_options_set_flags(nsw_options *o, uint32_t flags)",
        *(c_int, handle, c_uint32),
    ),
    (
        "int nsw_options_set_dir(nsw_options *o, const char *path)",
        *(c_int, handle, c_char_p),
    ),
    (
        "int nsw_options_set_settle(nsw_options *o, uint32_t ms)",
        *(c_int, handle, c_uint32),
    ),
    (
        "int nsw_options_set_max_names(nsw_options *o, uint32_t names)",
        *(c_int, handle, c_uint32),
    ),
    (
        "int nsw_options_set_rcvbuf(nsw_options *o, uint32_t bytes)",
        *(c_int, handle, c_uint32),
    ),
    (
        "int nsw_options_set_queue(nsw_options *o, uint32_t capacity, uint32_t policy)",
        *(c_int, handle, c_uint32, c_uint32),
    ),
    (
        "const char *nsw_options_error(const nsw_options *o)",
        *(c_char_p, handle),
    ),
    # nsids
    (
        "int nsid_get_for_pid(int32_t pid, int32_t *nsid)",
        *(c_int, c_int32, POINTER(c_int32)),
    ),
    (
        "int nsid_get_for_fd(int fd, int32_t *nsid)",
        *(c_int, c_int, POINTER(c_int32)),
    ),
    (
        "int nsid_get_for_name(const char *name, int32_t *nsid)",
        *(c_int, c_char_p, POINTER(c_int32)),
    ),
    (
        "int nsid_get_for_pidfd(int pidfd, int32_t *nsid)",
        *(c_int, c_int, POINTER(c_int32)),
    ),
    (
        "int nsid_get_as_seen_from(int where_fd, int fd, int32_t *nsid)",
        *(c_int, c_int, c_int, POINTER(c_int32)),
    ),
    (
        "int nsid_assign(int fd, int32_t wanted, int32_t *nsid)",
        *(c_int, c_int, c_int32, POINTER(c_int32)),
    ),
    (
        "int nsid_translate(int32_t nsid, int32_t from, int32_t *result)",
        *(c_int, c_int32, c_int32, POINTER(c_int32)),
    ),
    (
        "int nsid_list(int32_t *nsids, size_t capacity, size_t *count)",
        *(c_int, POINTER(c_int32), c_size_t, POINTER(c_size_t)),
    ),
    # features
    (
        "int nsw_feature(uint32_t which)",
        *(c_int, c_uint32),
    ),
    # about the library
    (
        "const char *nsw_version(void)",
        *(c_char_p,),
    ),
    (
        "const char *nsw_strerror(int rc)",
        *(c_char_p, c_int),
    ),
]


# The functions that read a field of an event, for each event.
_READING = {
    f"nsw_event_{field}"
    for field in ("type", "time_ns", "flags", "path", "netns", "nsid", "origin", "portid", "dropped", "pid")
}


def _path() -> str:
    if chosen := os.environ.get("NSWATCH_LIBRARY"):
        return chosen
    # a wheel carries a library of its own version
    carried = Path(__file__).with_name(SONAME)
    return str(carried) if carried.exists() else SONAME


def _load() -> ctypes.CDLL:
    path = _path()
    try:
        library = ctypes.CDLL(path)
        # calls without releasing the interpreter's lock, which takes a fifth of the time of a function that only reads
        reading = ctypes.PyDLL(path)
    except OSError as error:
        raise ImportError(
            f"{error}: install libnswatch where the dynamic linker finds it, or set NSWATCH_LIBRARY to its path"
        ) from error
    for prototype, result, *arguments in PROTOTYPES:
        name = prototype.partition("(")[0].split()[-1].lstrip("*")
        try:
            function = getattr(reading if name in _READING else library, name)
        except AttributeError:
            raise ImportError(f"{path} is older than this package: it has no {name}()") from None
        function.restype, function.argtypes = result, arguments
        setattr(library, name, function)
    return library


lib = _load()
