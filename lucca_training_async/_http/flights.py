"""Calls that ask the same at the same time, and share one request.

Each waits for itself: one that is cancelled leaves the others alone, and only the last one that
goes takes the request with it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class _Flight:
    """One call, on behalf of several.

    Attributes:
        task: What makes it.
        waiting: How many wait for it.
        was_shared: Whether it was ever more than one.
    """

    task: asyncio.Task[Any]
    waiting: int = 0
    was_shared: bool = False


class Flights:
    """What is under way, by what it asks for."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight] = {}

    async def join(self, asked: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a call comes to: one that is under way and asks the same, or a new one.

        Args:
            asked: What is asked for, and how.
            call: Makes the call.
        """
        flight = self._under_way.get(asked)
        if flight is None:
            flight = self._under_way[asked] = _Flight(asyncio.create_task(call()))
            flight.task.add_done_callback(lambda _: self._land(asked, flight))
        flight.waiting += 1
        flight.was_shared = flight.was_shared or flight.waiting > 1
        try:
            await asyncio.wait([flight.task])
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(asked, flight)  # whoever asks now begins anew
                flight.task.cancel()
                # When a call is cancelled nothing of it is held any more.
                await asyncio.wait([flight.task])
        return cast(T, self._landed(flight))

    def _land(self, asked: Hashable, flight: _Flight) -> None:
        self._forget(asked, flight)
        if not flight.task.cancelled():
            flight.task.exception()  # seen, even if all were cancelled in the same moment

    def _forget(self, asked: Hashable, flight: _Flight) -> None:
        if self._under_way.get(asked) is flight:
            del self._under_way[asked]

    @staticmethod
    def _landed(flight: _Flight) -> object:
        error = None if flight.task.cancelled() else flight.task.exception()
        if error is None or not flight.was_shared:
            return flight.task.result()
        # Each has its own: where it is raised, Python writes into it.
        mine = copy.copy(error)
        raise mine.with_traceback(None) from None
