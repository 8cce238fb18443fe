"""The facts of the tenant: how many requests Lucca may be counting, and until when it is closed.

Lucca counts the requests that *arrive* in any 60 s. A request arrives at some unknown
moment between being sent and being answered, so the only window that is safe to count on
is one that starts at the answer: **a slot becomes free one period after its request
completed**. If no slot is reused sooner, any two arrivals through the same slot are a
period apart, and no window of one period can hold more arrivals than there are slots,
whatever the latency does. Counting from the moment of sending would let a slow request
and its successor arrive together; a leaky bucket admits its burst plus its refill, nearly
twice the limit.

A request that was cut off (cancelled, timed out, dropped, given up by a gateway) may still be
on its way when we stop listening: a server that stood still reads it when it goes on, and TCP
sends it again. It is counted for two periods, and that rests on an assumption, since nothing
could be promised without one: **no request arrives later than one period after the client let
go of it.**

After a 429 the budget is known to be shared with somebody else, and nobody can say how
much of it is left: the ledger is closed for as long as Lucca asks. It is closed as well while
the host gives no sign of life. Then one lease probes,
and each answer that closes nothing lets one more be under way than before, as TCP's
slow start does. What happens between two closures is a *round*; only its own leases open
it further.

A ledger knows no queue, no call, no retry and no answer: that is the gate's and the
call's. Any ledger that passes the contract tests (``tests/test_ledger.py``) will do.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

import attrs

from ..settings import RateLimit

# A moment may have been later than the clock says: Python's own ticks 64 times a second on
# Windows, and uvloop's counts milliseconds, from the beginning of a turn of the loop.
CLOCK_GRAIN = 0.008 + time.get_clock_info("monotonic").resolution


class Sent(Enum):
    """How far a request got, as far as Lucca's count goes."""

    NEVER = auto()
    ANSWERED = auto()
    CUT_OFF = auto()


class Cause(Enum):
    """Why a ledger is closed: Lucca has asked to wait, nobody answers, or that is to be seen."""

    PAUSE = "pause"
    OUTAGE = "outage"
    DOUBT = "doubt"


@attrs.define(eq=False)
class Lease:
    """One slot of the budget, taken in one round."""

    round: int


@attrs.frozen
class Wait:
    """No slot now.

    Attributes:
        seconds: Ask again so much later; infinity if one of the leases that whoever asks
            holds must be settled first.
        closed: Why the ledger is closed, perhaps by another process, or None if it is not.
    """

    seconds: float
    closed: Cause | None = None


@attrs.frozen
class Standing:
    """What is known of the tenant without asking anybody.

    Attributes:
        in_use: Slots that are taken, or not yet free again.
        next_slot_in: Seconds until one is free; 0 if one is, infinity if an answer must come
            first.
        closed_for: Seconds for which nothing is to be sent; 0 if something may be.
        closed_by: Why, or None.
    """

    in_use: int = 0
    next_slot_in: float = 0.0
    closed_for: float = 0.0
    closed_by: Cause | None = None


class Ledger(Protocol):
    """What a gate asks of whoever keeps the tenant's budget."""

    async def take(self) -> Lease | Wait:
        """A slot, or how long to wait for one. Cancelled, it leaves none taken."""
        ...

    def settle(self, lease: Lease, sent: Sent) -> None:
        """The request of this lease is over.

        Not awaited: it is called from the ``finally`` of a task that may be cancelled.
        """
        ...

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        """Give nobody a slot for so long; of several closures the longest counts.

        Args:
            seconds: From now.
            lease: That of the request that has shown it, not yet settled.
            cause: Why.
        """
        ...

    def standing(self) -> Standing: ...

    async def aclose(self) -> None:
        """Let go of whatever connects it to other processes; idempotent."""
        ...


class MemoryLedger:
    """The ledger of a tenant whose budget, or share of it, this process has to itself.

    Args:
        limit: The budget; None for none, so that only closures count.
        clock: Gives the time in seconds; the event loop's.
        grain: How far, in seconds, the clock may be behind.
    """

    def __init__(
        self, limit: RateLimit | None, clock: Callable[[], float], grain: float = CLOCK_GRAIN
    ) -> None:
        self._is_limited = limit is not None
        self._requests = math.inf if limit is None else limit.requests
        period = 0.0 if limit is None else limit.period
        self._counted_for = {
            Sent.ANSWERED: period + grain,
            Sent.CUT_OFF: 2 * period + grain,
        }
        self._clock = clock
        self._held = 0
        self._free_at: list[float] = []
        self._opens_at = -math.inf
        self._closed_by = Cause.PAUSE
        # Those of one round are all alike.
        self._lease = Lease(0)
        self._held_this_round = 0
        self._allowed_this_round = math.inf

    async def take(self) -> Lease | Wait:
        now = self._clock()
        if self._opens_at > now:
            return Wait(self._opens_at - now, closed=self._closed_by)
        if self._held_this_round >= self._allowed_this_round:
            return Wait(math.inf)
        if self._is_limited and (seconds := self._next_slot_in(now)) > 0:
            return Wait(seconds)
        self._held += 1
        self._held_this_round += 1
        return self._lease

    def settle(self, lease: Lease, sent: Sent) -> None:
        self._held -= 1
        if lease.round == self._lease.round:
            self._held_this_round -= 1
            if sent is Sent.ANSWERED:
                self._allowed_this_round += 1
        if self._is_limited and sent is not Sent.NEVER:
            heapq.heappush(self._free_at, self._clock() + self._counted_for[sent])

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        opens_at = self._clock() + seconds
        if opens_at >= self._opens_at:
            self._opens_at, self._closed_by = opens_at, cause
        self._lease = Lease(self._lease.round + 1)
        self._held_this_round = 0
        self._allowed_this_round = 1

    def standing(self) -> Standing:
        now = self._clock()
        probing = self._held_this_round >= self._allowed_this_round
        next_slot_in = math.inf if probing else self._next_slot_in(now)
        closed_for = max(0.0, self._opens_at - now)
        in_use = self._held + len(self._free_at)
        closed_by = self._closed_by if closed_for else None
        return Standing(in_use, max(next_slot_in, closed_for), closed_for, closed_by)

    async def aclose(self) -> None:
        """Nothing connects it to anybody."""

    def _next_slot_in(self, now: float) -> float:
        while self._free_at and self._free_at[0] <= now:
            heapq.heappop(self._free_at)
        if self._held + len(self._free_at) < self._requests:
            return 0.0
        return self._free_at[0] - now if self._free_at else math.inf
