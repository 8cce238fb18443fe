"""Many ids over real sockets: every distinct id has exactly one outcome, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    BulkStats,
    DecodeError,
    Failed,
    Found,
    InvalidIdError,
    LuccaError,
    Missing,
    NotFoundError,
    Outcome,
    RateLimit,
    RateLimitedError,
    Refused,
    RetryPolicy,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .support import stage
from .test_ids import key_of
from .virtual_time import run

# A failure that no further attempt would mend, and so none is made.
UNDOCUMENTED = Fault.answer(body='{"id": "four"}')


def workers() -> list[asyncio.Task[Any]]:
    tasks = asyncio.all_tasks()
    return [task for task in tasks if task.get_name().startswith("lucca-bulk-worker-")]


async def test_a_bulk_fetch() -> None:
    async with stage(Sandbox(rate_limit=None, missing={3, 9})) as on:
        on.sandbox.inject_always(UNDOCUMENTED, id=4)
        ids: list[Any] = [5, 9, 3, 4, 1, 2, 5, 0, "7", 0]
        result = await on.trainings.get_many(ids)
        assert [(id, training.id) for id, training in result.items.items()] == [
            (5, 5),
            (1, 1),
            (2, 2),
        ]
        assert result.missing == [9, 3]
        assert [(id, type(error)) for id, error in result.failures.items()] == [(4, DecodeError)]
        assert [(one.value, type(one.error)) for one in result.refused] == [
            (0, InvalidIdError),
            ("7", InvalidIdError),
        ]
        assert result.stopped is None
        assert sorted(on.ids) == ["1", "2", "3", "4", "5", "9"]
        assert (result.stats.requests, result.stats.retries) == (6, 0)


async def test_each_outcome_is_of_the_kind_that_the_answer_was() -> None:
    async with stage(Sandbox(rate_limit=None, missing={2})) as on:
        on.sandbox.inject_always(Fault.error(403), id=3)
        ids: list[Any] = [1, 2, 3, True]
        got: list[Outcome] = []
        await on.trainings.get_many(ids, on_outcome=got.append)
        by_kind = {type(outcome): outcome for outcome in got}
        assert len(by_kind) == len(got) == 4
        found, missing = by_kind[Found], by_kind[Missing]
        failed, refused = by_kind[Failed], by_kind[Refused]
        assert isinstance(found, Found)
        assert (found.id, found.training.id, found.error) == (1, 1, None)
        assert isinstance(missing, Missing)
        assert (missing.id, type(missing.error), missing.training) == (2, NotFoundError, None)
        assert isinstance(failed, Failed)
        assert (failed.id, failed.training) == (3, None)
        assert "403" in str(failed.error)
        assert isinstance(refused, Refused)
        assert refused.value is True


@pytest.mark.parametrize("ids", [[], iter([]), (), set[int](), range(0), {}])
async def test_no_ids(ids: Iterable[int]) -> None:
    async with stage() as on:
        result = await on.trainings.get_many(ids)
        assert result == BulkResult({}, [], {}, [], BulkStats())


@pytest.mark.parametrize("ids", ["123", b"123", 5, None])
async def test_what_can_hold_no_ids(ids: Any) -> None:
    async with stage() as on:
        with pytest.raises(TypeError, match="iterable"):
            await on.trainings.get_many(ids)
        with pytest.raises(TypeError, match="iterable"):
            on.trainings.stream(ids)


async def test_ids_from_an_async_generator() -> None:
    async def from_a_database() -> AsyncGenerator[int, None]:
        for row in range(1, 251):
            await asyncio.sleep(0.01)
            yield row

    async with stage() as on:
        result = await on.trainings.get_many(from_a_database())
        assert list(result.items) == list(range(1, 251))


async def test_stats_tell_retries_and_the_wait_for_the_budget() -> None:
    async with stage(rate_limit=RateLimit(10, 60.0)) as on:
        on.sandbox.inject(Fault.internal_error(), id=5)
        result = await on.trainings.get_many(range(1, 25))
        assert len(result.items) == 24
        assert (result.stats.requests, result.stats.retries) == (25, 1)
        assert result.stats.elapsed == pytest.approx(120, abs=1)
        # Ten workers wait at the same time; it is counted once.
        assert result.stats.waited == pytest.approx(120, abs=1)


@pytest.mark.parametrize("number", [1, 3, 50])
async def test_no_more_workers_than_there_are_ids(number: int) -> None:
    async with stage(max_concurrency=7) as on:
        bulk = asyncio.create_task(on.trainings.get_many(range(1, number + 1)))
        await asyncio.sleep(0)
        assert len(workers()) == min(number, 7)
        assert len((await bulk).items) == number


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (["5", "6"], [r"none of 2 values is an id: .* not str '5'; convert it with int\(\)"]),
        ([0, 0, "x"], ["none of 2 values is an id: .* not 0"]),
        (["5", 6], []),
        ([6, "5"], []),
        ([], []),
    ],
)
@pytest.mark.parametrize("way", ["get_many", "stream"])
async def test_only_a_run_without_a_single_id_is_warned_of_and_once(
    ids: list[Any], told: list[str], way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody gives the texts of a CSV column: no request is sent, and nothing is raised."""
    async with stage() as on:
        if way == "get_many":
            await on.trainings.get_many(ids)
        else:
            async for _ in on.trainings.stream(ids):
                pass
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.levelno for record in records] == [logging.WARNING] * len(told)
    for record, pattern in zip(records, told, strict=True):
        assert record.name == "lucca_training_async"
        assert pytest.RaisesExc(Exception, match=pattern).matches(Exception(record.getMessage()))


async def test_a_duplicate_of_the_hundredth_value_does_not_pass_for_the_first() -> None:
    """The source makes a pause there, in which other workers read on."""
    async with stage() as on:
        result = await on.trainings.get_many([*range(-99, 0), 7, 8, 7])
        assert list(result.items) == [7, 8]


@st.composite
def long_lists(draw: st.DrawFn) -> list[Any]:
    """Up to some 400 values, with whatever may happen near the 100th, the 200th, ..."""
    ids: list[Any] = []
    fresh = 1000
    near = st.lists(st.integers(1, 12) | st.sampled_from([0, -1, "x"]), max_size=12)
    for boundary in range(draw(st.integers(0, 4))):
        length = draw(st.integers(100 * boundary + 90, 100 * boundary + 101)) - len(ids)
        match draw(st.sampled_from(["fresh", "refused", "duplicates"])):
            case "fresh":
                ids += range(fresh, fresh + length)
                fresh += length
            case "refused":
                ids += range(-fresh - length, -fresh)
                fresh += length
            case _:
                ids += [7] * length
        ids += draw(near)
    return ids + draw(near)


@settings(max_examples=25)  # of some hundred requests each
@given(long_lists(), st.sampled_from([1, 2, 3, 10]), st.booleans(), st.integers(0, 2**32))
def test_every_place_keeps_the_order_of_the_ids_given(
    ids: list[Any], max_concurrency: int, lazy: bool, seed: int
) -> None:
    draw = random.Random(seed)

    async def lazily() -> AsyncGenerator[Any, None]:
        for value in ids:
            if draw.random() < 0.1:
                await asyncio.sleep(draw.random() / 10)
            yield value

    async def main() -> BulkResult:
        sandbox = Sandbox(rate_limit=None, missing={2, 4, 6}, downlink=draw.random)
        async with stage(sandbox, max_concurrency=max_concurrency) as on:
            for id in (3, 6, 9):
                on.sandbox.inject_always(UNDOCUMENTED, id=id)
            return await on.trainings.get_many(lazily() if lazy else ids)

    result = run(main())
    distinct = {key_of(value): value for value in reversed(ids)}
    in_order = [distinct[key] for key in dict.fromkeys(map(key_of, ids))]
    valid = [value for value in in_order if type(value) is int and value >= 1]
    assert list(result.failures) == [id for id in valid if id in (3, 6, 9)]
    assert result.missing == [id for id in valid if id in (2, 4)]
    assert list(result.items) == [id for id in valid if id not in (2, 3, 4, 6, 9)]
    assert [one.value for one in result.refused] == [one for one in in_order if one not in valid]


async def test_a_429_beyond_all_patience_stops_the_run() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(3600))
        result = await on.trainings.get_many(range(1, 1001))
        assert asyncio.get_running_loop().time() == 0
        assert len(result.items) + len(result.failures) == 1000
        assert {type(error) for error in result.failures.values()} == {RateLimitedError}
        assert isinstance(result.stopped, RateLimitedError)
        assert result.stopped.retry_after == 3600
        assert len(on.sandbox.arrivals) <= 20


async def test_a_429_is_waited_out_and_is_no_failed_attempt() -> None:
    # Quick, or a wait of our own may be longer than the one that Lucca asks for.
    quick = RetryPolicy(max_attempts=1, backoff_initial=0.01, backoff_max=0.02)
    async with stage(retry=quick) as on:
        on.sandbox.inject(*[Fault.too_many_requests(7)] * 6, id=3)
        result = await on.trainings.get_many([3, 4])
        assert list(result.items) == [3, 4]
        assert (result.stats.requests, result.stats.retries) == (8, 6)
        assert result.stats.elapsed == 42


def chain(error: BaseException | None) -> list[BaseException]:
    """The error, and what hangs on it."""
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


async def test_errors_kept_in_a_result_keep_no_frames_alive() -> None:
    """A frame of ours would keep the whole run, and all that it has got, in memory."""
    faults = {
        1: Fault.html(),
        2: Fault.internal_error(),
        3: Fault.drop(),
        4: Fault.truncate(),
        5: Fault.error(403),
        6: Fault.error(404),
        7: Fault.too_many_requests(3600),
    }
    errors: list[LuccaError] = []

    def keep(outcome: Outcome) -> None:
        if outcome.error is not None:
            errors.append(outcome.error)

    async with stage(max_concurrency=1) as on:
        for id, fault in faults.items():
            on.sandbox.inject_always(fault, id=id)
        await on.trainings.get_many([0, *faults, 8], on_outcome=keep)
        on.sandbox.inject_always(Fault.error(401), id=1)
    async with stage() as on:
        on.sandbox.inject_always(Fault.error(401), id=1)
        await on.trainings.get_many([1, 2, 3], on_outcome=keep)
    # A retry that comes too late, because the budget is used up until then.
    patience = RetryPolicy(backoff_initial=0.01, backoff_max=0.02, deadline=5.0)
    async with stage(retry=patience, rate_limit=RateLimit(1, 60.0)) as on:
        on.sandbox.inject_always(Fault.internal_error(), id=1)
        await on.trainings.get_many([1], on_outcome=keep)
    assert len(errors) >= 11
    for error in errors:
        assert [one.__traceback__ for one in chain(error)] == [None] * len(chain(error))


def check_complete(ids: list[Any], result: BulkResult) -> None:
    """Every distinct value is in one of the four places, and in one only."""
    refused = [one.value for one in result.refused]
    places: list[Any] = [*result.items, *result.missing, *result.failures, *refused]
    keys = [key_of(value) for value in places]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {key_of(value) for value in ids}
    valid = {value for value in ids if type(value) is int and 1 <= value < 2**31}
    assert {*result.items, *result.missing, *result.failures} == valid
    position = {key_of(value): at for at, value in reversed(list(enumerate(ids)))}
    for place in (result.items, result.missing, result.failures, refused):
        order = [position[key_of(value)] for value in place]
        assert order == sorted(order)


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
STOPS = {"401", "429 for an hour"}

some_id = st.integers(1, 40) | st.sampled_from([0, -1, 2**31, "5", None, True, 1.0])
unhashable_id = st.lists(st.integers(0, 2), max_size=1)
fault_scripts = st.dictionaries(
    st.integers(1, 40), st.lists(st.sampled_from(sorted(FAULTS)), max_size=6), max_size=15
)


@settings(max_examples=150)
@given(
    ids=st.lists(some_id | unhashable_id, max_size=60),
    script=fault_scripts,
    missing=st.sets(st.integers(1, 40), max_size=5),
    budget=st.none() | st.builds(RateLimit, st.integers(5, 30), st.just(10.0)),
    max_concurrency=st.sampled_from([1, 3, 10]),
    seed=st.integers(0, 2**32),
)
def test_every_id_gets_exactly_one_outcome_whatever_happens(
    ids: list[Any],
    script: dict[int, list[str]],
    missing: set[int],
    budget: RateLimit | None,
    max_concurrency: int,
    seed: int,
) -> None:
    draw = random.Random(seed)
    told: list[Outcome] = []

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
        options: dict[str, Any] = {"rate_limit": budget, "max_concurrency": max_concurrency}
        async with stage(sandbox(), **options) as on:
            result = await on.trainings.get_many(ids, on_outcome=told.append)
            assert result.stats.requests == len(on.sandbox.arrivals)
            if budget is not None:
                assert on.sandbox.busiest_window() <= budget.requests
            return result

    async def streamed() -> list[Outcome]:
        async with stage(sandbox(), rate_limit=budget, max_concurrency=max_concurrency) as on:
            return [outcome async for outcome in on.trainings.stream(ids)]

    result = run(in_bulk())
    check_complete(ids, result)
    check_complete(ids, in_order_of(ids, told))
    check_complete(ids, in_order_of(ids, run(streamed())))

    for id, training in result.items.items():
        assert training.id == id
        assert id not in missing
    for id in result.missing:
        assert id in missing or "404" in script[id]
    keys_refused = [type(error) is AuthenticationError for error in result.failures.values()]
    assert (type(result.stopped) is AuthenticationError) is any(keys_refused)
    if not STOPS.intersection(*[{name for names in script.values() for name in names}]):
        # Without an end for all, no id pays for the misfortune of another.
        assert {id for id in result.failures if not script.get(id)} == set()


def in_order_of(ids: list[Any], outcomes: list[Outcome]) -> BulkResult:
    """Outcomes come as they may; the result of them, as if they had come in order."""
    position = {key_of(value): at for at, value in reversed(list(enumerate(ids)))}
    by_position = sorted(
        outcomes,
        key=lambda one: position[key_of(one.value if isinstance(one, Refused) else one.id)],
    )
    return BulkResult.of(by_position, BulkStats())
