"""What the requests of one call share: its counters, and the means to end it early.

A call is a single ``get`` or a whole bulk run. A bulk run must end at once when the key is
refused, including those of its requests that wait, perhaps for a minute, for the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from .errors import LuccaError

T = TypeVar("T")


def is_being_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, not for something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Run:
    """Counters and the stop signal of one call.

    Attributes:
        requests: Requests sent so far.
        retries: How many of them were not the first for their id.
        waited: Seconds during which at least one request waited for admission.
        stopped: Why nothing more may be sent, or None.
    """

    def __init__(self) -> None:
        self.requests: int = 0
        self.retries: int = 0
        self.waited: float = 0.0
        self.stopped: LuccaError | None = None
        self._waits: set[asyncio.Timeout] = set()
        self._admissions_awaited = 0
        self._waiting_since = 0.0

    def stop(self, error: LuccaError) -> None:
        """Send nothing more; whoever waits fails with ``error``. The first stop counts."""
        if self.stopped is None:
            self.stopped = error
            now = asyncio.get_running_loop().time()
            for wait in self._waits:
                if not wait.expired():
                    wait.reschedule(now)

    async def await_admission(self, admission: Awaitable[T], until: float | None) -> T:
        """As :meth:`wait_for`, and counted in ``waited``."""
        clock = asyncio.get_running_loop().time
        if not self._admissions_awaited:
            self._waiting_since = clock()
        self._admissions_awaited += 1
        try:
            return await self.wait_for(admission, until)
        finally:
            self._admissions_awaited -= 1
            if not self._admissions_awaited:
                self.waited += clock() - self._waiting_since

    async def wait_for(self, waiting: Awaitable[T], until: float | None = None) -> T:
        """Await something that sends nothing.

        Args:
            waiting: What to await.
            until: When to give up, in the loop's time; None for never.

        Raises:
            TimeoutError: ``until`` has come, or the run was stopped.
        """
        if self.stopped is not None:
            until = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(until) as wait:
            self._waits.add(wait)
            try:
                return await waiting
            finally:
                self._waits.discard(wait)
