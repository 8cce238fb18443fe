"""Who waits at the gate: owners, on whose behalf requests are sent, and their places."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Literal, cast, get_args

import attrs

from ..errors import LuccaError
from ..ledger import Cause, Lane
from .closures import WORTH_TELLING, Closure, logger
from .pace import LONG

Priority = Literal["interactive", "bulk"]
"""Which requests go first: those that a person waits for, or those of a batch."""


def check_priority(priority: object) -> Priority:
    """The priority.

    Raises:
        ValueError: It is none.
    """
    if isinstance(priority, str) and priority in get_args(Priority):
        return cast(Priority, priority)
    raise ValueError(f"priority must be 'interactive' or 'bulk', not {priority!r}")


class Owner:
    """On whose behalf requests are sent: a single get, or a whole bulk run.

    A get serves a person, who won't wait for an outage to end, nor for pauses beyond
    ``patience``. A bulk run has a patience of another kind.

    Args:
        patience: Seconds, in total, that pauses may keep it waiting.
        priority: That of its requests.

    Attributes:
        is_bulk: Whether people go first.
        fatal: Errors of one request that end everything this owner does.
        waits_for_outages: Whether an outage may end before it does.
        speaks_for_many: Whether one request that fails keeps many from being sent.
        ended: Why nothing more is sent for it, or None.
        given_up: Why nothing new is begun for it, or None.
        requests: Requests sent so far.
        retries: How many of them were not the first of their call.
        other_waits: What ends the waits that are not at the gate, for a connection say.
    """

    fatal: tuple[type[LuccaError], ...] = ()
    waits_for_outages: bool = False
    speaks_for_many: bool = False

    def __init__(self, patience: float = math.inf, *, priority: Priority = "interactive") -> None:
        self.patience = patience
        self.is_bulk: bool = check_priority(priority) == "bulk"
        self.ended: LuccaError | None = None
        self.given_up: LuccaError | None = None
        self.requests = 0
        self.retries = 0
        self.other_waits: set[Callable[[], object]] = set()
        self._waited = 0.0
        self._waiting = 0
        self._waiting_since = 0.0
        self._wait_is_told = False
        self._paused_before: float | None = None
        self._refused = 0.0

    def waits_until(self, closure: Closure, now: float, paused: float) -> float:
        """The latest end of a closure that it waits for.

        Args:
            closure: By what the gate is closed.
            now: The time.
            paused: The seconds that the gate has been closed by pauses, ever.
        """
        if closure.cause is Cause.OUTAGE:
            return -math.inf
        if self._paused_before is None:
            self._paused_before = paused
        return now + self.patience - self._refused - (paused - self._paused_before)

    def to_come(self) -> float:
        """How many requests it has still to send, as far as that is known; infinity if it isn't."""
        return 0

    def lane(self, requests: float) -> Lane:
        """That of its requests, where a budget has so many."""
        if not self.is_bulk:
            return Lane.INTERACTIVE
        most = max(self.requests, self.to_come())
        return Lane.LONG_BULK if most > LONG * requests else Lane.BULK

    def note_refusal(self, seconds: float) -> None:
        """A request that took so long was answered with a 429."""
        self._refused += seconds

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
        if WORTH_TELLING < seconds < math.inf and not self._wait_is_told:
            self._wait_is_told = True
            logger.info("%s for %.0f s", what, seconds)

    # Of a host that has never answered; a get asks it as often as any.

    def give_up(self, error: LuccaError) -> None:
        """Begin nothing new: all that has begun has used up its attempts."""
        self.given_up = error

    def hold(self, place: Place) -> bool:
        """Whether a call that has used up its attempts is to wait for the others."""
        return False

    def let_go(self, place: Place) -> None:
        """It waits no more."""

    def release(self) -> None:
        """The host has answered."""

    def watch(self, since: float, seconds: float, look: Callable[[], float | None]) -> None:
        """Look after some seconds whether it has, and again when ``look`` says."""

    def on_outage(self) -> None:
        """Called when an outage begins."""

    def on_end(self) -> None:
        """Called once, when ``ended`` has been set."""
        for end_wait in list(self.other_waits):
            end_wait()


@attrs.define(eq=False, order=False)
class Place:
    """A call's place in the order of admission; a call that is tried again keeps it.

    Attributes:
        owner: On whose behalf it waits.
        ticket: Its number in the order.
        turn: What it waits for just now.
    """

    owner: Owner
    ticket: int
    turn: asyncio.Future[None] | None = None

    def __lt__(self, other: Place) -> bool:
        return (self.owner.is_bulk, self.ticket) < (other.owner.is_bulk, other.ticket)

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
