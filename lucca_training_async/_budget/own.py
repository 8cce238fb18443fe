"""The ledger of a client that shares its budget with nobody: a heap and some counters."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable

import attrs

from ..ledger import Cause, Lane, Lease, Sent, Standing, Wait
from ..settings import RateLimit
from .pace import Pace

# A moment may have been later than the clock says: Python's own ticks 64 times a second on
# Windows, and uvloop's counts milliseconds, from the beginning of a turn of the loop.
CLOCK_GRAIN = 0.008 + time.get_clock_info("monotonic").resolution


@attrs.define(eq=False)
class _BulkLease(Lease):
    """That of a bulk request, where some slots are reserved."""


@attrs.define(eq=False)
class _Slots:
    """Slots that are taken.

    Attributes:
        held: How many of them by requests under way.
        free_at: When the others are free.
    """

    held: int = 0
    free_at: list[float] = attrs.field(factory=list[float])

    @property
    def in_use(self) -> int:
        return self.held + len(self.free_at)

    def give_back(self, free_at: float | None) -> None:
        self.held -= 1
        if free_at is not None:
            heapq.heappush(self.free_at, free_at)

    def free_in(self, room: float, now: float) -> float:
        """Seconds until there are less of them than that; infinity if it takes an answer."""
        while self.free_at and self.free_at[0] <= now:
            heapq.heappop(self.free_at)
        if self.in_use < room:
            return 0.0
        return self.free_at[0] - now if self.free_at else math.inf


class OwnLedger:
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
        self._reserved = 0 if limit is None else limit.reserved
        self._period = period = 0.0 if limit is None else limit.period
        self._pace = Pace()
        self._counted_for = {
            Sent.ANSWERED: period + grain,
            Sent.CUT_OFF: 2 * period + grain,
        }
        self._clock = clock
        self._slots = _Slots()
        self._bulk = _Slots()
        self._opens_at = -math.inf
        self._closed_by = Cause.PAUSE
        # Those of one round are all alike.
        self._lease = Lease(0)
        self._bulk_lease = _BulkLease(0)
        self._held_this_round = 0
        self._allowed_this_round = math.inf

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        now = self._clock()
        if self._opens_at > now:
            return Wait(self._opens_at - now, closed=self._closed_by)
        if self._held_this_round >= self._allowed_this_round:
            return Wait(math.inf, probing=self._allowed_this_round == 1)
        if self._is_limited and (seconds := self._wait_for_slot(lane, now)) > 0:
            return Wait(seconds)
        self._slots.held += 1
        self._held_this_round += 1
        if lane is Lane.INTERACTIVE or not self._reserved:
            return self._lease
        self._bulk.held += 1
        return self._bulk_lease

    def settle(self, lease: Lease, sent: Sent) -> None:
        if lease.round == self._lease.round:
            self._held_this_round -= 1
            if sent is Sent.ANSWERED:
                self._allowed_this_round += 1
        counts = self._is_limited and sent is not Sent.NEVER
        free_at = self._clock() + self._counted_for[sent] if counts else None
        self._slots.give_back(free_at)
        if isinstance(lease, _BulkLease):
            self._bulk.give_back(free_at)

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        opens_at = self._clock() + seconds
        if opens_at >= self._opens_at:
            self._opens_at, self._closed_by = opens_at, cause
        self._lease = Lease(self._lease.round + 1)
        self._bulk_lease = _BulkLease(self._lease.round)
        self._held_this_round = 0
        self._allowed_this_round = 1

    def standing(self) -> Standing:
        now = self._clock()
        probing = self._held_this_round >= self._allowed_this_round
        next_slot_in = math.inf if probing else self._slots.free_in(self._requests, now)
        closed_for = max(0.0, self._opens_at - now)
        closed_by = self._closed_by if closed_for else None
        in_use = self._slots.in_use
        return Standing(in_use, max(next_slot_in, closed_for), closed_for, closed_by)

    async def aclose(self) -> None:
        """Nothing connects it to anybody."""

    def _wait_for_slot(self, lane: Lane, now: float) -> float:
        """Seconds until there is one; the slot counts as taken if that is at once."""
        seconds = self._slots.free_in(self._requests, now)
        left = self._requests - self._slots.in_use
        if self._reserved:
            room = self._requests - self._reserved
            bulk_free_in = self._bulk.free_in(room, now)
            left = min(left, room - self._bulk.in_use)
            if lane is not Lane.INTERACTIVE:
                seconds = max(seconds, bulk_free_in)
        self._pace.asked(now, self._period)
        seconds = max(seconds, self._pace.due_in(lane, now, self._period))
        if seconds == 0:
            self._pace.took(lane, now, left=left - 1, every=self._period / self._requests)
        return seconds
