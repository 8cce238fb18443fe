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

from ..errors import LuccaError

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


def _landed(flight: _Flight) -> object:
    """What it has come to."""
    task, was_shared = flight.task, flight.was_shared
    # An error leads to this frame, which must not lead back to it.
    del flight
    error = None if task.cancelled() else task.exception()
    try:
        if was_shared and isinstance(error, LuccaError):
            # Each has its own: where it is raised, Python writes into it.
            raise copy.copy(error).with_traceback(None) from None
        return task.result()
    finally:
        del task, error


class Flights:
    """What is under way, by what it asks for."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight] = {}

    async def join(
        self, asked: Hashable, call: Callable[[], Coroutine[Any, Any, T]], *, anew: bool = False
    ) -> T:
        """What a call comes to: one that is under way and asks the same, or a new one.

        Args:
            asked: What is asked for, and how.
            call: Makes the call.
            anew: Whether one that is under way will not do: it may have been sent too early.
        """
        flight = None if anew else self._under_way.get(asked)
        if flight is None:
            flight = self._begin(asked, call)
        flight.waiting += 1
        flight.was_shared = flight.was_shared or flight.waiting > 1
        try:
            await asyncio.wait([flight.task])
            return cast(T, _landed(flight))
        except asyncio.CancelledError:
            if flight.waiting == 1 and not flight.task.done():
                self._forget(asked, flight)  # whoever asks now begins anew
                flight.task.cancel()
                # When a call is cancelled nothing of it is held any more.
                await asyncio.wait([flight.task])
                if flight.task.cancelled():
                    flight.task.result()  # which tells where it stood
            raise
        finally:
            flight.waiting -= 1
            del flight  # see _landed

    def _begin(self, asked: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> _Flight:
        flight = self._under_way[asked] = _Flight(asyncio.create_task(call()))

        def land(task: asyncio.Task[T]) -> None:
            self._forget(asked, flight)
            if not task.cancelled():
                task.exception()  # seen, even if all were cancelled in the same moment

        flight.task.add_done_callback(land)
        return flight

    def _forget(self, asked: Hashable, flight: _Flight) -> None:
        if self._under_way.get(asked) is flight:
            del self._under_way[asked]
