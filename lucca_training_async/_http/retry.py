"""Whether to try again and when: tenacity's strategies, and the two that it lacks.

tenacity hears of an id's own failures only (see ``call``): of no 429, of nothing that falls into
an outage, nor of a first attempt that succeeds: its machinery would cost every call a fifth of
its time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import tenacity
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from ..errors import OutageError, RateLimitedError, RequestError, ResponseError
from ..settings import RetryPolicy

T = TypeVar("T")


class AtLeastRetryAfter(wait_base):
    """Another wait, and never a shorter one than the answer asks for.

    tenacity's own ``+`` adds two waits, where Retry-After is a floor. That it is not longer
    than the call waits has been seen to by the gate, which it closes for everybody.
    """

    def __init__(self, wait: Callable[[tenacity.RetryCallState], float]) -> None:
        self._wait = wait

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        seconds, floor = float(self._wait(retry_state)), retry_after(_failure(retry_state))
        return max(floor, seconds)  # in this order, NaN is none


class StopBeforeDeadline(stop_base):
    """Stop if the next attempt would start after the deadline.

    tenacity's ``stop_before_delay`` goes by ``time.monotonic``, and counts from before the
    wait for the budget.

    Args:
        seconds: The deadline, from the first attempt.
        elapsed: Gives the seconds since the first attempt.
    """

    def __init__(self, seconds: float, elapsed: Callable[[], float]) -> None:
        self._seconds = seconds
        self._elapsed = elapsed

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return self._elapsed() + retry_state.upcoming_sleep > self._seconds


class Retrying(tenacity.AsyncRetrying):
    """tenacity's loop, from the moment on at which the first attempt has failed."""

    async def resume(
        self,
        failure: RequestError,
        attempt: Callable[[], Awaitable[T]],
        failures: Callable[[], int] | None = None,
    ) -> T:
        """What the first further attempt that succeeds brings.

        Args:
            failure: That of the first attempt.
            attempt: Makes another.
            failures: Gives how many count, the last one included, if not all do.

        Raises:
            RequestError: The last failure, where no further attempt is due.
        """
        self.begin()
        state = tenacity.RetryCallState(self, None, (), {})
        while True:
            state.set_exception((type(failure), failure, failure.__traceback__))
            if failures is not None:
                state.attempt_number = max(1, failures())
            await self._pause(state)
            try:
                return await attempt()
            except RequestError as error:
                failure = error

    async def _pause(self, state: tenacity.RetryCallState) -> None:
        # Raises the failure if there is to be no other attempt.
        seconds: Any = await self.iter(state)
        state.prepare_for_next_attempt()
        # tenacity types it as that of its synchronous twin.
        await cast("Callable[[float], Awaitable[None]]", self.sleep)(seconds)


def retrying(
    policy: RetryPolicy,
    *,
    elapsed: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_sleep: Callable[[tenacity.RetryCallState], None],
) -> Retrying:
    """The loop that a policy asks for."""
    stops: list[Callable[[tenacity.RetryCallState], bool]] = [
        tenacity.stop_after_attempt(policy.max_attempts)
    ]
    if policy.deadline is not None:
        stops.append(StopBeforeDeadline(policy.deadline, elapsed))
    return Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=AtLeastRetryAfter(policy.wait or full_jitter(policy)),
        stop=tenacity.stop_any(*stops),  # type: ignore[arg-type]
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )


def full_jitter(policy: RetryPolicy) -> wait_base:
    """Anything from nothing to an exponentially growing bound.

    It keeps clients that failed together from coming back together.
    """
    return tenacity.wait_random_exponential(
        multiplier=policy.backoff_initial, max=policy.backoff_max
    )


def backoff_bound(times: int, policy: RetryPolicy) -> float:
    """The longest wait, in seconds, after so many refusals or probes that name no time."""
    try:
        return min(policy.backoff_max, policy.backoff_initial * 2.0 ** (times - 1))
    except OverflowError:
        return policy.backoff_max


def is_transient(error: BaseException) -> bool:
    """Whether tenacity may try again; what ends a call at the gate has had its patience."""
    return (
        isinstance(error, RequestError)
        and error.transient
        and not isinstance(error, RateLimitedError | OutageError)
    )


def asks_to_wait(error: RequestError) -> bool:
    """Whether it is an answer that closes the gate for everybody."""
    return isinstance(error, RateLimitedError) or retry_after(error) > 0


def retry_after(error: BaseException) -> float:
    """Seconds that the other side asks to wait; 0 if it doesn't say."""
    return (error.retry_after if isinstance(error, ResponseError) else None) or 0.0


def _failure(state: tenacity.RetryCallState) -> BaseException:
    assert state.outcome is not None
    failure = state.outcome.exception()
    assert failure is not None
    return failure
