"""Plays the scenarios of tests/conformance against the drivers of all languages. Started by ci/run, in a sandbox.

tests/conformance/README.md says what a scenario is and what a driver does.
"""

from __future__ import annotations

import ctypes
import difflib
import errno
import fcntl
import itertools
import multiprocessing
import os
import re
import string
import struct
import subprocess
import sys
import time
import unittest
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import BUILD, DEADLINE, ROOT, TARGET, Program

CONFORMANCE = ROOT / "tests/conformance"
DRIVERS = {
    "c": [f"{BUILD}/driver"],
    "c++": [f"{BUILD}/driver-cpp"],
    "python": [sys.executable, str(CONFORMANCE / "driver.py")],
    "go": [f"{BUILD}/driver-go"],
    "go-command": ["env", f"NSWATCH_COMMAND={TARGET}/stage/bin/nswatch", f"{BUILD}/driver-go-command"],
    "rust": [f"{BUILD}/rust/conformance"],
}
LANGUAGES = os.environ.get("NSWATCH_DRIVERS", " ".join(DRIVERS)).split()
WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
REPLAYED = " (replayed)"

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
NS_GET_NSTYPE, NS_GET_ID = 0xB703, 0x8008B70D

Identity = tuple[int, int, int]


@dataclass
class Block:
    """A step, a command or an instruction for the player, and the lines expected after it."""

    action: str
    expected: list[str] = field(default_factory=list)


@dataclass
class Scenario:
    title: str
    blocks: list[Block] = field(default_factory=list)

    def written(self) -> list[str]:
        return [line for block in self.blocks for line in (block.action, *tidy(block.expected))]


def scenarios() -> list[Scenario]:
    found: list[Scenario] = []
    for path in sorted(CONFORMANCE.glob("*.txt")):
        for line in filter(None, path.read_text().splitlines()):
            if line.startswith("# "):
                found.append(Scenario(line[2:]))
            elif line[0] in "$>!":
                found[-1].blocks.append(Block(line))
            else:
                found[-1].blocks[-1].expected.append(line)
    return found


def tidy(lines: list[str]) -> list[str]:
    """Sorts the names that are replayed together."""
    result: list[str] = []
    for replayed, run in itertools.groupby(lines, key=lambda line: line.endswith(REPLAYED)):
        group = list(run)
        result += sorted(group, key=lambda line: line.split()[1]) if replayed else group
    return result


class Stage:
    """A sandbox for one play, as `tests/sandbox` is for a whole suite."""

    def __enter__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.home = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
        self.directory = os.getcwd()
        self.call(self.libc.unshare, CLONE_NEWNS | CLONE_NEWNET)
        for command in ("mount --make-rprivate /", "mount -t tmpfs nswatch-play /run", "ip link set lo up"):
            subprocess.run(command.split(), check=True)

    def __exit__(self, *_: object) -> None:
        for namespace in self.home:
            self.call(self.libc.setns, namespace, 0)
            os.close(namespace)
        os.chdir(self.directory)

    def call(self, function: object, *arguments: int) -> None:
        if function(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def identity(path: bytes) -> tuple[Identity, int] | None:
    """The network namespace that a path leads to, read from the kernel directly; and when its inode was made."""
    try:
        if os.stat(path).st_dev != os.stat("/proc/self/ns/net").st_dev:
            return None
    except FileNotFoundError:
        return None
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if fcntl.ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET:
            return None
        try:
            (number,) = struct.unpack("Q", fcntl.ioctl(fd, NS_GET_ID, bytes(8)))
        except OSError:  # before Linux 6.18
            number = 0
        status = os.fstat(fd)
        return (status.st_dev, status.st_ino, number), status.st_ctime_ns
    finally:
        os.close(fd)


def processes() -> dict[int, str]:
    """The processes and threads that steps have left behind, each with the file that holds its number."""
    return {int(file.read_text()): file.name for file in sorted(Path("/run").glob("pid*"))}


class Truth:
    """The names in a directory, and a letter for each network namespace that a name has referred to."""

    def __init__(self) -> None:
        self.seen: list[tuple[Identity, int]] = []

    def has_seen(self, netns: Identity) -> bool:
        return any(known == netns for known, _ in self.seen)

    def look_at_processes(self) -> set[Identity]:
        """Gives letters to the namespaces of processes too; the kernel makes their inodes when somebody reads them."""
        there = set()
        for pid in processes():
            found = identity(f"/proc/{pid}/ns/net".encode())
            if found:
                there.add(found[0])
                if not self.has_seen(found[0]):
                    self.seen.append(found)
        return there

    def letter(self, netns: Identity) -> str:
        """The letter of the latest one with this identity, where the kernel has only recycled numbers."""
        for index, (known, _) in reversed(list(enumerate(self.seen))):
            if known == netns:
                return string.ascii_uppercase[index]
        return f"{netns}, which was never seen"

    def look(self, directory: str) -> dict[str, str | None]:
        names: dict[str, str | None] = {}
        for entry in sorted(os.scandir(os.fsencode(directory)), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                continue
            found = identity(entry.path)
            if found and found not in self.seen:
                self.seen.append(found)
            names[readable(entry.name)] = self.letter(found[0]) if found else None
        return names


def readable(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


class State:
    """Adds up the events, by the grammar."""

    def __init__(self) -> None:
        self.names: dict[str, str | None] = {}
        self.ids: set[str] = set()
        self.netns: set[Identity] = set()
        self.dead: set[Identity] = set()
        self.time = 0

    def apply(self, kind: str, subject: str, letter: str, netns: Identity, time_ns: int) -> None:
        require(self.time <= time_ns <= time.monotonic_ns(), f"{kind} {subject}: its time is wrong: {time_ns}")
        self.time = time_ns
        if kind == "created":
            require(subject not in self.names, f"{subject} is created twice")
            self.names[subject] = None
        elif kind == "ready":
            require(self.names.get(subject, letter) != letter, f"{subject} does not exist, or is {letter} already")
            self.names[subject] = letter
        elif kind == "detached":
            require(self.names.get(subject) is not None, f"{subject} is detached from nothing")
            self.names[subject] = None
        elif kind == "deleted":
            require(subject in self.names, f"{subject} is deleted and did not exist")
            del self.names[subject]
        elif kind == "dir_deleted":
            require(not self.names, f"the directory is gone and {self.names} are not")
        elif kind == "nsid_new":
            require(subject not in self.ids, f"id {subject} is new twice")
            self.ids.add(subject)
        elif kind == "nsid_del":
            require(subject in self.ids, f"id {subject} is gone and did not exist")
            self.ids.remove(subject)
        elif kind == "netns_new":
            require(netns not in self.netns, f"{netns} is new twice")
            require(netns not in self.dead, f"{netns} is new and was dead")
            self.netns.add(netns)
        elif kind == "netns_del":
            require(netns in self.netns, f"{netns} is gone and did not exist")
            self.netns.remove(netns)
            if netns[2]:
                self.dead.add(netns)


def require(truth: bool, otherwise: str) -> None:
    if not truth:
        raise AssertionError(otherwise)


class BusyHostError(Exception):
    """The rest of the host was so busy that events were lost, of which a scenario knows nothing."""


class Play:
    """One scenario with one driver. The log is the scenario as it went."""

    def __init__(self, driver: list[str]) -> None:
        self.command = driver
        self.driver: Program | None = None
        self.truth = Truth()
        self.state = State()
        self.directory = "/run/netns"
        self.opened = False
        self.watching = ""  # the source, while there may be events
        self.log: list[str] = []

    def play(self, scenario: Scenario) -> list[str]:
        with Stage():
            try:
                for block in scenario.blocks:
                    if block.action.startswith("! needs ") and self.ask(f"feature {block.action[8:]}") == "feature 0":
                        print(f"SKIPPED: {scenario.title}: it {block.action[2:]}", file=sys.stderr)
                        return scenario.written()
                    self.log.append(block.action)
                    lines = list(self.perform(block))
                    self.log += tidy(lines)
                    if tidy(lines) != tidy(block.expected):
                        return [*self.log, "… and here the play stopped"]
                self.finish()
                return self.log
            except AssertionError as failure:
                return [*self.log, f"{failure}"]
            finally:
                self.kill()

    def perform(self, block: Block) -> Iterator[str]:
        sign, words = block.action[0], block.action[2:]
        if sign == "$":
            shell = ["sh", "-euc", f". {CONFORMANCE}/steps.sh; {words}"]
            subprocess.run(shell, check=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
            self.look()
        elif sign == ">":
            yield from self.answered(words)
        elif words.startswith("needs "):
            return
        elif words == "unprivileged":
            self.command = [*WITHOUT_CAPABILITIES, *self.command]
        elif words == "recovers":
            self.until("overflow")
            events = self.until("synced")
            # these depend on the room in the queue, unless the scenario lists them
            yield from events if block.expected else []
            return
        else:
            self.until_known(words.split()[1])
        answers = sum(line.startswith("= ") for line in block.expected)
        for _ in range(len(block.expected) - answers):
            yield self.next()

    def look(self) -> None:
        """Gives letters to new namespaces."""
        if os.path.isdir(self.directory):
            self.truth.look(self.directory)
        if self.watching == "all":
            self.truth.look_at_processes()

    def next(self) -> str:
        """The next event about the scenario's namespaces; those of the rest of the host may come before."""
        end = time.monotonic() + DEADLINE
        while (line := self.event(self.ask("wait"))) is None:
            require(time.monotonic() < end, "only namespaces of others are reported")
        return line

    def answered(self, command: str) -> Iterator[str]:
        """The answer to a command, if it is worth a line."""
        word, *options = command.split()
        if word == "open":
            self.directory = next((each[4:] for each in options if each.startswith("dir=")), self.directory)
        answer = self.ask(re.sub(r"@(/run/\w+)", lambda match: Path(match[1]).read_text().strip(), command))
        kind, *values = answer.split()
        if kind == "error":
            yield f"= {errno.errorcode[int(values[0])]}"
        elif kind == "netns":
            dev, ino = map(int, values)
            ids = [known[2] for known, _ in self.truth.seen if known[:2] == (dev, ino)]
            yield f"= {self.truth.letter((dev, ino, ids[-1] if ids else 0))}"
        elif kind != "ok":
            yield "= " + (" ".join(values) if values not in ([], ["-1"]) else "none")
        elif word == "open":
            self.opened, self.watching = True, options[0]
            self.look()
        if word == "wait":
            self.watching = ""  # a scenario has this command only where the watch is over

    def event(self, answer: str) -> str | None:
        """The driver's event as it stands in a scenario; None: of a namespace that no step has made."""
        word, *values = answer.split()
        if word != "event":
            return answer
        kind, replayed, raw, *more, raw_path = values
        dev, ino, cookie, nsid, origin, portid, dropped, time_ns, pid = map(int, more)
        netns = (dev, ino, cookie)
        subject, letter = "" if raw == "-" else readable(bytes.fromhex(raw)), ""
        path = None if raw_path == "-" else readable(bytes.fromhex(raw_path))
        if kind in ("nsid_new", "nsid_del"):
            subject = f"{nsid}" if origin == -1 else f"{nsid} in {origin}"
            nsid = origin = -1
        text = f"{kind} {subject}".strip()
        if kind in ("ready", "netns_new", "netns_del"):
            letter = self.truth.letter(netns)
            text += f" {letter}"
            dev = ino = cookie = 0
        if kind == "netns_new":
            text += self.whereabouts(pid, path)
            pid, path = 0, None
        elif subject and self.watching == "named":
            require(path == f"{self.directory}/{subject}", f"{answer}: the path is {path}")
            path = None
        if kind == "nsid_new" and portid:
            text += " asked"
            portid = 0
        if kind == "overflow" and dropped:
            text += f" {dropped}"
            dropped = 0
        if self.watching == "all" and kind == "overflow":
            raise BusyHostError
        nothing = (dev, ino, cookie, nsid, origin, portid, dropped, pid, path) == (0, 0, 0, -1, -1, 0, 0, 0, None)
        require(nothing, f"{answer}: it has what a {kind} does not have")
        self.state.apply(kind, subject, letter, netns, time_ns)
        if self.watching == "all" and kind.startswith("netns") and not self.truth.has_seen(netns):
            return None
        return text + (REPLAYED if replayed == "1" else "")

    def whereabouts(self, pid: int, path: str | None) -> str:
        """The place of a namespace, with the name of the file in place of the number in it."""
        known = processes()
        words = [known.get(pid, "a stranger")] if pid else []
        if path:
            words.append(re.sub(r"(?<=^/proc/)\d+", lambda number: known.get(int(number[0]), "stranger"), path))
        return "".join(f" {word}" for word in words)

    def until(self, kind: str) -> list[str]:
        events: list[str] = []
        event = self.event(self.ask(f"until {kind}"))
        while event is None or event.split()[0] != kind:
            require(event != "nothing", f"no {kind} is reported, the last event is {events[-1:]}")
            events += filter(None, [event])
            event = self.event(self.driver.line())
        return [*events, event]

    def until_known(self, number: str) -> None:
        """The reader thread works without requests for events; only a counter shows its progress."""
        end = time.monotonic() + DEADLINE
        while self.ask("stat known") != f"stat {number}" or not self.is_asleep():
            require(time.monotonic() < end, f"the thread does not know {number} names in time")

    def is_asleep(self) -> bool:
        driver = Path(f"/proc/{self.driver.process.pid}/task")
        # Go without cgo has it in another process
        children = " ".join((task / "children").read_text() for task in driver.iterdir()).split()
        threads = [
            (task / "stat").read_text()
            for process in (driver, *(Path(f"/proc/{child}/task") for child in children))
            for task in process.iterdir()
            if (task / "comm").read_text() == "nswatch\n" and task.name != process.parent.name
        ]
        return all(stat.rpartition(") ")[2].startswith("S") for stat in threads)

    def finish(self) -> None:
        """Asserts that no event remains, and that the events add up to the kernel's state."""
        if self.watching:
            require(self.ask("resync") == "ok", "it cannot resync")
            event = self.next()
            require(event == "synced", f"an event was left, or a resync found a difference: {event}")
        if self.watching == "named":
            names = self.truth.look(self.directory) if os.path.isdir(self.directory) else {}
            require(names == self.state.names, f"the events give {self.state.names}, the kernel {names}")
        if self.watching == "nsid":
            listed = subprocess.run(["ip", "netns", "list-id"], check=True, capture_output=True, text=True).stdout
            ids = set(re.findall(r"^nsid (\d+)", listed, flags=re.MULTILINE))
            believed = {each for each in self.state.ids if " in " not in each}
            require(ids == believed, f"the events give {believed}, the kernel {ids}")
        if self.watching == "all":
            there = self.truth.look_at_processes()
            names = os.listdir(os.fsencode(self.directory)) if os.path.isdir(self.directory) else []
            found = (identity(os.path.join(os.fsencode(self.directory), name)) for name in names)
            there |= {each[0] for each in found if each}
            # also the player's own, if it got a letter
            own = identity(b"/proc/self/ns/net")
            there |= {own[0]} if own and self.truth.has_seen(own[0]) else set()
            believed = {known for known, _ in self.truth.seen if known in self.state.netns}
            require(there == believed, f"the events give {believed}, the kernel {there}")
        if self.opened:
            require(self.ask("close") == "ok", "it cannot close")
        ended = self.driver.end()
        require(ended == (0, ""), f"it ended with {ended}")

    def ask(self, command: str) -> str:
        if self.driver is None:
            self.driver = Program(*self.command)
        self.driver.write(command)
        return self.driver.line()

    def kill(self) -> None:
        if self.driver is not None:
            self.driver.kill()
        for file in Path("/run").glob("pid*"):
            subprocess.run(["kill", file.read_text().strip()], check=False, stderr=subprocess.DEVNULL)


def play(language: str, scenario: Scenario) -> list[str]:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return Play(DRIVERS[language]).play(scenario)
        except BusyHostError:
            require(time.monotonic() < end, f"{scenario.title}: the rest of the host is never quiet")


class Conformance(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        # a play moves its process to a sandbox and back; most of its time it waits for the kernel
        cls.processes = multiprocessing.get_context("fork").Pool(len(LANGUAGES))
        cls.addClassCleanup(cls.processes.terminate)

    def check(self, scenario: Scenario) -> None:
        plays = self.processes.starmap(play, ((language, scenario) for language in LANGUAGES))
        logs = {"the scenario": scenario.written(), **dict(zip(LANGUAGES, plays, strict=True))}
        for (one, this), (other, that) in itertools.combinations(logs.items(), 2):
            if this != that:
                self.fail(f"{other} differs:\n" + "\n".join(difflib.unified_diff(this, that, one, other, lineterm="")))


def add(scenario: Scenario) -> None:
    def test(self: Conformance) -> None:
        self.check(scenario)

    name = "test_" + re.sub(r"\W+", "_", scenario.title)
    require(not hasattr(Conformance, name), f"two scenarios are called {scenario.title!r}")
    setattr(Conformance, name, test)


for each in scenarios():
    add(each)


if __name__ == "__main__":
    unittest.main()
