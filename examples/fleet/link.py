"""The server, the password, and a connection that is made again when it breaks.

The client library must not reconnect itself: it would send buffered messages before those in flight at the break, and
so change the order. Here each connection starts from what the stream has acknowledged.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import math
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client

import wire

PASSWORD = "NATS_PASSWORD"
TROUBLES = (OSError, nats.errors.Error, asyncio.TimeoutError)
_RETRY = 1.0
_CLOSING = 2.0


def say(text: str) -> None:
    """Writes a line to standard error, escaped for a terminal since others may have chosen parts of it."""
    print(_sentence(text), file=sys.stderr, flush=True)


def _sentence(text: str) -> str:
    return wire.printable(text, keep=" \\'\"")


class Server(NamedTuple):
    """The address of the server, and the credentials."""

    url: str
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", default="nats://localhost:4222", metavar="URL", help="tls:// encrypts; default: %(default)s"
    )
    parser.add_argument("--user", help="default: the name")
    parser.add_argument(
        "--password-file", type=Path, metavar="FILE", help=f"default: the environment variable {PASSWORD}"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="trust only servers whose certificate these sign")


def server(given: argparse.Namespace, user: str, parser: argparse.ArgumentParser) -> Server:
    """Parses the arguments. None is a password: everybody on the host can read the arguments of a process."""
    try:
        url = urlsplit(given.server)
        host = url.hostname or ""
        if url.scheme not in ("nats", "tls") or not host:
            raise ValueError("it is neither nats://HOST nor tls://HOST")
        if "@" in url.netloc:
            raise ValueError(
                f"pass the user by --user, the password by --password-file or {PASSWORD}: others can read arguments"
            )
        password = os.environ.get(PASSWORD)
        if given.password_file is not None:
            password = given.password_file.read_text().partition("\n")[0]
        if password is not None and url.scheme != "tls" and not _is_here(host):
            raise ValueError("a password must not leave the host unencrypted: use tls://")
        tls = ssl.create_default_context(cafile=given.ca) if url.scheme == "tls" else None
    except (OSError, ValueError) as failure:
        parser.error(_sentence(f"{given.server.rpartition('@')[2]}: {failure}"))
    return Server(given.server, None if password is None else given.user or user, password, tls)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Client(Client):
    """A client that survives every message, and that no server can make do without TLS."""

    def __init__(self, tls: bool) -> None:
        super().__init__()
        self._wants_tls = tls

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py would continue, and send the password
        if initial_connection and self._wants_tls and not info.get("tls_required"):
            raise nats.errors.Error("the server does not encrypt")
        await super()._process_info(info, initial_connection)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        # a malformed header would stop nats-py's reading for good: the stream delivers the message again after each
        # reconnect
        try:
            await self._process_headers(headers)
        except (ValueError, IndexError):
            headers = b""
        subject, reply = (each.decode("ascii", "backslashreplace").encode() for each in (subject, reply))
        await super()._process_msg(sid, subject, reply, data, headers)


async def keep(server: Server, name: str, inbox: str, every: float, serve: Callable[[Client], Awaitable[None]]) -> None:
    """Runs `serve` on a connection, and on another one when it breaks or `serve` fails; never returns.

    `inbox` is the last part of the subject of its inboxes, so that only this client needs the right to read them.
    It detects a silent peer within three times `every` seconds, rounded up.
    """
    last = ""
    while True:
        closed = asyncio.Event()

        async def on_closed(closed: asyncio.Event = closed) -> None:
            closed.set()

        # errors of the server, as a missing permission
        complaints = [""]

        async def on_error(complaint: Exception, complaints: list[str] = complaints) -> None:
            complaints[:] = [f" ({complaint})"]

        client = _Client(server.tls is not None)
        try:
            await client.connect(
                server.url,
                name=name,
                user=server.user,
                password=server.password,
                tls=server.tls,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=math.ceil(every),
                max_outstanding_pings=2,
                closed_cb=on_closed,
                error_cb=on_error,
                inbox_prefix=f"_INBOX.{inbox}",
            )
        except TROUBLES as failure:
            trouble = f"{name}: cannot connect to {server.url}: {failure or type(failure).__name__}{complaints[0]}"
        else:
            say(f"{name}: connected to {server.url}")
            try:
                await together(_waited(serve(client)), _waited(closed.wait()))
                trouble = f"{name}: the connection is lost{complaints[0]}"
            except TROUBLES as failure:
                trouble = f"{name}: {failure or type(failure).__name__}{complaints[0]}"
            last = ""
        finally:
            # also after a failed connect, which may leave a socket open
            with contextlib.suppress(*TROUBLES):
                await asyncio.wait_for(client.close(), _CLOSING)
        if trouble != last:
            say(f"{trouble}; trying every {_RETRY:g} s")
            last = trouble
        await asyncio.sleep(_RETRY)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Runs coroutines until one ends or fails, and cancels the others."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _waited(something: Awaitable[object]) -> None:
    await something


def run(name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a program until SIGINT or SIGTERM, which end it normally; on a failure exits with 1 and one line."""

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await together(main(), _waited(stop.wait()))

    try:
        asyncio.run(until_signal())
    except (OSError, ValueError) as failure:
        sys.exit(_sentence(f"{name}: {failure}"))
