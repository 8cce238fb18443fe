"""What an export will cost, and how long it will take yet: numbers and words, no clock.

The budget decides: requests go out as it lets them, whatever the network does.
"""

from __future__ import annotations

import math

import attrs

from ..._budget import Budget
from ..._lists.plan import pages_for
from ...settings import RateLimit

# As in the ledger: what takes more than so many budgets is spread evenly over time.
_LONG = 20


@attrs.frozen
class Cost:
    """What an export takes.

    Attributes:
        records: How many records, or ids, it is about; None if nobody knows.
        requests: How many requests that takes; None if nobody knows.
        is_rest: Whether others were sent before it was interrupted.
    """

    records: int | None
    requests: int | None
    is_rest: bool = False


def seconds_for(requests: int, limit: RateLimit | None) -> float:
    """The least time for so many requests: a budget at once, and one after each period."""
    if limit is None or not requests:
        return 0.0
    return (math.ceil(requests / limit.requests) - 1) * limit.period


def seconds_left(
    requests: int, budget: Budget, period: float, seconds_each: float | None
) -> float | None:
    """How long so many more requests will take; None if nobody knows.

    Args:
        requests: How many.
        budget: As it is now.
        period: That of the budget.
        seconds_each: What one took on average, one after the other; None if none has come yet.
    """
    if not requests:
        return 0.0
    if budget.closed_by == "outage":
        return None
    at_least = None if seconds_each is None else requests * seconds_each
    if budget.limit is None:
        return at_least
    # Where others want some of it, too, each client has an equal part.
    limit = max(1.0, budget.limit / max(1, budget.clients))
    free = min(limit, max(0, budget.limit - budget.in_use))
    waits = max(budget.closed_for, budget.next_slot_in or 0.0)
    later = max(0.0, requests - free)
    if requests > _LONG * budget.limit:
        by_budget = waits + later * period / limit
    elif not later:
        by_budget = budget.closed_for
    else:
        # What was free is used at once; from then on a budget's worth comes free each period.
        first = period if free >= 1 and not budget.closed_for else waits
        by_budget = first + (math.ceil(later / limit) - 1) * period
    return max(by_budget, at_least or 0.0)


def cost_in_words(cost: Cost, limit: RateLimit | None, what: str = "records") -> str:
    """What it will cost, told before it does."""
    if cost.records is None or cost.requests is None:
        return f"how many {what} there are is not known before they have come"
    requests = number(cost.requests, "more requests" if cost.is_rest else "requests")
    told = f"{number(cost.records, what)}: {requests}"
    if limit is None:
        return told
    told += f", {span(seconds_for(cost.requests, limit))}"
    one_by_one = seconds_for(cost.records, limit)
    if not cost.is_rest and cost.requests < cost.records and one_by_one:
        told += f"; one by one it would be {span(one_by_one, about=False)}"
    return told


def pages_in(count: int | None) -> int | None:
    """How many requests a list of so many records takes; an empty one takes one."""
    return None if count is None else max(1, pages_for(count))


def number(count: int, what: str) -> str:
    """So many things, in English."""
    return f"{count:,} {what[:-1] if count == 1 else what}"


def span(seconds: float, *, about: bool = True) -> str:
    """A time as people say it, rounded up to what matters."""
    for unit, length, fewest in (("hour", 3600, 5400), ("minute", 60, 90), ("second", 1, 1)):
        if seconds >= fewest:
            many = round(seconds / length)
            return f"{'about ' if about else ''}{many} {unit}{'' if many == 1 else 's'}"
    return "a moment"
