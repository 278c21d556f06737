"""Makes docs/tour.md anew, after `make test`, which builds and stages what it shows:

    tests/sandbox python3 tests/docs/tour.py > docs/tour.md

All that stands in the page's terminals was run; the sentences between them stand here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import BUILD, ENVIRONMENT, ROOT, TARGET, Program

ELSEWHERE = " " * 40 + "# "
ENVIRONMENT["PATH"] = f"{TARGET}/stage/bin:{ENVIRONMENT['PATH']}"
SLOW = """\
import subprocess, sys, time
import nswatch

with nswatch.Watcher(queue=3, queue_policy=sys.argv[1]) as watcher:
    next(event for event in watcher if event.type is nswatch.EventType.SYNCED)
    for n in range(9):
        subprocess.run(["ip", "netns", "add", f"n{n}"], check=True)
    time.sleep(1)  # has other things to do
    for event in watcher:
        print(event.type.name, event.name or "", event.dropped or "", "(replayed)" if event.replayed else "")
        if event.type is nswatch.EventType.SYNCED:
            break
"""


def say(text: str) -> None:
    print(text.strip() + "\n")


class Terminal:
    """What stands between two lines of backticks."""

    def __enter__(self) -> Terminal:
        print("```")
        return self

    def __exit__(self, *_: object) -> None:
        print("```\n", flush=True)

    def run(self, command: str, shown: str | None = None) -> None:
        print(f"$ {shown or command}", flush=True)
        done = subprocess.run(
            ["bash", "-c", command], check=False, env=ENVIRONMENT, capture_output=True, text=True, cwd=ROOT
        )
        print(re.sub(r" +\n", "\n", done.stdout + done.stderr), end="")

    def watch(self, command: list[str], shown: str, *steps: tuple[str, str]) -> None:
        """A program that goes on; and for each step what is done elsewhere, and the line that comes of it."""
        print(f"$ {shown}")
        program = Program(*command)
        try:
            for act, last in [("", "synced"), *steps]:
                if act:
                    print(ELSEWHERE + act, flush=True)
                    subprocess.run(["bash", "-c", act], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
                while last:
                    line = program.line()
                    print(line)
                    if last in line:
                        break
        finally:
            program.kill()


def command(*words: str) -> list[str]:
    return [f"{TARGET}/stage/bin/nswatch", *words]


def names() -> None:
    say("## Names come, become usable, and go")
    subprocess.run(["ip", "netns", "add", "old"], check=True)
    with Terminal() as terminal:
        terminal.watch(
            command("watch", "--mount-events"),
            "nswatch watch --mount-events",
            ("ip netns add blue", "ready        blue"),
            ("ip netns del blue", "deleted      blue"),
            ("touch /run/netns/green", "created      green"),
            ("mount --bind /proc/self/ns/net /run/netns/green", "ready        green"),
            ("mount --bind /run/netns/old /run/netns/green", "ready        green"),
            ("umount /run/netns/green", "ready        green"),
            ("umount /run/netns/green", "detached     green"),
            ("rm /run/netns/green", "deleted      green"),
        )
    say(
        "`created`: the name exists. `ready`: its namespace can be opened. A second `ready`: another namespace\n"
        "replaced it. `detached`: the name exists, but leads to no namespace. The same for programs:"
    )
    with Terminal() as terminal:
        terminal.watch(
            command("watch", "--json"),
            "nswatch watch --json",
            ("ip netns add red", '"ready","name":"red"'),
            ("ip netns del red", '"deleted","name":"red"'),
        )
    say("List the names, with the reason why one is not usable:")
    with Terminal() as terminal:
        terminal.run("touch /run/netns/stale")
        terminal.run("ln -s /proc/0/ns/net /run/netns/link; ln -s /proc/self/ns/uts /run/netns/uts")
        terminal.run("nswatch list")
        terminal.run("nswatch list --json | jq -r 'select(.reason).name'")
        terminal.run("rm /run/netns/stale /run/netns/link /run/netns/uts")
    say("Select types of events and names, and end after a number of events or after a time:")
    with Terminal() as terminal:
        terminal.run("nswatch watch --json --on ready --name 'o*' --count 1")
        terminal.run("nswatch watch --json --on deleted --timeout 0; echo $?")
    say("Wait in a script until a name can be opened, or until it is gone:")
    with Terminal() as terminal:
        terminal.run("(sleep 0.1; ip netns add red) & nswatch wait red --timeout 5 && ip -n red -brief link show lo")
        terminal.run("(sleep 0.1; ip netns del red) & nswatch wait red --deleted; echo $?")


def one() -> None:
    say(
        "## Everything about one namespace\n\n"
        "Select it by a name, a path, a process, an nsid, a cookie or an inode number:"
    )
    with Terminal() as terminal:
        terminal.run("ip netns set old 5")
        terminal.run("touch /run/elsewhere; mount --bind /run/netns/old /run/elsewhere")
        with subprocess.Popen(["ip", "netns", "exec", "old", "cat"], env=ENVIRONMENT, stdin=subprocess.PIPE) as process:
            print("$ ip netns exec old cat &")
            wait_for_command(process.pid, "cat")
            terminal.run("nswatch show old")
            terminal.run("nswatch show nsid:5 --json")
            terminal.run(f"nswatch show pid:{process.pid} | head -n 3")
        terminal.run("umount /run/elsewhere; ip netns del old")
        terminal.run("nswatch show old")
        terminal.run("ip netns add old")


def wait_for_command(pid: int, command: str) -> None:
    """Until what `ip netns exec` has become is what it was asked for."""
    while Path(f"/proc/{pid}/comm").read_text().strip() != command:
        time.sleep(0.01)


def features() -> None:
    say("## Features, with and without privilege")
    with Terminal() as terminal:
        terminal.run("nswatch features")
        terminal.run(
            "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin nswatch features | head -n 3",
        )


def overflow() -> None:
    say(
        "## When a queue overflows\n\n"
        "This reader has a queue for three events, and sleeps while nine namespaces are made. `OVERFLOW` has the\n"
        "number of dropped events; at `SYNCED` the reader knows all nine namespaces."
    )
    with open("/run/slow.py", "w") as file:
        file.write(SLOW)
    for policy in ("drop-newest", "drop-oldest"):
        with Terminal() as terminal:
            if policy == "drop-newest":
                terminal.run("cat /run/slow.py", "cat slow.py")
            terminal.run(f"{sys.executable} /run/slow.py {policy}", f"python3 slow.py {policy}")
        for n in range(9):
            subprocess.run(["ip", "netns", "del", f"n{n}"], check=True)


def ids() -> None:
    say(
        "## Nsids\n\n"
        "An nsid is the number of another namespace in this one. When a namespace with an nsid dies, the watcher\n"
        "reports it:"
    )
    with Terminal() as terminal:
        terminal.run("ip netns add lab")
        terminal.run("nswatch id --name lab")
        terminal.run("nswatch id --assign lab --want 7")
        terminal.watch(
            command("watch", "--source", "nsid"),
            "nswatch watch --source nsid",
            ("ip link add v0 type veth peer name v1 netns old", "nsid_new"),
            ("ip netns del lab", "nsid_del"),
        )
        terminal.run("ip link del v0")


def commands() -> None:
    say("## A command for each namespace")
    script = 'ip netns exec "$NSWATCH_NAME" ip link set lo up; echo "lo is up in $NSWATCH_NAME"'
    with Terminal() as terminal:
        print(f"$ nswatch exec --on ready -- sh -c '{script}'")
        program = Program(*command("exec", "--on", "ready", "--", "sh", "-c", script))
        try:
            print(program.line())
            print(ELSEWHERE + "ip netns add lab", flush=True)
            subprocess.run(["ip", "netns", "add", "lab"], check=True)
            print(program.line())
        finally:
            program.kill()
        terminal.run("ip -n lab -brief link show lo")
        terminal.run("ip netns del lab")


def languages() -> None:
    say("## The same program in five languages")
    for shown, words in {
        "./monitor                                # C": [f"{BUILD}/monitor"],
        "./monitor                                # C++": [f"{BUILD}/cpp-monitor"],
        "python3 examples/python/monitor.py       # Python": [sys.executable, f"{ROOT}/examples/python/monitor.py"],
        "go run ./monitor                         # Go": [f"{BUILD}/go/monitor"],
        "cargo run --example monitor              # Rust": [f"{BUILD}/rust/monitor"],
    }.items():
        with Terminal() as terminal:
            terminal.watch(words, shown, ("ip netns add blue", "ready blue"), ("ip netns del blue", "deleted blue"))


def main() -> None:
    release = os.uname().release.split("-")[0]
    say(f"# A tour\n\nReal output on Linux {release}, recorded by [tests/docs/tour.py](../tests/docs/tour.py).")
    names()
    one()
    features()
    overflow()
    ids()
    commands()
    languages()
    say(
        "## More\n\n"
        "Event loops, a daemon with a socket in each namespace: [examples](../examples). Metrics:\n"
        "[exporter](../examples/python/exporter.py). A service: [systemd](../examples/systemd). Many hosts:\n"
        "[fleet](../examples/fleet). Every case and its events: [events.md](events.md)."
    )


if __name__ == "__main__":
    main()
