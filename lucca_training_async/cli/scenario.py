"""What the demo puts the client through, and what must come of it: values alone, no I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from .._bulk import BulkResult
from ..sandbox import Fault
from ..sandbox.server import HIGHEST_ID
from ..settings import RateLimit

FEWEST_IDS = 20
"""Every fault needs two valid ids: its own, and a neighbour's that may be missing."""
MOST_IDS = HIGHEST_ID

_INVALID_ID = -1
_DUPLICATES = 6
_LONGEST_PAUSE = 1.0


@attrs.frozen
class Scenario:
    """A bad day.

    Attributes:
        ids: What is asked for, duplicates and an invalid one among them.
        missing: The ids that Lucca doesn't have.
        faults: What the first request for an id meets.
        pause: Seconds that the 429 and the 503 ask to wait.
    """

    ids: Sequence[int]
    missing: frozenset[int]
    faults: dict[int, Fault]
    pause: float

    @classmethod
    def of(cls, distinct: int, limit: RateLimit) -> Scenario:
        """The same day for the same arguments, with so many distinct ids in it."""
        # Scaled with the budget, so that the faults weigh about the same in any demo.
        pause = min(limit.period, _LONGEST_PAUSE)
        faults = [
            Fault.internal_error(),
            Fault.unavailable(retry_after=pause),
            Fault.drop(),
            Fault.truncate(),
            Fault.slow(pause / 2),
            Fault.too_many_requests(retry_after=pause),
            Fault.html(),
            Fault.bad_json(),
        ]
        valid = list(range(1, distinct))
        step = len(valid) // (len(faults) + 1)
        unlucky = valid[step - 1 :: step][: len(faults)]
        return cls(
            ids=[*valid[:step], _INVALID_ID, *valid[step:], *valid[:_DUPLICATES]],
            missing=frozenset(neighbour + 1 for neighbour in unlucky[::3]),
            faults=dict(zip(unlucky, faults, strict=True)),
            pause=pause,
        )


def unaccounted_for(ids: Iterable[int], result: BulkResult) -> list[int]:
    """The ids that don't have exactly one outcome, or have one without being asked for."""
    expected = Counter(set(ids))
    found = (key for key, training in result.items.items() if training.id == key)
    refused = (refused.value for refused in result.refused if isinstance(refused.value, int))
    actual = Counter([*found, *result.missing, *result.failures, *refused])
    return sorted(key for key in expected | actual if expected[key] != actual[key])


def ideal_seconds(requests: int, limit: RateLimit) -> float:
    """The least time in which so many requests can be sent, were they answered at once.

    A full budget goes out at the very start, and another one after every period.
    """
    return max(0, math.ceil(requests / limit.requests) - 1) * limit.period
