"""Runs each example against real namespaces and reads what it prints. Started by ci/run, in a sandbox.

The examples have the same names in each language and print the same lines, so each test here is one for all of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unicodedata
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import BUILD, DEADLINE, ENVIRONMENT, ROOT, TARGET, Program, remove_names, require_sandbox, start

# a name of 1 to 255 bytes, which a terminal would obey, and how every language shows it
HOSTILE = b"\x1b]0;owned\x07\x1b[2J two\t\n\r\x7f\xc2\x9b\xe2\x80\xae\\'\"\xff\xed\xa0\x80" + "\U000e0041café☃".encode()
SHOWN = r"\u{1b}]0;owned\u{7}\u{1b}[2J\x20two\t\n\r\u{7f}\u{9b}\u{202e}\\\'\"\xff\xed\xa0\x80\u{e0041}café☃"

VALGRIND = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=all", "--error-exitcode=9"]
# it does not know the ioctls of namespaces, and a child's errors before it runs another program do not matter
VALGRIND += ["--sim-hints=lax-ioctls", "--child-silent-after-fork=yes"]
# categories of characters that a terminal obeys, or that are invisible
HIDING = {"Cc", "Cf", "Zs", "Zl", "Zp"}
# except these, which are drawn over or around digits and words
SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
# how an example is run
LANGUAGES = {
    "c": [*VALGRIND, BUILD + "/{}"],
    "cpp": [*VALGRIND, BUILD + "/cpp-{}"],
    "python": [sys.executable, str(ROOT) + "/examples/python/{}.py"],
    "go": [BUILD + "/go/{}"],
    "go-command": ["env", f"NSWATCH_COMMAND={TARGET}/stage/bin/nswatch", BUILD + "/go-command/{}"],
    "rust": [BUILD + "/rust/{}"],
}


def ip_netns(*arguments: str | bytes) -> None:
    subprocess.run(["ip", "netns", *arguments], check=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def inode(name: str | bytes) -> int:
    return os.stat(os.path.join(os.fsencode("/run/netns"), os.fsencode(name))).st_ino


class ExampleTest(unittest.TestCase):
    """Has namespaces of its own, no ids that another test has left behind, and programs that end with it."""

    def setUp(self) -> None:
        require_sandbox(self)
        clone_newnet = 0x40000000
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        self.assertEqual(ctypes.CDLL(None).unshare(clone_newnet), 0)
        self.addCleanup(ctypes.CDLL(None).setns, home, clone_newnet)
        self.addCleanup(remove_names)

    def start(self, *command: str) -> Program:
        return start(self, *command)

    def expect(self, program: Program, *lines: str) -> None:
        for line in lines:
            said = program.line()
            if said.startswith("detached ") and not line.startswith("detached "):
                # a reader between the unmount and the removal of a name sees both
                said = program.line()
            self.assertEqual(said, line)

    def ends(self, program: Program, number: int | None = None) -> None:
        self.assertEqual(self.ended(program, 0, number), "")

    def ended(self, program: Program, expected: int, number: int | None = None) -> str:
        """Its errors."""
        status, errors = program.end(number)
        self.assertEqual(status, expected, errors)
        # about system calls newer than valgrind, which then answers ENOSYS
        return re.sub(r"^--\d+-- .*\n", "", errors, flags=re.MULTILINE)

    def refusal(self, status: int, text: str, *command: str) -> None:
        self.assertRegex(self.ended(self.start(*command), status), text)

    def monitor(self, command: list[str]) -> None:
        ip_netns("add", "before")
        before = inode("before")
        program = self.start(*command)
        self.expect(program, "created before (replayed)", f"ready before net:[{before}] (replayed)", "synced")
        ip_netns("add", "blue")
        self.expect(program, "created blue", f"ready blue net:[{inode('blue')}]")
        ip_netns("del", "blue")
        ip_netns("del", "before")
        self.expect(program, "deleted blue", "deleted before")
        ip_netns("add", HOSTILE)
        self.expect(program, f"created {SHOWN}", f"ready {SHOWN} net:[{inode(HOSTILE)}]")
        self.ends(program, signal.SIGINT)
        self.refusal(1, r": .*not a directory.*\n$", *command, "/dev/null")


class Examples(ExampleTest):
    """The same behaviour of the examples in every language."""

    def asynchronous(self, command: list[str]) -> None:
        program = self.start(*command)
        self.expect(program, "synced -")
        ip_netns("add", "blue")
        self.expect(program, "created blue", "ready blue", "opened blue")
        program.write("resync")
        self.expect(program, "synced -")
        ip_netns("del", "blue")
        self.expect(program, "deleted blue")
        ip_netns("add", HOSTILE)
        self.expect(program, f"created {SHOWN}", f"ready {SHOWN}", f"opened {SHOWN}")
        ip_netns("del", HOSTILE)
        self.expect(program, f"deleted {SHOWN}")
        self.ends(program)
        program = self.start(*command)
        self.expect(program, "synced -")
        self.ends(program, signal.SIGINT)
        self.refusal(1, r"^async: .*not a directory.*\n$", *command, "/dev/null")

    def listing(self, command: list[str]) -> None:
        self.ends(self.start(*command, "/run/missing"))
        ip_netns("add", "red")
        ip_netns("add", "blue")
        ip_netns("add", HOSTILE)
        Path("/run/netns/placeholder").touch()
        program = self.start(*command)
        self.expect(
            program,
            f"{SHOWN} net:[{inode(HOSTILE)}]",
            f"blue net:[{inode('blue')}]",
            "placeholder -",
            f"red net:[{inode('red')}]",
        )
        self.ends(program)
        self.refusal(1, r"^list: .*not a directory.*\n$", *command, "/dev/null")

    def nsid(self, command: list[str]) -> None:
        # a namespace without a name: it lives as long as the process
        other = self.start("unshare", "--net", "sh", "-c", "echo; read line")
        other.line()
        pid = other.process.pid
        program = self.start(*command, str(pid))
        self.expect(program, f"process {pid} is in a namespace without an nsid")
        number = program.line()
        self.assertRegex(number, r"^assigned nsid \d+$")
        nsid = number.split()[-1]
        again = self.start(*command, str(pid))
        self.expect(again, f"process {pid} is in the namespace with nsid {nsid}")
        other.end()
        for each in (program, again):
            self.expect(each, f"the namespace with nsid {nsid} is dead")
            self.ends(each)
        self.refusal(1, r"^nsid: .*(invalid argument|a pid is a positive number).*\n$", *command, "0")

    def all(self, command: list[str]) -> None:
        ip_netns("add", "blue")
        # the process chooses its command itself, of 15 bytes at most
        other = self.start("unshare", "--net", "sh", "-c", r"printf '\033[2J a\303' > /proc/$$/comm; echo; read line")
        other.line()
        pid = other.process.pid
        ino = os.stat(f"/proc/{pid}/ns/net").st_ino
        program = self.start(*command)
        # other namespaces of this host come and go meanwhile
        born = rf"net:[{ino}] {pid} \u{{1b}}[2J\x20a\xc3"
        lines = {program.line()}
        while "synced" not in lines:
            lines.add(program.line())
        for line in (f"netns_new {born} (replayed)", f"netns_new net:[{inode('blue')}] /run/netns/blue (replayed)"):
            self.assertIn(line, lines)
        ip_netns("add", "red")
        program.until(f"netns_new net:[{inode('red')}] ")
        other.end()
        program.until(f"netns_del {born}")
        program.process.send_signal(signal.SIGINT)
        self.assertEqual(program.ended(), 0)

    def enter(self, command: list[str]) -> None:
        ip_netns("add", "before")
        program = self.start(*command, "readlink", "/proc/self/ns/net")
        self.expect(program, "in before:", f"net:[{inode('before')}]")
        ip_netns("add", "blue")
        self.expect(program, "in blue:", f"net:[{inode('blue')}]")
        self.ends(program, signal.SIGINT)
        ip_netns("add", HOSTILE)
        # goes on after a command that failed
        program = self.start(*command, "false")
        self.assertEqual(sorted(program.line() for _ in range(3)), sorted([f"in {SHOWN}:", "in before:", "in blue:"]))
        ip_netns("add", "red")
        self.expect(program, "in red:")
        status, errors = program.end(signal.SIGINT)
        self.assertEqual(status, 0)
        self.assertRegex(errors, "enter: blue: ")
        self.assertIn(f"enter: {SHOWN}: ", errors)
        self.refusal(2, "^usage: ", *command)


def add(language: str, name: str, test: Callable[[Examples, list[str]], None]) -> None:
    command = [word.format(name) for word in LANGUAGES[language]]
    setattr(Examples, f"test_{name}_{language}", lambda self: test(self, command))


for language in LANGUAGES:
    add(language, "monitor", Examples.monitor)
    add(language, "async", Examples.asynchronous)
    add(language, "list", Examples.listing)
    add(language, "nsid", Examples.nsid)
    add(language, "all", Examples.all)
    add(language, "enter", Examples.enter)


class Names(ExampleTest):
    """A name is any bytes but `/` and NUL: every language, and the command, shows them alike, and none obeys them."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = os.fsencode(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        dice = random.Random(7)
        edges = [0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
        edges += [ord(each) for each in map(chr, range(1, sys.maxunicode)) if unicodedata.category(each) in HIDING]
        near = {number + more for number in edges for more in (-1, 0, 1)}
        self.names = {chr(each).encode(errors="ignore") for each in near if 0 < each <= sys.maxunicode}
        self.names |= {bytes(dice.choices(range(1, 256), k=dice.randint(1, 255))) for _ in range(100)}
        self.names |= {
            HOSTILE,
            b"\xc0\x80",
            b"\xe0\x80\xa0",
            b"\xf0\x80\x80\xa0",
            b"\xf4\x90\x80\x80",
            b"\xe2\x80",
            b"\\xff",
        }
        self.names = {each.replace(b"/", b"x") for each in self.names} - {b"", b".", b".."}
        for name in self.names:
            Path(os.fsdecode(os.path.join(self.directory, name))).touch()

    def check(self, lines: list[str]) -> None:
        shown = [line.split() for line in lines]
        self.assertEqual({len(words) for words in shown}, {2}, "no name passes for two words, or for two lines")
        self.assertEqual(sorted(name_of(words[0]) for words in shown), sorted(self.names))
        for character in set("".join(lines)) - {" "}:
            self.assertTrue(unicodedata.category(character) not in HIDING or character in SEEN, ascii(character))

    def listed(self, *command: str) -> list[str]:
        done = subprocess.run([*command, self.directory], check=True, capture_output=True, env=ENVIRONMENT)
        return done.stdout.decode().split("\n")[:-1]

    def test_names_are_shown_alike(self) -> None:
        first = self.listed(*(word.format("list") for word in LANGUAGES["rust"]))
        self.check(first)
        for language in ("c", "cpp", "python", "go"):
            with self.subTest(language):
                command = [word.format("list") for word in LANGUAGES[language]]
                self.assertEqual(self.listed(*command), first)
        with self.subTest("the command"):
            lines = self.listed(f"{TARGET}/stage/bin/nswatch", "list", "--dir")
            self.assertEqual([line.split()[0] for line in lines[1:]], [line.split()[0] for line in first])


def name_of(shown: str) -> bytes:
    """The name that is shown so."""
    found = b""
    for text, code, byte, short in re.findall(r"([^\\]+)|\\u\{([0-9a-f]+)\}|\\x([0-9a-f]{2})|\\([tnr\\'\"])", shown):
        found += (
            text.encode() or (chr(int(code, 16)).encode() if code else b"") or (bytes.fromhex(byte) if byte else b"")
        )
        found += short.translate(str.maketrans("tnr", "\t\n\r")).encode()
    return found


class Two(ExampleTest):
    """Two watchers in one loop, in C++."""

    def test_two(self) -> None:
        ip_netns("add", "before")
        command = [*VALGRIND, f"{BUILD}/cpp-two"]
        program = self.start(*command)
        known = inode("before")
        lines = sorted(program.line() for _ in range(4))
        expected = ["created before (replayed)", f"ready before net:[{known}] (replayed)", "synced", "synced"]
        self.assertEqual(lines, expected)
        ip_netns("set", "before", "7")
        self.expect(program, "nsid_new 7: before")
        ip_netns("add", HOSTILE)
        self.expect(program, f"created {SHOWN}", f"ready {SHOWN} net:[{inode(HOSTILE)}]")
        ip_netns("set", HOSTILE, "8")
        self.expect(program, f"nsid_new 8: {SHOWN}")
        ip_netns("del", "before")
        lines = sorted(program.line() for _ in range(2))
        if lines[1].startswith("detached"):
            lines = sorted([lines[0], program.line()])
        self.assertEqual(lines, ["deleted before", "nsid_del 7"])
        self.ends(program, signal.SIGINT)
        self.refusal(1, r"^two: .*not a directory.*\n$", *command, "/dev/null")


class Libuv(ExampleTest):
    """The monitor in a loop of libuv."""

    def test_libuv(self) -> None:
        self.monitor([*VALGRIND, f"{BUILD}/libuv"])


class Router(ExampleTest):
    """The daemon that keeps a netlink socket in each namespace."""

    def sockets(self, program: Program) -> list[int]:
        found = os.scandir(f"/proc/{program.process.pid}/fd")
        return [int(entry.name) for entry in found if os.readlink(entry).startswith("socket:")]

    def test_links(self) -> None:
        ip_netns("add", "before")
        router = self.start(*VALGRIND, f"{BUILD}/router")
        self.expect(router, "before: opened", "before: link lo down")
        ip_netns("add", "blue")
        self.expect(router, "blue: opened", "blue: link lo down")
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "blue")
        self.expect(router, "blue: link v1 down")
        ip("-n", "blue", "link", "set", "v1", "up")
        self.expect(router, "blue: link v1 up")
        ip("-n", "blue", "link", "del", "v1")
        self.expect(router, "blue: link v1 down", "blue: link v1 gone")
        # it is unmounted, though the name stays; another one takes its place
        ip_netns("add", "red")
        self.expect(router, "red: opened", "red: link lo down")
        ip("-n", "red", "link", "set", "lo", "up")
        self.expect(router, "red: link lo up")
        subprocess.run(["umount", "/run/netns/blue"], check=True)
        self.expect(router, "blue: closed")
        subprocess.run(["mount", "--bind", "/run/netns/before", "/run/netns/blue"], check=True)
        self.expect(router, "blue: opened", "blue: link lo down")
        router.process.send_signal(signal.SIGSTOP)
        subprocess.run(["umount", "/run/netns/blue"], check=True)
        subprocess.run(["mount", "--bind", "/run/netns/red", "/run/netns/blue"], check=True)
        router.process.send_signal(signal.SIGCONT)
        self.expect(router, "blue: closed", "blue: opened", "blue: link lo up")
        ip_netns("add", HOSTILE)
        self.expect(router, f"{SHOWN}: opened", f"{SHOWN}: link lo down")
        # the name of a link is any bytes but '/' and white space
        ip("-n", "before", "link", "add", "\x1b[2J", "type", "bridge")
        self.expect(router, r"before: link \u{1b}[2J down")
        self.assertEqual(os.stat(f"/proc/{router.process.pid}/ns/net"), os.stat("/proc/self/ns/net"))
        self.ends(router, signal.SIGTERM)
        self.refusal(1, r"^router: .*not a directory.*\n$", f"{BUILD}/router", "/dev/null")

    def test_a_namespace_dies_when_its_name_is_gone(self) -> None:
        ids = self.start(f"{BUILD}/driver")
        for command, answer in (("open nsid", "ok"), ("wait", "event synced ")):
            ids.write(command)
            self.assertIn(answer, ids.line())
        ip_netns("add", "blue")
        number = inode("blue")
        ip_netns("set", "blue", "5")
        router = self.start(f"{BUILD}/router")
        self.expect(router, "blue: opened", "blue: link lo down")
        # until the router reads, its socket keeps the namespace alive
        router.process.send_signal(signal.SIGSTOP)
        ip_netns("del", "blue")
        (socket,) = self.sockets(router)
        self.assertEqual(inode_of_socket(router.process.pid, socket), number)
        router.process.send_signal(signal.SIGCONT)
        self.expect(router, "blue: closed")
        self.assertEqual(self.sockets(router), [])
        for kind in ("nsid_new", "nsid_del"):
            ids.write("wait")
            self.assertRegex(ids.line(), rf"^event {kind} 0 - 0 0 0 5 ")
        self.ends(router, signal.SIGTERM)

    def test_nothing_is_left_open(self) -> None:
        router = self.start(f"{BUILD}/router")
        counts = []
        for _ in range(20):
            ip_netns("add", "blue")
            self.expect(router, "blue: opened", "blue: link lo down")
            self.assertEqual(len(self.sockets(router)), 1)
            ip_netns("del", "blue")
            self.expect(router, "blue: closed")
            counts.append(len(os.listdir(f"/proc/{router.process.pid}/fd")))
        self.assertEqual(counts, counts[:1] * 20)
        namespaces = [link for link in links_of(router.process.pid) if link.startswith("net:")]
        self.assertEqual(namespaces, [os.readlink("/proc/self/ns/net")], "except the one to come back to")
        self.ends(router, signal.SIGTERM)

    def test_an_overflow_of_the_watcher_needs_no_handling(self) -> None:
        ip_netns("add", "goes")
        router = self.start(f"{BUILD}/router")
        self.expect(router, "goes: opened", "goes: link lo down")
        router.process.send_signal(signal.SIGSTOP)
        room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        for _ in range(room // 2 + 50):
            os.mknod("/run/netns/storm")
            os.unlink("/run/netns/storm")
        ip_netns("del", "goes")
        ip_netns("add", "comes")
        router.process.send_signal(signal.SIGCONT)
        lines = sorted(router.line() for _ in range(3))
        self.assertEqual(lines, ["comes: link lo down", "comes: opened", "goes: closed"])
        self.assertEqual(len(self.sockets(router)), 1)
        self.ends(router, signal.SIGTERM)

    def test_lost_notifications_are_recovered(self) -> None:
        ip_netns("add", "blue")
        ip("-n", "blue", "link", "add", "first", "type", "veth", "peer", "name", "firstpeer")
        router = self.start(f"{BUILD}/router")
        self.assertEqual(router.line(), "blue: opened")
        lines = sorted(router.line() for _ in range(3))
        self.assertEqual(lines, [f"blue: link {name} down" for name in ("first", "firstpeer", "lo")])
        router.process.send_signal(signal.SIGSTOP)
        storm = "".join(f"link add s{n} type veth peer name p{n}\nlink del s{n}\n" for n in range(100))
        batch = f"{storm}link del first\nlink add last type veth peer name lastpeer\n"
        subprocess.run(["ip", "-n", "blue", "-batch", "-"], input=batch.encode(), check=True)
        look = ["ip", "netns", "exec", "blue", "cat", "/proc/net/netlink"]
        table = subprocess.run(look, check=True, capture_output=True).stdout
        drops = [int(row.split()[8]) for row in table.splitlines()[1:]]
        self.assertGreater(max(drops), 0, "nothing was lost, so nothing is tested")
        router.process.send_signal(signal.SIGCONT)
        links = {"first", "firstpeer", "lo"}
        while links != {"last", "lastpeer", "lo"}:
            _, _, link, state = router.line().split()
            (links.discard if state == "gone" else links.add)(link)
        self.ends(router, signal.SIGTERM)


def links_of(pid: int) -> list[str]:
    return [os.readlink(entry) for entry in os.scandir(f"/proc/{pid}/fd")]


def inode_of_socket(pid: int, fd: int) -> int:
    """Of the network namespace that a socket of another process is in."""
    pidfd_getfd, get_namespace = 438, 0x894C
    with open(os.pidfd_open(pid)) as process:
        copy = ctypes.CDLL(None, use_errno=True).syscall(pidfd_getfd, process.fileno(), fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
    with open(copy) as socket, open(fcntl.ioctl(socket, get_namespace)) as namespace:
        return os.stat(namespace.fileno()).st_ino


class Readme(ExampleTest):
    """The code in README.md and docs/cpp.md runs."""

    def blocks(self, language: str, page: str = "README.md") -> list[str]:
        blocks = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
        self.assertNotEqual(blocks, [], f"{page} shows nothing in {language}")
        return blocks

    def code(self, language: str) -> str:
        (block,) = self.blocks(language)
        return block

    def file(self, name: str, text: str) -> str:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = Path(directory, name)
        path.write_text(text)
        return str(path)

    def test_c(self) -> None:
        source = self.file("prog.c", self.code("c"))
        build = f"cc -Wall -Wextra -Werror {source} -o {source}.out $(pkg-config --cflags --libs nswatch)"
        subprocess.run(build, shell=True, check=True, env=ENVIRONMENT)
        program = self.start(f"{source}.out")
        ip_netns("add", "blue")
        self.expect(program, f"blue can be opened: net:[{inode('blue')}]")

    def test_cpp(self) -> None:
        source = self.file("prog.cpp", self.blocks("cpp", "docs/cpp.md")[0])
        build = f"c++ -std=c++17 -Wall -Wextra -Werror {source} -o {source}.out $(pkg-config --cflags --libs nswatch)"
        subprocess.run(build, shell=True, check=True, env=ENVIRONMENT)
        program = self.start(f"{source}.out")
        self.expect(program, "synced")
        ip_netns("add", "blue")
        self.expect(program, "created blue", f"ready blue net:[{inode('blue')}]")

    def test_python(self) -> None:
        program = self.start(sys.executable, self.file("prog.py", self.code("python")))
        self.expect(program, "synced")
        ip_netns("add", "blue")
        self.expect(program, "created blue", f"ready blue net:[{inode('blue')}]")

    def test_python_binding(self) -> None:
        """The first program survives the replacement of a namespace that it has not reached yet."""
        readme = (ROOT / "bindings/python/README.md").read_text()
        first, *_ = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
        queued = first.replace("Watcher()", "Watcher(queue=64)")
        slow = queued.replace("print(event)\n", "print(event)\n        input()\n")
        program = self.start(sys.executable, "-u", self.file("prog.py", slow))
        self.expect(program, "synced")
        program.write("")
        ip_netns("add", "blue")
        self.expect(program, "created blue")
        program.write("")
        self.assertRegex(program.line(), r"^ready blue net:")
        ip_netns("del", "blue")
        ip_netns("add", "green")
        Path("/run/netns/blue").touch()
        subprocess.run(["mount", "--bind", "/run/netns/green", "/run/netns/blue"], check=True)
        program.write("")
        self.assertIn("[Errno 116] cannot open the namespace /run/netns/blue: ", program.line())
        while program.line() != f"ready green net:[{inode('green')}]":
            program.write("")
        program.write("")

    def test_go_static(self) -> None:
        """The command in the binding's README makes a program without dependencies."""
        readme = (ROOT / "bindings/go/README.md").read_text()
        (command,) = re.findall(r"^cd .*-extldflags -static.*$", readme, re.MULTILINE)
        built = self.file("monitor", "")
        subprocess.run(command.replace("/tmp/monitor", built), shell=True, check=True, env=ENVIRONMENT, cwd=ROOT)
        shown = subprocess.run(["readelf", "-d", built], check=True, capture_output=True, text=True).stdout
        self.assertIn("There is no dynamic section", shown)
        self.assertLess(os.stat(built).st_size, 8 << 20)
        self.monitor(["env", "-u", "LD_LIBRARY_PATH", built])

    def test_rust_and_go(self) -> None:
        """Parts of programs, which run as parts of tests."""
        for language, indent, test in (
            ("rust", "    ", "tests/docs/readme.rs"),
            ("go", "\t", "bindings/go/readme_test.go"),
        ):
            for block in self.blocks(language):
                self.assertIn(textwrap.indent(block, indent), (ROOT / test).read_text())

    def test_shell(self) -> None:
        (block,) = (block for block in self.blocks("sh") if block.startswith("nswatch "))
        first, some, several, everything, now, links, waiting, show, last = block.splitlines()
        names, two, watched, every, waits = map(self.shell, (first, some, several, everything, waiting))
        self.shell(links)
        ip_netns("add", "blue")
        self.expect(names, "blue")
        self.assertEqual(waits.process.wait(DEADLINE), 0)
        while f"net:[{inode('blue')}]" not in every.line():
            pass
        self.assertRegex(self.shell(now).line(), "^ *COOKIE +INODE +NSID +PROCESSES")
        for lab in "lab1", "lab2":
            ip_netns("add", lab)
            self.assertRegex(two.line(), f"ready +{lab} ")
        self.assertEqual(two.process.wait(DEADLINE), 0)
        while not re.search(r"ready +/run/netns/blue +net:", watched.line()):
            pass
        deadline = time.monotonic() + DEADLINE
        while b"UP" not in subprocess.check_output(["ip", "-n", "blue", "link", "show", "lo"]).split(b">")[0]:
            self.assertLess(time.monotonic(), deadline, "lo is not up")
        self.assertEqual(self.shell(show).line(), f"namespace  net:[{inode('blue')}]")
        ids = self.shell(last)
        self.assertEqual(ids.line(), "blue 0")
        self.assertRegex(ids.line(), "nsid_new +blue +nsid 0 +replayed")

    def shell(self, line: str) -> Program:
        program = self.start("setsid", "bash", "-c", f"PATH={TARGET}/stage/bin:$PATH; {line}")

        def end() -> None:
            if program.process.poll() is None:
                # all that is in the line
                os.killpg(program.process.pid, signal.SIGTERM)

        self.addCleanup(end)
        return program


if __name__ == "__main__":
    unittest.main()
