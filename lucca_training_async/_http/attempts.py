"""One call: what it asks for, and what has become of its attempts so far."""

from __future__ import annotations

import logging
import math
from typing import Any, Generic, TypeVar

import attrs

from .._budget import Closure, Gate, Place, logger
from ..errors import RequestError
from .health import Silence, Target

T = TypeVar("T")
# One outage may be met by anybody; whoever meets a second, or has so few attempts left, is sent
# apart from others of its kind.
_SUSPICIOUS = 2
_LAST = 2
_MOST_OUTAGES = 10
# Even if it was alone in none of them: no call goes on for ever.
_MOST_IN_ALL = 3 * _MOST_OUTAGES


@attrs.define(eq=False)
class Call(Generic[T]):
    """One resource on its way here, in as many requests as it takes.

    Attributes:
        target: What it asks for.
        gate: What admits its requests.
        place: Its place in the order of admission.
        requests: How many were sent.
        refusals: How many of them, the last ones in a row, met a 429.
        started_at: When the first was sent.
        met: What the request that is just over came to, if it came to nothing.
        failure: The same of the last one for its own target.
        silences: For each failed attempt, the silence that it is part of; None for an answer
            that was no use.
        doubt: The silence that must be decided before the call goes on, if there is one.
        used_up_by: When a sign of life ends the doubt so early, the last attempt is blamed on the
            call; infinity if no attempt is left in any case, minus infinity if one is.
        stood_aside: How often since its last attempt it gave way to another suspect.
        was_kept_back: Whether the last request could not be sent for want of a connection.
        closed: What it won't wait for the end of, and how many seconds that takes.
    """

    target: Target[T]
    gate: Gate
    place: Place
    requests: int = 0
    refusals: int = 0
    started_at: float = 0.0
    met: RequestError | None = None
    failure: RequestError | None = None
    silences: list[Silence | None] = attrs.field(factory=list["Silence | None"])
    doubt: Silence | None = None
    used_up_by: float = -math.inf
    stood_aside: int = 0
    was_kept_back: bool = False
    closed: tuple[Closure, float] | None = None

    def count(self, target: Target[Any], now: float) -> None:
        """One more request is sent, for its own target or for a witness."""
        owner = self.place.owner
        owner.requests += 1
        if target is not self.target or self.requests:
            owner.retries += 1
        if target is self.target:
            self.requests += 1
            if self.requests == 1:
                self.started_at = now

    def uncount(self, target: Target[Any]) -> None:
        """It was not sent after all, nor tried."""
        owner = self.place.owner
        owner.requests -= 1
        if target is self.target:
            self.requests -= 1
        if target is not self.target or self.requests:
            owner.retries -= 1

    def answered(self, target: Target[Any], status: int, sent_at: float) -> None:
        """The request that is under way was, whatever with."""
        if logger.isEnabledFor(logging.DEBUG):
            log_attempt(self, target, status, sent_at)

    def failed(self, error: BaseException) -> None:
        """The request that is under way, or the answer to it, came to this."""

    def goes_on(self, seconds: float = 0.0) -> None:
        """What comes next is decided: another request, so many seconds from now or later."""

    def elapsed(self) -> float:
        """Seconds since its first request was sent."""
        return self.gate.now() - self.started_at if self.requests else 0.0

    def forget(self) -> None:
        """Let go of the errors, whose tracebacks lead here."""
        self.met = self.failure = None

    def failures(self) -> int:
        """Those of its attempts that count against it: what falls into an outage does not.

        Unless that happens again and again: then it is what brings the host down.
        """
        if self.is_culprit:
            return len(self.silences)
        return sum(silence is None or not silence.is_outage for silence in self.silences)

    @property
    def outages(self) -> list[Silence]:
        """Those that it was under way in, each once."""
        return list(dict.fromkeys(one for one in self.silences if one and one.is_outage))

    def is_suspect(self, most: int) -> bool:
        """Whether an attempt more, of so many, may be what convicts it.

        Then it is to be the only one of its kind under way, since another may be to blame.
        """
        if not self.silences:
            return False
        return len(self.outages) >= _SUSPICIOUS or self.failures() >= max(1, most - _LAST)

    @property
    def is_culprit(self) -> bool:
        """Whether it has met so many outages that it is taken for their cause.

        Those in which another suspect was under way might be the other's.
        """
        if len(self.silences) < _MOST_OUTAGES:
            return False
        outages, own = self.outages, {self.target.url}
        alone = sum(outage.suspects <= own for outage in outages)
        return alone >= _MOST_OUTAGES or len(outages) >= _MOST_IN_ALL

    def settle_doubt(self) -> None:
        """Go on, if it is decided, and an attempt is left.

        Raises:
            RequestError: None is, and the host was not to blame.
        """
        if self.doubt is None or not self.doubt.is_decided:
            return
        doubt, self.doubt = self.doubt, None
        if not doubt.is_outage and doubt.over_at <= self.used_up_by:
            assert self.failure is not None
            raise self.failure


def log_attempt(call: Call[Any], target: Target[T], came_to: object, sent_at: float) -> None:
    seconds = call.gate.now() - sent_at
    which = f"attempt {call.requests}" if target is call.target else "to see whether it answers"
    logger.debug("GET %s -> %s in %.3f s (%s)", target.url, came_to, seconds, which)


def log_retry(call: Call[Any], error: RequestError, seconds: float, why: str) -> None:
    logger.info("retrying GET %s in %.2f s (%s: %s)", call.target.url, seconds, why, error)
