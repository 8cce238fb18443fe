"""The outcomes of a bulk run as they arrive."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from typing import Self

from ..errors import LuccaError
from .engine import BulkRun
from .outcomes import BulkStats, Outcome


class OutcomeStream(AsyncIterator[Outcome]):
    """The outcomes of a bulk run as they arrive: an async iterator.

    ``async for`` yields an :data:`~lucca_training_async.Outcome` for each distinct value of the
    ids: a :class:`Found`, :class:`Missing`, :class:`Failed` or :class:`Refused`.

    Nothing runs before the first outcome is asked for. Use it as an async context manager
    where the loop may be left early: leaving the ``async with`` ends the workers and
    waits for them. A plain ``async for`` that is left early ends them soon after, when
    Python disposes of the iterator. Several tasks may share one stream, each outcome goes
    to one of them; a wait for the next outcome that is cancelled loses none.
    """

    def __init__(self, run: BulkRun) -> None:
        self._run = run
        self._outcomes = _Outcomes(run.workers)
        self._started = False
        self._closed = False
        self._disposal: weakref.finalize[..., OutcomeStream] | None = None

    @property
    def total(self) -> int | None:
        """How many ids there are, duplicates included, or None where they don't say."""
        return self._run.total

    @property
    def stats(self) -> BulkStats:
        """What the run has taken so far."""
        return self._run.stats

    @property
    def stopped(self) -> LuccaError | None:
        """The error that ended the run early, as in :class:`BulkResult`, or None."""
        return self._run.stopped

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if self._closed:
            raise StopAsyncIteration
        if not self._started:
            self._start()
        outcome = await self._outcomes.get()
        if self._closed:
            raise StopAsyncIteration
        if outcome is None:
            self._forget_disposal()
            # Cancelled here, it is all to do again: there is an end for the next call too.
            await self._run.aclose()
            self._run.raise_failure()
            raise StopAsyncIteration
        return outcome

    def _start(self) -> None:
        self._run.start(self._outcomes.put, self._outcomes.end)
        self._started = True
        # The workers don't know the stream, so that one that nobody holds any more is
        # disposed of. That may happen in any thread.
        loop = asyncio.get_running_loop()
        self._disposal = weakref.finalize(self, _dispose_soon, loop, self._run)
        self._disposal.atexit = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the workers, and with them the requests under way; idempotent.

        Whoever waits for an outcome, in this task or another, is told that there is none.
        """
        self._closed = True
        self._forget_disposal()
        self._outcomes.end()
        await self._run.aclose()

    def _forget_disposal(self) -> None:
        # What it holds, the traceback of an error among it, would live for as long as we do.
        if self._disposal is not None:
            self._disposal.detach()


class _Outcomes:
    """Between the workers and the consumers: room for as many outcomes as there are workers."""

    def __init__(self, room: int) -> None:
        self._ready: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(room)

    async def put(self, _: int, outcome: Outcome) -> None:
        await self._room.acquire()
        self._ready.put_nowait(outcome)

    def end(self) -> None:
        self._ready.put_nowait(None)

    async def get(self) -> Outcome | None:
        """The next outcome, or None when there will be no more."""
        outcome = await self._ready.get()
        if outcome is None:
            self.end()  # for the next consumer
        else:
            self._room.release()
        return outcome


def _dispose_soon(loop: asyncio.AbstractEventLoop, run: BulkRun) -> None:
    with contextlib.suppress(RuntimeError):  # a closed loop runs no worker either
        loop.call_soon_threadsafe(run.dispose)
