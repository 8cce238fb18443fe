"""The one path of a request: admitted, sent, judged, decoded, settled; perhaps tried again.

A 429 is no failed attempt: it is an admission refused too late. The call goes back to its
place in the queue, and neither tenacity nor ``max_attempts`` hears of it. What else fails
is tenacity's from the first failure on. Waiting, for the budget or between two attempts,
holds nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

import attrs
import tenacity
from yarl import URL

from .._budget import Admission, Gate, GateClosedError, Owner, Place, Sent, logger
from ..errors import LuccaConnectionError, RateLimitedError, RequestError
from ..models import WireError, WrongIdError
from ..settings import RetryPolicy, Timeouts
from .answers import (
    Reply,
    decode_error,
    deprecation_notice,
    is_success,
    response_error,
    too_large_error,
)
from .link import Link
from .retry import backoff_bound, retry_after, retrying
from .session import NotSentError

T = TypeVar("T")
# Lucca's window is a minute: an absurd Retry-After must not disable a client for good.
_LONGEST_PAUSE = 86_400.0


@attrs.define(eq=False)
class Call(Generic[T]):
    """One resource on its way here, in as many requests as it takes.

    Attributes:
        url: Where it is.
        read: Turns the body of a success into the value, or raises WireError.
        gate: What admits its requests.
        place: Its place in the order of admission.
        requests: How many were sent.
        refusals: How many of them, the last ones in a row, met a 429.
        started_at: When the first was sent.
        failure: What the last one came to, if it came to nothing.
    """

    url: URL
    read: Callable[[bytes], T]
    gate: Gate
    place: Place
    requests: int = 0
    refusals: int = 0
    started_at: float = 0.0
    failure: RequestError | None = None

    def count(self, now: float) -> None:
        """One more request is sent."""
        self.requests += 1
        owner = self.place.owner
        owner.requests += 1
        if self.requests == 1:
            self.started_at = now
        else:
            owner.retries += 1

    def uncount(self) -> None:
        """It was not sent after all, nor tried."""
        owner = self.place.owner
        if self.requests > 1:
            owner.retries -= 1
        owner.requests -= 1
        self.requests -= 1


class Caller:
    """Sends GETs to one host within its budget, with one retry policy."""

    def __init__(self, link: Link, retry: RetryPolicy, timeouts: Timeouts) -> None:
        self._link = link
        self._session = link.session
        self._base_url = link.settings.base_url
        self._api_key = link.settings.api_key
        self._policy = retry
        self._deadline = math.inf if retry.deadline is None else retry.deadline
        self._limits = link.session.limits(timeouts)

    @property
    def max_concurrency(self) -> int:
        return self._session.max_concurrency

    def bind(self) -> Gate:
        """See :meth:`Link.bind <lucca_training_async._http.link.Link.bind>`."""
        return self._link.bind()

    @contextmanager
    def on_behalf_of(self, owner: Owner) -> Generator[None, None, None]:
        """While the block lasts, closing the client ends this owner's waits."""
        gate = self.bind()
        gate.enter(owner)
        try:
            yield
        finally:
            gate.leave(owner)

    async def get(self, path: str, read: Callable[[bytes], T], owner: Owner) -> T:
        """The decoded answer to a GET.

        Args:
            path: Absolute and already encoded.
            read: Turns the body of a success into the value, or raises WireError.
            owner: On whose behalf it is sent; it has entered the gate.

        Raises:
            LuccaError: The error of the last attempt, or the owner's end.
        """
        gate = self._link.gate
        url = self._base_url.with_path(path, encoded=True)
        call = Call(url, read, gate, gate.place(owner, self._policy.retry_after_max))
        try:
            try:
                return await self._attempt(call)
            except RateLimitedError:
                raise  # it has waited as long as it may, and is none of tenacity's
            except RequestError as error:
                if not error.transient:
                    raise
                failure = error
            try:
                return await self._try_again(call, failure)
            finally:
                # Its traceback leads to this frame, which must not lead back to it.
                del failure
                call.failure = None
        except GateClosedError as closed:
            seconds = closed.seconds
        raise _still_closed(call, seconds)

    async def _attempt(self, call: Call[T]) -> T:
        """Send a request as soon as that is allowed, and another one after each 429."""
        while True:
            admitted = call.gate.admit(call.place) if call.failure is None else self._again(call)
            with await admitted as admission:
                try:
                    reply = await self._send(call, admission)
                    admission.sent = Sent.ANSWERED
                    return self._judge(call, reply)
                except call.place.owner.fatal as error:
                    call.gate.abandon(call.place.owner, error)
                    raise
                except RateLimitedError as error:
                    self._pause(call, admission, error)
                except RequestError as error:
                    call.failure = error
                    call.refusals = 0
                    raise

    async def _again(self, call: Call[T]) -> Admission:
        """Admission for one that has been sent before, and for which it may be too late."""
        if self._deadline == math.inf:
            return await call.gate.admit(call.place)
        try:
            async with asyncio.timeout_at(call.started_at + self._deadline):
                return await call.gate.admit(call.place)
        except TimeoutError:
            assert call.failure is not None
            failure = call.failure
        raise failure

    async def _send(self, call: Call[T], admission: Admission) -> Reply:
        admission.sent = Sent.NEVER
        self._session.check_open()
        admission.sent = Sent.CUT_OFF
        sent_at = call.gate.now()
        call.count(sent_at)
        try:
            reply = await self._session.get(
                call.url, self._limits, call.place.owner, attempt=call.requests
            )
        except LuccaConnectionError as error:
            if not error.sent:
                admission.sent = Sent.NEVER
            _log_attempt(call, type(error).__name__, sent_at)
            raise
        except NotSentError:
            admission.sent = Sent.NEVER
            call.uncount()
        else:
            if logger.isEnabledFor(logging.DEBUG):
                _log_attempt(call, reply.status, sent_at)
            if notice := deprecation_notice(reply.headers):
                self._link.tell_deprecation(call.url, notice)
            return reply
        if call.place.owner.ended is not None:
            raise call.place.owner.ended.with_traceback(None)
        raise LuccaConnectionError(
            "not sent: the pool of the given session had no free connection, and made none, "
            f"within {self._limits.timeouts.pool:g} s (Timeouts.pool) [{call.url}]",
            url=str(call.url),
            attempts=call.requests,
            transient=False,
            sent=False,
        )

    def _judge(self, call: Call[T], reply: Reply) -> T:
        """The value in an answer; an answer without one is raised as what it is."""
        if not is_success(reply.status):
            raise response_error(reply, attempts=call.requests, key=self._api_key)
        if reply.cut_at is not None:
            raise too_large_error(reply, attempts=call.requests, key=self._api_key)
        try:
            return call.read(reply.body)
        except WireError as fault:
            if isinstance(fault, WrongIdError):
                # The answers over these connections are out of step, or a cache is in between.
                self._session.retire(reply.pool)
            error = decode_error(reply, fault, attempts=call.requests, key=self._api_key)
        raise error

    def _pause(self, call: Call[T], admission: Admission, error: RateLimitedError) -> None:
        """Close the gate, before the place is given back, for as long as Lucca asks.

        Raises:
            RateLimitedError: That is longer than the policy waits.
        """
        call.failure = error
        call.refusals += 1
        asked = retry_after(error)
        own = random.random() * backoff_bound(call.refusals, self._policy)
        seconds = max(asked, own)
        admission.close_for(min(seconds, _LONGEST_PAUSE), asked=asked >= own)
        if asked > self._policy.retry_after_max or self._elapsed(call) + seconds > self._deadline:
            raise error
        _log_retry(call, error, seconds, "not counted as an attempt")

    async def _try_again(self, call: Call[T], failure: RequestError) -> T:
        def log(state: tenacity.RetryCallState) -> None:
            assert call.failure is not None
            number = f"attempt {state.attempt_number} of {self._policy.max_attempts} failed"
            _log_retry(call, call.failure, state.upcoming_sleep, number)

        def rest(seconds: float) -> Awaitable[None]:
            return call.gate.rest(call.place, seconds)

        loop = retrying(
            self._policy, elapsed=lambda: self._elapsed(call), sleep=rest, before_sleep=log
        )
        return await loop.resume(failure, lambda: self._attempt(call))

    def _elapsed(self, call: Call[T]) -> float:
        return call.gate.now() - call.started_at


def _log_attempt(call: Call[T], came_to: object, sent_at: float) -> None:
    seconds = call.gate.now() - sent_at
    told = "GET %s -> %s in %.3f s (attempt %d)"
    logger.debug(told, call.url, came_to, seconds, call.requests)


def _log_retry(call: Call[T], error: RequestError, seconds: float, why: str) -> None:
    logger.info("retrying GET %s in %.2f s (%s: %s)", call.url, seconds, why, error)


def _still_closed(call: Call[T], seconds: float) -> RateLimitedError:
    return RateLimitedError(
        f"not sent: Lucca answered 429 to an earlier request and asks to wait {seconds:.0f} s "
        f"more [{call.url}]",
        url=str(call.url),
        status=429,
        retry_after=seconds,
        attempts=call.requests,
    )
