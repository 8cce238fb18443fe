"""Whose fault is a failure: the budget's, the host's, or the id's own?

Nothing here does I/O. :class:`Health` is told what each request came to, and when it was sent,
and knows what is to be made of it. What counts is what comes *next*: failures that a sign of
life follows were their ids' own; failures of several ids in a row, with no sign of life in
between, may be an outage. Then nobody guesses: the next request is for something that was
answered before, the *witness*. If it is answered again, the failures were the ids' own; if it
is not, there is an outage, and none of the failures in it is held against an id.

A host that has never answered has no witness. Single gets stop after several failures in a row;
a bulk run lets its first ids use up their attempts, and then gives the host up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
from yarl import URL

from ..errors import LuccaConnectionError, RequestError, WrongRecordError
from .answers import Reply

T = TypeVar("T")

_SEVERAL = 3
_ENOUGH_TO_GIVE_UP = 5
# Of so many probes, one.
_SELDOM = 12


@attrs.frozen(eq=False)
class Target(Generic[T]):
    """Something that can be asked for.

    Attributes:
        url: Where it is.
        read: Turns a success into the value, or raises WireError.
        witness: What is asked for in doubt of it, in place of what was answered before, which may
            fail for the same reason. Whether it exists doesn't matter.
    """

    url: URL
    read: Callable[[Reply], T]
    witness: Target[Any] | None = None


@attrs.define(eq=False)
class Silence:
    """Failures in a row, with no sign of life in between.

    Attributes:
        since: When the first of those requests was sent.
        last: What the last of them came to, or None if there was none yet.
        closed_at: When the gate was closed for it, or None if it wasn't.
        probes: How many requests sent after that have failed.
        is_outage: Whether it is the host's fault, as far as is known.
        is_over: Whether there was a sign of life.
        over_at: When there was.
        suspects: What suspects have asked for and failed in it.
    """

    since: float = 0.0
    last: RequestError | None = None
    closed_at: float | None = None
    probes: int = 0
    is_outage: bool = False
    is_over: bool = False
    over_at: float = math.inf
    suspects: set[URL] = attrs.field(factory=set[URL], init=False)
    _asked_for: set[URL] = attrs.field(factory=set[URL], init=False)

    @property
    def is_decided(self) -> bool:
        return self.is_outage or self.is_over

    @property
    def is_of_several(self) -> bool:
        return len(self._asked_for) >= _SEVERAL

    @property
    def is_of_many(self) -> bool:
        return len(self._asked_for) >= _ENOUGH_TO_GIVE_UP

    def add(self, url: URL, error: RequestError, sent_at: float) -> None:
        if self.last is None:
            self.since = sent_at
        self.last = error
        if not self.is_of_many:
            self._asked_for.add(url)


class Health:
    """What is known of one host.

    Attributes:
        witness: What is known to be answered, or None if nothing ever was: the first that was,
            then the first after each outage.
        recent: What was answered last.
        alive_at: When that was.
        silence: The one that lasts, empty while all is well.
        refused_since: When the first of the 429s in a row was sent, or None.
        on_trial: What a suspect asks for just now, or None.
    """

    def __init__(self) -> None:
        self.witness: Target[object] | None = None
        self.recent: Target[object] | None = None
        self.alive_at: float = -math.inf
        self.silence: Silence = Silence()
        self.refused_since: float | None = None
        self.on_trial: URL | None = None

    @property
    def is_troubled(self) -> bool:
        """Whether a sign of life would be news."""
        is_silent = self.silence.last is not None or self.witness is None
        return is_silent or self.refused_since is not None

    def probe(self, own: Target[Any], *, is_tried: bool = False) -> Target[Any]:
        """What to ask for to see whether the host answers; three in turn, should one have died.

        Args:
            own: What the call wants itself.
            is_tried: Whether that has failed in an outage, of which it may be the cause: then it
                is asked for seldom, or the host would be brought down again and again.
        """
        turns = _SELDOM if is_tried else 3
        turn = self.silence.probes % turns
        # A stranger is not asked for more than is wanted of it.
        if self.witness is None or self.recent is None or turn == turns - 1:
            return own
        return self.recent if turn % 2 else own.witness or self.witness

    def answered(self, target: Target[object], now: float) -> None:
        """A sign of life."""
        self.recent = target
        self.alive_at = now
        self.refused_since = None
        if self.witness is None or self.silence.probes:
            self.witness = target
        if self.silence.last is not None:
            self.silence.is_over = True
            self.silence.over_at = now
            self.silence = Silence()

    def refused(self, sent_at: float) -> float:
        """A 429, which says nothing of the host; since when there was nothing else."""
        if self.refused_since is None:
            self.refused_since = sent_at
        return self.refused_since

    def failed(
        self, url: URL, error: RequestError, sent_at: float, now: float, *, waits: bool
    ) -> bool:
        """No sign of life; whether the gate is to be closed, for one pause more.

        Args:
            url: What was asked for.
            error: What came of it.
            sent_at: When it was sent.
            now: The time.
            waits: Whether it was asked for by a bulk run, which waits for outages.
        """
        self.refused_since = None
        silence = self.silence
        silence.add(url, error, sent_at)
        if silence.closed_at is not None:
            if sent_at <= silence.closed_at:
                return False  # it was under way already
            silence.probes += 1
            silence.is_outage = True
        elif silence.is_of_several and not (waits and self.witness is None):
            silence.closed_at = now
            silence.is_outage = self.witness is None
        else:
            return False
        return True

    def probe_failed(self, url: URL, error: RequestError, sent_at: float, now: float) -> bool:
        """As ``failed``, for what was known to be answered: there is no doubt left."""
        silence = self.silence
        is_first = not silence.is_outage
        closes = self.failed(url, error, sent_at, now, waits=True)
        silence.is_outage = True
        if silence.closed_at is None:
            silence.closed_at = now
        return closes or is_first

    @property
    def is_hopeless(self) -> bool:
        """Whether ids that have used up their attempts are a reason to give the host up."""
        # Where gets have failed before, one id of a run probes, and no other is asked for.
        return self.witness is None and (self.silence.is_of_many or self.silence.is_outage)


def is_sign_of_life(error: RequestError) -> bool:
    """Whether Lucca itself has spoken: any answer but a 408, a 429 and a 5xx, and no page.

    A page, and a body of unknown length that breaks off, are transient; another record than
    the one asked for is so too, and an answer all the same.
    """
    if isinstance(error, LuccaConnectionError):
        return False
    return isinstance(error, WrongRecordError) or not error.transient
