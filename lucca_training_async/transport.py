"""The one path of a request: admitted, sent, read to its end, released, judged, tried again.

The first attempt runs bare. Only when it fails, and is worth another, does tenacity take
over: it is handed the failure as the outcome of its own first attempt and runs the loop
from there. So the common case costs nothing, and there is still just one way to send.
Errors are values until the call ends, and then the last one is raised, once.

What to do about a failure is decided while its place is still held, because a 429 must
pause the others before anything is released to them. The wait itself holds nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import weakref
from collections.abc import Callable
from typing import TypeVar

import aiohttp
import attrs
import tenacity
from yarl import URL

from .config import ApiKey, Timeouts
from .errors import DecodeError, LuccaError, RateLimitedError
from .responses import Reply, deprecation_notice, is_success, response_error
from .retry import RetryPolicy, decide
from .run import Run
from .session import SessionManager, closed_error
from .throttle import Fate, PauseTooLongError, RateLimit, Throttle

T = TypeVar("T")
# Lucca's window is a minute: an absurd Retry-After must not disable a client for good.
_LONGEST_PAUSE = 86_400.0
logger: logging.Logger = logging.getLogger("lucca_training_async")


@attrs.define(eq=False)
class _Call:
    """The state of one call on its way: one id, up to ``max_attempts`` requests."""

    url: URL
    run: Run
    throttle: Throttle
    ticket: int
    attempt: int = 0
    started_at: float = 0.0
    retry_in: float | None = None
    """Seconds until the next attempt; None if there is to be none."""

    def sent(self) -> float:
        """Count an attempt, and tell when it was sent."""
        now = self.throttle.now()
        self.attempt += 1
        self.run.requests += 1
        if self.attempt == 1:
            self.started_at = now
        else:
            self.run.retries += 1
        return now


class Transport:
    """Sends GETs to one host within its budget."""

    def __init__(
        self,
        *,
        base_url: URL,
        api_key: ApiKey,
        session: aiohttp.ClientSession | None,
        timeouts: Timeouts,
        retry: RetryPolicy,
        rate_limit: RateLimit | None,
        max_concurrency: int,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._session = SessionManager(
            api_key=api_key, session=session, timeouts=timeouts, max_concurrency=max_concurrency
        )
        self.max_concurrency: int = self._session.max_concurrency
        self._policy = retry
        self._rate_limit = rate_limit
        self._throttle: Throttle | None = None
        self._deprecations_told: set[str] = set()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()

    async def get(self, path: str, decode: Callable[[Reply], T], run: Run) -> T:
        """The decoded answer to a GET.

        Args:
            path: Absolute and already encoded.
            decode: Turns a successful answer into the value, or raises DecodeError.
            run: The counters and the stop signal of the call this belongs to.

        Raises:
            LuccaError: The error of the last attempt.
        """
        throttle = self._throttle
        assert throttle is not None
        url = self._base_url.with_path(path, encoded=True)
        call = _Call(url, run, throttle, throttle.ticket())
        outcome = await self._attempt(call, None)
        if isinstance(outcome, LuccaError) and call.retry_in is not None:
            outcome = await self._try_again(call, outcome)
        if isinstance(outcome, LuccaError):
            try:
                raise outcome
            finally:
                # Its traceback leads to this frame, which must not lead back to it.
                del outcome
        try:
            return decode(outcome)
        except DecodeError:
            quotable = outcome.without(self._api_key)
        return decode(quotable)

    def bind(self, run: Run | None = None) -> None:
        """Bind the client to the running loop; to be called once before a call's requests.

        Args:
            run: The call, which is then stopped when the client is closed.

        Raises:
            UsageError: The client is closed or belongs to another event loop.
        """
        loop = self._session.bind()
        if run is not None:
            self._runs.add(run)
        if self._throttle is None:
            self._throttle = Throttle(
                self._rate_limit,
                max_concurrency=self.max_concurrency,
                # After a 429 without Retry-After the pause is our own backoff.
                max_pause=max(self._policy.retry_after_max, self._policy.backoff_max),
                loop=loop,
            )

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def _attempt(self, call: _Call, previous: LuccaError | None) -> Reply | LuccaError:
        """Send one request as soon as that is allowed.

        Args:
            call: The call; ``call.retry_in`` says afterwards what is to follow an error.
            previous: What the attempt before this one failed with.
        """
        call.retry_in = None
        admission: int | LuccaError | None = call.run.stopped or call.throttle.try_acquire()
        if admission is None:
            admission = await self._queue(call, previous)
        if isinstance(admission, LuccaError):
            return admission
        fate = Fate.UNSENT
        try:
            self._session.check_open()
            sent_at = call.sent()
            fate = Fate.UNANSWERED
            outcome = await self._session.get(call.url, attempt=call.attempt)
            if isinstance(outcome, Reply):
                fate = Fate.ANSWERED
            self._observe(call, outcome, sent_at)
            error = self._failure(call, outcome)
            if error is not None:
                self._decide(call, error)
            return error or outcome
        finally:
            call.throttle.release(admission, fate)

    async def _queue(self, call: _Call, previous: LuccaError | None) -> int | LuccaError:
        """Wait for admission, until the run is stopped or a retry's deadline has come."""
        run = call.run
        until = None
        if previous is not None and self._policy.deadline is not None:
            until = call.started_at + self._policy.deadline
        try:
            epoch = await run.await_admission(call.throttle.acquire(call.ticket), until)
        except PauseTooLongError as pause:
            return _still_paused(call, pause.seconds)
        except TimeoutError:
            refusal = run.stopped or previous
            assert refusal is not None
            return refusal
        if run.stopped is not None:
            call.throttle.release(epoch, Fate.UNSENT)
            return run.stopped
        return epoch

    def _failure(self, call: _Call, outcome: Reply | LuccaError) -> LuccaError | None:
        if isinstance(outcome, LuccaError):
            return outcome
        if is_success(outcome.status):
            return None
        return response_error(outcome, attempts=call.attempt, key=self._api_key)

    def _decide(self, call: _Call, error: LuccaError) -> None:
        decision = decide(
            error,
            attempt=call.attempt,
            elapsed=call.throttle.now() - call.started_at,
            policy=self._policy,
            jitter=random.random(),
        )
        if isinstance(error, RateLimitedError):
            call.throttle.pause(min(decision.delay, _LONGEST_PAUSE))
        if decision.retry:
            call.retry_in = decision.delay

    async def _try_again(self, call: _Call, error: LuccaError) -> Reply | LuccaError:
        """Let tenacity run the further attempts; what the last one came to."""
        outcome: Reply | LuccaError = error
        replayed = False

        async def attempt() -> Reply | LuccaError:
            nonlocal outcome, replayed, error
            if not replayed:
                replayed = True
                return outcome
            outcome = await self._attempt(call, error)
            if isinstance(outcome, LuccaError):
                error = outcome
            return outcome

        async def back_off(seconds: float) -> None:
            logger.info(
                "retrying GET %s in %.2f s (attempt %d of %d failed: %s)",
                call.url,
                seconds,
                call.attempt,
                self._policy.max_attempts,
                error,
            )
            # After a 429 the pause is the wait: queueing for its end at once keeps this
            # call's place, while sleeping beside the queue would lose it.
            if not isinstance(error, RateLimitedError):
                # A run that is stopped meanwhile is reported by the next attempt.
                with contextlib.suppress(TimeoutError):
                    await call.run.wait_for(asyncio.sleep(seconds))

        await tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda result: isinstance(result, LuccaError)),
            stop=lambda _: call.retry_in is None,
            wait=lambda _: call.retry_in or 0.0,
            sleep=back_off,
            retry_error_callback=lambda _: None,
        )(attempt)
        return outcome

    def _observe(self, call: _Call, outcome: Reply | LuccaError, sent_at: float) -> None:
        """Log the attempt, and the end of an endpoint that its answer announces."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "GET %s -> %s in %.3f s (attempt %d)",
                call.url,
                outcome.status if isinstance(outcome, Reply) else type(outcome).__name__,
                call.throttle.now() - sent_at,
                call.attempt,
            )
        if isinstance(outcome, Reply) and (notice := deprecation_notice(outcome.headers)):
            endpoint = str(call.url.parent)
            if endpoint not in self._deprecations_told:
                self._deprecations_told.add(endpoint)
                notice = self._api_key.redact(notice)
                logger.warning("Lucca announces the end of %s: %s", endpoint, notice)

    async def aclose(self) -> None:
        """Close the session if it is ours, and fail whoever waits; idempotent."""
        if self.closed:
            return
        self._session.check_may_close()
        for run in list(self._runs):
            run.stop(closed_error())
        await self._session.aclose()


def _still_paused(call: _Call, seconds: float) -> RateLimitedError:
    return RateLimitedError(
        f"not sent: Lucca answered 429 to an earlier request and asks to wait {seconds:.0f} s "
        f"more [{call.url}]",
        status=429,
        url=str(call.url),
        retry_after=seconds,
        attempts=call.attempt,
    )
