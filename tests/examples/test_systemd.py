"""The service for systemd: its command where mounts arrive as in a service's mount namespace, and the whole, booted."""

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from programs import DEADLINE, ROOT, require_sandbox, run, start

UNIT = ROOT / "examples/systemd/netns-loopback.service"
NSWATCH = Path(os.environ.get("NSWATCH_LIBRARY", ROOT / "target/stage/lib/x")).parents[1] / "bin/nswatch"
SYSTEMD = Path("/lib/systemd/systemd")
BOOT = str(ROOT / "tests/examples/boot")

# waits until the loopback of the namespace that it runs in is up
UP = """
import fcntl, select, socket, struct, sys
changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
changes.bind((0, 1))
asking = socket.socket()
while not struct.unpack_from("H", fcntl.ioctl(asking, 0x8913, struct.pack("16s24x", b"lo")), 16)[0] & 1:
    if not select.select([changes], [], [], 10)[0]:
        sys.exit("lo is still down")
    changes.recv(1 << 16)
print("lo is up")
"""


class TestCase(unittest.TestCase):
    def setUp(self) -> None:
        require_sandbox(self)
        self.directory = Path(tempfile.mkdtemp(prefix="nswatch-service-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def unit(self) -> Path:
        """The unit, with the command of nswatch that was built."""
        copy = self.directory / UNIT.name
        copy.write_text(UNIT.read_text().replace("/usr/local/bin/nswatch", str(NSWATCH)))
        return copy


class Service(TestCase):
    def command(self) -> list[str]:
        parser = configparser.ConfigParser(strict=False)
        parser.read(self.unit())
        return shlex.split(parser["Service"]["ExecStart"])

    def test_its_command_gets_the_checked_descriptor_and_no_path(self) -> None:
        command = self.command()
        self.assertIn("--net={fd}", command)
        self.assertEqual([word for word in command if "{name}" in word], [])

    def test_it_is_right_and_has_no_rights_to_spare(self) -> None:
        if (analyze := shutil.which("systemd-analyze")) is None:
            self.skipTest("SKIPPED: the unit is not analysed: there is no systemd-analyze")
        unit = str(self.unit())
        done = subprocess.run(
            [analyze, "verify", "--man=no", unit], check=False, capture_output=True, text=True, timeout=DEADLINE
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        # 10 is everything, 0 nothing
        done = subprocess.run(
            [analyze, "security", "--no-pager", "--offline=true", "--threshold=15", unit],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        self.assertEqual(done.returncode, 0, done.stdout)

    def machine(self) -> None:
        """Makes mounts here go where this mount namespace is copied to, as on a machine that systemd has booted."""
        run("mount", "--make-rshared", "/")
        self.addCleanup(run, "mount", "--make-rprivate", "/")
        self.addCleanup(self.remove_names, "before", "after")

    def remove_names(self, *names: str) -> None:
        for name in names:
            run("ip", "netns", "del", name)
        run("umount", "-l", "/run/netns")

    def wait_until_up(self, name: str) -> None:
        command = ["nsenter", f"--net=/run/netns/{name}", sys.executable, "-c", UP]
        self.assertEqual(subprocess.check_output(command, timeout=DEADLINE), b"lo is up\n")

    def test_the_command_where_mounts_arrive(self) -> None:
        self.machine()
        run("ip", "netns", "add", "before")
        service = start(self, "unshare", "--mount", "--propagation", "slave", *self.command(), mixed=True)
        self.wait_until_up("before")
        run("ip", "netns", "add", "after")
        self.wait_until_up("after")
        self.assertEqual(service.kill(15), 0)
        self.assertEqual(service.lines, [])

    def test_the_command_where_mounts_do_not_arrive(self) -> None:
        self.machine()
        run("ip", "netns", "add", "before")
        watch = [str(NSWATCH), "watch", "--json"]
        service = start(self, "unshare", "--mount", "--propagation", "private", *watch, mixed=True)
        service.until('"ready","name":"before"', '"synced"')
        run("ip", "netns", "add", "after")
        service.until('"created","name":"after"')
        inside = ["nsenter", f"--target={service.process.pid}", "--mount", str(NSWATCH), "list"]
        listed = subprocess.run(inside, check=True, capture_output=True, text=True, timeout=DEADLINE).stdout
        self.assertRegex(listed, r"after +nothing mounted \(yet\)")


@unittest.skipUnless(SYSTEMD.exists(), "SKIPPED: the service is not booted: there is no systemd")
class Boot(TestCase):
    """Has a systemd of its own."""

    def setUp(self) -> None:
        super().setUp()
        with open("/proc/self/uid_map") as ids:
            outside = ids.read().split()[1]
        if outside != "0":
            self.skipTest("SKIPPED: the service is not booted: that requires root")

    def boot(self, script: str, *settings: str) -> tuple[list[str], list[str]]:
        """The script's output, and the service's."""
        path = self.directory / "script"
        path.write_text(script.replace("PYTHON", sys.executable))
        done = subprocess.run(
            [BOOT, str(UNIT), str(NSWATCH), str(path), *settings],
            check=True,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        printed, _, said = done.stdout.partition("-- of the service:\n")
        return printed.splitlines(), said.splitlines()


class Booted(Boot):
    """With all settings of the unit in force."""

    def test_it_works(self) -> None:
        printed, said = self.boot(
            f"""
set -e
up() {{ nsenter --net=/run/netns/$1 PYTHON -c '{UP}'; }}
ip netns add one
up one
ip netns add two
up two
systemctl stop {UNIT.name}
ip netns add three
systemctl start {UNIT.name}
up three
# a pending name: now nswatch listens to mounts
> /run/netns/placeholder
ip netns add four
up four
ls -l /proc/$(systemctl show -p MainPID --value {UNIT.name})/fd | grep -o '.fanotify.$'
systemctl stop {UNIT.name}
systemctl show -p Result --value {UNIT.name}
"""
        )
        release = tuple(int(each) for each in os.uname().release.split(".")[:2])
        listens = ["[fanotify]"] if release >= (6, 15) else []
        self.assertEqual((printed, said), (["lo is up"] * 4 + [*listens, "success"], []))

    def test_settings_that_break_it(self) -> None:
        # nothing reports that mounts do not arrive: the names exist, and no namespaces
        shows = """
ip netns add one
nsenter --mount=/proc/$(systemctl show -p MainPID --value netns-loopback)/ns/mnt /usr/local/bin/nswatch list --json
"""
        printed, said = self.boot(shows, "MountFlags=private")
        self.assertEqual([(each["type"], each["name"]) for each in map(json.loads, printed)], [("created", "one")])
        self.assertEqual(said, [])
        printed, said = self.boot(shows, "TemporaryFileSystem=/run")
        self.assertEqual((printed, said), ([], []))
        says = """
ip netns add one
grep -m 1 "exit status" < <(exec tail -n +1 -F /out/log)
"""
        for setting in ("RestrictNamespaces=yes", "PrivateUsers=yes"):
            printed, said = self.boot(says, setting)
            self.assertEqual(printed, ["nswatch: nsenter for ready one: exit status: 1"])
            self.assertIn("Operation not permitted", said[0])


if __name__ == "__main__":
    unittest.main()
