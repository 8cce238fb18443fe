"""Whether to try again, when, and how often: the strategies, and the loop that follows them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import attrs
import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import (
    ClientClosedError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    OutageError,
    RateLimitedError,
    RequestError,
    ResponseError,
    RetryPolicy,
    UsageError,
)
from lucca_training_async._http.retry import (
    AtLeastRetryAfter,
    Retrying,
    StopBeforeDeadline,
    asks_to_wait,
    backoff_bound,
    full_jitter,
    is_transient,
    retrying,
)

URL = "https://acme.ilucca.net/1"


def now() -> float:
    return asyncio.get_running_loop().time()


def answered(status: int, retry_after: float | None = None) -> ResponseError:
    cls = RateLimitedError if status == 429 else ResponseError
    return cls("", status=status, url=URL, retry_after=retry_after)


def dropped(*, transient: bool = True) -> LuccaConnectionError:
    return LuccaConnectionError("", url=URL, transient=transient)


def undecodable(*, transient: bool = False) -> DecodeError:
    return DecodeError("", path="$", excerpt="", url=URL, transient=transient)


def failed(
    error: BaseException, *, attempt: int = 1, sleep: float = 0.0
) -> tenacity.RetryCallState:
    """What tenacity tells a strategy after this failure."""
    state = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
    state.attempt_number = attempt
    state.upcoming_sleep = sleep
    state.set_exception((type(error), error, None))
    return state


def always(seconds: float) -> Callable[[tenacity.RetryCallState], float]:
    return lambda _: seconds


# -- the strategies


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        *((answered(status), True) for status in (408, 500, 501, 502, 503, 504, 520, 599)),
        (answered(429), False),  # never tenacity's: one that ends a call has had its patience
        *(
            (answered(status), False)
            for status in (301, 302, 304, 400, 401, 403, 404, 405, 409, 413, 422, 431)
        ),
        (dropped(), True),
        (LuccaTimeoutError("", url=URL), True),
        (dropped(transient=False), False),  # a certificate that does not verify
        (OutageError("", url=URL), False),  # as a 429
        (undecodable(), False),
        (undecodable(transient=True), True),
        (InvalidIdError(), False),
        (UsageError(), False),
        (ClientClosedError(), False),
        (TimeoutError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_what_may_succeed_later(error: BaseException, transient: bool) -> None:
    assert is_transient(error) is transient


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        (answered(429), True),  # for how long, is left to us
        (answered(429, 0.0), True),
        (answered(503, 1.0), True),
        (answered(503, 0.0), False),
        (answered(503), False),
        (answered(404, 5.0), True),
        (dropped(), False),
        (undecodable(transient=True), False),
    ],
)
def test_what_asks_to_wait(error: RequestError, asks: bool) -> None:
    assert asks_to_wait(error) is asks


@pytest.mark.parametrize(
    ("own", "retry_after", "seconds"),
    [
        (1.0, None, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, 30.0, 30.0),
        (30.0, 1.0, 30.0),
        (5.0, 5.0, 5.0),
        (0.0, 0.0, 0.0),
        (2, None, 2.0),
    ],
)
def test_retry_after_is_a_floor_and_no_supplement(
    own: float, retry_after: float | None, seconds: float
) -> None:
    assert AtLeastRetryAfter(always(own))(failed(answered(503, retry_after))) == seconds


def test_what_asks_for_no_time_has_no_floor() -> None:
    for error in (dropped(), undecodable(transient=True)):
        assert AtLeastRetryAfter(always(3.0))(failed(error)) == 3.0


def test_the_wait_below_the_floor_is_tenacitys_or_the_callers_and_knows_the_state() -> None:
    incrementing = AtLeastRetryAfter(tenacity.wait_incrementing(1, 10))
    waits = [incrementing(failed(answered(503, 15.0), attempt=attempt)) for attempt in (1, 2, 3)]
    assert waits == [15, 15, 21]
    mine = AtLeastRetryAfter(lambda state: 7.0 if state.outcome is not None else 0.0)
    assert mine(failed(dropped())) == 7


def test_a_wait_of_the_callers_that_is_no_number_is_none() -> None:
    assert AtLeastRetryAfter(always(math.nan))(failed(dropped())) == 0
    assert AtLeastRetryAfter(always(math.nan))(failed(answered(503, 15.0))) == 15


@pytest.mark.parametrize(
    ("elapsed", "sleep", "stops"),
    [
        (0.0, 0.0, False),
        (9.5, 0.5, False),
        (9.5, 0.6, True),
        (10.5, 0.0, True),
        (0.0, 30.0, True),
        (0.0, math.inf, True),
    ],
)
def test_no_attempt_starts_after_the_deadline(elapsed: float, sleep: float, stops: bool) -> None:
    stop = StopBeforeDeadline(10.0, lambda: elapsed)
    assert stop(failed(dropped(), sleep=sleep)) is stops


@pytest.mark.parametrize(
    ("attempt", "policy", "bound"),
    [
        (1, RetryPolicy(), 0.5),
        (2, RetryPolicy(), 1.0),
        (4, RetryPolicy(), 4.0),
        (4, RetryPolicy(backoff_initial=2.0), 16.0),
        (4, RetryPolicy(backoff_max=1.5), 1.5),
        (1, RetryPolicy(backoff_initial=60.0), 30.0),
        (5000, RetryPolicy(), 30.0),
    ],
)
def test_the_wait_is_anything_up_to_a_bound_that_doubles(
    attempt: int, policy: RetryPolicy, bound: float
) -> None:
    wait, state = full_jitter(policy), failed(dropped(), attempt=attempt)
    draws = [wait(state) for _ in range(1000)]
    assert all(0 <= seconds <= bound for seconds in draws)
    # Once in 10**22 runs, all of a thousand draws miss one of these.
    assert min(draws) < 0.05 * bound
    assert max(draws) > 0.95 * bound
    assert backoff_bound(attempt, policy) == bound


@pytest.mark.parametrize("refusals", [1025, 10**9, 10**400])
def test_the_bound_of_very_many_refusals(refusals: int) -> None:
    assert backoff_bound(refusals, RetryPolicy()) == 30
    assert backoff_bound(refusals, RetryPolicy(backoff_initial=1e-300)) == 30


@given(refusals=st.integers(1, 10**9), initial=st.floats(1e-3, 1e6), maximum=st.floats(1e-3, 1e6))
def test_the_bound_never_shrinks_nor_exceeds_its_maximum(
    refusals: int, initial: float, maximum: float
) -> None:
    policy = RetryPolicy(backoff_initial=initial, backoff_max=maximum)
    bound = backoff_bound(refusals, policy)
    assert 0 < bound <= maximum
    assert bound <= backoff_bound(refusals + 1, policy)


# -- the loop


@attrs.define
class Script:
    """The further attempts of a call, each with its outcome, and all that is told of them."""

    outcomes: Sequence[BaseException | str]
    takes: float = 0.0
    attempts_at: list[float] = attrs.field(factory=list[float])
    told: list[tuple[int, float, float]] = attrs.field(factory=list[tuple[int, float, float]])

    def loop(self, policy: RetryPolicy) -> Retrying:
        return retrying(policy, elapsed=now, sleep=asyncio.sleep, before_sleep=self.before_sleep)

    def before_sleep(self, state: tenacity.RetryCallState) -> None:
        self.told.append((state.attempt_number, state.upcoming_sleep, now()))

    async def attempt(self) -> str:
        outcome = self.outcomes[len(self.attempts_at)]
        self.attempts_at.append(now())
        await asyncio.sleep(self.takes)
        if isinstance(outcome, str):
            return outcome
        raise outcome

    async def resume(self, policy: RetryPolicy, first: RequestError | None = None) -> str:
        return await self.loop(policy).resume(first or answered(503), self.attempt)

    async def fail(self, policy: RetryPolicy, first: RequestError | None = None) -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            await self.resume(policy, first)
        return caught.value


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
async def test_the_first_failure_is_one_of_the_attempts(max_attempts: int) -> None:
    failures = [answered(500 + n) for n in range(max_attempts)]
    script = Script([*failures[1:], "one too many"])
    error = await script.fail(RetryPolicy(max_attempts, wait=always(2.0)), failures[0])
    assert error is failures[-1]
    assert error.__cause__ is None
    assert script.attempts_at == [2.0 * n for n in range(1, max_attempts)]
    # Told before each sleep, and neither told nor slept after the last.
    assert script.told == [(n, 2.0, 2.0 * (n - 1)) for n in range(1, max_attempts)]
    assert now() == 2.0 * (max_attempts - 1)


async def test_what_the_first_success_brings() -> None:
    script = Script([answered(500), dropped(), "it", "one too many"])
    assert await script.resume(RetryPolicy(wait=tenacity.wait_incrementing(1, 1))) == "it"
    assert script.attempts_at == [1, 1 + 2, 1 + 2 + 3]
    assert script.told == [(1, 1, 0), (2, 2, 1), (3, 3, 3)]


async def test_without_a_wait_of_the_callers_the_backoff_applies() -> None:
    script = Script([dropped()] * 30)
    await script.fail(RetryPolicy(31, backoff_initial=1.0, backoff_max=4.0))
    assert len(script.attempts_at) == 30
    sleeps = [sleep for _, sleep, _ in script.told]
    assert all(sleep <= min(4, 2.0**n) for n, sleep in enumerate(sleeps))
    assert len(set(sleeps)) == 30
    assert now() == pytest.approx(sum(sleeps))


@pytest.mark.parametrize(
    "error",
    [ValueError(), InvalidIdError(), ClientClosedError(), LuccaError(), asyncio.CancelledError()],
)
async def test_what_no_request_met_ends_it_at_once(error: BaseException) -> None:
    script = Script([dropped(), error, "one too many"])
    assert await script.fail(RetryPolicy(wait=always(1.0))) is error
    assert now() == 2


async def test_a_failure_that_is_not_transient_ends_it_at_once() -> None:
    final = answered(403)
    script = Script([dropped(), final, "one too many"])
    assert await script.fail(RetryPolicy(wait=always(1.0))) is final
    assert (len(script.attempts_at), now()) == (2, 2)
    script = Script(["one too many"])
    assert await script.fail(RetryPolicy(), final) is final
    assert (script.attempts_at, script.told) == ([], [])


@pytest.mark.parametrize(
    ("policy", "retry_after", "starts_at"),
    [
        (RetryPolicy(wait=always(1.0)), 30.0, 30.0),
        (RetryPolicy(wait=always(40.0)), 30.0, 40.0),
        (RetryPolicy(wait=always(1.0), retry_after_max=0), 0.0, 1.0),
        # Whether that is too long is seen to by the gate, which knows who waits how long.
        (RetryPolicy(wait=always(1.0)), 121.0, 121.0),
        (RetryPolicy(wait=always(1.0), retry_after_max=0, patience=0), 1.0, 1.0),
        (RetryPolicy(wait=always(999.0)), 1.0, 999.0),
        (RetryPolicy(wait=always(1.0), deadline=10), 10.0, 10.0),
        (RetryPolicy(wait=always(1.0), deadline=10), 10.5, None),
    ],
)
async def test_retry_after_is_waited_out_unless_that_is_beyond_the_deadline(
    policy: RetryPolicy, retry_after: float, starts_at: float | None
) -> None:
    first, script = answered(503, retry_after), Script(["it"])
    if starts_at is None:
        assert await script.fail(policy, first) is first
        assert (script.attempts_at, now()) == ([], 0)
    else:
        assert await script.resume(policy, first) == "it"
        assert script.attempts_at == [starts_at]


async def test_the_deadline_counts_waits_and_attempts() -> None:
    script = Script([dropped()] * 9, takes=3.0)
    await script.fail(RetryPolicy(10, deadline=16.5, wait=always(1.0)))
    # The fifth would start at 17.
    assert script.attempts_at == [1, 5, 9, 13]
    assert now() == 16


@pytest.mark.parametrize(
    ("counts", "attempts"),
    [
        ([1, 2, 3, 4, 5, 6], 2),  # all of them
        ([1, 1, 1, 1, 2, 3], 5),  # not those that fell into an outage
        ([3], 0),  # the first, which came after two of another kind
        ([0, 0, 0, 3], 3),
        ([1, 2, 1, 2, 1, 3], 5),  # what counted turns out to have been an outage
    ],
)
async def test_the_failures_that_count_are_those_that_it_is_told_of(
    counts: list[int], attempts: int
) -> None:
    failures = [answered(500 + n) for n in range(7)]
    script, told = Script([*failures[1:], "one too many"]), iter(counts)
    policy = RetryPolicy(3, wait=always(1.0))
    with pytest.raises(ResponseError) as caught:
        await script.loop(policy).resume(failures[0], script.attempt, lambda: next(told))
    assert caught.value is failures[attempts]
    assert len(script.attempts_at) == attempts
    # It is told of by its number among those that count; and asked for once a failure.
    assert [number for number, _, _ in script.told] == [max(1, n) for n in counts[:attempts]]
    assert len(list(told)) == len(counts) - attempts - 1


async def test_the_backoff_grows_with_the_failures_that_count() -> None:
    script, told = Script([dropped(), dropped(), dropped(), "it"]), iter([1, 1, 2, 3])
    policy = RetryPolicy(wait=tenacity.wait_incrementing(1, 1))
    loop = script.loop(policy)
    assert await loop.resume(dropped(), script.attempt, lambda: next(told)) == "it"
    assert [seconds for _, seconds, _ in script.told] == [1, 1, 2, 3]


async def test_a_sleep_that_fails_ends_it() -> None:
    """As the rest of a call does, whose owner is ended."""
    end = ClientClosedError()

    def sleep(seconds: float) -> Awaitable[None]:
        raise end

    script = Script(["one too many"])
    loop = retrying(RetryPolicy(), elapsed=now, sleep=sleep, before_sleep=script.before_sleep)
    with pytest.raises(ClientClosedError) as caught:
        await loop.resume(dropped(), script.attempt)
    assert caught.value is end
    assert script.attempts_at == []


@pytest.mark.parametrize("shared", [True, False], ids=["one loop", "a loop each"])
async def test_calls_at_the_same_time_count_for_themselves(shared: bool) -> None:
    policy = RetryPolicy(4, wait=tenacity.wait_incrementing(1, 1))
    scripts = [Script([*[dropped()] * failures, "it"], takes=0.5) for failures in (0, 1, 2, 3, 9)]
    one = scripts[0].loop(policy)
    results = await asyncio.gather(
        *(
            (one if shared else script.loop(policy)).resume(dropped(), script.attempt)
            for script in scripts
        ),
        return_exceptions=True,
    )
    assert results[:3] == ["it"] * 3
    assert all(isinstance(result, LuccaConnectionError) for result in results[3:])
    starts = [1.0, 1.5 + 2, 1.5 + 2.5 + 3]
    assert [script.attempts_at for script in scripts] == [
        starts[:1], starts[:2], starts, starts, starts,
    ]  # fmt: skip
