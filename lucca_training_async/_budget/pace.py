"""How the slots are spread over a period, so that one is free when a person asks.

Slots come free one period after they were used. What takes all of a budget at once has all of it
come free at once, a period later, and takes all of it again: a person who asks in between waits
for that moment, however far ahead in the queue. Slots that were taken evenly come free evenly.

So a bulk request takes what is free while the budget is fresh; from when it has been full, one
request is sent every ``period / requests``. That costs a run one period at the most, which is
little for a long one and much for a short one: a short run is held to it while people are about.
``ledger.lua`` has the same rule.
"""

from __future__ import annotations

import math

import attrs

from ..ledger import Lane

ABOUT = 10
"""Periods for which people are about after one has asked."""
LONG = 20
"""Budgets that make a run a long one: a period more costs it a twentieth."""


@attrs.define
class Pace:
    """Of one tenant.

    Attributes:
        is_fresh: Whether the budget has not been full since nothing of it was in use.
        due_at: When the next bulk request is due.
        people_at: When a person has asked last.
    """

    is_fresh: bool = True
    due_at: float = -math.inf
    people_at: float = -math.inf

    def asked(self, lane: Lane, now: float, *, in_use: int) -> None:
        """Somebody wants a slot, while so many are in use."""
        if lane is Lane.INTERACTIVE:
            self.people_at = now
        if not in_use:
            self.is_fresh = True

    def holds(self, lane: Lane, now: float, period: float) -> bool:
        """Whether the requests of this lane are spread just now."""
        if lane is Lane.INTERACTIVE or self.is_fresh:
            return False
        return lane is Lane.LONG_BULK or now < self.people_at + ABOUT * period

    def due_in(self, lane: Lane, now: float, period: float) -> float:
        """Seconds for which a request of this lane is to be held back."""
        return max(0.0, self.due_at - now) if self.holds(lane, now, period) else 0.0

    def took(self, lane: Lane, now: float, *, left: float, every: float) -> None:
        """A slot was given.

        Args:
            lane: To whom.
            now: The time.
            left: How many bulk requests could still have one.
            every: Seconds between two of them.
        """
        if left <= 0:
            self.is_fresh = False
        if lane is not Lane.INTERACTIVE:
            # What is a moment late does not make the next late as well.
            self.due_at = max(self.due_at, now - every) + every

    def shift(self, seconds: float) -> None:
        """Move it to another clock."""
        self.due_at += seconds
        self.people_at += seconds
