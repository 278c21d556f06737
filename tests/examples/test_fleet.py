"""Three hosts that are namespaces, whose agents, server and collector are killed, cut off or robbed of messages."""

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

try:
    import nats
    from nats.aio.client import Client
    from nats.js import JetStreamContext
except ImportError:
    raise unittest.SkipTest("SKIPPED: the fleet: there is no nats-py") from None

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from hosts import ADDRESS, FLEET, SERVER, TestCase
from programs import DEADLINE, ENVIRONMENT, Program, overflow, run, start

BEGAN, LOST = " named began", " named lost"


def said(collector: Program, *endings: str) -> list[str]:
    """The lines of a collector with these endings, sorted; kills it, so that all its output is read."""
    collector.kill()
    return sorted(line for line in collector.lines if line.endswith(endings))


@unittest.skipUnless(shutil.which("nats-server"), "SKIPPED: the fleet: there is no nats-server")
class Fleet(TestCase):
    def with_stream(self, do: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
        """Runs an operation on the stream, beside the collector."""

        async def work() -> Any:
            client = await self.connect("collector", "change-it", inbox_prefix="_INBOX.collector.admin")
            try:
                return await do(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asyncio.wait_for(work(), DEADLINE))

    async def connect(self, user: str, password: str, **options: Any) -> Client:
        tls = ssl.create_default_context(cafile=self.certificate)
        return await nats.connect(SERVER, user=user, password=password, tls=tls, allow_reconnect=False, **options)

    def wait_for_message(self, host: str, kind: str, name: str | None, times: int = 1) -> None:
        """Waits until the stream has this message, so many times."""

        async def read(stream: JetStreamContext) -> None:
            subscription = await stream.pull_subscribe(f"nswatch.events.{host}.named", stream="NSWATCH")
            seen = 0
            while seen < times:
                for message in await subscription.fetch(1, DEADLINE):
                    event = json.loads(message.data)
                    seen += (event["type"], event.get("name")) == (kind, name)

        self.with_stream(read)

    def test_the_picture_is_that_of_the_hosts(self) -> None:
        a, b, c = self.hosts
        a.ip_netns("add", "early")
        collector = self.start_collector()
        for host in self.hosts:
            host.start("--nsids", "--all")
        self.converge(collector)
        for host in self.hosts:
            for name in ("blue", "red", "green"):
                host.ip_netns("add", name)
        a.ip_netns("add", b"caf\xe9")
        a.ip_netns("add", "two words")
        b.ip_netns("del", "red")
        b.ip_netns("add", "red")
        with open(f"{c.netns}/placeholder", "x"):
            pass
        c.ip_netns("del", "green")
        self.converge(collector)
        # a cable into blue gives it an nsid, as the cable to the bridge gave one to the namespace at its other end
        c.inside("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "blue")
        self.wait_for(collector, lambda: [each["nsid"] for each in self.things("c", "nsid")] == [0, 1])
        (blue,) = {each["ino"] for each in self.things("c", "named") if each["name"] == "blue"}
        self.wait_for(collector, lambda: blue in {each["ino"] for each in self.things("c", "all")})
        c.ip_netns("del", "blue")
        self.wait_for(collector, lambda: [each["nsid"] for each in self.things("c", "nsid")] == [0])
        self.wait_for(collector, lambda: blue not in {each["ino"] for each in self.things("c", "all")})
        self.converge(collector)
        shown = subprocess.run(self.collector("show"), check=True, capture_output=True, text=True, env=ENVIRONMENT)
        self.assertIn(r"    two\x20words     ready     net:[", shown.stdout)
        self.assertRegex(shown.stdout, r"\n    caf\\xe9 +ready +net:\[\d+\]")
        self.assertRegex(shown.stdout, r"\n    placeholder +created\n")
        self.assertRegex(shown.stdout, r"(?m)^a all: current\n(?:    net:\[\d+\] +netns_new .*\n)+")
        for host in self.hosts:
            assert host.agent is not None
            self.assertEqual(host.agent.kill(signal.SIGTERM), 0)
        self.assertEqual(collector.kill(signal.SIGTERM), 0)
        self.assertEqual(said(collector, LOST), [])

    def things(self, host: str, source: str) -> list[dict[str, Any]]:
        (feed,) = (each for each in self.feeds() if (each["host"], each["source"]) == (host, source))
        things: list[dict[str, Any]] = feed["things"]
        return things

    def start_all(self, *options: str) -> Any:
        """Starts a collector and the agents, and waits until each host has two names in the picture."""
        collector = self.start_collector()
        for host in self.hosts:
            host.ip_netns("add", "one")
            host.ip_netns("add", "two")
            host.start(*options)
        self.converge(collector)
        return collector

    def change(self, turn: str) -> None:
        """One name goes, one is replaced, one comes, on each host."""
        for host in self.hosts:
            host.ip_netns("del", "one")
            host.ip_netns("add", "one")
            host.ip_netns("add", turn)
            host.ip_netns("del", turn)
            host.ip_netns("add", f"{turn}-stays")

    def collecting(self) -> bool:
        """Whether `show` reports a running collector."""
        show = self.collector("show", "--json")
        done = subprocess.run(show, check=True, capture_output=True, env=ENVIRONMENT, timeout=DEADLINE)
        collecting: bool = json.loads(done.stdout)["collecting"]
        return collecting

    def test_a_collector_that_is_killed(self) -> None:
        collector = self.start_all()
        for turn in ("first", "second"):
            self.change(turn)
            collector.kill()
            self.assertFalse(self.collecting())
            self.change(f"{turn}-while-away")
            collector = self.start_collector()
            self.converge(collector)
            self.assertTrue(self.collecting())
            self.assertEqual(said(collector, LOST), [])

    def test_an_agent_that_is_killed(self) -> None:
        collector = self.start_all()
        b = self.hosts[1]
        assert b.agent is not None
        b.agent.kill()
        self.change("unseen")
        b.ip_netns("del", "two")
        collector.until("b named silent")
        self.assertNotIn("b", self.believed())
        # its last report is still shown, marked as silent
        self.assertEqual([each["name"] for each in self.things("b", "named")], ["one", "two"])
        b.start()
        self.converge(collector)
        self.assertEqual(said(collector, BEGAN), ["a named began", "b named began", "b named began", "c named began"])
        self.assertEqual(said(collector, LOST), [])

    def test_a_server_that_is_killed(self) -> None:
        collector = self.start_all()
        # its pending messages stay on the way for ever
        self.server.process.send_signal(signal.SIGSTOP)
        self.change("swallowed")
        collector.until(*(f"{host.name} named silent" for host in self.hosts))
        self.server.kill()
        self.change("unseen")
        collector.until("cannot connect")
        self.start_server()
        self.converge(collector)
        # nothing began anew: the pending messages were sent, in order
        self.assertEqual(said(collector, BEGAN, LOST), ["a named began", "b named began", "c named began"])

    def test_a_host_that_is_cut_off(self) -> None:
        collector = self.start_all()
        b = self.hosts[1]
        run("ip", "link", "set", b.cable, "down")
        self.change("unseen")
        collector.until("b named silent", "a named ready unseen-stays")
        run("ip", "link", "set", b.cable, "up")
        self.converge(collector)
        self.assertEqual(said(collector, BEGAN, LOST), ["a named began", "b named began", "c named began"])

    def test_more_happens_than_is_kept_while_the_server_is_away(self) -> None:
        collector = self.start_all("--keep", "4")
        self.server.kill()
        a = self.hosts[0]
        overflow(a.netns)
        self.change("unseen")
        self.start_server()
        collector.until("a named overflow", "a named current")
        self.converge(collector)
        self.assertEqual(said(collector, LOST), [])

    def fatal(self, where: str) -> list[str]:
        """A collector that is killed in the middle of handling messages."""
        patch = f"import os, signal, sys; sys.path.insert(0, {str(FLEET)!r}); import nats.aio.msg, picture"
        patch += f"; {where} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
        script = FLEET / "collector.py"
        return [sys.executable, "-c", f"{patch}; import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"]

    def test_messages_that_are_delivered_again(self) -> None:
        collector = self.start_all()
        collector.kill()
        for where in ("picture.Picture.add", "nats.aio.msg.Msg.ack"):
            self.change(where.rpartition(".")[2])
            before = self.feeds()
            self.assertEqual(self.start_collector(program=self.fatal(where)).ended(), -signal.SIGKILL)
            # it was killed before anything was in the database, or after that and before the server knew
            persisted = where == "nats.aio.msg.Msg.ack"
            self.assertEqual(self.feeds() != before, persisted)
            info = self.with_stream(lambda stream: stream.consumer_info("NSWATCH", "collector"))
            self.assertGreater(info.num_ack_pending, 0)
            collector = self.start_collector()
            self.converge(collector)
            self.assertEqual(said(collector, LOST), [])

    def test_a_stream_that_is_purged(self) -> None:
        collector = self.start_all()
        collector.kill()
        self.change("purged")
        # this host begins another incarnation, a shorter one, of which nothing will remain
        c = self.hosts[2]
        for name in ("one", "two"):
            c.ip_netns("del", name)
        assert c.agent is not None
        c.agent.kill()
        c.start()
        self.wait_for_message("c", "synced", None, 2)
        c.ip_netns("add", "one")
        self.wait_for_message("c", "ready", "one", 3)
        for host in "abc":
            self.wait_for_message(host, "ready", "purged-stays")
        self.with_stream(lambda stream: stream.purge_stream("NSWATCH"))
        # no message follows the purged ones: the signs of life show the loss
        collector = self.start_collector()
        self.converge(collector)
        self.assertEqual(said(collector, LOST), ["a named lost", "b named lost", "c named lost"])
        self.change("again")
        for host in "abc":
            self.wait_for_message(host, "ready", "again-stays")
        self.with_stream(lambda stream: stream.purge_stream("NSWATCH"))
        # here one message follows, from one host
        self.hosts[0].ip_netns("del", "two")
        self.wait_for_message("a", "deleted", "two")
        collector = self.start_collector()
        self.converge(collector)
        self.assertEqual(said(collector, LOST), ["a named lost", "b named lost", "c named lost"])
        # and now a collector with an empty database
        self.with_stream(lambda stream: stream.purge_stream("NSWATCH"))
        self.database = self.directory / "another.db"
        collector = self.start_collector()
        self.converge(collector)
        self.assertEqual(said(collector, LOST), ["a named lost", "b named lost", "c named lost"])

    def test_a_stream_that_is_deleted(self) -> None:
        collector = self.start_all()
        self.with_stream(lambda stream: stream.delete_stream("NSWATCH"))
        self.change("after")
        self.converge(collector)

    def test_an_agent_may_speak_for_its_own_host_only(self) -> None:
        collector = self.start_all()
        a = self.hosts[0]
        impostor = a.start("--host", "b")
        impostor.until("nats: permissions violation for publish to", ".b.named")
        self.converge(collector)

    def publish(self, user: str, *messages: bytes) -> bytes:
        """Lets a user publish messages, every byte as given; returns the server's answer."""
        with socket.create_connection((ADDRESS, 4222), DEADLINE) as plain:
            said = plain.recv(1 << 16)
            tls = ssl.create_default_context(cafile=self.certificate)
            with tls.wrap_socket(plain, server_hostname=ADDRESS) as connection:
                me = {"verbose": False, "headers": True, "user": user, "pass": f"change-{user}"}
                connection.sendall(b"CONNECT %s\r\n%sPING\r\n" % (json.dumps(me).encode(), b"".join(messages)))
                while b"PONG" not in said:
                    self.assertNotEqual(more := connection.recv(1 << 16), b"", said)
                    said += more
        return said

    def test_no_message_stops_the_collector(self) -> None:
        collector = self.start_all()
        events, alive = b"nswatch.events.a.named", b"nswatch.alive.a.named"

        def forged(number: int, **members: object) -> bytes:
            message = json.dumps({"incarnation": "evil", "number": number} | members).encode()
            return b"PUB %s %d\r\n%s\r\n" % (events, len(message), message)

        def headed(subject: bytes, headers: bytes, payload: bytes = b"{}") -> bytes:
            lengths = len(headers), len(headers) + len(payload)
            return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, *lengths, headers, payload)

        escape = "\x1b]0;owned\x07\x1b[2J"
        said = self.publish(
            "a",
            forged(0, type="began"),
            forged(1, type="created", nsid=1, name_hex="zz"),
            forged(1, type="created", nsid=1, name_hex=5),
            forged(1, type=["created"], name="blue"),
            forged(1, type="\ud800", name="blue"),
            forged(1, type=escape, name="blue"),
            forged(1, type="created", name=escape),
            forged(2, type="ready", name="blue", ino=escape),
            forged(2, type="synced"),
            b"PUB %s 3\r\n\xff\x1bc\r\n" % events,
            # nats-py reads no further after these
            *(
                headed(subject, headers, payload)
                for subject in (events, alive)
                for headers in (b"NATS/1.0 \xff\xff\xff\r\n\r\n", b"NATS/1.0", b"\xff", b"NATS/1.0\r\n\xff\r\n\r\n")
                for payload in (b"{}", b"")
            ),
            b"PUB %s \xff\xfe\x1b[2J 2\r\n{}\r\n" % alive,
            b"PUB %s 2\r\n[]\r\n" % alive,
        )
        self.assertNotIn(b"-ERR", said)
        collector.until(r"a named created \u{1b}]0;owned\u{7}\u{1b}[2J", "nswatch.alive.a.named: not a JSON object")
        # it knows the names that the others have, and then those of a, which sends all of them again
        self.change("after")
        self.converge(collector)
        self.hosts[0].ip_netns("add", escape)
        self.converge(collector)
        self.assertEqual([line for line in collector.lines if "the connection is lost" in line], [])
        shown = subprocess.run(self.collector("show"), check=True, capture_output=True, text=True, env=ENVIRONMENT)
        for line in shown.stdout.splitlines() + collector.lines:
            self.assertTrue(line.isprintable(), ascii(line))
        # a subject is any bytes, and an agent has a choice of four
        for subject in (b"nswatch.events.a.\x1b[2J", b"nswatch.alive.a.\xff", b"nswatch.events.a.x\x0cy"):
            self.assertIn(b"-ERR 'Permissions Violation", self.publish("a", b"PUB %s 2\r\n{}\r\n" % subject))

    def test_on_one_machine(self) -> None:
        self.server.kill()
        run("ip", "link", "set", "lo", "up")
        server = start(self, "nats-server", "-c", str(FLEET / "nats.conf"), mixed=True, cwd=self.directory)
        server.until("Server is ready")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((ADDRESS, 4222), DEADLINE)
        program = ["env", "NATS_PASSWORD=change-it", *self.collector("run")]
        start(self, *program, mixed=True).until("collector: connected to nats://localhost:4222")

    def test_a_terminal_that_has_not_all_characters(self) -> None:
        self.variables = ["PYTHONIOENCODING=ascii:strict"]
        collector = self.start_all()
        self.hosts[0].ip_netns("add", "snow\u2603")
        collector.until(r"a named ready snow\u2603")
        self.converge(collector)

    def test_refusals(self) -> None:
        def refused(*command: str) -> str:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=DEADLINE
            )
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            return done.stderr

        self.assertIn("no such database", refused(*self.collector("show")))
        collector = self.start_all()
        self.assertIn("another collector has it", refused(*self.collector("run")))
        self.assertIn("nowhere: not known", refused(*self.collector("forget", "nowhere")))
        c = self.hosts.pop()
        assert c.agent is not None
        c.agent.kill()
        run(*self.collector("forget", "c"))
        self.converge(collector)
        agent = c.command(sys.executable, str(FLEET / "agent.py"))
        self.assertIn("not a directory", refused(*agent, "--dir=/dev/null"))

    def test_passwords_are_in_no_argument_and_go_to_nobody_unencrypted(self) -> None:
        programs = [sys.executable, str(FLEET / "agent.py")], self.collector("run")
        secret = self.directory / "secret"
        secret.write_text("hush-hush\n")
        for program in programs:
            for server, text in (
                ("nats://a:hush-hush@localhost", "others can read arguments"),
                ("tls://hush-hush@localhost", "others can read arguments"),
                ("nats://10.99.0.1", "must not leave the host unencrypted"),
                ("http://localhost", "neither nats://HOST nor tls://HOST"),
                ("tls://[", "Invalid IPv6 URL"),
            ):
                done = subprocess.run(
                    [*program, "--server", server, "--password-file", str(secret)],
                    check=False,
                    capture_output=True,
                    text=True,
                    env=ENVIRONMENT,
                    timeout=DEADLINE,
                )
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(text, done.stderr)
                self.assertNotIn("hush-hush", done.stderr)
        # a server in the way, without a certificate
        with socket.create_server((ADDRESS, 4333)) as listening:
            listening.settimeout(DEADLINE)
            options = [
                "--server",
                f"tls://{ADDRESS}:4333",
                "--ca",
                str(self.certificate),
                "--password-file",
                str(secret),
            ]
            collector = start(self, *self.collector("run", *options), mixed=True)
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(DEADLINE)
                connection.sendall(b'INFO {"server_id": "x", "version": "2.9.10", "max_payload": 1048576}\r\n')
                self.assertEqual(connection.recv(1 << 16), b"", "it sends nothing to a server that does not encrypt")
            collector.until("the server does not encrypt")


if __name__ == "__main__":
    unittest.main()
