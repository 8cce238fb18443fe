"""Many ids, one outcome each: N workers on one lazy source of ids.

The number of tasks is that of the workers, never that of the ids. Nothing is read from the
source before a worker is free, and in a stream no worker goes on before its last outcome
has found room in a short queue: memory doesn't depend on how many ids there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
)
from inspect import iscoroutinefunction
from typing import Any, Self, cast

import attrs

from .errors import AuthenticationError, InvalidIdError, LuccaError, UsageError
from .ids import IdSource, TakenId, check_ids, length_of
from .models import RealizedTraining
from .outcomes import BulkResult, BulkStats, Outcome
from .run import Run

Fetch = Callable[[int, Run], Awaitable[RealizedTraining]]
Deliver = Callable[[int, Outcome], Awaitable[None]]
"""Takes an outcome, with the position of its id in the source; may wait for room."""
OnProgress = Callable[[int, int | None], object]
"""Called with the number of ids accounted for, and of all ids (None if not known)."""


@attrs.frozen(eq=False)
class BulkRun:
    """One bulk run: where its ids come from, how one is fetched, and by how many workers.

    ``bind`` raises if the client can't be used at all, which is so told once and not for
    every id.
    """

    source: IdSource
    total: int | None
    fetch: Fetch
    workers: int
    bind: Callable[[Run], object]
    run: Run = attrs.field(factory=Run)

    @classmethod
    def of(
        cls, ids: object, fetch: Fetch, *, workers: int, bind: Callable[[Run], object]
    ) -> BulkRun:
        """A run over ``ids``, with no more workers than there are ids."""
        source = check_ids(ids)
        total = length_of(source)
        if total is not None:
            workers = max(1, min(workers, total))
        return cls(IdSource(source), total, fetch, workers, bind)

    async def work(self, deliver: Deliver) -> None:
        """What each worker does: bring outcomes until the source is empty."""
        while (taken := await self.source.next()) is not None:
            await deliver(taken.position, await self._outcome(taken))

    async def _outcome(self, taken: TakenId) -> Outcome:
        checked = taken.checked
        if isinstance(checked, InvalidIdError):
            return Outcome(cast(Any, taken.given), error=checked)
        if self.run.stopped is not None:
            return Outcome(checked, error=self.run.stopped)
        try:
            return Outcome(checked, training=await self.fetch(checked, self.run))
        except LuccaError as error:
            if isinstance(error, (AuthenticationError, UsageError)):
                # Neither a refused key nor a closed client will get better for the next id.
                self.run.stop(error)
            # Kept as a value: its traceback would keep this run's frames alive with it.
            return Outcome(checked, error=error.with_traceback(None))


class _Workers:
    """The tasks of a run, as a context: however it is left, they have ended then.

    Not an ``asynccontextmanager``: at shutdown the event loop closes every async generator
    on its own account, this one inside ``_outcomes`` included, in whatever order.
    """

    def __init__(self, bulk: BulkRun, deliver: Deliver) -> None:
        self._bulk = bulk
        self._deliver = deliver
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> list[asyncio.Task[None]]:
        self._bulk.bind(self._bulk.run)
        self._tasks = [
            asyncio.create_task(self._bulk.work(self._deliver), name=f"lucca-bulk-worker-{number}")
            for number in range(1, self._bulk.workers + 1)
        ]
        return self._tasks

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def collect(bulk: BulkRun, on_progress: OnProgress | None) -> BulkResult:
    """Run to the end and sort the outcomes."""
    if iscoroutinefunction(on_progress):
        raise TypeError("on_progress must be a plain function, not a coroutine function")
    clock = asyncio.get_running_loop().time
    started_at = clock()
    delivered: dict[int, Outcome] = {}
    accounted_for = 0

    async def deliver(position: int, outcome: Outcome) -> None:
        nonlocal accounted_for
        delivered[position] = outcome
        if on_progress is not None:
            accounted_for = len(delivered) + bulk.source.duplicates
            on_progress(accounted_for, bulk.total)

    async with _Workers(bulk, deliver) as workers:
        await asyncio.gather(*workers)
    if bulk.source.failure is not None:
        raise bulk.source.failure
    # The last ids may be duplicates, which no outcome follows.
    if on_progress is not None and accounted_for != bulk.source.taken:
        on_progress(bulk.source.taken, bulk.total)
    run = bulk.run
    return BulkResult.of(
        [delivered[position] for position in sorted(delivered)],
        BulkStats(run.requests, run.retries, run.waited, clock() - started_at),
    )


class OutcomeStream:
    """The outcomes of a bulk run as they arrive: an async iterator.

    Nothing runs before the first outcome is asked for. Use it as an async context manager
    where the loop may be left early: leaving the ``async with`` ends the workers and
    waits for them. A plain ``async for`` that is left early ends them soon after, when
    Python disposes of the iterator.
    """

    def __init__(self, bulk: BulkRun) -> None:
        self._outcomes = _outcomes(bulk)
        self._interrupted = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if self._interrupted:
            raise UsageError("this stream ended when the wait for its next outcome was cancelled")
        try:
            return await anext(self._outcomes)
        except asyncio.CancelledError:
            # The generator has ended with it; silence would look like the end of the ids.
            self._interrupted = True
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the workers, and with them the requests under way; idempotent."""
        await self._outcomes.aclose()


async def _outcomes(bulk: BulkRun) -> AsyncGenerator[Outcome, None]:
    """The generator inside the stream.

    The event loop closes an async generator that its consumer has forgotten. For that to
    work, the workers hold no reference to it: they know the queue only.
    """
    ready: asyncio.Queue[Outcome | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(bulk.workers)

    async def deliver(_: int, outcome: Outcome) -> None:
        await room.acquire()
        ready.put_nowait(outcome)

    async with _Workers(bulk, deliver) as workers:
        for worker in workers:
            # However it ends: a worker that somebody cancels must not be waited for.
            worker.add_done_callback(ready.put_nowait)
        working = len(workers)
        while working:
            ended_or_outcome = await ready.get()
            if isinstance(ended_or_outcome, asyncio.Task):
                working -= 1
                ended_or_outcome.result()
            else:
                room.release()
                yield ended_or_outcome
    if bulk.source.failure is not None:
        raise bulk.source.failure
