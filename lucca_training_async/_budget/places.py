"""Who waits at the gate: owners, on whose behalf requests are sent, and their places."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

import attrs

from ..errors import LuccaError

logger: logging.Logger = logging.getLogger("lucca_training_async")

_WORTH_TELLING = 10.0


class Owner:
    """On whose behalf requests are sent: a single get, or a whole bulk run.

    Attributes:
        fatal: Errors of one request that end everything this owner does.
        ended: Why nothing more is sent for it, or None.
        requests: Requests sent so far.
        retries: How many of them were not the first of their call.
        other_waits: What ends the waits that are not at the gate, for a connection say.
    """

    fatal: tuple[type[LuccaError], ...] = ()

    def __init__(self) -> None:
        self.ended: LuccaError | None = None
        self.requests = 0
        self.retries = 0
        self.other_waits: set[Callable[[], object]] = set()
        self._waited = 0.0
        self._waiting = 0
        self._waiting_since = 0.0
        self._wait_is_told = False

    def waited(self, now: float) -> float:
        """Seconds during which at least one request stood waiting for admission."""
        return self._waited + (now - self._waiting_since if self._waiting else 0.0)

    def starts_waiting(self, now: float) -> None:
        if not self._waiting:
            self._waiting_since = now
        self._waiting += 1

    def stops_waiting(self, now: float) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._waited += now - self._waiting_since

    def tell_wait(self, what: str, seconds: float) -> None:
        """Log a long wait, the first of this owner's only: a bulk run has one a minute."""
        if _WORTH_TELLING < seconds < math.inf and not self._wait_is_told:
            self._wait_is_told = True
            logger.info("%s for %.0f s", what, seconds)

    def on_end(self) -> None:
        """Called once, when ``ended`` has been set."""
        for end_wait in list(self.other_waits):
            end_wait()


@attrs.define(eq=False, order=False)
class Place:
    """A call's place in the order of admission; a call that is tried again keeps it.

    Attributes:
        owner: On whose behalf it waits.
        patience: The longest closure, in seconds, that it waits for.
        ticket: Its number in the order.
        turn: What it waits for just now.
    """

    owner: Owner
    patience: float
    ticket: int
    turn: asyncio.Future[None] | None = None

    def __lt__(self, other: Place) -> bool:
        return self.ticket < other.ticket

    def wake(self, error: Exception | None = None) -> bool:
        """End its wait; false if it has none, or one that has ended already."""
        if self.turn is None or self.turn.done():
            return False
        if error is None:
            self.turn.set_result(None)
        else:
            self.turn.set_exception(error)
        return True

    def is_granted(self) -> bool:
        """Whether its wait has ended well."""
        turn = self.turn
        return turn is not None and turn.done() and not turn.cancelled() and not turn.exception()

    def forget(self) -> None:
        turn, self.turn = self.turn, None
        if turn is not None and turn.done() and not turn.cancelled():
            turn.exception()  # seen, even by a task that was cancelled in the same moment
