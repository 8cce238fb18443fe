"""One attempt, as ``on_attempt`` is told of it."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from collections.abc import Callable
from typing import TypeAlias

import attrs


@attrs.frozen(kw_only=True)
class Attempt:
    """One request that was sent, or tried, and is over; ``on_attempt`` gets one for each.

    It holds plain values only: no response, no session and no API key. It pickles.

    Attributes:
        url: The URL that was requested.
        id: The id with which its path ends; None for a page of a list.
        attempt: Which attempt of its call it was, from 1 on. 429s count here, though not
            against ``max_attempts``. A probe has the number of the attempt that waits for it.
        is_probe: Whether it asked for a record that was answered before, only to see whether the
            host answers at all.
        status: The status of the answer, or None if there was none.
        error: What the attempt came to if it did not bring what it asked for (a 404 is a
            ``NotFoundError``), or None. It is :class:`asyncio.CancelledError` for one that was
            cancelled, by ``asyncio.timeout`` say. A copy, without the traceback.
        waited: Seconds that it waited for its turn: for the budget, for the end of a pause or an
            outage, for a free place. The time between two attempts (``retry_in``) is no part of it,
            but for a 429, which keeps its place in the queue.
        seconds: Seconds from its turn on until it was over, connecting included.
        retry_in: Seconds until the call goes on, at the earliest: with another attempt or with a
            probe. Waiting for the budget comes on top. None if the call is over.
    """

    url: str
    id: int | None
    attempt: int
    is_probe: bool
    status: int | None
    error: BaseException | None
    waited: float
    seconds: float
    retry_in: float | None


OnAttempt: TypeAlias = Callable[[Attempt], object]
