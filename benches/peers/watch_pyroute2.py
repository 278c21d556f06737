"""Watches with pyroute2, as in its documentation: names (NetNSManager) | ids (IPRoute); list prints all namespaces."""

import sys
import time

from pyroute2 import IPRoute
from pyroute2.netns.manager import NetNSManager

RTNLGRP_NSID = 28


def report(what: str, name: object) -> None:
    print(time.monotonic_ns(), what, name, flush=True)


def names() -> None:
    manager = NetNSManager()
    # without it get() waits for ever
    manager.bind()
    report("synced", "")
    while True:
        for info in manager.get():
            # a new name that leads to no namespace, or no longer, has no event
            is_deleted = info.get("event") == "RTM_DELNETNS"
            report("deleted" if is_deleted else "created", (info.get_attr("NSINFO_PATH") or "").rpartition("/")[2])


def ids() -> None:
    with IPRoute() as ipr:
        ipr.bind()
        ipr.add_membership(RTNLGRP_NSID)
        report("synced", "")
        while True:
            for message in ipr.get():
                what = {"RTM_NEWNSID": "nsid_new", "RTM_DELNSID": "nsid_del"}.get(message["event"], message["event"])
                report(what, message.get_attr("NETNSA_NSID"))


def list_all() -> None:
    with IPRoute() as ipr:
        for info in ipr.get_netns_info(list_proc=True):
            print(info["inode"])


{"names": names, "ids": ids, "list": list_all}[sys.argv[1]]()
