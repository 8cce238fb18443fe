"""How far an export has come, in numbers and in words; nothing here prints, or looks at a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from ..._attempt import Attempt
from ..._budget import Budget
from .estimate import number, seconds_left, span


@attrs.define
class Tally:
    """What the export counts while it runs.

    Attributes:
        what: What is counted.
        done: How many records, or ids, are accounted for.
        total: Of how many; None if nobody knows.
        left: Requests that the plan still needs; None if nobody knows.
        requests: Requests that were sent by this process.
        seconds: What they took, together.
        silent_since: When the first of the requests was sent that nobody has answered, if the
            last one was of those.
        refused_with: The status of the last answer, where it asked to wait.
    """

    what: str = "records"
    done: int = 0
    total: int | None = None
    left: int | None = None
    requests: int = 0
    seconds: float = 0.0
    silent_since: datetime | None = None
    refused_with: int | None = None

    def note(self, attempt: Attempt, now: datetime) -> None:
        """Take note of a request that is over."""
        self.requests += 1
        self.seconds += attempt.seconds
        if attempt.status in (429, 503):
            self.refused_with = attempt.status
        if attempt.status is None or attempt.status >= 500:
            began = now - timedelta(seconds=attempt.seconds)
            self.silent_since = self.silent_since or began
        else:
            self.silent_since = None


@attrs.frozen
class Standing:
    """How it stands at one moment.

    Attributes:
        done: How many records, or ids, are accounted for.
        total: Of how many; None if nobody knows.
        what: What is counted.
        requests: Requests that were sent.
        planned: Requests that the plan needs in all; None if nobody knows.
        budget_left: Requests left in the budget just now; None without one.
        seconds_left: Until the end; None if nobody knows.
        waits_for: What it waits for, in words; None if it doesn't.
    """

    done: int
    total: int | None
    what: str
    requests: int
    planned: int | None
    budget_left: int | None
    seconds_left: float | None
    waits_for: str | None

    @property
    def counts(self) -> str:
        """How many of how many."""
        if self.total is None:
            return number(self.done, self.what)
        return f"{self.done:,} of {number(self.total, self.what)}"

    @property
    def cost(self) -> str:
        """What that has taken, and what there is."""
        told = number(self.requests, "requests")
        if self.planned is not None:
            told = f"{self.requests:,} of {number(self.planned, 'requests')}"
        return (
            told if self.budget_left is None else f"{told}, {self.budget_left:,} left in the budget"
        )

    @property
    def end(self) -> str:
        """When it is over."""
        if self.seconds_left is None:
            return "end not known"
        return f"{span(self.seconds_left)} to the end"

    @property
    def line(self) -> str:
        """All of it in one line."""
        waits = "" if self.waits_for is None else f"; waits for {self.waits_for}"
        return f"{self.counts}, {self.cost}, {self.end}{waits}"

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return attrs.asdict(self)


def standing(tally: Tally, budget: Budget, period: float, at_once: int, now: datetime) -> Standing:
    """How an export stands.

    Args:
        tally: What it has counted.
        budget: The client's.
        period: That of the budget.
        at_once: How many requests may be under way.
        now: The time, where it is told.
    """
    seconds = None
    if tally.left is not None:
        # Pages come one after the other, ids many at a time.
        each = tally.seconds / tally.requests / at_once if tally.requests else None
        seconds = seconds_left(tally.left, budget, period, each)
    return Standing(
        tally.done,
        tally.total,
        tally.what,
        tally.requests,
        None if tally.left is None else tally.requests + tally.left,
        None if budget.limit is None else max(0, budget.limit - budget.in_use),
        seconds,
        waits_for(budget, tally, now),
    )


def waits_for(budget: Budget, tally: Tally, now: datetime) -> str | None:
    """What keeps the next request from being sent, in words, and until when."""
    slot_in = max(budget.next_slot_in or 0.0, budget.next_bulk_slot_in or 0.0)
    seconds = max(budget.closed_for, slot_in)
    until = f"{now + timedelta(seconds=seconds):%H:%M:%S}"
    if budget.closed_by == "outage":
        since = "" if tally.silent_since is None else f", since {tally.silent_since:%H:%M:%S}"
        return f"the end of an outage (no answer{since}; asked again at {until})"
    if budget.closed_by == "pause":
        why = f"after a {tally.refused_with}" if tally.refused_with else "that another process met"
        return f"the end of a pause {why}, at {until}"
    if budget.waiting and seconds:
        alone = " (the shared one can't be reached)" if budget.alone else ""
        return f"the budget{alone}, until {until}"
    return None


def summary(counts: Mapping[str, int], where: str) -> str:
    """What an export came to."""
    told = [f"{number(counts['records'], 'records')} in {where}"]
    told += [f"{counts[name]:,} {name}" for name in _CHANGES if name in counts]
    told += [f"{counts[name]:,} {name}" for name in _TROUBLES if counts.get(name)]
    return ", ".join(told)


_CHANGES = ("added", "changed", "removed")
_TROUBLES = ("kept", "missing", "failed", "refused")
