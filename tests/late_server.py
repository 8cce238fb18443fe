"""A server whose requests arrive when a test likes, perhaps long after the client let go of them.

What reads them is a gateway or a kernel; Lucca counts a request when it *arrives*, and only that
moment is noted here. Nothing that the client does can call a request back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import attrs

from lucca_training_async import LuccaTrainingClient, RateLimit, RetryPolicy
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox.window import busiest_window

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer, record
from .support import QUICK

BUDGET = RateLimit(50, 60.0)


@attrs.frozen
class Fate:
    """What becomes of a request.

    Attributes:
        answer: What is written at once; None for nothing at all, until the client lets go.
        late: How many seconds later it arrives: after the answer, or after the client let go.
        keep: Whether the connection is kept after the answer.
    """

    answer: bytes | None
    late: float = 0.0
    keep: bool = True


Decide = Callable[[Request], Awaitable[Fate]]


async def fine(request: Request) -> Fate:
    """It arrives, and is answered with its record, at once."""
    return Fate(answer(record(request.id)))


def gateway(status: int, late: float) -> Fate:
    """The gateway doesn't wait for Lucca, and delivers the request all the same."""
    return Fate(answer(b"", f"{status} Of A Gateway"), late)


def now() -> float:
    return asyncio.get_running_loop().time()


class LateServer(RawServer):
    """Notes when requests arrive, by a clock that may be finer than the loop's."""

    def __init__(self, decide: Decide, clock: Callable[[], float] = now) -> None:
        super().__init__(self._follow)
        self.arrivals: list[float] = []
        self._decide = decide
        self._clock = clock
        self._held: dict[int, float] = {}
        self._last_due = 0.0

    async def _follow(self, request: Request) -> bool:
        fate = await self._decide(request)
        if fate.answer is None:
            self._held[request.connection] = fate.late
            return True
        self._arrives_in(fate.late)
        await request.send(fate.answer)
        return fate.keep

    async def _serve(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await super()._serve(connection, reader, writer)
        if connection in self._held:  # the client has let go of it, in this moment
            self._arrives_in(self._held.pop(connection))

    def _arrives_in(self, seconds: float) -> None:
        if seconds == 0:
            self._arrive()
            return
        self._last_due = max(self._last_due, now() + seconds)
        asyncio.get_running_loop().call_later(seconds, self._arrive)

    def _arrive(self) -> None:
        self.arrivals.append(self._clock())

    async def everything_has_arrived(self) -> None:
        await asyncio.sleep(max(0.0, self._last_due - now()) + 0.01)

    def busiest_window(self, limit: RateLimit = BUDGET) -> int:
        return busiest_window(self.arrivals, limit.period)


class LateStage(NamedTuple):
    server: LateServer
    client: LuccaTrainingClient

    @property
    def trainings(self) -> RealizedTrainings:
        return self.client.realized_trainings


@asynccontextmanager
async def late_stage(
    decide: Decide,
    clock: Callable[[], float] = now,
    *,
    rate_limit: RateLimit = BUDGET,
    retry: RetryPolicy = QUICK,
    **settings: Any,
) -> AsyncGenerator[LateStage, None]:
    """The server and a client of it, which has Lucca's budget."""
    settings |= {"rate_limit": rate_limit, "retry": retry}
    server = LateServer(decide, clock)
    async with server.running():
        async with LuccaTrainingClient(server.url, KEY, **settings) as client:
            yield LateStage(server, client)
