"""The server's side of the budget: a strict sliding window over arrivals."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from ..settings import RateLimit


class SlidingWindow:
    """Admits at most ``limit.requests`` arrivals in any ``limit.period``.

    Refused arrivals don't count, so a client that is refused and waits is admitted.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._admitted_at: deque[float] = deque()

    def refused_for(self, now: float) -> float | None:
        """Count an arrival: None if it is admitted, else the seconds until one would be."""
        while self._admitted_at and self._admitted_at[0] <= now - self._limit.period:
            self._admitted_at.popleft()
        if len(self._admitted_at) >= self._limit.requests:
            return self._admitted_at[0] + self._limit.period - now
        self._admitted_at.append(now)
        return None


def busiest_window(times: Sequence[float], period: float) -> int:
    """The most arrivals in any half-open window of one period.

    Args:
        times: Moments of arrival in ascending order, in seconds.
        period: Length of the window, in seconds.
    """
    return max(
        (i + 1 - bisect_right(times, time - period) for i, time in enumerate(times)), default=0
    )
