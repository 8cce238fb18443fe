"""What ends a bulk run before its ids are done: when, and what every one of them is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta

import pytest

from lucca_training_async import (
    BulkResult,
    LuccaTrainingClient,
    OutageError,
    Progress,
    RateLimitedError,
    RequestError,
    RetryPolicy,
    ServerError,
)

from .outages import (
    KINDS,
    Host,
    Outage,
    assert_none_is_lost,
    fetch_all,
    outage_stage,
    timed,
)

IDS = 150
BEGINS_AT = 62.0
A_MINUTE = 60.0
HALF_AN_HOUR = 1800.0


# -- patience


def patient(client: LuccaTrainingClient, seconds: float) -> LuccaTrainingClient:
    return client.with_options(retry=RetryPolicy(patience=seconds))


async def two_runs(host: Host, short: float, long: float) -> tuple[BulkResult, BulkResult]:
    """Two runs of one client at once, each with a patience of its own."""
    async with outage_stage(host) as on:
        first, second = await asyncio.gather(
            patient(on.client, short).realized_trainings.get_many(range(1, 61)),
            patient(on.client, long).realized_trainings.get_many(range(1001, 1061)),
        )
        return first, second


@pytest.mark.parametrize("kind", ["503", "refusing", "cut", "502 page"])
async def test_two_runs_of_one_client_have_their_last_probe_each(kind: str) -> None:
    """A moment before its patience ends, be the pauses as long as they are by then."""
    short, long = await two_runs(Host(Outage(kind, BEGINS_AT, 98)), 100, 317)
    assert (short.stopped, long.stopped) == (None, None)
    assert (len(short.items), len(long.items)) == (60, 60)
    short, long = await two_runs(Host(Outage(kind, BEGINS_AT, 315)), 100, 317)
    assert type(short.stopped) is OutageError
    assert 90 <= short.stats.elapsed - BEGINS_AT <= 102
    assert long.stopped is None
    assert len(long.items) == 60


async def idle_source(seconds: float, ids: Iterable[int]) -> AsyncGenerator[int, None]:
    await asyncio.sleep(seconds)
    for id in ids:
        yield id


@pytest.mark.parametrize("failed_before", [False, True])
async def test_a_run_whose_source_was_idle_after_somebodys_failure_has_all_its_patience(
    failed_before: bool,
) -> None:
    """A failure of 25 minutes ago, after which nothing was asked, is no beginning of an outage."""
    idle = 25 * A_MINUTE
    host = Host(Outage("503", idle, 800), bad={2})
    async with outage_stage(host) as on:
        await on.trainings.get(1)
        run = asyncio.create_task(on.trainings.get_many(idle_source(idle, range(3, 63))))
        if failed_before:
            error, _ = await timed(on.trainings.get(2))
            assert type(error) is ServerError
        result = await run
    assert result.stopped is None
    assert list(result.items) == list(range(3, 63))


@pytest.mark.parametrize("failed_before", [False, True])
async def test_such_a_run_waits_no_longer_than_its_patience(failed_before: bool) -> None:
    idle = 25 * A_MINUTE
    async with outage_stage(Host(Outage("503", idle), bad={2})) as on:
        await on.trainings.get(1)
        run = asyncio.create_task(on.trainings.get_many(idle_source(idle, range(3, 63))))
        if failed_before:
            await timed(on.trainings.get(2))
        result = await run
    assert type(result.stopped) is OutageError
    assert idle + 800 <= result.stats.elapsed <= idle + 901


async def test_each_outage_has_all_the_patience_of_a_run() -> None:
    outages = [Outage("503", BEGINS_AT + 900 * n, 800) for n in range(3)]
    assert_none_is_lost(await fetch_all(Host(*outages), IDS + 50), IDS + 50)


# -- a host that never answers


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "503 later"])
async def test_a_run_on_a_host_that_gets_have_hammered_dead_is_told_soon(
    kind: str,
) -> None:
    async with outage_stage(Host(Outage(kind))) as on:
        for _ in range(6):
            await asyncio.gather(*(timed(on.trainings.get(id)) for id in range(1, 9)))
            await asyncio.sleep(HALF_AN_HOUR)
        result = await on.trainings.get_many(range(1, 10_001))
    assert type(result.stopped) is OutageError
    # A minute, or when the next probe is due.
    assert result.stats.elapsed <= 1.5 * A_MINUTE
    assert result.stats.requests <= 60
    assert len(result.failures) == 10_000


async def test_a_run_on_a_host_that_gets_have_met_dead_has_a_while_of_its_own() -> None:
    """The host may be back by then."""
    async with outage_stage(Host(Outage("503", 0.0, HALF_AN_HOUR + 10))) as on:
        await asyncio.gather(*(timed(on.trainings.get(id)) for id in range(1, 9)))
        await asyncio.sleep(HALF_AN_HOUR - on.host.now)
        result = await on.trainings.get_many(range(1, 21))
    assert_none_is_lost(result, 20)


# -- what is told


def assert_told_of_the_rest(result: BulkResult, ids: int) -> set[int]:
    """All unsent ids have the error of the run; those that were sent, or have it too."""
    error = result.stopped
    assert error is not None
    assert result.items.keys() | result.failures.keys() == set(range(1, ids + 1))
    assert error.__traceback__ is None
    return {id for id, failure in result.failures.items() if failure is error}


@pytest.mark.parametrize("begins_at", [0.0, BEGINS_AT])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_error_of_a_stopped_run_is_that_of_every_unsent_id(
    kind: str, begins_at: float
) -> None:
    host = Host(Outage(kind, begins_at))
    result = await fetch_all(host, IDS)
    error = result.stopped
    assert isinstance(error, OutageError)
    told = assert_told_of_the_rest(result, IDS)
    sent = {request.id for request in host.requests}
    assert set(range(1, IDS + 1)) - sent <= told | set(range(1, 11))
    # It stands for those that were not sent.
    assert (error.attempts, error.sent) == (0, False)
    assert error.last_seen is not None
    assert str(error).startswith("stopped: ")
    assert (error.since.utcoffset(), error.since.tzinfo is None) == (timedelta(0), False)


async def test_the_error_of_a_run_that_429s_have_stopped_is_that_of_every_unsent_id() -> None:
    result = await fetch_all(Host(refusals={BEGINS_AT: 3600}), IDS)
    assert type(result.stopped) is RateLimitedError
    assert assert_told_of_the_rest(result, IDS) == set(result.failures)
    assert str(result.stopped).startswith("stopped: ")


# -- callbacks


class BarGoneError(Exception):
    pass


def fails_at_an_outage(progress: Progress) -> None:
    if progress.waiting_for == "outage":
        raise BarGoneError


async def test_an_on_progress_that_raises_at_an_outage_ends_its_run_with_that_error() -> None:
    """And nobody else's, whoever met the outage."""
    async with outage_stage(Host(Outage("503", BEGINS_AT, 300))) as on:
        failing = on.trainings.get_many(range(1, 61), on_progress=fails_at_an_outage)
        calm = on.trainings.get_many(range(1, 61))
        (error, seconds), (result, _) = await asyncio.gather(timed(failing), timed(calm))
    assert type(error) is BarGoneError
    assert BEGINS_AT <= seconds <= BEGINS_AT + 10
    assert_none_is_lost(result, 60)


async def test_a_get_that_meets_an_outage_is_not_told_of_somebodys_callback() -> None:
    async with outage_stage(Host(Outage("503", 5.0, 300))) as on:
        source = idle_source(100, range(2, 5))
        run = on.trainings.get_many(source, on_progress=fails_at_an_outage)
        task = asyncio.create_task(timed(run))
        await on.trainings.get(1)
        await asyncio.sleep(6)
        errors = await asyncio.gather(*(timed(on.trainings.get(id)) for id in range(10, 20)))
        assert on.client.budget.closed_by == "outage"
        assert all(isinstance(error, RequestError) for error, _ in errors)
        error, _ = await task
        assert type(error) is BarGoneError
