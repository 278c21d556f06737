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
FRR = Path("/run/frr")


@dataclass
class Contestant:
    """A program that prints a line for each event: time, type, name."""

    name: str
    version: str
    #: Commands to watch names and nsids, and to list all namespaces; None: it cannot.
    names: list[str] | None = None
    ids: list[str] | None = None
    everything: list[str] | None = None
    #: The event after which a user opens the namespace.
    usable: str = "created"
    #: Whether it reports the end of the list of existing names.
    lists: bool = True
    #: Whether that event means that the namespace can be opened.
    readiness: bool = True
    #: How long the namespaces stay: time for a program that polls.
    wait_ms: int = 500
    #: Whether it reports names that are no namespaces.
    plain: bool = True
    #: The loads that it takes part in; empty: all that it can.
    loads: tuple[str, ...] = ()
    #: Which of its lines are events, and the meaning of its words if they differ.
    pattern: re.Pattern[str] = re.compile(r"(?P<time>\d+) (?P<what>\w+) ?(?P<name>\S*)$")
    words: dict[str, str] = field(default_factory=dict)
    #: Why it cannot run at all.
    missing: str = ""

    def read(self, line: str) -> tuple[int, str, str] | None:
        if (match := self.pattern.match(line.rstrip())) is None:
            return None
        what = self.words.get(match["what"], match["what"])
        return int(match["time"]), what, match["name"]

    def can(self, load: str) -> bool:
        """Whether the program is made for what a load measures."""
        if self.loads and load not in self.loads:
            return False
        needs = {
            "ids": self.ids,
            "list": self.everything,
            "plain": self.names if self.plain else None,
            "open": self.names if self.lists else None,
            "drain": self.names if self.name.startswith("nswatch") else None,
        }
        return needs.get(load, self.names) is not None


def output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def tool(name: str) -> list[str]:
    """The words that run a program from Debian's archive, or nothing."""
    words = PEERS / "tools" / name
    return words.read_text().splitlines() if words.exists() else []


def why_missing(part: str) -> str:
    """The reason that benches/peers/install gave."""
    reason = PEERS / "without" / part
    return reason.read_text().strip() if reason.exists() else ""


def all_contestants() -> list[Contestant]:
    ours = found(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())
    if commit := output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"):
        ours += f" ({commit})"
    nlink = found(r'name = "nlink"\nversion = "(.*)"', (HERE / "nlink/Cargo.lock").read_text())
    fsnotify = found(r"fsnotify (v\S+)", (HERE / "go/go.mod").read_text())
    venv, python = str(PEERS / "venv/bin/python"), shutil.which("python3") or "python3"
    pyroute2 = output(venv, "-c", "import importlib.metadata as m; print(m.version('pyroute2'))")
    floor, in_c, in_go = f"{PEERS}/watch_floor", f"{PEERS}/watch_nswatch", f"{PEERS}/watch_nswatch_go"
    in_python, with_pyroute2 = [python, f"{HERE}/watch_nswatch.py"], [venv, f"{HERE}/watch_pyroute2.py"]
    stamp, ip, lsns, zebra = str(PEERS / "stamp"), tool("ip"), tool("lsns"), tool("zebra")
    as_root, log = ["-u", "root", "-g", "root"], ["--log", "stdout", "--log-level", "informational"]
    libmount = [*lsns[:3], f"{PEERS}/watch_libmount"]
    libmount_version = output(*libmount, "version")
    # "add NAME" of `ip netns monitor`, "[Deleted ]nsid ID (iproute2 netns name: NAME)" of `ip monitor nsid`
    monitor = re.compile(r"(?P<time>\d+) (?P<what>add|delete|nsid|Deleted nsid) (?P<name>\S+)")
    zns = re.compile(r"(?P<time>\d+) .*ZNS /run/netns/(?P<name>\S+) with id \d+ \((?P<what>enabled|deleted)\)$")
    every = [
        Contestant("system calls in C", "-", [floor, "names"], [floor, "ids"], usable="ready", lists=False),
        Contestant("nswatch, C", ours, [in_c, "names"], [in_c, "ids"], usable="ready"),
        Contestant(
            "nswatch, Python",
            ours,
            [*in_python, "names"],
            [*in_python, "ids"],
            [*in_python, "list"],
            usable="ready",
        ),
        Contestant("nswatch, Python, queue", ours, [*in_python, "queue"], usable="ready", loads=("plain", "idle")),
        Contestant(
            "nswatch, Go",
            ours,
            [in_go, "names"],
            [in_go, "ids"],
            [in_go, "list"],
            usable="ready",
            missing=why_missing("nswatch-go"),
        ),
        Contestant("nswatch list --all", ours, everything=[f"{STAGE}/bin/nswatch", "list", "--all"]),
        Contestant("nlink", nlink, [f"{PEERS}/nlink/release/watch_nlink"], missing=why_missing("nlink")),
        Contestant(
            "fsnotify",
            fsnotify,
            [f"{PEERS}/watch_fsnotify"],
            readiness=False,
            missing=why_missing("fsnotify"),
        ),
        Contestant(
            "ip monitor",
            found(r"iproute2-([^,\s]+)", output(*ip, "-V")) if ip else "",
            [stamp, *ip, "netns", "monitor"],
            [stamp, *ip, "monitor", "nsid"],
            lists=False,
            pattern=monitor,
            readiness=False,
            words={"add": "created", "delete": "deleted", "nsid": "nsid_new", "Deleted nsid": "nsid_del"},
            missing=why_missing("ip"),
        ),
        Contestant(
            "pyroute2",
            pyroute2,
            [*with_pyroute2, "names"],
            [*with_pyroute2, "ids"],
            [*with_pyroute2, "list"],
            readiness=False,
            lists=False,
            missing=why_missing("pyroute2") if not pyroute2 else "",
        ),
        Contestant(
            "zebra -w",
            found(r"version (\S+)", output(*zebra, "--version")) if zebra else "",
            [stamp, *zebra, "-w", "-f", str(FRR / "zebra.conf"), "-P", "0", *as_root, *log],
            usable="enabled",
            lists=False,
            plain=False,
            # it retries each second
            wait_ms=3000,
            pattern=zns,
            missing=why_missing("zebra"),
        ),
        *(
            Contestant(
                f"libmount monitor, {kind}",
                libmount_version,
                [*libmount, kind],
                usable="ready",
                lists=False,
                plain=False,
                missing=why_missing("libmount"),
            )
            for kind in ("fanotify", "mountinfo")
        ),
        Contestant(
            "lsns -t net",
            found(r"util-linux (\S+)", output(*lsns, "--version")) if lsns else "",
            everything=[*lsns, "-t", "net"],
            missing=why_missing("lsns"),
        ),
    ]
    for one in every:
        if not one.missing and not one.version:
            one.missing = "benches/peers/install did not install it"
    return every
