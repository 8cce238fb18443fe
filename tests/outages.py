"""A host that has outages, over real sockets in simulated time.

It shares no code with the client. It counts as strictly as Lucca may: whatever arrives is in the
window, be it answered or not; what a 429 refuses is not.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import attrs

from lucca_training_async import BulkResult, LuccaTrainingClient, Plan, RateLimit
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox.window import SlidingWindow, busiest_window

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer, record

BUDGET = RateLimit(50, 60.0)
PAGE = b"<!DOCTYPE html>\n<html><body><h1>Back in a moment</h1></body></html>"


def page(status: str) -> bytes:
    """What something in front of Lucca answers."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n\r\n"
    return head.encode() + PAGE


FORBIDDEN = answer(b'{"title": "Forbidden", "status": 403}', "403 Forbidden")
ANSWERS: dict[str, bytes] = {
    "503": answer(b"", "503 Service Unavailable"),
    "503 later": answer(b"", "503 Service Unavailable", "Retry-After: 121"),
    "500": answer(b'{"title": "It broke"}', "500 Internal Server Error"),
    "502 page": page("502 Bad Gateway"),
    "504": answer(b"", "504 Gateway Timeout"),
    "408": answer(b"", "408 Request Timeout"),
    "200 page": page("200 OK"),
    "404 page": page("404 Not Found"),
    "403 page": page("403 Forbidden"),
}
KINDS = ["refusing", "hanging", "cut", "reset", *ANSWERS]
"""All the ways in which a host gives no sign of life."""


@attrs.frozen
class Outage:
    """One kind of it, from one moment to another, both counted from the start of the host.

    Attributes:
        kind: One of ``KINDS``, or what everything is answered with.
    """

    kind: str | bytes
    start: float = 0.0
    seconds: float = math.inf

    @property
    def end(self) -> float:
        return self.start + self.seconds

    @property
    def costs(self) -> float:
        """For how long nothing can be done: a Retry-After is to be respected, too."""
        return max(self.seconds, 121.0 if self.kind == "503 later" else 0.0)


class Host(RawServer):
    """Answers each id with its record, unless it is out.

    Args:
        outages: When and how it is out.
        latency: Seconds between the arrival of a request and its answer.
        bad: The ids that are always answered with 500.
        forbidden: Those that are answered with 403.
        faults: For some requests, by their number, how they fail.
        refusals: From some moments on, with what Retry-After one request is refused.
        another_every: Another integration takes a request each so many seconds.
        instead: The answer to everything, in place of the records.
    """

    def __init__(
        self,
        *outages: Outage,
        latency: float = 0.5,
        bad: Collection[int] = (),
        forbidden: Collection[int] = (),
        faults: dict[int, str] | None = None,
        refusals: dict[float, int] | None = None,
        another_every: float | None = None,
        instead: bytes | None = None,
    ) -> None:
        super().__init__(self._handle)
        self.outages = outages
        self.latency = latency
        self.bad = bad
        self.forbidden = forbidden
        self.faults = faults or {}
        self.refusals = dict(refusals or {})
        self.another_every = another_every
        self.instead = instead
        self.signs_of_life: list[float] = []
        self.refused = 0
        self._window = SlidingWindow(BUDGET)
        self._started_at = 0.0
        self._server: asyncio.Server | None = None

    # -- what it answers

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._started_at

    @property
    def is_out(self) -> str | bytes | None:
        now = self.now
        return next((one.kind for one in self.outages if one.start <= now < one.end), None)

    async def _handle(self, request: Request) -> bool:
        refused_for = self._window.refused_for(request.at)
        await asyncio.sleep(self.latency)
        out = self.is_out
        if out is None and request.id not in self.bad:
            out = self.faults.get(request.number)
        if out is not None:
            return await self._fail(request, out)
        if (seconds := self._asked_to_wait(refused_for)) is not None:
            self.refused += 1
            told = f"Retry-After: {math.ceil(seconds)}"
            await request.send(answer(b"", "429 Too Many Requests", told))
            return True
        if request.id in self.bad:
            return await self._fail(request, "500")
        self.signs_of_life.append(self.now)
        denied = FORBIDDEN if request.id in self.forbidden else None
        await request.send(self.instead or denied or answer(record(request.id)))
        return True

    def _asked_to_wait(self, refused_for: float | None) -> float | None:
        for moment in list(self.refusals):
            if moment <= self.now:
                return self.refusals.pop(moment)
        return refused_for

    async def _fail(self, request: Request, kind: str | bytes) -> bool:
        if kind == "hanging":
            return True
        if kind == "refusing":
            return False
        if kind == "reset":
            request.reset()
            return False
        if kind == "cut":
            whole = answer(record(request.id))
            await request.send(whole[:-20])
            return False
        await request.send(kind if isinstance(kind, bytes) else ANSWERS[kind])
        return True

    # -- its life

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Host, None]:
        self._started_at = asyncio.get_running_loop().time()
        with socket.socket() as reserved:
            # Nobody else is given the port while nobody listens there.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sys.platform != "win32":  # where one option stands for both
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind(("127.0.0.1", 0))
            port: int = reserved.getsockname()[1]
            self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            listen = partial(
                asyncio.start_server,
                self._accept,
                "127.0.0.1",
                port,
                ssl=tls,
                reuse_address=True,
                reuse_port=sys.platform != "win32",
            )
            if not any(one.kind == "refusing" and one.start <= 0 for one in self.outages):
                self._server = await listen()
            habits = [asyncio.create_task(self._refuse(listen))]
            if self.another_every is not None:
                habits.append(asyncio.create_task(self._serve_another(self.another_every)))
            try:
                yield self
            finally:
                await _end(habits)
                self._close()
                await _end(list(self._connected))

    async def _refuse(self, listen: Any) -> None:
        """Close the door at the beginning of each such outage, and open it at its end."""
        for outage in sorted(self.outages, key=lambda one: one.start):
            if outage.kind == "refusing":
                await asyncio.sleep(outage.start - self.now)
                self._close()
                await asyncio.sleep(outage.end - self.now)
                self._server = await listen()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.hang_up(lambda writer: writer.transport.abort())

    async def _serve_another(self, seconds: float) -> None:
        while True:
            self._window.refused_for(asyncio.get_running_loop().time())
            await asyncio.sleep(seconds)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


class OutageStage(NamedTuple):
    host: Host
    client: LuccaTrainingClient

    @property
    def trainings(self) -> RealizedTrainings:
        return self.client.realized_trainings

    def assert_within_budget(self) -> None:
        assert busiest_window(self.host.times, BUDGET.period) <= BUDGET.requests


@asynccontextmanager
async def outage_stage(
    host: Host, /, *, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncGenerator[OutageStage, None]:
    """The host and a client of it, with the defaults; the budget is kept throughout."""
    async with host.running(tls):
        async with LuccaTrainingClient(host.url, KEY, **settings) as client:
            on = OutageStage(host, client)
            yield on
            on.assert_within_budget()


async def fetch_all(host: Host, ids: int, *, plan: Plan = "auto", **settings: Any) -> BulkResult:
    """The result for the ids from 1 on, as many as are asked for."""
    async with outage_stage(host, **settings) as on:
        return await on.trainings.get_many(range(1, ids + 1), plan=plan)


def assert_none_is_lost(result: BulkResult, ids: int) -> None:
    assert {id: repr(error) for id, error in result.failures.items()} == {}
    assert result.stopped is None
    assert list(result.items) == list(range(1, ids + 1))
    assert (result.missing, result.refused) == ([], [])


async def timed(call: Awaitable[Any]) -> tuple[Any, float]:
    """What it came to, errors included, and after how many seconds."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    came_to = (await asyncio.gather(call, return_exceptions=True))[0]
    return came_to, loop.time() - started_at
