"""Tells ``on_attempt`` of each attempt, as soon as it is known what comes next.

A client without such a hook has nothing of this on its path: its calls are plain ones. With one,
the call itself keeps what is to be told of the attempt that is under way or just over, and
tells it once it has given its place back, so that whatever the hook does holds nothing.
"""

from __future__ import annotations

import asyncio
import copy
import traceback
from typing import Any, TypeVar

import attrs
from yarl import URL

from .._attempt import Attempt, OnAttempt
from .._budget import Gate, Place, logger
from .._callbacks import call_plain, name_of
from ..errors import LuccaError
from ..settings import ApiKey
from .answers import quoted
from .attempts import Call
from .health import Target

T = TypeVar("T")
# Longer ones are no ids, and int() refuses very long ones.
_MOST_DIGITS = 18


class Watch:
    """A client's hook. What it raises is logged, the first time, and costs nobody a record."""

    def __init__(self, hook: OnAttempt, key: ApiKey) -> None:
        self._hook = hook
        self._key = key
        self._has_failed = False

    def call(self, target: Target[T], gate: Gate, place: Place, deadline: float) -> Call[T]:
        """A call that is watched."""
        return _WatchedCall(target, gate, place, watch=self, deadline=deadline)

    def tell(self, attempt: Attempt) -> None:
        try:
            call_plain("on_attempt", self._hook, attempt)
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                # Unlike str, this bears an exception that can't be told.
                told = quoted("".join(traceback.format_exception_only(error)), self._key)
                where = name_of(self._hook)
                logger.warning("on_attempt (%s) fails, which is told once only: %s", where, told)


@attrs.define(eq=False)
class _Request:
    """What is known so far of a request that is to be told of."""

    url: URL
    number: int
    is_probe: bool
    waited: float
    sent_at: float
    over_at: float | None = None
    status: int | None = None
    error: BaseException | None = None


@attrs.define(eq=False)
class _WatchedCall(Call[T]):
    """A call that tells of each of its requests.

    Attributes:
        watch: Whom it tells.
        deadline: Seconds, from the first request, after which no other is sent.
    """

    watch: Watch = attrs.field(kw_only=True)
    deadline: float = attrs.field(kw_only=True)
    _waits_since: float | None = attrs.field(default=None, init=False)
    _request: _Request | None = attrs.field(default=None, init=False)

    def count(self, target: Target[Any], now: float) -> None:
        super().count(target, now)
        waited = 0.0 if self._waits_since is None else now - self._waits_since
        self._waits_since = None
        is_probe = target is not self.target
        self._request = _Request(target.url, self.requests + is_probe, is_probe, waited, now)

    def uncount(self, target: Target[Any]) -> None:
        super().uncount(target)
        self._request = None

    def answered(self, target: Target[Any], status: int, sent_at: float) -> None:
        super().answered(target, status, sent_at)
        if self._request is not None:
            self._request.status, self._request.over_at = status, self.gate.now()

    def failed(self, error: BaseException) -> None:
        if self._request is None:
            return  # it was kept back
        if self._request.over_at is None:
            self._request.over_at = self.gate.now()
        # A copy, without the traceback, which would keep all its frames alive.
        is_ours = isinstance(error, LuccaError | asyncio.CancelledError)
        self._request.error = copy.copy(error) if is_ours else error

    def goes_on(self, seconds: float = 0.0) -> None:
        now = self.gate.now()
        if self._waits_since is None:
            self._waits_since = now + seconds
        if self._request is not None:
            seconds = max(seconds, self.gate.closures.until - now)
            is_late = self.elapsed() + seconds > self.deadline
            is_over = is_late or self.place.owner.ended is not None
            self._tell(None if is_over else seconds)

    def forget(self) -> None:
        super().forget()
        self._tell(None)

    def _tell(self, retry_in: float | None) -> None:
        request, self._request = self._request, None
        if request is None:
            return
        over_at = self.gate.now() if request.over_at is None else request.over_at
        attempt = Attempt(
            url=str(request.url),
            id=_id_in(request.url),
            attempt=request.number,
            is_probe=request.is_probe,
            status=request.status,
            error=request.error,
            waited=request.waited,
            seconds=over_at - request.sent_at,
            retry_in=retry_in,
        )
        self.watch.tell(attempt)


def _id_in(url: URL) -> int | None:
    name = url.raw_name
    return int(name) if name.isdecimal() and len(name) <= _MOST_DIGITS else None
