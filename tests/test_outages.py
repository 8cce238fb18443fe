"""What an outage, or an endless pause, is to a bulk run, to a get, and to whoever watches."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lucca_training_async import (
    BulkResult,
    LuccaError,
    OutageError,
    Progress,
    RateLimitedError,
    RealizedTraining,
    RetryPolicy,
    ServerError,
    Timeouts,
)

from .outages import (
    KINDS,
    Host,
    Outage,
    OutageStage,
    assert_none_is_lost,
    fetch_all,
    outage_stage,
    timed,
)
from .raw_stage import answer
from .virtual_time import run

IDS = 150
BEGINS_AT = 62.0
ENDLESS = math.inf
# What an answer takes, and the slots that cut-off requests hold for two periods.
A_WHILE = 60.0


async def in_the_background(on: OutageStage, seconds: float) -> asyncio.Task[BulkResult]:
    """A bulk run, which goes on, after so many seconds of it."""
    task = asyncio.create_task(on.trainings.get_many(range(1, IDS + 1)))
    await asyncio.sleep(seconds)
    return task


async def failed(call: Awaitable[RealizedTraining]) -> tuple[LuccaError, float]:
    came_to, seconds = await timed(call)
    assert isinstance(came_to, LuccaError)
    return came_to, seconds


# -- patience


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_stops_when_its_patience_with_an_outage_ends(kind: str) -> None:
    host = Host(Outage(kind, BEGINS_AT))
    before = datetime.now(UTC)
    result = await fetch_all(host, IDS)
    error = result.stopped
    assert type(error) is OutageError
    # The last Retry-After that ends within it is the last one waited out.
    earliest = 900 - (121 if kind == "503 later" else 20)
    assert BEGINS_AT - 2 + earliest <= result.stats.elapsed <= BEGINS_AT + 900 + 20
    assert error.last_seen is not None
    assert error.since.tzinfo is UTC
    seconds = (before - error.since) / timedelta(seconds=1)
    assert earliest - 3 <= seconds <= 900 + 20
    assert not error.sent
    assert len(result.items) + len(result.failures) == IDS
    assert all(failure is error for failure in result.failures.values())
    assert 0 < len(result.items) <= 100


@pytest.mark.parametrize("patience", [0.0, 10.0, 300.0])
async def test_the_patience_is_a_setting(patience: float) -> None:
    host = Host(Outage("503", BEGINS_AT))
    result = await fetch_all(host, IDS, retry=RetryPolicy(patience=patience))
    assert type(result.stopped) is OutageError
    assert BEGINS_AT - 2 <= result.stats.elapsed <= BEGINS_AT + patience + 20
    assert "RetryPolicy.patience" in str(result.stopped)
    assert result.stopped.since.tzinfo is UTC


async def test_a_run_stops_when_its_patience_with_429s_ends() -> None:
    host = Host(refusals={BEGINS_AT + n / 1000: 50 for n in range(2000)})
    result = await fetch_all(host, IDS)
    error = result.stopped
    assert type(error) is RateLimitedError
    assert BEGINS_AT + 900 - 60 <= result.stats.elapsed <= BEGINS_AT + 900 + 10
    assert error.status == 429
    assert error.retry_after is not None
    assert all(failure is error for failure in result.failures.values())
    assert len(result.items) + len(result.failures) == IDS


async def test_a_retry_after_beyond_the_patience_stops_a_run_at_once() -> None:
    result = await fetch_all(Host(refusals={BEGINS_AT: 3600}), IDS)
    assert type(result.stopped) is RateLimitedError
    assert result.stopped.retry_after == pytest.approx(3600, abs=1)
    assert result.stats.elapsed <= BEGINS_AT + 2
    assert len(result.items) + len(result.failures) == IDS


async def test_a_503_that_asks_for_more_than_the_patience_stops_a_run_at_once() -> None:
    for_long = answer(b"", "503 Service Unavailable", "Retry-After: 3600")
    result = await fetch_all(Host(Outage(for_long, BEGINS_AT)), IDS)
    assert type(result.stopped) is OutageError
    assert result.stats.elapsed <= BEGINS_AT + 2
    assert result.stopped.retry_after == pytest.approx(3600, abs=1)


async def test_a_retry_after_within_the_patience_is_waited_out() -> None:
    result = await fetch_all(Host(refusals={BEGINS_AT: 600}), IDS)
    assert_none_is_lost(result, IDS)
    assert result.stats.elapsed >= BEGINS_AT + 600
    assert result.stats.lost_to_pauses == pytest.approx(600, abs=1)


# -- probes


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("refusing", "503 later")])
async def test_probes_go_one_at_a_time_with_growing_pauses(kind: str) -> None:
    host = Host(Outage(kind, BEGINS_AT, 600))
    # Beyond 5 s, aiohttp's timers are due at whole seconds.
    result = await fetch_all(host, IDS, timeouts=Timeouts(total=4.0))
    assert_none_is_lost(result, IDS)
    takes = 4.0 if kind == "hanging" else host.latency
    # Ten were under way, and what takes their places until it is known.
    known_at = BEGINS_AT + takes + host.latency
    probes = [at for at in host.times if known_at < at < BEGINS_AT + 600]
    pauses = [later - earlier - takes for earlier, later in pairwise(probes)]
    assert min(pauses) > 0
    assert max(pauses) <= 30.001
    growing = [pause for pause in pauses[:5] if pause < 15]
    assert growing == sorted(growing)
    assert min(pauses[6:]) >= 14.999
    assert len(probes) <= 600 / 15 + 7


async def test_the_first_sign_of_life_opens_slowly() -> None:
    host = Host(Outage("503", BEGINS_AT, 100))
    await fetch_all(host, IDS)
    back_at = next(at for at in host.signs_of_life if at > BEGINS_AT)
    at_a_time = [host.times.count(at) for at in sorted({at for at in host.times if at >= back_at})]
    assert at_a_time[:4] == [2, 4, 8, 10]


# -- gets


async def test_a_get_in_an_outage_fails_at_once_and_unsent() -> None:
    random.seed(235)  # or it may come in the midst of a probe, which is another case
    async with outage_stage(Host(Outage("503", BEGINS_AT, 300))) as on:
        bulk = await in_the_background(on, BEGINS_AT + 60)
        await asyncio.sleep(0.01)
        assert on.client.budget.closed_by == "outage"
        sent = len(on.host.requests)
        error, seconds = await failed(on.trainings.get(3))
        assert type(error) is OutageError
        assert (seconds, len(on.host.requests), error.attempts, error.sent) == (0, sent, 0, False)
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 30
        assert error.retry_after == pytest.approx(on.client.budget.closed_for)
        assert type(error.last_seen) is ServerError
        assert_none_is_lost(await bulk, IDS)
        assert (await on.trainings.get(3)).id == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "503 later"])
async def test_one_of_some_gets_is_the_probe_and_the_others_are_told(kind: str) -> None:
    host = Host(Outage(kind, 1.0, 600))
    async with outage_stage(host) as on:
        await on.trainings.get(1)
        await asyncio.sleep(1)
        told = await asyncio.gather(*(failed(on.trainings.get(id)) for id in range(2, 12)))
        assert all(isinstance(error, LuccaError) for error, _ in told)
        assert max(seconds for _, seconds in told) <= A_WHILE
        assert on.client.budget.closed_by == "outage"
        while on.host.now < 500:
            error, seconds = await failed(on.trainings.get(12))
            assert type(error) is OutageError
            assert error.retry_after is not None
            if error.sent or seconds:
                continue
            # A moment later somebody else may have been the probe, so that it waits again.
            await asyncio.sleep(error.retry_after)
            sent = len(on.host.requests)
            probes = [asyncio.create_task(failed(on.trainings.get(id))) for id in (13, 14, 15)]
            await asyncio.gather(*probes)
            assert len(on.host.requests) <= sent + 1
        await asyncio.sleep(300)
        assert (await on.trainings.get(12)).id == 12
        assert on.client.budget.closed_by is None


async def test_a_503_that_asks_to_wait_longer_than_a_get_does_is_told_at_once() -> None:
    async with outage_stage(Host(Outage("503 later", 1.0, 600))) as on:
        await on.trainings.get(1)
        await asyncio.sleep(1)
        error, seconds = await failed(on.trainings.get(2))
        assert type(error) is ServerError
        assert (error.retry_after, seconds) == (121, on.host.latency)
        error, seconds = await failed(on.trainings.get(3))
        assert type(error) is OutageError
        assert type(error.last_seen) is ServerError
        assert error.retry_after == pytest.approx(121)
        assert (seconds, len(on.host.requests)) == (0, 2)


async def test_a_get_alone_has_all_its_attempts() -> None:
    host = Host(Outage("503", 1.0, 600))
    async with outage_stage(host) as on:
        await on.trainings.get(1)
        await asyncio.sleep(1)
        error, seconds = await failed(on.trainings.get(2))
        assert type(error) is ServerError
        assert error.attempts == 5
        assert seconds <= A_WHILE


@pytest.mark.parametrize("retry_after", [7, 50])
@pytest.mark.parametrize("most", [120.0, 60.0, 0.0])
async def test_429s_keep_a_get_waiting_for_so_long_in_total(most: float, retry_after: int) -> None:
    host = Host(refusals={n / 1000: retry_after for n in range(2000)}, latency=0.2)
    retry = RetryPolicy(retry_after_max=most)
    async with outage_stage(host, retry=retry) as on:
        error, seconds = await failed(on.trainings.get(1))
        assert type(error) is RateLimitedError
        assert most - retry_after <= seconds <= most + 1
        assert len(host.requests) == 1 + most // (retry_after + host.latency)


async def test_429s_without_a_retry_after_keep_a_get_waiting_no_longer() -> None:
    host = Host(instead=answer(b"", "429 Too Many Requests"))
    async with outage_stage(host) as on:
        error, seconds = await failed(on.trainings.get(1))
        assert type(error) is RateLimitedError
        assert 120 - 30 <= seconds <= 121


# -- the ids' own failures


@pytest.mark.parametrize("bad", [{1}, {77}, {IDS}, set(range(IDS - 9, IDS + 1)), set(range(2, 12))])
async def test_ids_that_always_fail_do_so_after_their_attempts(bad: set[int]) -> None:
    host = Host(bad=bad)
    result = await fetch_all(host, IDS)
    assert result.failures.keys() == bad
    assert result.stopped is None
    assert len(result.items) == IDS - len(bad)
    for error in result.failures.values():
        assert type(error) is ServerError
        assert error.attempts == 5
    assert result.stats.lost_to_outages == 0
    assert len(host.requests) <= IDS + 2 * 5 * len(bad)


async def test_ids_that_always_fail_do_so_after_an_outage_too() -> None:
    host = Host(Outage("503", BEGINS_AT, 120), bad=range(60, 70))
    result = await fetch_all(host, IDS)
    assert sorted(result.failures) == list(range(60, 70))
    assert {type(error) for error in result.failures.values()} == {ServerError}


# -- what can be seen of it


async def test_the_log_says_when_an_outage_begins_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    result = await fetch_all(Host(Outage("502 page", BEGINS_AT, 300)), IDS)
    assert_none_is_lost(result, IDS)
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "no sign of life since" in warned[0]
    assert "502" in warned[0]
    assert "asking again in" in warned[0]
    ended = [record for record in caplog.records if "the outage is over" in record.message]
    assert [record.levelno for record in ended] == [logging.INFO]


@pytest.mark.parametrize(("seconds", "lines"), [(9, 0), (11, 1), (600, 1)])
async def test_the_log_says_when_a_long_pause_begins_and_ends(
    caplog: pytest.LogCaptureFixture, seconds: int, lines: int
) -> None:
    caplog.set_level(logging.INFO)
    assert_none_is_lost(await fetch_all(Host(refusals={BEGINS_AT: seconds}), IDS), IDS)
    told = [(record.levelname, record.message) for record in caplog.records]
    warned = [message for level, message in told if level == "WARNING"]
    assert [f"paused for {seconds} s, until" in message for message in warned] == [True] * lines
    ended = [level for level, message in told if "the pause is over" in message]
    assert ended == ["INFO"] * lines


async def test_progress_is_told_of_an_outage_when_it_begins() -> None:
    told: list[tuple[float, Progress]] = []
    host = Host(Outage("hanging", BEGINS_AT, 300))
    async with outage_stage(host) as on:
        await on.trainings.get_many(
            range(1, IDS + 1), on_progress=lambda progress: told.append((host.now, progress))
        )
    during = [(at, one) for at, one in told if one.waiting_for == "outage"]
    assert during
    # The first attempts time out, and the next one finds out.
    assert BEGINS_AT + 10 <= during[0][0] <= BEGINS_AT + 40
    assert during[0][1].waiting_until is not None
    assert told[-1][1].waiting_for != "outage"
    assert [one.done for _, one in told] == sorted(one.done for _, one in told)


async def test_progress_is_told_of_a_long_pause_when_it_begins() -> None:
    told: list[tuple[float, Progress]] = []
    host = Host(refusals={BEGINS_AT: 121})
    async with outage_stage(host) as on:
        await on.trainings.get_many(
            range(1, IDS + 1), on_progress=lambda progress: told.append((host.now, progress))
        )
    at, progress = next((at, one) for at, one in told if one.waiting_for == "pause")
    assert BEGINS_AT <= at <= BEGINS_AT + 1
    assert progress.waiting_until is not None
    left = (progress.waiting_until - datetime.now(UTC)) / timedelta(seconds=1)
    assert 100 < left <= 121


@pytest.mark.parametrize("kind", KINDS)
def test_the_stats_say_what_was_lost_to_an_outage(kind: str) -> None:
    result = run(fetch_all(Host(Outage(kind, BEGINS_AT, 300)), IDS))
    stats = result.stats
    assert_none_is_lost(result, IDS)
    assert 299 <= stats.lost_to_outages <= 300 + 121
    assert stats.lost_to_outages + stats.lost_to_pauses <= stats.elapsed


async def test_what_is_lost_counts_from_the_start_of_the_run() -> None:
    async with outage_stage(Host(Outage("503", 1.0, 300))) as on:
        assert (await on.trainings.get_many([1])).stats.lost_to_outages == 0
        await asyncio.sleep(1)
        first = asyncio.create_task(on.trainings.get_many(range(2, 12)))
        await asyncio.sleep(200)
        assert on.client.budget.closed_by == "outage"
        second = await on.trainings.get_many(range(12, 20))
        assert second.failures == {}
        assert second.stats.lost_to_outages <= second.stats.elapsed
        assert second.stats.lost_to_outages >= 90
        assert (await first).stats.lost_to_outages >= 290
        third = await on.trainings.get_many(range(20, 30))
        assert third.stats.lost_to_outages == 0
