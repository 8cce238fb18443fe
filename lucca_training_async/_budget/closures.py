"""Why nobody is admitted just now, until when, and for whom that is too long.

A *pause* is what Lucca has asked for, and an *outage* is the host's; each is told to whoever reads
the log. A pause is over when its time is; an outage is over with the next sign of life, and until
then whoever is admitted is a probe. A *doubt*, whether it is one, is short and refuses nobody.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import attrs

from ..errors import RequestError
from ..ledger import Cause

logger: logging.Logger = logging.getLogger("lucca_training_async")
NAMES: dict[Cause | None, Literal["pause", "outage"] | None] = {
    None: None,
    Cause.DOUBT: "pause",
    Cause.PAUSE: "pause",
    Cause.OUTAGE: "outage",
}
WORTH_TELLING = 10.0
"""Seconds of standing still that are worth a line in the log."""


@attrs.frozen
class Closure:
    """Nobody is admitted for a time.

    Attributes:
        cause: Why.
        since: When it first showed; its prolongations keep that.
        closed_at: When it was last prolonged.
        until: Its end.
        seen: The failure that it was closed for, or None if another process met it.
    """

    cause: Cause
    since: float
    closed_at: float
    until: float
    seen: RequestError | None


class GateClosedError(Exception):
    """The gate is closed for longer than this call waits; for the call to translate.

    Attributes:
        closure: By what.
        seconds: For how long; where a probe is under way, for as long as before it.
    """

    def __init__(self, closure: Closure, seconds: float) -> None:
        super().__init__(closure, seconds)
        self.closure = closure
        self.seconds = seconds


class Waiting(Protocol):
    """Whoever may not want to wait."""

    def waits_until(self, closure: Closure, now: float, paused: float) -> float: ...


@attrs.define
class _Span:
    """For how many seconds something has held, however often it was prolonged."""

    total: float = 0.0
    start: float = 0.0
    end: float = 0.0

    def extend(self, start: float, end: float) -> None:
        if start > self.end:
            self.total += self.end - self.start
            self.start = start
        self.end = max(self.end, end)

    def cut(self, now: float) -> None:
        self.end = max(self.start, min(self.end, now))

    def seconds(self, now: float) -> float:
        return self.total + max(0.0, min(self.end, now) - self.start)


class Closures:
    """What closes one gate."""

    def __init__(self) -> None:
        self._of: dict[Cause, Closure] = {}
        self._told: dict[Cause, float] = {}
        self._lost = {cause: _Span() for cause in Cause}
        self._probed_elsewhere_until = -math.inf

    def __bool__(self) -> bool:
        """Whether there may be one: it takes an answer to know that one is over."""
        return bool(self._of)

    @property
    def until(self) -> float:
        """When the last of them ends."""
        return max((closure.until for closure in self._of.values()), default=-math.inf)

    @property
    def outage(self) -> Closure | None:
        return self._of.get(Cause.OUTAGE)

    def cause(self, now: float) -> Cause | None:
        """What keeps requests back just now."""
        if Cause.OUTAGE in self._of:
            return Cause.OUTAGE
        closed = [cause for cause, closure in self._of.items() if closure.until > now]
        return Cause.PAUSE if Cause.PAUSE in closed else next(iter(closed), None)

    def lost(self, cause: Cause, now: float) -> float:
        """Seconds that it has cost so far."""
        return self._lost[cause].seconds(now)

    def close(self, closure: Closure) -> bool:
        """Note one more; whether it is news."""
        cause, now = closure.cause, closure.closed_at
        known = self._of.get(cause)
        if known is not None:
            # Another process tells no more than the end.
            since = known.since if closure.seen is None else closure.since
            until = max(known.until, closure.until)
            closure = attrs.evolve(closure, since=since, until=until)
        self._of[cause] = closure
        is_outage = cause is Cause.OUTAGE
        if is_outage:
            self._lost[cause].extend(closure.since, math.inf)
        else:
            self._lost[cause].extend(now, closure.until)
        if cause in self._told or cause is Cause.DOUBT:
            return False
        if not is_outage and closure.until - closure.since <= WORTH_TELLING:
            return False
        self._told[cause] = closure.since if is_outage else now
        self._tell_beginning(closure)
        return True

    def over(self, sent_at: float, now: float) -> None:
        """A request sent at that time has shown that the host answers, and asks nobody to wait."""
        outage = self.outage
        for cause, closure in list(self._of.items()):
            if cause is Cause.OUTAGE or (closure.until <= now and sent_at >= closure.closed_at):
                self._end(cause, now)
        if outage is not None and outage.until > now:
            # It was under way before that closure, which still holds.
            self.close(Closure(Cause.PAUSE, now, now, outage.until, outage.seen))

    def heard(self, now: float, probed_until: float) -> None:
        """The ledger is open: what became of an outage that was met by another process only.

        Args:
            now: The time.
            probed_until: Until when to take it that somebody is about to find out whether the host
                answers; the past if somebody has.
        """
        outage = self.outage
        if outage is None or outage.seen is not None or outage.until > now:
            return
        self._probed_elsewhere_until = probed_until
        if probed_until <= now:
            self._end(Cause.OUTAGE, now)

    def refusing(self, owner: Waiting, now: float, *, slot_in: float) -> GateClosedError | None:
        """What tells this owner not to wait, if it should not.

        Args:
            owner: Who would have to wait.
            now: The time.
            slot_in: Seconds until it could be the probe of an outage; infinity if another is.
        """
        paused = self.lost(Cause.PAUSE, now)
        for cause, closure in self._of.items():
            is_closed = closure.until > now
            is_probing = cause is Cause.OUTAGE and self._is_probing(closure, now, slot_in)
            if cause is Cause.DOUBT or not (is_closed or is_probing):
                continue
            latest = owner.waits_until(closure, now, paused)
            if is_closed and latest < closure.until:
                return GateClosedError(closure, closure.until - now)
            if latest < now:
                last_wait = closure.until - closure.closed_at
                return GateClosedError(closure, slot_in if slot_in < math.inf else last_wait)
        return None

    def _is_probing(self, outage: Closure, now: float, slot_in: float) -> bool:
        """Whether nobody can be the probe of this outage just now."""
        if self.until > now:
            return False  # while a pause lasts, that is what the next probe waits for
        if outage.seen is None:
            return self._probed_elsewhere_until > now
        return slot_in > 0

    def _end(self, cause: Cause, now: float) -> None:
        del self._of[cause]
        self._lost[cause].cut(now)
        if (since := self._told.pop(cause, None)) is not None:
            self._tell_end(cause, now - since)

    @staticmethod
    def _tell_beginning(closure: Closure) -> None:
        seconds = closure.until - closure.closed_at
        seen = closure.seen or "another client of this tenant has met it"
        if closure.cause is Cause.OUTAGE:
            told = "an outage: no sign of life since %s (last seen: %s); asking again in %.1f s"
            logger.warning(told, _moment(closure.since - closure.closed_at), seen, seconds)
        else:
            logger.warning("paused for %.0f s, until %s: %s", seconds, _moment(seconds), seen)

    @staticmethod
    def _tell_end(cause: Cause, seconds: float) -> None:
        what = "the outage" if cause is Cause.OUTAGE else "the pause"
        logger.info("%s is over, after %.0f s", what, seconds)


def _moment(seconds: float) -> str:
    """The time of day, so many seconds from now."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%H:%M:%S} UTC"


def waiting_for(cause: Cause | None) -> str:
    what = "request budget" if cause in (None, Cause.DOUBT) else f"end of the {cause.value}"
    return f"waiting for the {what}"
