"""A fleet in a sandbox: a bridge, a server on it, hosts that are namespaces, agents in them, a collector."""

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nswatch import Netns
from picture import Picture

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import DEADLINE, ROOT, Program, require_sandbox, run, start

FLEET = ROOT / "examples/fleet"
ADDRESS = "10.99.0.1"
SERVER = f"tls://{ADDRESS}"
EVERY = "0.5"
Names = dict[bytes, Netns | None]


class Host:
    """A network and a mount namespace of their own, with /run/netns, and a cable to the bridge."""

    def __init__(self, test: unittest.TestCase, name: str, number: int, certificate: Path) -> None:
        self.test = test
        self.certificate = certificate
        self.name = name
        holder = start(
            test,
            *("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c"),
            "mount -t tmpfs -o mode=755 host /run && ip link set lo up && echo up && read line",
            mixed=True,
        )
        holder.until("up")
        self.pid = holder.process.pid
        self.cable = f"cable-{name}"
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        # the namespace at its other end dies when the kernel has cleaned it up
        test.addCleanup(run, "ip", "link", "del", self.cable)
        run("ip", "link", "set", self.cable, "master", "bridge", "up")
        self.inside("ip", "address", "add", f"10.99.0.{number}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.netns = f"/proc/{self.pid}/root/run/netns"
        self.agent: Program | None = None

    def command(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--wd=/", *command]

    def inside(self, *command: str | bytes) -> None:
        run(*self.command(), *command)

    def ip_netns(self, *arguments: str | bytes) -> None:
        self.inside("ip", "netns", *arguments)

    def start(self, *options: str) -> Program:
        """Starts the agent, as the user that the server knows by the name of the host."""
        program = [sys.executable, str(FLEET / "agent.py"), "--server", SERVER, "--ca", str(self.certificate)]
        program += ["--host", self.name, "--user", self.name, "--every", EVERY]
        self.agent = start(
            self.test, *self.command("env", f"NATS_PASSWORD=change-{self.name}", *program, *options), mixed=True
        )
        return self.agent

    def truth(self) -> Names:
        """The names, and the namespace of each that has one."""
        found: Names = {}
        for name in os.listdir(self.netns.encode()) if os.path.exists(self.netns) else []:
            try:
                found[name] = Netns.for_name(os.path.join(self.netns.encode(), name))
            except OSError as failure:
                if failure.errno != errno.ENODEV:
                    raise
                found[name] = None  # a placeholder
        return found


class TestCase(unittest.TestCase):
    """Has a fleet of its own, in a sandbox of its own."""

    def setUp(self) -> None:
        require_sandbox(self)
        self.directory = Path(tempfile.mkdtemp(prefix="nswatch-fleet-"))
        self.addCleanup(shutil.rmtree, self.directory)
        run("ip", "link", "add", "bridge", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "bridge")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        self.certificate = self.directory / "server.pem"
        self.make_certificate()
        self.password = self.directory / "password"
        self.password.write_text("change-it\n")
        self.server = self.start_server()
        self.hosts = [Host(self, name, number, self.certificate) for number, name in enumerate("abc", 2)]
        self.database = self.directory / "fleet.db"
        self.variables: list[str] = []  # of the environment of a collector

    def make_certificate(self) -> None:
        """As README.md has it, but for the address."""
        (line,) = re.findall(r"^openssl .*?[^\\]$", (FLEET / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        command = line.replace("\\\n", " ").replace("DNS:nats.example.org", f"IP:{ADDRESS}")
        subprocess.run(command, shell=True, check=True, cwd=self.directory, capture_output=True)

    def start_server(self) -> Program:
        server = start(self, "nats-server", "-c", str(FLEET / "nats-tls.conf"), mixed=True, cwd=self.directory)
        server.until("Server is ready")
        return server

    def collector(self, *command: str) -> list[str]:
        return [sys.executable, str(FLEET / "collector.py"), "--database", str(self.database), *command]

    def start_collector(self, *options: str, program: list[str] | None = None) -> Program:
        """Starts it, and waits until it is connected; `program` runs in place of the script."""
        connection = ["--server", SERVER, "--ca", str(self.certificate), "--password-file", str(self.password)]
        command = self.collector("run", *connection, "--every", EVERY, *options)
        if program is not None:
            command[:2] = program
        collector = start(self, "env", *self.variables, *command, mixed=True)
        collector.until("connected")
        return collector

    def feeds(self) -> list[dict[str, Any]]:
        """The output of `show`."""
        with contextlib.closing(Picture(self.database)) as picture:
            return picture.feeds()

    def believed(self) -> dict[str, Names]:
        """The names of each host in `show`, if they are current."""
        found = {}
        for feed in self.feeds():
            if (feed["source"], feed["state"], feed["silent"]) == ("named", "current", False):
                found[feed["host"]] = {
                    bytes.fromhex(each["name_hex"]) if "name_hex" in each else each["name"].encode(): (
                        Netns(*(each.get(number, 0) for number in ("dev", "ino", "cookie", "stamp")))
                        if each["type"] == "ready"
                        else None
                    )
                    for each in feed["things"]
                }
        return found

    def converge(self, collector: Program) -> None:
        """Waits until the picture is the truth; checks again at each line of the collector."""
        self.wait_for(collector, lambda: self.believed() == {each.name: each.truth() for each in self.hosts})

    def wait_for(self, collector: Program, come: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not come():
            collector.line(end)
            while collector.has_line():
                collector.line(end)
