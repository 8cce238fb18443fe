"""What can end a bulk run before its ids are done, and what it waits for instead.

One id's failure never does. What would fail every other id as well does: a refused key, a key that
may read nothing, a closed client, a host that has never answered, and an outage or 429s that
outlast the run's patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._budget import Cause, Closure, Gate, Owner, Place, Priority, logger
from ..errors import (
    AuthenticationError,
    ClientClosedError,
    LuccaError,
    PermissionDeniedError,
    UsageError,
)

_MOST_DENIALS = 20
_STALE = 60.0


class StoppableRun(Owner):
    """A run, as far as it can be stopped.

    Args:
        patience: Seconds that it waits for an outage, or for 429s, to end.
        priority: That of its requests.

    Raises:
        ValueError: ``priority`` is none.
    """

    # Neither a refused key nor a closed client will get better for the next id.
    fatal: tuple[type[LuccaError], ...] = (AuthenticationError, ClientClosedError, UsageError)
    waits_for_outages: bool = True
    name: str = "a bulk run"

    def __init__(self, patience: float, priority: Priority) -> None:
        super().__init__(patience, priority=priority)
        self._gate: Gate | None = None
        self._under_way: int = 0
        self._started_at = 0.0
        self._troubled_since: dict[Cause, tuple[float, float]] = {}
        self._held: set[Place] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._denied = 0
        self._may_read = False

    @property
    def stopped(self) -> LuccaError | None:
        """Why nothing new is sent, or None."""
        return self.ended or self.given_up

    def on_stop(self) -> None:
        """Called once, when it is stopped."""

    def give_up(self, error: LuccaError) -> None:
        if self.stopped is None:
            super().give_up(error)
            self._tell_stop(error)

    def on_end(self) -> None:
        super().on_end()
        if self.given_up is None and self.ended is not None:
            self._tell_stop(self.ended)

    def _tell_stop(self, error: LuccaError) -> None:
        if not isinstance(error, ClientClosedError | UsageError):
            logger.warning("%s ends early: %s", self.name, error)
        self.on_stop()

    # -- patience

    def waits_until(self, closure: Closure, now: float, paused: float) -> float:
        """Counted from the beginning of the trouble, but not from before this run has met it.

        A failure of an hour ago, after which nothing was asked, is no beginning.
        """
        known = self._troubled_since.get(closure.cause)
        if known is None or known[0] != closure.since:
            began = max(closure.since, now - _STALE)
            known = self._troubled_since[closure.cause] = closure.since, began
        return known[1] + self.patience

    # -- a host that has never answered

    def hold(self, place: Place) -> bool:
        """Whether an id that has used up its attempts is to wait for what becomes of the others.

        Not if they all have used up theirs.
        """
        self._held.add(place)
        return not self._release_if_all_are_held()

    def let_go(self, place: Place) -> None:
        self._held.discard(place)

    def release(self) -> None:
        for place in self._held:
            place.wake()
        self._held.clear()

    def begins_one(self) -> None:
        """One id more is being fetched."""
        self._under_way += 1

    def ends_one(self) -> None:
        """One id less is."""
        self._under_way -= 1
        self._release_if_all_are_held()

    def _release_if_all_are_held(self) -> bool:
        if len(self._held) < self._under_way:
            return False
        self.release()
        return True

    def watch(self, since: float, seconds: float, look: Callable[[], float | None]) -> None:
        if self._watch is None:
            loop = asyncio.get_running_loop()
            # Others may have met it long before; this run has its own time.
            at = max(since, self._started_at) + seconds

            def look_again() -> None:
                again_at = look()
                if again_at is not None:
                    self._watch = loop.call_at(again_at, look_again)

            self._watch = loop.call_at(at, look_again)

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    # -- a key that may read nothing

    def note_answer(self, denial: PermissionDeniedError | None) -> None:
        """A key that has been denied everything so far will be denied the rest."""
        if denial is None:
            self._may_read = True
            return
        self._denied += 1
        if self._denied == _MOST_DENIALS and not self._may_read and self._gate is not None:
            self._gate.abandon(self, denial)
