"""The contestants: how to start each, as in its documentation, and how to parse its lines."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PEERS = TARGET / "peers"
STAGE = TARGET / "stage"
ZEBRA = "/usr/lib/frr/zebra"


@dataclass
class Contestant:
    """A program that prints a line for each event: time, type, name."""

    name: str
    version: str
    #: Commands to watch names and nsids; None: it cannot.
    names: list[str] | None
    ids: list[str] | None = None
    #: The event after which a user opens the namespace.
    usable: str = "created"
    #: Whether it reports the end of the list of existing names.
    lists: bool = True
    #: Which of its lines are events, and the meaning of its words if they differ.
    pattern: re.Pattern[str] = re.compile(r"(?P<time>\d+) (?P<what>\w+) ?(?P<name>\S*)$")
    words: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> tuple[int, str, str] | None:
        if (match := self.pattern.match(line.rstrip())) is None:
            return None
        what = self.words.get(match["what"], match["what"])
        return int(match["time"]), what, match["name"]


def output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def pip_version(package: str) -> str:
    return output(
        str(PEERS / "venv/bin/python"), "-c", f"import importlib.metadata as m; print(m.version('{package}'))"
    )


def all_contestants() -> list[Contestant]:
    ours = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if commit := output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"):
        ours += f" ({commit})"
    lock = (HERE / "nlink/Cargo.lock").read_text()
    nlink = re.search(r'name = "nlink"\nversion = "(.*)"', lock)[1]
    fsnotify = re.search(r"fsnotify (v\S+)", (HERE / "go/go.mod").read_text())[1]
    ip = re.search(r"iproute2-([^,\s]+)", output("ip", "-V"))
    venv, python = str(PEERS / "venv/bin/python"), shutil.which("python3") or "python3"
    stamp = str(PEERS / "stamp")
    zebra = Path(ZEBRA)
    version = re.search(r"version (\S+)", output(ZEBRA, "--version"))
    # "add NAME" of `ip netns monitor`, "[Deleted ]nsid ID (iproute2 netns name: NAME)" of `ip monitor nsid`
    monitor = re.compile(r"(?P<time>\d+) (?P<what>add|delete|nsid|Deleted nsid) (?P<name>\S+)")
    zns = re.compile(r"(?P<time>\d+) .*ZNS /run/netns/(?P<name>\S+) with id \d+ \((?P<what>enabled|deleted)\)$")
    every = [
        Contestant(
            "system calls in C", "-", [f"{PEERS}/watch_floor", "names"], [f"{PEERS}/watch_floor", "ids"], "ready", False
        ),
        Contestant("nswatch, C", ours, [f"{PEERS}/watch_nswatch", "names"], [f"{PEERS}/watch_nswatch", "ids"], "ready"),
        Contestant("nswatch, Python", ours, [python, f"{HERE}/watch_nswatch.py"], None, "ready"),
        Contestant("nswatch, Go", ours, [f"{PEERS}/watch_nswatch_go"], None, "ready"),
        Contestant("nlink", nlink, [f"{PEERS}/nlink/release/watch_nlink"]),
        Contestant("fsnotify", fsnotify, [f"{PEERS}/watch_fsnotify"]),
        Contestant(
            "ip monitor",
            ip[1] if ip else "",
            [stamp, "ip", "netns", "monitor"],
            [stamp, "ip", "monitor", "nsid"],
            lists=False,
            pattern=monitor,
            words={"add": "created", "delete": "deleted", "nsid": "nsid_new", "Deleted nsid": "nsid_del"},
        ),
        Contestant(
            "pyroute2",
            pip_version("pyroute2"),
            [venv, f"{HERE}/watch_pyroute2.py", "names"],
            [venv, f"{HERE}/watch_pyroute2.py", "ids"],
            lists=False,
        ),
        Contestant(
            "zebra -n",
            version[1] if version else "",
            [stamp, ZEBRA, "-n", "-f", "/run/frr/zebra.conf", "-P", "0"],
            usable="enabled",
            lists=False,
            pattern=zns,
        ),
    ]
    return [
        one
        for one in every
        if one.version and Path((one.names or [""])[0]).exists() and (one.name != "zebra -n" or zebra.exists())
    ]
