"""A connection to the server, again and again.

Reconnecting is not left to the client library: it would send what it has buffered before what was under way when the
connection broke, and so change the order. Here each connection starts from what is known to be stored.
"""

import asyncio
import contextlib
import math
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import nats
from nats.aio.client import Client

TROUBLES = (OSError, nats.errors.Error, asyncio.TimeoutError)
_RETRY = 1.0
_CLOSING = 2.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def keep(server: str, name: str, inbox: str, every: float, serve: Callable[[Client], Awaitable[None]]) -> None:
    """Runs `serve` on a connection, and on the next one when it is lost or `serve` is in trouble; never returns.

    `inbox` is the last part of the subject of its inboxes: nobody else need be allowed to read them.
    That the other end is gone without a word is noticed within three times `every` seconds, rounded up.
    """
    last = ""
    where = server.rpartition("@")[2]  # a password is for the server only
    while True:
        closed = asyncio.Event()

        async def on_closed(closed: asyncio.Event = closed) -> None:
            closed.set()

        # what the server complains of, as that something is not permitted
        complaints = [""]

        async def on_error(complaint: Exception, complaints: list[str] = complaints) -> None:
            complaints[:] = [f" ({complaint})"]

        try:
            client = await nats.connect(
                server,
                name=name,
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
            trouble = f"{name}: cannot connect to {where}: {failure or type(failure).__name__}{complaints[0]}"
        else:
            say(f"{name}: connected to {where}")
            try:
                await together(_waited(serve(client)), _waited(closed.wait()))
                trouble = f"{name}: the connection is lost{complaints[0]}"
            except TROUBLES as failure:
                trouble = f"{name}: {failure or type(failure).__name__}{complaints[0]}"
            finally:
                with contextlib.suppress(*TROUBLES):
                    await asyncio.wait_for(client.close(), _CLOSING)
            last = ""
        if trouble != last:
            say(f"{trouble}; trying every {_RETRY:g} s")
            last = trouble
        await asyncio.sleep(_RETRY)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Runs them until one ends or fails, and cancels the others."""
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
    """Runs a program until SIGINT or SIGTERM, which are no failure; exits with 1 and one line if it fails."""

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await together(main(), _waited(stop.wait()))

    try:
        asyncio.run(until_signal())
    except (OSError, ValueError) as failure:
        sys.exit(f"{name}: {failure}")
