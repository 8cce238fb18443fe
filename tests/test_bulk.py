"""Many ids over real sockets: every distinct id has exactly one outcome, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaTrainingClient,
    Outcome,
    OutcomeStream,
    RateLimit,
    RateLimitedError,
    UsageError,
)
from lucca_training_async._bulk.ids import refused_key
from lucca_training_async.sandbox import Fault, Sandbox

from .support import stage
from .virtual_time import run


def workers() -> list[asyncio.Task[Any]]:
    tasks = asyncio.all_tasks()
    return [task for task in tasks if task.get_name().startswith("lucca-bulk-worker-")]


async def test_a_bulk_fetch() -> None:
    async with stage(Sandbox(rate_limit=None, missing={3})) as on:
        on.sandbox.inject_always(Fault.html(), id=4)
        result = await on.trainings.get_many([5, 3, 4, 1, 2, 5, 0, "7"])  # type: ignore[list-item]
        assert list(result.items) == [5, 1, 2]
        assert {id: training.id for id, training in result.items.items()} == {5: 5, 1: 1, 2: 2}
        assert result.missing == [3]
        assert [(id, type(error)) for id, error in result.failures.items()] == [
            (4, DecodeError),
            (0, InvalidIdError),
            ("7", InvalidIdError),
        ]
        assert sorted(on.ids) == ["1", "2", "3", "4", "5"]
        assert (result.stats.requests, result.stats.retries) == (5, 0)


@pytest.mark.parametrize("ids", [[], iter([]), (), set[int](), range(0)])
async def test_no_ids(ids: Iterable[int]) -> None:
    async with stage() as on:
        result = await on.trainings.get_many(ids)
        assert (result.items, result.missing, result.failures) == ({}, [], {})
        assert result.stats.requests == 0


async def test_ids_from_an_async_generator() -> None:
    async def from_a_database() -> AsyncGenerator[int, None]:
        for row in range(1, 51):
            await asyncio.sleep(0.01)
            yield row

    async with stage() as on:
        result = await on.trainings.get_many(from_a_database())
        assert list(result.items) == list(range(1, 51))


async def test_ids_are_read_as_they_are_used() -> None:
    read: list[int] = []

    def counted() -> Iterable[int]:
        for value in range(1, 10_001):
            read.append(value)
            yield value

    async with stage(max_concurrency=4) as on, on.trainings.stream(counted()) as stream:
        async for outcome in stream:
            assert outcome.training is not None
            if outcome.id >= 100:
                break
        assert len(read) <= 100 + 4 + 4 + 4


async def test_no_more_tasks_than_workers() -> None:
    most = 0
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 0.01), max_concurrency=7) as on:
        async with on.trainings.stream(range(1, 301)) as stream:
            async for _ in stream:
                most = max(most, len(workers()))
    assert most == 7


async def test_stats_tell_retries_and_the_wait_for_the_budget() -> None:
    async with stage(rate_limit=RateLimit(10, 60.0)) as on:
        on.sandbox.inject(Fault.internal_error(), id=5)
        result = await on.trainings.get_many(range(1, 25))
        assert len(result.items) == 24
        assert (result.stats.requests, result.stats.retries) == (25, 1)
        assert result.stats.elapsed == pytest.approx(120, abs=1)
        # Ten workers wait at the same time; it is counted once.
        assert result.stats.waited == pytest.approx(120, abs=1)


IDS_AND_DUPLICATES = [1, 2, 2, 3, 0, 3, 3]


@pytest.mark.parametrize(
    ("ids", "last"),
    [
        (IDS_AND_DUPLICATES, [(7, 7)]),
        (iter(IDS_AND_DUPLICATES), [(7, None)]),
        ([5, 5, 5], [(3, 3)]),
        ([], []),
    ],
)
async def test_progress_is_told_for_every_id_up_to_the_total(
    ids: Iterable[int], last: list[tuple[int, int | None]]
) -> None:
    told: list[tuple[int, int | None]] = []

    def tell(done: int, total: int | None) -> None:
        told.append((done, total))

    async with stage() as on:
        await on.trainings.get_many(ids, on_progress=tell)
    assert told[-1:] == last
    assert told == sorted(told)
    assert len({total for _, total in told}) <= 1


async def test_an_error_in_on_progress_ends_the_run_and_is_raised() -> None:
    def fail(_done: int, _total: int | None) -> None:
        raise LookupError("the bar is gone")

    async with stage() as on:
        with pytest.raises(LookupError, match="the bar is gone"):
            await on.trainings.get_many(range(1, 1000), on_progress=fail)
        assert len(on.sandbox.arrivals) < 50


async def test_an_async_on_progress_is_refused_before_anything_is_sent() -> None:
    async def tell(_done: int, _total: int | None) -> None: ...

    async with stage() as on:
        with pytest.raises(TypeError, match="plain function"):
            await on.trainings.get_many([1], on_progress=tell)
        assert on.sandbox.arrivals == []


@pytest.mark.parametrize("ids", ["123", b"123", 5, None])
async def test_what_can_hold_no_ids(ids: Any) -> None:
    async with stage() as on:
        with pytest.raises(TypeError, match="iterable"):
            await on.trainings.get_many(ids)
        with pytest.raises(TypeError, match="iterable"):
            on.trainings.stream(ids)


def broken_after(count: int) -> Iterable[int]:
    yield from range(1, count + 1)
    raise LookupError("cursor closed")


async def test_a_source_that_fails_loses_no_result_of_a_stream() -> None:
    got: list[int] = []
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        with pytest.raises(LookupError, match="cursor closed"):
            async for outcome in on.trainings.stream(broken_after(25)):
                got.append(outcome.id)
    assert sorted(got) == list(range(1, 26))


async def test_a_source_that_fails_is_the_callers_error_in_get_many() -> None:
    async with stage() as on:
        with pytest.raises(LookupError, match="cursor closed"):
            await on.trainings.get_many(broken_after(25))


async def cancelled_within(count: int) -> AsyncGenerator[int, None]:
    """Yields some ids, then awaits something that somebody else has cancelled."""
    for value in range(1, count + 1):
        yield value
    forgotten = asyncio.create_task(asyncio.sleep(60))
    forgotten.cancel()
    await forgotten


async def test_a_source_that_awaits_something_cancelled_hangs_nobody() -> None:
    got: list[int] = []
    async with stage() as on:
        with pytest.raises(asyncio.CancelledError):
            async for outcome in on.trainings.stream(cancelled_within(25)):
                got.append(outcome.id)
        with pytest.raises(asyncio.CancelledError):
            await on.trainings.get_many(cancelled_within(25))
    assert sorted(got) == list(range(1, 26))


async def test_a_worker_cancelled_by_somebody_else_hangs_nobody() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        asyncio.get_running_loop().call_later(2.5, lambda: workers()[3].cancel())
        with pytest.raises(asyncio.CancelledError):
            async for _ in on.trainings.stream(range(1, 101)):
                pass
        asyncio.get_running_loop().call_later(2.5, lambda: workers()[3].cancel())
        with pytest.raises(asyncio.CancelledError):
            await on.trainings.get_many(range(1, 101))
        assert workers() == []
        assert (await on.trainings.get(1)).id == 1


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        (itertools.repeat(1), None),
        (itertools.repeat("1"), None),
        ((str(number) for number in itertools.count()), None),
        (itertools.count(1), "wrong-key"),
    ],
    ids=["duplicates", "invalid duplicates", "invalid ids", "after a 401"],
)
@pytest.mark.real_time
async def test_ids_that_cost_no_request_leave_the_loop_its_turn(ids: Any, key: str | None) -> None:
    """An endless source can be cancelled, whatever it yields."""
    async with stage(api_key=key) as on:
        bulk = asyncio.create_task(on.trainings.get_many(ids))
        await asyncio.sleep(0.2)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk


@pytest.mark.parametrize("ids", [range(1, 10**20), range(1, 4)])
async def test_a_length_that_python_can_not_tell(ids: range) -> None:
    async with stage() as on, on.trainings.stream(ids) as stream:
        assert (await anext(stream)).training is not None


def test_a_loop_that_ends_with_a_stream_half_read_ends_in_peace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held: list[OutcomeStream] = []

    async def main() -> None:
        async with Sandbox(rate_limit=None) as sandbox:
            client = LuccaTrainingClient(sandbox.url, sandbox.api_key, rate_limit=None)
            held.append(client.realized_trainings.stream(range(1, 1001)))
            async for _ in held[0]:
                break
            await client.aclose()

    asyncio.run(main())
    assert caplog.records == []


async def test_a_401_stops_the_run_and_every_id_has_its_outcome() -> None:
    async with stage(api_key="wrong-key") as on:
        result = await on.trainings.get_many(range(1, 1001))
        assert list(result.failures) == list(range(1, 1001))
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}
        # As many as were under way when the first answer came.
        assert len(on.sandbox.arrivals) == 10
        with pytest.raises(ExceptionGroup, match="1000 of 1000 ids failed") as caught:
            result.raise_for_failures()
        assert len(caught.value.exceptions) <= 10


async def test_a_401_ends_the_waits_for_the_budget_and_for_a_retry_too() -> None:
    async with stage(rate_limit=RateLimit(12, 60.0)) as on:
        on.sandbox.inject_always(Fault.unavailable(100), id=1)
        on.sandbox.inject(Fault.slow(5), id=2)
        on.sandbox.inject(Fault.error(401), id=2)
        on.sandbox.inject_always(Fault.error(401), id=12)

        async def slow_401(request: Any, normal: Any) -> Any:
            await asyncio.sleep(5)
            return await Fault.error(401).apply(request, normal)

        on.sandbox.inject_always(Fault("slow 401", slow_401), id=12)
        result = await on.trainings.get_many(range(1, 101))
        # Id 1 sleeps until 100 s, the ids after 12 wait for a slot until 60 s.
        assert asyncio.get_running_loop().time() == 5
        assert len(on.sandbox.arrivals) == 12
        assert len(result.items) == 10
        assert len(result.failures) == 90
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}


async def test_a_failure_that_comes_after_a_401_is_not_retried() -> None:
    async def late(request: Any, normal: Any) -> Any:
        await asyncio.sleep(2)
        return await Fault.unavailable(100).apply(request, normal)

    async with stage(rate_limit=RateLimit(2, 60.0)) as on:
        on.sandbox.inject(Fault("late 503", late), id=1)
        on.sandbox.inject(Fault.error(401), id=2)
        result = await on.trainings.get_many(range(1, 11))
        assert asyncio.get_running_loop().time() == 2
        assert on.ids == ["1", "2"]
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}


async def test_a_stream_whose_wait_was_cancelled_says_so() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 5.0)) as on:
        async with on.trainings.stream(range(1, 100)) as stream:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 1)
            with pytest.raises(UsageError, match="cancelled"):
                await anext(stream)
        assert workers() == []


async def test_a_401_of_one_run_does_not_end_another() -> None:
    async with stage() as on:
        on.sandbox.inject_always(Fault.error(401), id=1)
        one, other = await asyncio.gather(
            on.trainings.get_many(range(1, 101)), on.trainings.get_many(range(2, 102))
        )
        assert one.failures
        assert len(other.items) == 100


async def test_a_long_429_fails_the_rest_at_once() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(3600))
        result = await on.trainings.get_many(range(1, 1001))
        assert asyncio.get_running_loop().time() == 0
        assert len(result.items) + len(result.failures) == 1000
        assert {type(error) for error in result.failures.values()} == {RateLimitedError}
        assert len(on.sandbox.arrivals) <= 20


async def test_closing_the_client_ends_a_run_with_an_outcome_for_every_id() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        bulk = asyncio.create_task(on.trainings.get_many(range(1, 1001)))
        await asyncio.sleep(2.5)
        await on.client.aclose()
        result = await bulk
        assert len(result.items) == 20
        assert len(result.failures) == 980
        assert {type(error) for error in result.failures.values()} <= {
            UsageError,
            LuccaConnectionError,
        }


async def test_a_closed_client_raises_and_does_not_fail_every_id() -> None:
    async with stage() as on:
        await on.client.aclose()
        with pytest.raises(UsageError, match="closed"):
            await on.trainings.get_many(range(10))
        with pytest.raises(UsageError, match="closed"):
            async for _ in on.trainings.stream(range(10)):
                pass


async def test_failures_kept_in_a_result_keep_no_frames_alive() -> None:
    async with stage() as on:
        on.sandbox.inject_always(Fault.html(), id=1)
        on.sandbox.inject_always(Fault.internal_error(), id=2)
        result = await on.trainings.get_many([1, 2, 0])
        assert [error.__traceback__ for error in result.failures.values()] == [None] * 3


async def test_cancelling_get_many_leaves_nothing_behind() -> None:
    async with stage(max_concurrency=5, rate_limit=RateLimit(20, 60.0)) as on:
        bulk = asyncio.create_task(on.trainings.get_many(range(1, 1001)))
        await asyncio.sleep(30)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
        assert (await on.trainings.get(2000)).id == 2000


async def test_leaving_a_stream_early_leaves_no_task() -> None:
    async with stage() as on:
        async with on.trainings.stream(range(1, 1001)) as stream:
            async for _ in stream:
                assert len(workers()) == 10
                break
        assert workers() == []
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await stream.aclose()


async def test_a_stream_forgotten_after_break_is_cleaned_up() -> None:
    async with stage() as on:
        async for _ in on.trainings.stream(range(1, 1001)):
            assert len(workers()) == 10
            break
        for _ in range(20):
            await asyncio.sleep(0)
        assert workers() == []


async def test_a_stream_never_asked_for_anything_starts_nothing() -> None:
    async with stage() as on:
        on.trainings.stream(range(1, 1001))
        async with on.trainings.stream(range(1, 1001)):
            pass
        assert on.sandbox.arrivals == []


async def test_an_error_in_the_body_of_a_stream_leaves_no_task() -> None:
    async with stage() as on:
        with pytest.raises(LookupError):
            async with on.trainings.stream(range(1, 1001)) as stream:
                async for _ in stream:
                    raise LookupError
        assert workers() == []


async def test_results_stream_as_they_arrive() -> None:
    async with stage(max_concurrency=2) as on:
        on.sandbox.inject(Fault.slow(10), id=1)
        order = [outcome.id async for outcome in on.trainings.stream([1, 2, 3, 4])]
        assert order == [2, 3, 4, 1]


async def test_a_slow_consumer_holds_the_workers_back() -> None:
    async with stage(max_concurrency=3) as on:
        async with on.trainings.stream(range(1, 1001)) as stream:
            await anext(stream)
            await asyncio.sleep(60)
            assert len(on.sandbox.arrivals) <= 3 + 3 + 1


def distinct(ids: list[Any]) -> int:
    return len({refused_key(id) for id in ids})


def check_complete(ids: list[Any], result: BulkResult) -> None:
    """Every distinct id is in one of the three places, and in one only."""
    places: list[Any] = [*result.items, *result.missing, *result.failures]
    assert len(places) == distinct(ids)
    assert len(set(places)) == len(places)
    assert {id for id in ids if type(id) is int} <= set(places)
    order = {id: position for position, id in reversed(list(enumerate(ids))) if type(id) is int}
    for place in (result.items, result.missing):
        assert [order[id] for id in place] == sorted(order[id] for id in place)


FAULTS: dict[str, Callable[[], Fault]] = {
    "429": lambda: Fault.too_many_requests(1),
    "429 without Retry-After": lambda: Fault.too_many_requests(None),
    "429 for an hour": lambda: Fault.too_many_requests(3600),
    "408": lambda: Fault.error(408),
    "500": Fault.internal_error,
    "503": lambda: Fault.unavailable(3),
    "403": lambda: Fault.error(403),
    "404": lambda: Fault.error(404),
    "slow": lambda: Fault.slow(20),
    "drop": Fault.drop,
    "truncate": Fault.truncate,
    "html": Fault.html,
    "bad JSON": Fault.bad_json,
    "redirect": lambda: Fault.answer(302, headers={"Location": "/"}),
    "no content": lambda: Fault.answer(204),
    "odd nulls": lambda: Fault.answer(body='{"id": null, "ownerId": null, "training": null}'),
    "401": lambda: Fault.error(401),
}

some_id = st.integers(1, 40) | st.sampled_from([0, -1, 2**31, "5", None, True, 1.0])
unhashable_id = st.lists(st.integers(0, 2), max_size=1)
fault_scripts = st.dictionaries(
    st.integers(1, 40), st.lists(st.sampled_from(sorted(FAULTS)), max_size=6), max_size=15
)


@settings(max_examples=60)
@given(
    ids=st.lists(some_id | unhashable_id, max_size=60),
    script=fault_scripts,
    missing=st.sets(st.integers(1, 40), max_size=5),
    budget=st.none() | st.builds(RateLimit, st.integers(5, 30), st.just(10.0)),
    seed=st.integers(0, 2**32),
)
def test_every_id_gets_exactly_one_outcome_whatever_happens(
    ids: list[Any],
    script: dict[int, list[str]],
    missing: set[int],
    budget: RateLimit | None,
    seed: int,
) -> None:
    draw = random.Random(seed)

    def sandbox() -> Sandbox:
        lucca = Sandbox(
            rate_limit=budget,
            missing=missing,
            uplink=lambda: draw.expovariate(10),
            downlink=lambda: draw.expovariate(10),
        )
        for unlucky, names in script.items():
            lucca.inject(*(FAULTS[name]() for name in names), id=unlucky)
        return lucca

    async def in_bulk() -> BulkResult:
        async with stage(sandbox(), rate_limit=budget) as on:
            result = await on.trainings.get_many(ids)
            assert result.stats.requests == len(on.sandbox.arrivals)
            if budget is not None:
                assert on.sandbox.busiest_window() <= budget.requests
            return result

    async def streamed() -> list[Outcome]:
        async with stage(sandbox(), rate_limit=budget) as on:
            return [outcome async for outcome in on.trainings.stream(ids)]

    check_complete(ids, run(in_bulk()))

    outcomes = run(streamed())
    assert len(outcomes) == distinct(ids)
    assert len({refused_key(outcome.id) for outcome in outcomes}) == len(outcomes)
    for outcome in outcomes:
        assert (outcome.training is None) != (outcome.error is None)


@pytest.mark.parametrize(
    ("ids", "failures"),
    [
        ([True], {True}),
        ([True, 1], {"<bool True>"}),
        ([1, True, 1.0], {"<bool True>", "<float 1.0>"}),
        ([True, 1.0], {True, "<float 1.0>"}),
        ([[1], [1], [2]], {"<list [1]>", "<list [2]>"}),
        (
            [[9] * 50, [9] * 51],
            {"<list [9, 9, 9, 9, 9, 9, ...]>", "<list [9, 9, 9, 9, 9, 9, ...]> #2"},
        ),
        (["<bool True>", 1, True], {"<bool True>", "<bool True> #2"}),
        ([None, "x", 0, -1, 2**31], {None, "x", 0, -1, 2**31}),
    ],
)
async def test_ids_that_can_be_no_key_are_lost_neither(ids: list[Any], failures: set[Any]) -> None:
    async with stage() as on:
        result = await on.trainings.get_many(ids)
        check_complete(ids, result)
        assert set(result.failures) == failures
