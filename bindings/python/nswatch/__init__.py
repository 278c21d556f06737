"""Watch Linux network namespaces appear, become usable and disappear.

::

    import nswatch

    with nswatch.Watcher() as watcher:
        for event in watcher:
            print(event)

A layer over the C library libnswatch. Start with Watcher, Event, EventType and Netns. Errors are nswatch.Error, an
OSError.
"""

from ._errors import Error
from ._event import Event, EventType
from ._feature import Feature, feature
from ._ffi import lib as _lib
from ._netns import Netns
from ._now import list_all, list_named, wait_ready, wait_ready_async
from ._nsid import (
    assign_nsid,
    list_nsids,
    nsid_as_seen_from,
    nsid_for_fd,
    nsid_for_name,
    nsid_for_pid,
    nsid_for_pidfd,
    translate_nsid,
)
from ._printable import printable
from ._watcher import Stats, Watcher

__version__ = "0.1.0"

__all__ = [
    "Error",
    "Event",
    "EventType",
    "Feature",
    "Netns",
    "Stats",
    "Watcher",
    "assign_nsid",
    "feature",
    "library_version",
    "list_all",
    "list_named",
    "list_nsids",
    "nsid_as_seen_from",
    "nsid_for_fd",
    "nsid_for_name",
    "nsid_for_pid",
    "nsid_for_pidfd",
    "printable",
    "translate_nsid",
    "wait_ready",
    "wait_ready_async",
]


def library_version() -> str:
    """The version of the loaded C library, as "0.1.0"."""
    version: bytes = _lib.nsw_version()
    return version.decode()
