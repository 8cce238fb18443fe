"""What a bulk run tells while it runs: its progress, and each outcome as it comes."""

from __future__ import annotations

import asyncio
import functools
import gc
import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import (
    AuthenticationError,
    Found,
    OnProgress,
    Outcome,
    Progress,
    RateLimit,
    RealizedTrainings,
    Refused,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .support import stage
from .virtual_time import run


async def get_many(trainings: RealizedTrainings, ids: Any, on_progress: OnProgress) -> None:
    await trainings.get_many(ids, on_progress=on_progress)


async def stream(trainings: RealizedTrainings, ids: Any, on_progress: OnProgress) -> None:
    async with trainings.stream(ids, on_progress=on_progress) as outcomes:
        async for _ in outcomes:
            pass


Way = Callable[[RealizedTrainings, Any, OnProgress], Any]
both_ways = pytest.mark.parametrize("way", [get_many, stream])


async def lazily(ids: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for value in ids:
        await asyncio.sleep(0.1)
        yield value


# The last ones are duplicates, which no outcome follows.
IDS_AND_DUPLICATES = [1, 2, 2, 3, 0, 3, 3]


@both_ways
@pytest.mark.parametrize(
    ("ids", "last"),
    [
        (lambda: IDS_AND_DUPLICATES, [(7, 7, 3, 1)]),
        (lambda: iter(IDS_AND_DUPLICATES), [(7, None, 3, 1)]),
        (lambda: lazily(IDS_AND_DUPLICATES), [(7, None, 3, 1)]),
        (lambda: [5, 5, 5], [(3, 3, 1, 0)]),
        (lambda: ["x", "x"], [(2, 2, 0, 1)]),
        (lambda: [1, *[2] * 250], [(251, 251, 2, 0)]),
        (list[int], []),
        (lambda: lazily([]), []),
    ],
)
async def test_done_ends_at_the_number_of_values_given(
    way: Way, ids: Callable[[], Any], last: list[tuple[int, int | None, int, int]]
) -> None:
    told: list[Progress] = []
    async with stage() as on:
        await way(on.trainings, ids(), told.append)
    assert [(one.done, one.total, one.found, one.refused) for one in told[-1:]] == last
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert len({one.total for one in told}) <= 1


@both_ways
async def test_the_counts_tell_each_kind_of_outcome(way: Way) -> None:
    told: list[Progress] = []
    async with stage(Sandbox(rate_limit=None, missing={3, 4}), max_concurrency=1) as on:
        on.sandbox.inject_always(Fault.html(), id=5)
        await way(on.trainings, [1, 2, 6, 3, 4, 5, "x", 1], told.append)
    counts = [(one.done, one.found, one.missing, one.failed, one.refused) for one in told]
    assert counts == [
        (1, 1, 0, 0, 0),
        (2, 2, 0, 0, 0),
        (3, 3, 0, 0, 0),
        (4, 3, 1, 0, 0),
        (5, 3, 2, 0, 0),
        (6, 3, 2, 1, 0),
        (7, 3, 2, 1, 1),
        (8, 3, 2, 1, 1),
    ]


@settings(max_examples=30)
@given(
    ids=st.lists(st.integers(-2, 30) | st.sampled_from(["x", None]), max_size=250),
    lazy=st.booleans(),
    max_concurrency=st.integers(1, 12),
)
def test_progress_is_told_after_each_outcome_and_adds_up(
    ids: list[Any], lazy: bool, max_concurrency: int
) -> None:
    told: list[Progress] = []

    async def main() -> int:
        async with stage(
            Sandbox(rate_limit=None, missing={4, 5}), max_concurrency=max_concurrency
        ) as on:
            given_ids = lazily(ids) if lazy else ids
            outcomes: list[Outcome] = []
            await on.trainings.get_many(
                given_ids, on_progress=told.append, on_outcome=outcomes.append
            )
            return len(outcomes)

    outcomes = run(main())
    assert outcomes <= len(told) <= outcomes + 1
    sums = [one.found + one.missing + one.failed + one.refused for one in told]
    assert sums[:outcomes] == list(range(1, outcomes + 1))
    assert all(one.done >= total for one, total in zip(told, sums, strict=True))
    assert [one.done for one in told[-1:]] == [len(ids)] * bool(ids)


async def test_each_outcome_is_told_before_the_progress_that_counts_it() -> None:
    told: list[Outcome | Progress] = []
    async with stage(max_concurrency=3) as on:
        result = await on.trainings.get_many(
            range(1, 11), on_progress=told.append, on_outcome=told.append
        )
    assert [type(one) for one in told] == [Found, Progress] * 10
    assert {one.id for one in told if isinstance(one, Found)} == set(result.items)


async def test_the_callbacks_are_given_by_name_only() -> None:
    """The predecessor gave two numbers to a positional function: nobody shall mix them up."""
    async with stage() as on:
        trainings: Any = on.trainings
        with pytest.raises(TypeError, match="positional"):
            await trainings.get_many([1], print)
        with pytest.raises(TypeError, match="positional"):
            trainings.stream([1], print)


async def test_a_used_up_budget_is_told_with_its_end() -> None:
    told: list[tuple[float, Progress]] = []
    clock = asyncio.get_running_loop()
    before = datetime.now(UTC)
    async with stage(rate_limit=RateLimit(2, 60.0)) as on:
        await on.trainings.get_many(
            range(1, 4), on_progress=lambda one: told.append((clock.time(), one))
        )
    after = datetime.now(UTC)
    about_60 = pytest.approx(60, abs=0.1)
    assert [(at, one.waiting_for) for at, one in told[1:]] == [(0, "budget"), (about_60, None)]
    until = told[1][1].waiting_until
    assert until is not None
    assert before <= until - timedelta(seconds=60) <= after + timedelta(seconds=0.1)
    assert [one.waited for _, one in told] == [0, 0, about_60]
    assert told[-1][1].waiting_until is None


async def test_a_budget_that_an_answer_must_free_first_has_no_end_that_is_known() -> None:
    told: list[Progress] = []
    async with stage(rate_limit=RateLimit(1, 60.0)) as on:
        on.sandbox.inject(Fault.slow(5), id=1)
        ids: list[Any] = [1, "no id"]
        await on.trainings.get_many(ids, on_progress=told.append)
    assert (told[0].refused, told[0].waiting_for, told[0].waiting_until) == (1, "budget", None)


async def test_the_pause_of_a_429_is_told_with_its_end() -> None:
    told: list[tuple[float, Progress]] = []
    clock = asyncio.get_running_loop()
    before = datetime.now(UTC)
    async with stage() as on:
        on.sandbox.inject(Fault.slow(10), id=1)
        on.sandbox.inject(Fault.too_many_requests(30), id=2)
        await on.trainings.get_many(
            [1, 2], on_progress=lambda one: told.append((clock.time(), one))
        )
    after = datetime.now(UTC)
    assert [(at, one.waiting_for, one.waited) for at, one in told] == [
        (10, "pause", 10),
        (30, None, 30),
    ]
    until = told[0][1].waiting_until
    assert until is not None
    assert before <= until - timedelta(seconds=20) <= after
    assert told[1][1].waiting_until is None


class AsyncCall:
    async def __call__(self, _: object) -> None: ...

    async def method(self, _: object) -> None: ...


async def async_function(_: object) -> None: ...


async def async_generator(_: object) -> AsyncGenerator[int, None]:
    yield 1


ASYNC: list[Any] = [
    async_function,
    functools.partial(async_function),
    functools.partial(functools.partial(async_function)),
    AsyncCall(),
    AsyncCall().method,
    functools.partial(AsyncCall()),
    async_generator,
    5,
]


@pytest.mark.parametrize("callback", ASYNC, ids=lambda one: type(one).__name__)
async def test_what_would_never_run_is_refused_before_anything_is_sent(callback: Any) -> None:
    def ids() -> Iterator[int]:
        raise AssertionError("the ids are not read either")
        yield 1

    async with stage() as on:
        with pytest.raises(TypeError, match="on_progress must be a plain function"):
            await on.trainings.get_many(ids(), on_progress=callback)
        with pytest.raises(TypeError, match="on_outcome must be a plain function"):
            await on.trainings.get_many(ids(), on_outcome=callback)
        with pytest.raises(TypeError, match="on_progress must be a plain function"):
            on.trainings.stream(ids(), on_progress=callback)
        assert on.sandbox.arrivals == []


@pytest.mark.parametrize("name", ["on_progress", "on_outcome"])
async def test_a_coroutine_that_nobody_awaits_ends_the_run(name: str) -> None:
    """No look at a lambda, say, shows what it gives."""

    def sneaky(told: object) -> object:
        return async_function(told)

    callbacks: dict[str, Any] = {name: sneaky}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with stage() as on:
            with pytest.raises(TypeError, match=f"{name} must be a plain function.*coroutine"):
                await on.trainings.get_many(range(1, 1000), **callbacks)
            assert len(on.sandbox.arrivals) < 50
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_any_other_awaitable_ends_the_run_too() -> None:
    async with stage() as on:
        with pytest.raises(TypeError, match="this one gave Future"):
            await on.trainings.get_many([1], on_progress=lambda _: asyncio.Future[None]())


class BarGoneError(Exception):
    pass


def gone_at(number: int) -> Callable[[Any], None]:
    """A callback that fails when it is called for so many a time."""
    calls = 0

    def fail(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise BarGoneError

    return fail


@both_ways
@pytest.mark.parametrize("at", [1, 25])
async def test_an_error_in_on_progress_ends_the_run_and_is_raised(way: Way, at: int) -> None:
    async with stage() as on:
        with pytest.raises(BarGoneError):
            await way(on.trainings, range(1, 1000), gone_at(at))
        assert len(on.sandbox.arrivals) < 75


@both_ways
async def test_an_error_in_the_very_last_call_is_raised_too(way: Way) -> None:
    """That of the duplicates at the end, which comes from no outcome."""
    async with stage(max_concurrency=1) as on:
        with pytest.raises(BarGoneError):
            await way(on.trainings, [1, 2, 2], gone_at(3))


async def test_an_error_in_on_outcome_ends_the_run_and_is_raised() -> None:
    async with stage() as on:
        with pytest.raises(BarGoneError):
            await on.trainings.get_many(range(1, 1000), on_outcome=gone_at(1))
        assert len(on.sandbox.arrivals) < 50


async def test_a_stream_gives_what_came_before_its_on_progress_failed_and_raises_once() -> None:
    got: list[int] = []
    async with stage(max_concurrency=1) as on:
        outcomes = on.trainings.stream(range(1, 1000), on_progress=gone_at(3))
        with pytest.raises(BarGoneError):
            async for outcome in outcomes:
                assert isinstance(outcome, Found)
                got.append(outcome.id)
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)
    assert got == [1, 2, 3]


async def test_a_401_tells_the_ids_of_a_collection_as_failed_up_to_the_total() -> None:
    told: list[Progress] = []
    async with stage(api_key="wrong-key") as on:
        result = await on.trainings.get_many([*range(1, 101), 7], on_progress=told.append)
        assert isinstance(result.stopped, AuthenticationError)
    assert (told[-1].done, told[-1].total, told[-1].failed) == (101, 101, 100)


async def test_a_cancelled_run_has_handed_over_every_outcome_until_then() -> None:
    got: list[Outcome] = []
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0), max_concurrency=5) as on:
        ids: list[Any] = ["x", *range(1, 1001)]
        run = on.trainings.get_many(ids, plan="each", on_outcome=got.append)
        bulk = asyncio.create_task(run)
        await asyncio.sleep(3.5)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
    assert isinstance(got[0], Refused)
    assert sorted(one.id for one in got if isinstance(one, Found)) == list(range(1, 16))


async def test_a_failing_source_has_lost_no_outcome() -> None:
    def broken() -> Iterator[int]:
        yield from range(1, 26)
        raise LookupError("cursor closed")

    got: list[Outcome] = []
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        with pytest.raises(LookupError, match="cursor closed"):
            await on.trainings.get_many(broken(), on_outcome=got.append)
    assert sorted(one.id for one in got if isinstance(one, Found)) == list(range(1, 26))


async def test_an_error_in_on_progress_has_lost_no_outcome_until_then() -> None:
    got: list[Outcome] = []
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0), max_concurrency=1) as on:
        with pytest.raises(BarGoneError):
            await on.trainings.get_many(
                range(1, 101), on_outcome=got.append, on_progress=gone_at(7)
            )
    assert [one.id for one in got if isinstance(one, Found)] == list(range(1, 8))
