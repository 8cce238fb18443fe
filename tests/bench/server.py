"""The sandbox in a process of its own, so that only the client's work is measured."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from lucca_training_async import RateLimit
from lucca_training_async.sandbox import Arrival, Fault, Sandbox
from lucca_training_async.sandbox.server import HIGHEST_ID

from .processor import processor


class Served(NamedTuple):
    """A running sandbox, seen from another process."""

    url: str
    api_key: str
    pipe: Connection

    def refusals_and_busiest_window(self) -> tuple[int, int]:
        """How many 429s it has answered, and the most arrivals in a period."""
        self.pipe.send("report")
        refusals, busiest = self.pipe.recv()
        return refusals, busiest

    def answers(self) -> int:
        """How many requests it has answered with a record."""
        self.pipe.send("answers")
        return int(self.pipe.recv())


@contextmanager
def served(
    rate_limit: RateLimit | None,
    size: int = HIGHEST_ID,
    jitter: float = 0.0,
    faulty: Sequence[int] = (),
) -> Generator[Served, None, None]:
    """A sandbox that runs while the block lasts.

    Args:
        rate_limit: Its budget; None for none.
        size: How many records it has.
        jitter: The most seconds that a request travels; each takes some time from none to that.
        faulty: The ids whose first request meets a fault: a 500, a 503 or a dropped connection.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, rate_limit, size, jitter, faulty), daemon=True
    )
    process.start()
    try:
        url, api_key = ours.recv()
        yield Served(url, api_key, ours)
    finally:
        ours.send("stop")
        process.join(10)


def _serve(
    pipe: Connection, rate_limit: RateLimit | None, size: int, jitter: float, faulty: Sequence[int]
) -> None:
    uplink = (lambda: random.uniform(0.0, jitter)) if jitter else None

    async def main() -> None:
        async with Sandbox(rate_limit=rate_limit, size=size, uplink=uplink) as sandbox:
            kinds = [Fault.internal_error(), Fault.unavailable(), Fault.drop()]
            for id, kind in zip(faulty, itertools.cycle(kinds)):
                sandbox.inject(kind, id=id)
            if rate_limit is None:
                sandbox.arrivals = _Forgetful()
            pipe.send((sandbox.url, sandbox.api_key))
            while (question := await asyncio.to_thread(pipe.recv)) != "stop":
                statuses = [arrival.status for arrival in sandbox.arrivals]
                if question == "report":
                    pipe.send((statuses.count(429), sandbox.busiest_window()))
                else:
                    pipe.send(statuses.count(200))

    with processor(1):
        asyncio.run(main())


class _Forgetful(list[Arrival]):
    """A log that a hundred thousand requests don't slow down."""

    def append(self, _: Arrival) -> None: ...
