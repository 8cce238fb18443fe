"""Many ids, one outcome each: N workers on one lazy source of ids.

The number of tasks is that of the workers, never that of the ids. Nothing is read from the
source before a worker is free, and no worker goes on before its last outcome is delivered:
memory doesn't depend on how many ids there are.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from .._budget import Cause, Gate, Owner, Priority, logger
from .._cache import Cache
from .._callbacks import call_plain, check_plain_function
from ..errors import (
    DecodeError,
    InvalidIdError,
    LuccaError,
    NotFoundError,
    PermissionDeniedError,
    ResponseError,
)
from ..models import RealizedTraining
from .ids import IdSource, TakenId, check_ids, length_of
from .outcomes import (
    BulkStats,
    Failed,
    Found,
    Missing,
    OnProgress,
    Outcome,
    Progress,
    Refused,
)
from .stops import StoppableRun

Fetch = Callable[[int, Owner], Awaitable[RealizedTraining]]
Deliver = Callable[[int, Outcome], Awaitable[None]]
"""Takes an outcome, with the position of its id in the source; may wait for room."""


class Way(Protocol):
    """The way to Lucca, as far as a bulk run needs to know it."""

    @property
    def max_concurrency(self) -> int: ...

    @property
    def patience(self) -> float: ...

    def bind(self) -> Gate: ...


class BulkRun(StoppableRun):
    """One bulk run: its source of ids, its workers, its counters and its end.

    Args:
        ids: What the caller gave.
        check: Gives the id that a value is, or raises InvalidIdError.
        fetch: Gets one record.
        way: What it is fetched by.
        priority: That of its requests.
        cache: Where records are that need no request.
        on_progress: Called after each outcome, or None.

    Raises:
        TypeError: ``ids`` can't hold ids, or ``on_progress`` is no plain function.
        ValueError: ``priority`` is none.
    """

    def __init__(
        self,
        ids: object,
        *,
        check: Callable[[object], int],
        fetch: Fetch,
        way: Way,
        priority: Priority = "bulk",
        cache: Cache | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__(way.patience, priority)
        check_plain_function("on_progress", on_progress)
        given = check_ids(ids)
        self.total: int | None = length_of(given)
        self.source: IdSource = IdSource(given, check)
        self.workers: int = min(way.max_concurrency, max(1, self.total or way.max_concurrency))
        self._fetch = fetch
        self._way = way
        self._cache = cache or Cache(None)
        self._cached = 0
        self._on_progress = on_progress
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: set[asyncio.Task[Any]] = set()
        self._finished = 0
        self._cancelled = False
        self._disposal: asyncio.Task[None] | None = None
        self._crash: BaseException | None = None
        self._counts: Counter[type[Outcome]] = Counter()
        self._told_of = 0
        self._first_refusal: InvalidIdError | None = None
        self._ended_at: float | None = None
        self._lost_before: dict[Cause, float] = {}
        self._lost: dict[Cause, float] = {}

    def to_come(self) -> float:
        """How many ids nobody has asked for yet; infinity if they don't say."""
        if not self._counts:
            return 0  # it may all come to nothing
        return math.inf if self.total is None else self.total - self.source.taken_for_good

    # -- its life

    def start(self, deliver: Deliver, on_over: Callable[[], None] | None = None) -> None:
        """Set the workers to work.

        Args:
            deliver: Takes each outcome.
            on_over: Called when the last worker has ended, however it did.

        Raises:
            ClientClosedError: The client is closed; so told once, and not for every id.
            UsageError: The client can't be used here.
        """
        self._gate = self._way.bind()
        self._gate.enter(self)
        self._started_at = self._gate.now()
        self._lost_before = self._lost_by_now()
        working = self.workers

        def ended(task: asyncio.Task[None]) -> None:
            nonlocal working
            working -= 1
            self._note(task)
            if not working:
                self._over()
                if on_over is not None:
                    on_over()

        for number in range(1, self.workers + 1):
            task = asyncio.create_task(self._work(deliver), name=f"lucca-bulk-worker-{number}")
            self._tasks.append(task)
            task.add_done_callback(ended)

    async def join(self) -> None:
        """Wait until the last worker has ended; what it or the source raised is raised here."""
        await asyncio.wait(self._tasks)
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise, once, what a worker or else the caller's iterable has raised."""
        failure = self._crash or self.source.failure
        self._crash = self.source.failure = None
        if failure is not None:
            raise failure

    def cancel(self) -> None:
        """End the workers, and with them the requests under way."""
        self._cancelled = True
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """As ``cancel``; wait for them, and close the caller's generator of ids."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.source.aclose()

    def dispose(self) -> None:
        """As ``aclose``, for one that nobody waits for."""
        self._disposal = asyncio.get_running_loop().create_task(self.aclose())

    def _note(self, task: asyncio.Task[None]) -> None:
        """One worker that fails, or is cancelled by somebody else, ends the others too."""
        if not task.cancelled():
            failure = task.exception()
        else:
            failure = None if self._cancelled else asyncio.CancelledError()
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        if self._crash is None:
            self._crash = failure
            self.cancel()

    def _over(self) -> None:
        assert self._gate is not None
        self._gate.leave(self)
        self.stop_watching()
        self._lost = self._lost_by_now()
        self._ended_at = self._gate.now()

    # -- outages and pauses

    def on_outage(self) -> None:
        """Tell of it: no outcome will, for as long as it lasts."""
        try:
            self._tell_progress()
        except BaseException as error:
            # Not that of the call, perhaps another run's, that has met it.
            self._fail(error)

    def _lost_by_now(self) -> dict[Cause, float]:
        assert self._gate is not None
        now = self._gate.now()
        return {cause: self._gate.closures.lost(cause, now) for cause in Cause}

    # -- its end by an error

    def on_stop(self) -> None:
        """Read nothing more that has no end, or may never come; a collection is read on.

        Its ids have an outcome each, which costs nothing.
        """
        if self.total is not None and not self.source.waits:
            return
        self.source.exhausted = True
        current = asyncio.current_task()
        for task in self._reading:
            if task is not current:
                task.cancel()

    # -- the workers

    async def _work(self, deliver: Deliver) -> None:
        await self.prepare(deliver)
        take = self.taking()
        while (taken := await take()) is not None:
            await self.hand_over(deliver, taken, await self._outcome(taken))
        self._finished += 1
        if self._finished == self.workers:
            self._conclude()

    async def prepare(self, deliver: Deliver) -> None:
        """What each worker does before it takes its first id."""

    async def hand_over(self, deliver: Deliver, taken: TakenId, outcome: Outcome) -> None:
        """Deliver an outcome, and take note of it."""
        await deliver(taken.position, outcome)
        self._counts[type(outcome)] += 1
        if isinstance(outcome, Refused) and self._first_refusal is None:
            self._first_refusal = outcome.error
        if self._on_progress is not None:
            self._tell_progress()

    def taking(self) -> Callable[[], Awaitable[TakenId | None]]:
        """What gives the next id, or None when there is none left."""
        return self._next if self.source.waits else self.source.next

    async def _next(self) -> TakenId | None:
        task = asyncio.current_task()
        assert task is not None
        self._reading.add(task)
        try:
            return await self.source.next()
        except asyncio.CancelledError:
            if self.stopped is None or task.uncancel():
                raise
            return None
        finally:
            self._reading.discard(task)

    async def _outcome(self, taken: TakenId) -> Outcome:
        if isinstance(taken.id, InvalidIdError):
            return Refused(taken.value, taken.id)
        if (known := self.known(taken.id)) is not None:
            return known
        if (stopped := self.stopped) is not None:
            return Failed(taken.id, stopped)
        # Kept as values: their tracebacks would keep this run's frames alive with them.
        self.begins_one()
        try:
            training = await self._fetch(taken.id, self)
        except NotFoundError as error:
            self.note_answer(None)
            return Missing(taken.id, error.with_traceback(None))
        except LuccaError as error:
            if isinstance(error, ResponseError | DecodeError) and not error.transient:
                self.note_answer(error if isinstance(error, PermissionDeniedError) else None)
            return Failed(taken.id, error.with_traceback(None))
        finally:
            self.ends_one()
        self.note_answer(None)
        return Found(taken.id, training)

    def known(self, id: int) -> Found | None:
        """The outcome of an id that needs no request."""
        record = self._cache.get(id)
        if record is None:
            return None
        self._cached += 1
        return Found(id, record)

    # -- what can be seen of it

    @property
    def stats(self) -> BulkStats:
        if self._gate is None:
            return BulkStats()
        now = self._gate.now() if self._ended_at is None else self._ended_at
        elapsed, lost = now - self._started_at, self._lost or self._lost_by_now()
        # What was there before the run began is not lost to it.
        mine = {cause: min(lost[cause] - self._lost_before[cause], elapsed) for cause in Cause}
        outages, pauses = mine[Cause.OUTAGE], mine[Cause.PAUSE]
        waited = self.waited(now)
        return BulkStats(
            self.requests, self.retries, waited, elapsed, outages, pauses, cached=self._cached
        )

    def _tell_progress(self) -> None:
        if self._on_progress is not None:
            self._told_of = self._counts.total() + self.source.duplicates
            call_plain("on_progress", self._on_progress, self._progress())

    def _progress(self) -> Progress:
        assert self._gate is not None
        budget, counts = self._gate.budget(), self._counts
        next_slot_in = budget.next_bulk_slot_in if self.is_bulk else budget.next_slot_in
        waiting_for: Literal["budget", "pause", "outage"] | None = None
        until = None
        if self.stopped is None and (budget.closed_by or next_slot_in != 0):
            waiting_for = budget.closed_by or "budget"
            if next_slot_in is not None:
                until = datetime.now(UTC) + timedelta(seconds=next_slot_in)
        return Progress(
            self._told_of,
            self.total,
            counts[Found],
            counts[Missing],
            counts[Failed],
            counts[Refused],
            self.waited(self._gate.now()),
            waiting_for,
            until,
        )

    def _conclude(self) -> None:
        """All that was read has its outcome."""
        if self._told_of != self._counts.total() + self.source.duplicates:
            self._tell_progress()  # the last ids were duplicates, which no outcome follows
        refused = self._counts[Refused]
        if self._first_refusal is not None and refused == self._counts.total():
            logger.warning("none of %d values is an id: %s", refused, self._first_refusal)
