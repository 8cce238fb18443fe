"""The one path of a request: admitted, sent, judged, decoded, settled; perhaps tried again.

An attempt is not over while the budget or the host is to blame. A 429 is an admission refused
too late, and a failure in an outage is nobody's but the host's: the call goes back to its
place in the queue, and neither tenacity nor ``max_attempts`` hears of it. What else fails
is tenacity's from the first failure on. Waiting, for the budget or between two attempts,
holds nothing.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import attrs
import tenacity
from yarl import URL

from .._budget import Admission, Cause, Gate, GateClosedError, Owner, Priority, Sent
from ..errors import LuccaConnectionError, LuccaError, RateLimitedError, RequestError
from ..models import WireError, WrongIdError
from ..settings import ApiKey, RetryPolicy, Timeouts
from .answers import (
    Reply,
    decode_error,
    deprecation_notice,
    is_given_up,
    is_success,
    response_error,
    too_large_error,
)
from .attempts import Call, log_attempt, log_retry
from .blame import Blame
from .health import Target
from .link import Link
from .pool import Dispatch
from .refusals import no_connection, refusal
from .retry import asks_to_wait, retrying
from .session import NotSentError

T = TypeVar("T")
_LONGEST_HOLD = 3600.0


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
        self._blame = Blame(link.health, retry)
        self._fatal: tuple[type[LuccaError], ...] | None = None
        self._witness: Target[object] | None = None

    @property
    def max_concurrency(self) -> int:
        return self._session.max_concurrency

    @property
    def max_attempts(self) -> int:
        return self._policy.max_attempts

    @property
    def patience(self) -> float:
        """Seconds that a bulk run waits for an outage, or for 429s, to end."""
        return self._policy.patience

    def with_attempts(self, most: int) -> Caller:
        """The same, for so many attempts at the most."""
        caller = copy.copy(self)
        caller._policy = attrs.evolve(self._policy, max_attempts=most)
        caller._blame = Blame(self._link.health, caller._policy)
        return caller

    def beside(
        self,
        attempts: int | None,
        *,
        fatal: tuple[type[LuccaError], ...],
        witness: tuple[str, Callable[[Reply], object]],
    ) -> Caller:
        """One for what a run can do without, and that ends it by these errors only.

        In doubt of the host it asks for the witness, of which path and reader are given: that may
        be answered though all of this fails.
        """
        caller = self.with_attempts(attempts or self._policy.max_attempts)
        path, read = witness
        caller._fatal = fatal
        caller._witness = Target(self._base_url.with_path(path, encoded=True), read)
        return caller

    @property
    def api_key(self) -> ApiKey:
        """Never to be quoted."""
        return self._api_key

    def owner(self, priority: Priority) -> Owner:
        """A new one, for a single get.

        Raises:
            ValueError: ``priority`` is none.
        """
        return Owner(self._policy.retry_after_max, priority=priority)

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

    async def get(self, path: str, read: Callable[[Reply], T], owner: Owner, query: str = "") -> T:
        """The decoded answer to a GET.

        Args:
            path: Absolute and already encoded.
            read: Turns a success into the value, or raises WireError.
            owner: On whose behalf it is sent; it has entered the gate.
            query: Encoded, too.

        Raises:
            LuccaError: The error of the last attempt, or the owner's end.
        """
        url = self._base_url.with_path(path, encoded=True)
        url = URL(f"{url}?{query}", encoded=True) if query else url
        call = self._link.call(Target(url, read, self._witness), owner, self._deadline)
        try:
            try:
                return await self._attempt(call)
            except RateLimitedError:
                raise  # it has waited as long as it may, and is none of tenacity's
            except RequestError as error:
                if not error.transient or owner.ended is not None:
                    raise
            return await self._try_again(call)
        except GateClosedError as closed:
            call.closed = closed.closure, closed.seconds
        finally:
            if call.closed is None:
                # Its traceback leads to this frame, which must not lead back to it.
                call.forget()
        try:
            raise self._end_of(call)
        finally:
            call.forget()

    async def _attempt(self, call: Call[T]) -> T:
        """Send requests, each as soon as that is allowed, until one brings the value."""
        owner = call.place.owner
        fatal = owner.fatal if self._fatal is None else self._fatal
        while True:
            call.settle_doubt()
            call.goes_on()
            if call.doubt is not None and self._link.health.witness is None:
                await self._hold(call)
                continue
            call.met = None
            admitted = call.gate.admit(call.place) if call.failure is None else self._again(call)
            with await admitted as admission:
                if call.doubt is not None and call.doubt.is_decided:
                    admission.sent = Sent.NEVER
                    continue
                target, sent_at = self._blame.target(call), call.gate.now()
                try:
                    value = await self._exchange(call, target, admission, sent_at)
                except fatal as error:
                    call.gate.abandon(owner, error)
                    raise
                except NotSentError:
                    continue
                except RequestError as error:
                    call.met = error
                else:
                    self._blame.answered(call, target, sent_at)
                    if target is call.target:
                        return cast(T, value)
                    continue
                if self._is_own_failure(call, admission, target, sent_at):
                    raise call.met

    async def _hold(self, call: Call[T]) -> None:
        """Wait for whether a host that has never answered answers any other of the first ids.

        Raises:
            RequestError: It does not, and none has an attempt left.
            LuccaError: The owner's end.
        """
        owner = call.place.owner
        if owner.hold(call.place):
            try:
                await call.gate.rest(call.place, _LONGEST_HOLD)
            finally:
                owner.let_go(call.place)
        if self._link.health.witness is None:
            if self._link.health.is_hopeless:
                owner.give_up(self._blame.given_up(call))
            assert call.failure is not None
            raise call.failure

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

    async def _exchange(
        self, call: Call[Any], target: Target[T], admission: Admission, sent_at: float
    ) -> T:
        try:
            reply = await self._send(call, target, admission, sent_at)
            admission.sent = Sent.CUT_OFF if is_given_up(reply.status) else Sent.ANSWERED
            return self._judge(call, target, reply)
        except BaseException as error:
            call.failed(error)
            raise

    async def _send(
        self, call: Call[Any], target: Target[T], admission: Admission, sent_at: float
    ) -> Reply:
        admission.sent = Sent.NEVER
        self._session.check_open()
        if not admission.is_fresh:
            raise NotSentError
        admission.sent = Sent.CUT_OFF
        call.count(target, sent_at)
        dispatch = self._session.dispatch(self._limits, call.place.owner, admission)
        try:
            reply = await self._session.get(target.url, dispatch, attempt=call.requests)
        except asyncio.CancelledError:
            if not dispatch.sent:
                admission.sent = Sent.NEVER
            raise
        except LuccaConnectionError as error:
            if not error.sent:
                admission.sent = Sent.NEVER
            log_attempt(call, target, type(error).__name__, sent_at)
            raise
        except NotSentError:
            admission.sent = Sent.NEVER
            call.uncount(target)
            kept_back = self._kept_back(call, target, dispatch)
        else:
            call.answered(target, reply.status, sent_at)
            if notice := deprecation_notice(reply.headers):
                self._link.tell_deprecation(target.url, notice)
            return reply
        raise kept_back

    def _kept_back(self, call: Call[Any], target: Target[Any], dispatch: Dispatch) -> Exception:
        """Why a request was not sent."""
        if (ended := call.place.owner.ended) is not None:
            return ended.with_traceback(None)
        if dispatch.is_late:
            return NotSentError()
        call.was_kept_back = True
        return no_connection(target.url, call.requests, self._limits.timeouts.pool)

    def _judge(self, call: Call[Any], target: Target[T], reply: Reply) -> T:
        """The value in an answer; an answer without one is raised as what it is."""
        if not is_success(reply.status):
            raise response_error(reply, attempts=call.requests, key=self._api_key)
        if reply.cut_at is not None:
            raise too_large_error(reply, attempts=call.requests, key=self._api_key)
        try:
            reply.attempts = call.requests
            return target.read(reply)
        except WireError as fault:
            if isinstance(fault, WrongIdError):
                # The answers over these connections are out of step, or a cache is in between.
                self._session.retire(reply.pool)
            error = decode_error(reply, fault, attempts=call.requests, key=self._api_key)
        raise error

    def _is_own_failure(
        self, call: Call[T], admission: Admission, target: Target[Any], sent_at: float
    ) -> bool:
        """Close the gate before the place is given back, if a 429 or an outage asks for it.

        Returns:
            Whether it is the call's own failure, or a 429 that is beyond its deadline.

        Raises:
            GateClosedError: The gate is closed for longer than the call waits.
        """
        if not isinstance(call.met, RateLimitedError):
            return self._blame.failed(call, admission, target, sent_at)
        seconds = self._blame.refused(call, admission, call.met, target, sent_at)
        if call.elapsed() + seconds > self._deadline:
            return True
        log_retry(call, call.met, seconds, "not counted as an attempt")
        return False

    def _end_of(self, call: Call[T]) -> LuccaError:
        """What becomes of a call that won't wait, and of its owner, if that is a run."""
        assert call.closed is not None
        closure, seconds = call.closed
        gate, owner, met = call.gate, call.place.owner, call.met
        is_told_itself = closure.cause is Cause.PAUSE and not owner.waits_for_outages
        if is_told_itself and met and met is call.failure and asks_to_wait(met):
            return met
        error = refusal(
            closure,
            seconds,
            url=str(call.target.url),
            attempts=call.requests,
            now=gate.now(),
            patience=self._policy.patience if owner.waits_for_outages else None,
        )
        if not owner.waits_for_outages:
            return error
        gate.abandon(owner, error)
        return (owner.ended or error).with_traceback(None)

    async def _try_again(self, call: Call[T]) -> T:
        assert call.failure is not None

        def log(state: tenacity.RetryCallState) -> None:
            assert call.failure is not None
            number = f"attempt {state.attempt_number} of {self._policy.max_attempts} failed"
            log_retry(call, call.failure, state.upcoming_sleep, number)
            call.goes_on(state.upcoming_sleep)

        def rest(seconds: float) -> Awaitable[None]:
            return call.gate.rest(call.place, seconds)

        loop = retrying(self._policy, elapsed=call.elapsed, sleep=rest, before_sleep=log)
        return await loop.resume(call.failure, lambda: self._attempt(call), call.failures)
