"""Many ids, one outcome each: N workers, one lazy source of ids, one bounded queue.

The number of tasks is that of the workers, never that of the ids; nothing is read from the
source before a worker is free, and no worker goes on before its last outcome has found room
in the queue. So memory doesn't depend on how many ids there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sized
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from .errors import AuthenticationError, InvalidIdError, LuccaError, UsageError
from .ids import IdSource, TakenId, check_ids
from .models import RealizedTraining
from .outcomes import BulkResult, BulkStats, Outcome
from .run import Run

Fetch = Callable[[int, Run], Awaitable[RealizedTraining]]
OnProgress = Callable[[int, int | None], object]
"""Called with the number of ids accounted for, and of all ids (None if not known)."""


class _Delivery(NamedTuple):
    """An outcome and where its id stood in the source."""

    position: int
    outcome: Outcome


class OutcomeStream:
    """The outcomes of a bulk run as they arrive: an async iterator.

    Nothing runs before the first outcome is asked for. Use it as an async context manager
    where the loop may be left early: leaving the ``async with`` ends the workers and
    waits for them. A plain ``async for`` that is left early ends them soon after, when
    Python disposes of the iterator.
    """

    def __init__(
        self,
        ids: Iterable[int] | AsyncIterable[int],
        fetch: Fetch,
        *,
        workers: int,
        check_usable: Callable[[], object],
    ) -> None:
        source = check_ids(ids)
        self._total = len(source) if isinstance(source, Sized) else None
        self._source = IdSource(source)
        self._run = Run()
        if self._total is not None:
            workers = max(1, min(workers, self._total))
        self._deliveries = _deliver(self._source, fetch, self._run, workers, check_usable)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        return (await anext(self._deliveries)).outcome

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the workers, and with them the requests under way; idempotent."""
        await self._deliveries.aclose()

    async def collect(self, on_progress: OnProgress | None = None) -> BulkResult:
        """Run to the end and sort the outcomes.

        Args:
            on_progress: A plain function, called after each outcome with the number of ids
                accounted for (duplicates included) and the number of all ids, or None
                where ``ids`` has no length.
        """
        if iscoroutinefunction(on_progress):
            raise TypeError("on_progress must be a plain function, not a coroutine function")
        clock = asyncio.get_running_loop().time
        started_at = clock()
        deliveries: list[_Delivery] = []
        told = None
        async with self:
            async for delivery in self._deliveries:
                deliveries.append(delivery)
                if on_progress is not None:
                    told = len(deliveries) + self._source.duplicates
                    on_progress(told, self._total)
        # The last ids may be duplicates, which no outcome follows.
        if on_progress is not None and told not in (None, self._source.taken):
            on_progress(self._source.taken, self._total)
        deliveries.sort(key=lambda delivery: delivery.position)
        run = self._run
        return BulkResult.of(
            [delivery.outcome for delivery in deliveries],
            BulkStats(run.requests, run.retries, run.waited, clock() - started_at),
        )


async def _deliver(
    source: IdSource,
    fetch: Fetch,
    run: Run,
    workers: int,
    check_usable: Callable[[], object],
) -> AsyncGenerator[_Delivery, None]:
    """Start the workers, hand on what they bring, and end them come what may.

    Being an async generator, it is closed by the event loop when its consumer forgets to;
    the tasks must therefore hold no reference to it.
    """
    check_usable()
    ready: asyncio.Queue[_Delivery | BaseException | None] = asyncio.Queue(workers)
    tasks = [asyncio.create_task(_work(source, fetch, run, ready)) for _ in range(workers)]
    try:
        while workers:
            delivery = await ready.get()
            if delivery is None:
                workers -= 1
            elif isinstance(delivery, BaseException):
                raise delivery
            else:
                yield delivery
        if source.failure is not None:
            raise source.failure
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work(
    source: IdSource,
    fetch: Fetch,
    run: Run,
    ready: asyncio.Queue[_Delivery | BaseException | None],
) -> None:
    """Bring outcomes until the source is empty, then None; an exception if this code is wrong."""
    try:
        while (taken := await source.next()) is not None:
            await ready.put(_Delivery(taken.position, await _outcome(taken, fetch, run)))
        await ready.put(None)
    except Exception as error:
        await ready.put(error)


async def _outcome(taken: TakenId, fetch: Fetch, run: Run) -> Outcome:
    checked = taken.checked
    if isinstance(checked, InvalidIdError):
        return Outcome(cast(Any, taken.given), error=checked)
    if run.stopped is not None:
        return Outcome(checked, error=run.stopped)
    try:
        return Outcome(checked, training=await fetch(checked, run))
    except (AuthenticationError, UsageError) as error:
        # Neither a refused key nor a closed client will get better for the next id.
        run.stop(error)
        return Outcome(checked, error=error)
    except LuccaError as error:
        return Outcome(checked, error=error)
