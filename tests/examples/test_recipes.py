"""Runs the code of docs/recipes.md, and shows that its pitfalls are real. Started by ci/run, in a sandbox."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import test_systemd
from programs import BUILD, DEADLINE, ENVIRONMENT, ROOT, TARGET, Program, remove_names, require_sandbox, run, start

PAGE = (ROOT / "docs/recipes.md").read_text()
PATH = f"{TARGET}/stage/bin:{ENVIRONMENT['PATH']}"


def blocks(title: str, language: str) -> list[str]:
    """The code under a heading."""
    (section,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def block(title: str, language: str) -> str:
    (only,) = blocks(title, language)
    return only


class TestCase(unittest.TestCase):
    def setUp(self) -> None:
        require_sandbox(self)
        self.addCleanup(remove_names)

    def shell(self, script: str, *inside: str) -> subprocess.CompletedProcess[str]:
        command = [*inside, "env", f"PATH={PATH}", "bash", "-c", script]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=DEADLINE)

    def directory(self) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="nswatch-recipe-"))
        self.addCleanup(shutil.rmtree, directory)
        return directory


class Shell(TestCase):
    def test_wait(self) -> None:
        script = block("Wait for a namespace in a shell script", "sh")
        run("ip", "netns", "add", "other")
        # as a killed ip(8) leaves it
        Path("/run/netns/blue").touch()
        waiting = start(self, "env", f"PATH={PATH}", "bash", "-c", f"[ -e /run/netns/blue ] && echo waits && {script}")
        waiting.until("waits")
        refused = self.shell("ip -n blue link")
        self.assertEqual((refused.returncode != 0, "Invalid argument" in refused.stderr), (True, True), refused)
        run("mount", "--bind", "/run/netns/other", "/run/netns/blue")
        self.assertEqual(waiting.end(), (0, ""))
        self.assertRegex(self.shell("ip -n blue -brief link show lo").stdout, r"<LOOPBACK,UP")
        run("ip", "netns", "del", "blue")
        late = self.shell(script.replace("--timeout 10", "--timeout 0"))
        self.assertEqual((late.returncode, late.stderr), (3, ""))

    def test_the_other_end_of_a_link(self) -> None:
        script = block("Find the namespace at the other end of a link", "sh")
        run("ip", "netns", "add", "blue")
        run("ip", "netns", "add", "red")
        # so that nsid 0 of blue is another namespace than nsid 0 here
        run("ip", "-n", "blue", "link", "add", "b0", "type", "veth", "peer", "name", "r0", "netns", "red")
        run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "blue")
        self.addCleanup(run, "ip", "link", "del", "v0")
        # a namespace without a name is known by its process
        nameless = start(self, "unshare", "--net", "sh", "-c", "echo; exec cat")
        nameless.line()
        pid = str(nameless.process.pid)
        run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", pid)
        shown = self.shell(script)
        self.assertEqual((shown.stdout.splitlines(), shown.stderr), (["v0: blue", "w0: cat"], ""))
        inside = self.shell(script, "nsenter", "--net=/run/netns/blue")
        self.assertIn("b0: red\n", inside.stdout)
        outside = self.shell(script.replace("ip -json", "ip -n blue -json"))
        self.assertIn("b0: blue\n", outside.stdout, "the pitfall is not real")


class Pyroute2(TestCase):
    def setUp(self) -> None:
        super().setUp()
        if importlib.util.find_spec("pyroute2") is None:
            self.skipTest("SKIPPED: pyroute2 in each namespace: there is no pyroute2")

    def run_it(self, program: str) -> Program:
        path = self.directory() / "agent.py"
        path.write_text(program)
        return start(self, sys.executable, str(path))

    def test_it_works(self) -> None:
        run("ip", "netns", "add", "blue")
        program = self.run_it(block("pyroute2 in each namespace, from asyncio", "python"))
        self.assertEqual(program.line(), "blue lo")
        run("ip", "netns", "add", "red")
        self.assertEqual(program.line(), "red lo")
        self.assertEqual(program.end(signal.SIGTERM), (0, ""))

    def test_it_survives_a_namespace_that_was_replaced(self) -> None:
        # another namespace has the name before the program enters it
        program = block("pyroute2 in each namespace, from asyncio", "python").replace(
            "    with ready.enter()",
            """    import subprocess

    if ready.name == "blue":
        subprocess.run(["ip", "netns", "del", "blue"], check=True)
        subprocess.run(["ip", "netns", "add", "green"], check=True)
        subprocess.run("touch /run/netns/blue; mount --bind /run/netns/green /run/netns/blue", shell=True, check=True)
    with ready.enter()""",
        )
        run("ip", "netns", "add", "blue")
        agent = self.run_it(program.replace('if ready.name == "blue"', 'if ready.name == "blue" and ready.replayed'))
        self.assertEqual(sorted((agent.line(), agent.line())), ["blue lo", "green lo"])
        status, errors = agent.end(signal.SIGTERM)
        self.assertEqual(status, 0)
        self.assertIn("[Errno 116] cannot open the namespace /run/netns/blue: ", errors)

    def test_the_pitfall(self) -> None:
        program = block("pyroute2 in each namespace, from asyncio", "python")
        pitfall = program.replace("import IPRoute", "import AsyncIPRoute").replace(
            "*await asyncio.to_thread(links, event)", "*await links(event)"
        )
        pitfall = re.sub(
            r"def links.*?\n\n",
            """async def links(ready: Event) -> list[str]:
    with ready.open_netns() as fd:
        async with AsyncIPRoute(netns=fd) as route:
            return [link.get("ifname") async for link in await route.link("dump")]

""",
            pitfall,
            flags=re.DOTALL,
        )
        agent = self.run_it(pitfall)
        # SIGTERM reaches a child only if it has not ended by itself before
        for number in range(100):
            run("ip", "netns", "add", f"n{number}")
            if agent.line_or_end() is None:
                break
        self.assertEqual(agent.process.wait(DEADLINE), 0, "nobody sends it SIGTERM")


class InOtherLanguages(TestCase):
    """Whole programs, of which the page shows the important function."""

    def check(self, program: Program) -> None:
        self.assertEqual(program.line(), "before lo")
        run("ip", "netns", "add", "blue")
        self.assertEqual(program.line(), "blue lo")
        # with the name its socket goes, and so the namespace, which had an nsid
        run("ip", "netns", "set", "blue", "5")
        deaths = start(self, f"{TARGET}/stage/bin/nswatch", "watch", "--source", "nsid")
        deaths.until("synced")
        run("ip", "netns", "del", "blue")
        self.assertEqual(program.line(), "blue closed")
        self.assertRegex(deaths.line(), "^[0-9:.]+ +nsid_del +.*nsid 5")
        run("umount", "/run/netns/before")
        self.assertEqual(program.line(), "before closed")
        self.assertEqual(program.end(signal.SIGINT), (0, ""))

    def built(self, path: str) -> str:
        if not Path(path).exists():
            self.skipTest(f"SKIPPED: a recipe lacks its libraries, so there is no {path}")
        return path

    def test_go(self) -> None:
        source = (ROOT / "examples/netlink/main.go").read_text()
        self.assertIn(block("vishvananda/netlink: a handle in each namespace", "go"), source)
        run("ip", "netns", "add", "before")
        self.check(start(self, self.built(f"{BUILD}/go/netlink")))

    def test_rust(self) -> None:
        source = (ROOT / "examples/rtnetlink/src/main.rs").read_text()
        self.assertIn(block("rtnetlink and tokio in each namespace", "rust"), source)
        run("ip", "netns", "add", "before")
        self.check(start(self, self.built(f"{TARGET}/debug/rtnetlink-example")))


class Prometheus(TestCase):
    def test_the_metrics_that_are_asked_for(self) -> None:
        command = block("Metrics for Prometheus", "sh").replace("9975", "0")
        program = start(self, *shlex.split(command.replace("python3", sys.executable)), cwd=ROOT)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(program.line(), timeout=DEADLINE) as answer:
            metrics = answer.read().decode()
        for name in re.findall(r"nswatch_\w+(?:\{.*?\})?", block("Metrics for Prometheus", "promql")):
            self.assertRegex(metrics, rf"(?m)^{re.escape(name)} \d")


class Systemd(test_systemd.Boot):
    """The units in a systemd of its own."""

    def test_it_works(self) -> None:
        template, service = blocks("Start a service when its namespace can be opened", "ini")
        impatient = template.replace("--timeout 30", "--timeout 0")
        late = service.replace("ExecStart=", "ExecStartPre=/usr/local/bin/nswatch wait blue\nExecStart=")
        late = re.sub("(Requires|After)=.*\n", "", late)
        once = "Type=oneshot\nStandardOutput=append:/out/printed\n"
        printed, _ = self.boot(
            f"""
cd /etc/systemd/system
unit() {{ sed '/^\\[Unit\\]/a DefaultDependencies=no' <<< "$2" > $1; }}
unit netns-ready@.service {shlex.quote(template)}
unit impatient@.service {shlex.quote(impatient)}
unit blue-server.service {shlex.quote(service + once)}
unit late.service {shlex.quote(late + once)}
waits() {{ until [ "$(systemctl show -p ActiveState --value netns-ready@blue)" = activating ]; do :; done; }}
systemd-analyze verify --man=no ./blue-server.service ./netns-ready@blue.service 2>&1
systemctl daemon-reload
systemctl start impatient@blue 2> /dev/null || systemctl show -p ExecMainStatus impatient@blue
systemctl start late 2> /dev/null || systemctl show -p ExecStartPre late | grep -o 'status=[0-9]*'
for time in first second; do
    systemctl start blue-server &
    waits
    echo "$time: $(systemctl show -p ActiveState --value blue-server)"
    ip netns add blue
    wait $! && echo started
    ip netns del blue
done
systemctl start netns-ready@my-lab &
ip netns add my-lab
wait $! && echo "my-lab is there"
"""
        )
        # 225: it blocks its own wait
        failed = ["ExecMainStatus=3", "status=225"]
        waited = ["lo", "started", "second: inactive", "lo", "started", "my-lab is there"]
        shown = [re.sub("^lo .*", "lo", line) for line in printed]
        self.assertEqual(shown, [*failed, "first: inactive", *waited])


if __name__ == "__main__":
    unittest.main()
