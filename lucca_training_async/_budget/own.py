"""The ledger of a client that shares its budget with nobody: a heap and some counters."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable

from ..ledger import Cause, Lane, Lease, Sent, Standing, Wait
from ..settings import RateLimit
from .pace import Pace

# A moment may have been later than the clock says: Python's own ticks 64 times a second on
# Windows, and uvloop's counts milliseconds, from the beginning of a turn of the loop.
CLOCK_GRAIN = 0.008 + time.get_clock_info("monotonic").resolution


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
        self._held = 0
        self._free_at: list[float] = []
        self._opens_at = -math.inf
        self._closed_by = Cause.PAUSE
        # Those of one round are all alike.
        self._lease = Lease(0)
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
        next_slot_in = math.inf if probing else self._free_in(self._requests, now)
        closed_for = max(0.0, self._opens_at - now)
        in_use = self._held + len(self._free_at)
        closed_by = self._closed_by if closed_for else None
        return Standing(in_use, max(next_slot_in, closed_for), closed_for, closed_by)

    async def aclose(self) -> None:
        """Nothing connects it to anybody."""

    def _wait_for_slot(self, lane: Lane, now: float) -> float:
        """Seconds until there is one; the slot counts as taken if that is at once."""
        room = self._requests - (0 if lane is Lane.INTERACTIVE else self._reserved)
        seconds = self._free_in(room, now)
        in_use = self._held + len(self._free_at)
        self._pace.asked(lane, now, in_use=in_use)
        seconds = max(seconds, self._pace.due_in(lane, now, self._period))
        if seconds == 0:
            left = self._requests - self._reserved - in_use - 1
            self._pace.took(lane, now, left=left, every=self._period / self._requests)
        return seconds

    def _free_in(self, room: float, now: float) -> float:
        """Seconds until less than so many are in use; infinity if that takes an answer."""
        while self._free_at and self._free_at[0] <= now:
            heapq.heappop(self._free_at)
        too_many = self._held + len(self._free_at) - room + 1
        if too_many <= 0:
            return 0.0
        if too_many > len(self._free_at):
            return math.inf
        first = heapq.nsmallest(int(too_many), self._free_at)
        return first[-1] - now
