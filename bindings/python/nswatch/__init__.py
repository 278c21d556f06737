"""Watch Linux network namespaces come, become usable and go.

::

    import nswatch

    with nswatch.Watcher() as watcher:
        for event in watcher:
            print(event.type, event.name)

A layer over the C library libnswatch; see Watcher, Event and EventType. Errors are nswatch.Error, an OSError.
"""

from ._errors import Error
from ._event import Event, EventType
from ._feature import Feature, feature
from ._ffi import lib as _lib
from ._nsid import assign_nsid, list_nsids, nsid_for_fd, nsid_for_name, nsid_for_pid, translate_nsid
from ._watcher import Stats, Watcher

__version__ = "0.1.0"

__all__ = [
    "Error",
    "Event",
    "EventType",
    "Feature",
    "Stats",
    "Watcher",
    "assign_nsid",
    "feature",
    "library_version",
    "list_nsids",
    "nsid_for_fd",
    "nsid_for_name",
    "nsid_for_pid",
    "translate_nsid",
]


def library_version() -> str:
    """The version of the C library that is loaded, as "0.1.0"."""
    version: bytes = _lib.nsw_version()
    return version.decode()
