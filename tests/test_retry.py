"""The one decision: again after some seconds, or give up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import (
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    RateLimitedError,
    ResponseError,
    RetryPolicy,
    UsageError,
)
from lucca_training_async._http.retry import Decision, backoff_bound, decide

URL = "https://acme.ilucca.net/1"


def answered(status: int, retry_after: float | None = None) -> ResponseError:
    cls = RateLimitedError if status == 429 else ResponseError
    return cls("", status=status, url=URL, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        *((answered(status), True) for status in (408, 429, 500, 501, 502, 503, 504, 520, 599)),
        *(
            (answered(status), False)
            for status in (301, 302, 304, 400, 401, 403, 404, 405, 409, 413, 422, 431)
        ),
        (LuccaConnectionError("", url=URL), True),
        (LuccaTimeoutError("", url=URL), True),
        (LuccaConnectionError("certificate", url=URL, transient=False), False),
        (DecodeError("", path="$", excerpt="", url=URL), False),
        (InvalidIdError(), False),
        (UsageError(), False),
    ],
)
def test_what_is_retried(error: LuccaError, retried: bool) -> None:
    decision = decide(error, attempt=1, elapsed=0.0, policy=RetryPolicy(), jitter=0.5)
    assert decision.retry is retried


@pytest.mark.parametrize(
    ("retry_after", "attempt", "elapsed", "policy", "jitter", "decision"),
    [
        # Full jitter: from nothing to the bound, which doubles.
        (None, 1, 0.0, RetryPolicy(), 0.0, Decision(True, 0.0)),
        (None, 1, 0.0, RetryPolicy(), 1.0, Decision(True, 0.5)),
        (None, 3, 0.0, RetryPolicy(), 0.5, Decision(True, 1.0)),
        (None, 4, 0.0, RetryPolicy(backoff_max=1.0), 1.0, Decision(True, 1.0)),
        # Retry-After is a floor.
        (30.0, 1, 0.0, RetryPolicy(), 1.0, Decision(True, 30.0)),
        (0.0, 3, 0.0, RetryPolicy(), 0.5, Decision(True, 1.0)),
        (120.0, 1, 0.0, RetryPolicy(), 0.0, Decision(True, 120.0)),
        (120.5, 1, 0.0, RetryPolicy(), 0.0, Decision(False, 120.5)),
        (1.0, 1, 0.0, RetryPolicy(retry_after_max=0), 0.0, Decision(False, 1.0)),
        # Attempts.
        (None, 5, 0.0, RetryPolicy(), 0.0, Decision(False, 0.0)),
        (None, 1, 0.0, RetryPolicy(max_attempts=1), 0.0, Decision(False, 0.0)),
        (None, 4, 9.0, RetryPolicy(), 0.0, Decision(True, 0.0)),
        # The deadline.
        (None, 1, 9.5, RetryPolicy(deadline=10), 1.0, Decision(True, 0.5)),
        (None, 1, 9.6, RetryPolicy(deadline=10), 1.0, Decision(False, 0.5)),
        (30.0, 1, 0.0, RetryPolicy(deadline=10), 0.0, Decision(False, 30.0)),
    ],
)
def test_when(
    retry_after: float | None,
    attempt: int,
    elapsed: float,
    policy: RetryPolicy,
    jitter: float,
    decision: Decision,
) -> None:
    error = answered(503, retry_after)
    assert decide(error, attempt=attempt, elapsed=elapsed, policy=policy, jitter=jitter) == decision


@given(
    attempt=st.integers(1, 10**9),
    retry_after=st.none() | st.floats(0, 1e12),
    jitter=st.floats(0, 1),
    initial=st.floats(1e-3, 1e6),
    maximum=st.floats(1e-3, 1e6),
)
def test_never_sooner_than_retry_after_nor_later_than_the_bound(
    attempt: int, retry_after: float | None, jitter: float, initial: float, maximum: float
) -> None:
    policy = RetryPolicy(max_attempts=10**9, backoff_initial=initial, backoff_max=maximum)
    delay = decide(
        answered(503, retry_after), attempt=attempt, elapsed=0, policy=policy, jitter=jitter
    ).delay
    assert (retry_after or 0.0) <= delay <= max(retry_after or 0.0, maximum)
    assert backoff_bound(attempt, policy) <= maximum
