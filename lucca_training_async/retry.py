"""Whether to try again and when: the policy, and the one pure decision.

tenacity runs the loop (see ``transport``); what it should do is decided here, from values
alone, so that a table can test it.

A wait is drawn between nothing and an exponentially growing bound ("full jitter"), which
keeps clients that failed together from coming back together. Retry-After is a floor under
that draw, never a suggestion to come back sooner.
"""

from __future__ import annotations

import attrs

from ._validators import (
    non_negative_seconds,
    optional_positive_seconds,
    positive_int,
    positive_seconds,
)
from .errors import LuccaConnectionError, LuccaError, ResponseError

# Lucca documents 408, 429, 500 and 503; the other 5xx come from gateways in front of it.
_TRANSIENT_STATUSES = frozenset({408, 429})
_MAX_DOUBLINGS = 60


@attrs.frozen
class RetryPolicy:
    """How one call deals with failed attempts.

    Attributes:
        max_attempts: Requests sent for one id at the most, the first one included.
        deadline: Seconds, counted from the first attempt, after which no other attempt
            starts; None for no such limit. Waiting for the budget before the first attempt
            doesn't count, and an attempt under way isn't cut short: to bound a whole call,
            wrap it in ``asyncio.timeout``.
        backoff_initial: Upper bound, in seconds, of the wait after the first failure; it
            doubles with each further one.
        backoff_max: Seconds that this bound never exceeds.
        retry_after_max: The longest Retry-After, in seconds, that is waited out. Beyond it
            the error is raised at once, with ``retry_after`` set.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    max_attempts: int = attrs.field(default=5, validator=positive_int)
    deadline: float | None = attrs.field(default=None, validator=optional_positive_seconds)
    backoff_initial: float = attrs.field(default=0.5, validator=positive_seconds)
    backoff_max: float = attrs.field(default=30.0, validator=positive_seconds)
    retry_after_max: float = attrs.field(default=120.0, validator=non_negative_seconds)


@attrs.frozen
class Decision:
    """What follows a failed attempt.

    ``delay`` (seconds) is meaningful even without a retry: after a 429 it is how long
    everybody else holds back.
    """

    retry: bool
    delay: float


def decide(
    error: LuccaError, *, attempt: int, elapsed: float, policy: RetryPolicy, jitter: float
) -> Decision:
    """Retry after some seconds, or give up.

    Args:
        error: What the attempt failed with.
        attempt: Its number, from 1.
        elapsed: Seconds since the first attempt began.
        policy: The limits.
        jitter: A random number from 0 to 1.
    """
    retry_after = (error.retry_after if isinstance(error, ResponseError) else None) or 0.0
    delay = max(retry_after, jitter * backoff_bound(attempt, policy))
    retry = (
        is_transient(error)
        and attempt < policy.max_attempts
        and retry_after <= policy.retry_after_max
        and (policy.deadline is None or elapsed + delay <= policy.deadline)
    )
    return Decision(retry, delay)


def is_transient(error: LuccaError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, LuccaConnectionError):
        return error.transient
    if isinstance(error, ResponseError):
        return error.status in _TRANSIENT_STATUSES or error.status >= 500
    return False


def backoff_bound(attempt: int, policy: RetryPolicy) -> float:
    """The longest wait, in seconds, that may be drawn after the given attempt."""
    doublings = min(attempt - 1, _MAX_DOUBLINGS)
    return min(policy.backoff_max, policy.backoff_initial * 2.0**doublings)
