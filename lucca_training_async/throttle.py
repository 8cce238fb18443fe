"""When a request may be sent: the budget, the pause after a 429, and the concurrency limit.

Lucca counts the requests that *arrive* in any 60 s. A request arrives at some unknown
moment between being sent and being answered, so the only window that is safe to count on
is one that starts at the answer: **a slot becomes free one period after its request
completed**. If no slot is reused sooner, any two arrivals through the same slot are a
period apart, and no window of one period can hold more arrivals than there are slots,
whatever the latency does. Counting from the moment of sending would let a slow request
and its successor arrive together; a leaky bucket admits its burst plus its refill, nearly
twice the limit. A request that was cut off (cancelled, timed out, dropped) may still be on
its way when we stop listening, hence the small extra wait of ``IN_TRANSIT_ALLOWANCE``.

One queue holds everything that waits, whatever it waits for, so a request holds a budget
slot only while it is being sent, and taking a place is one atomic step with one
cancellation path. It is ordered by ticket: a retried request keeps the place its call took
first, so an old call can't be starved by new ones.

After a 429 the budget is known to be shared with somebody else, and nobody can say how
much of it is left. So when the pause is over, one request probes, and each answer that is
not another 429 lets one more be under way than before, as TCP's slow start does.

Time is the event loop's (``loop.time``, ``loop.call_at``): a loop with a simulated clock
simulates all of this. There is no background task, only one timer while somebody waits.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from enum import Enum, auto

import attrs

from ._validators import positive_int, positive_seconds

IN_TRANSIT_ALLOWANCE = 0.05
"""How much longer, as a share of the period, an unanswered request is counted."""


@attrs.frozen
class RateLimit:
    """The request budget of a Lucca tenant: at most ``requests`` in any ``period``.

    Lucca's documentation ("Rate limits") gives 50 requests per 60 s, shared by all the
    integrations of the tenant. Give each of them its share.

    Attributes:
        requests: How many requests.
        period: In how many seconds.

    Raises:
        ConfigurationError: A value is not positive and finite.
    """

    requests: int = attrs.field(default=50, validator=positive_int)
    period: float = attrs.field(default=60.0, validator=positive_seconds)


class Fate(Enum):
    """What became of an admitted request, as far as the server's count goes."""

    UNSENT = auto()
    ANSWERED = auto()
    UNANSWERED = auto()


class PauseTooLongError(Exception):
    """The pause lasts longer than anybody is ready to wait; internal to the transport."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Throttle:
    """Admits requests in ticket order, as budget, pause and concurrency allow.

    Every admission returns an *epoch*, to be handed back to :meth:`release`.
    """

    def __init__(
        self,
        limit: RateLimit | None,
        *,
        max_concurrency: int,
        max_pause: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._limit = limit
        self._max_concurrency = max_concurrency
        self._max_pause = max_pause
        self._loop = loop
        self._tickets = itertools.count()
        self._queue: list[tuple[int, asyncio.Future[int]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._slots_free_at: list[float] = []
        self._resumes_at = -math.inf
        self._epoch = 0
        self._in_flight_this_epoch = 0
        self._allowed_this_epoch = max_concurrency

    def now(self) -> float:
        """The clock that all of this goes by, in seconds."""
        return self._loop.time()

    def ticket(self) -> int:
        """A place in the order of admission."""
        return next(self._tickets)

    def try_acquire(self) -> int | None:
        """Admit a request at once if nothing stands in its way."""
        now = self._loop.time()
        if self._queue or self._admissible_at(now) > now:
            return None
        return self._admit()

    async def acquire(self, ticket: int) -> int:
        """Wait for admission.

        Raises:
            PauseTooLongError: The pause lasts longer than ``max_pause`` seconds.
        """
        admission: asyncio.Future[int] = self._loop.create_future()
        heapq.heappush(self._queue, (ticket, admission))
        self._advance()
        try:
            return await admission
        except asyncio.CancelledError:
            if admission.done() and not admission.cancelled() and not admission.exception():
                self.release(admission.result(), Fate.UNSENT)
            raise

    def release(self, epoch: int, fate: Fate) -> None:
        """Give a place back; its slot follows when the server no longer counts the request."""
        self._in_flight -= 1
        if epoch == self._epoch:
            self._in_flight_this_epoch -= 1
            if fate is Fate.ANSWERED and self._allowed_this_epoch < self._max_concurrency:
                self._allowed_this_epoch += 1
        if self._limit is not None and fate is not Fate.UNSENT:
            counted_for = self._limit.period
            if fate is Fate.UNANSWERED:
                counted_for *= 1 + IN_TRANSIT_ALLOWANCE
            heapq.heappush(self._slots_free_at, self._loop.time() + counted_for)
        if self._queue:
            self._advance()

    def pause(self, seconds: float) -> None:
        """Admit nobody for that long; the longest of several pauses counts.

        To be called before the request that met the 429 is released.
        """
        self._resumes_at = max(self._resumes_at, self._loop.time() + seconds)
        self._epoch += 1
        self._in_flight_this_epoch = 0
        self._allowed_this_epoch = 1
        self._advance()

    def _admit(self) -> int:
        self._in_flight += 1
        self._in_flight_this_epoch += 1
        return self._epoch

    def _admissible_at(self, now: float) -> float:
        """When time alone will let a request through; infinity if a release must come first."""
        if (
            self._in_flight >= self._max_concurrency
            or self._in_flight_this_epoch >= self._allowed_this_epoch
        ):
            return math.inf
        if self._limit is None:
            return self._resumes_at
        while self._slots_free_at and self._slots_free_at[0] <= now:
            heapq.heappop(self._slots_free_at)
        if self._in_flight + len(self._slots_free_at) < self._limit.requests:
            return self._resumes_at
        if not self._slots_free_at:
            return math.inf
        return max(self._resumes_at, self._slots_free_at[0])

    def _advance(self) -> None:
        """Admit those at the head of the queue, then set the timer for the next one."""
        now = self._loop.time()
        paused_for = self._resumes_at - now
        if paused_for > self._max_pause:
            self._refuse_waiting(paused_for)
        while self._queue:
            _, admission = self._queue[0]
            if not admission.done():
                when = self._admissible_at(now)
                if when > now:
                    self._arm(when)
                    return
                admission.set_result(self._admit())
            heapq.heappop(self._queue)
        self._disarm()

    def _refuse_waiting(self, paused_for: float) -> None:
        for _, admission in self._queue:
            if not admission.done():
                admission.set_exception(PauseTooLongError(paused_for))
        self._queue.clear()

    def _arm(self, when: float) -> None:
        self._disarm()
        if when < math.inf:
            self._timer = self._loop.call_at(when, self._advance)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
