"""People and batches in one budget, over an hour of simulated time and real sockets."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from lucca_training_async import Found, LuccaTrainingClient, MemoryLedger, RateLimit
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async.sandbox import Sandbox

from .support import stage

LIMIT = RateLimit(50, 60.0)
HOUR = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Seen(NamedTuple):
    """What an hour has brought."""

    waits: list[float]
    bulk_a_minute: float


def lucca() -> Sandbox:
    chance = random.Random(1)
    return Sandbox(rate_limit=LIMIT, uplink=lambda: chance.uniform(0.0, 0.4))


@asynccontextmanager
async def endless(
    client: LuccaTrainingClient, ids: Iterable[int]
) -> AsyncGenerator[list[int], None]:
    """A run that goes on while the block lasts; what it has fetched so far."""
    fetched: list[int] = []

    async def run() -> None:
        async with client.realized_trainings.stream(ids) as outcomes:
            async for outcome in outcomes:
                assert isinstance(outcome, Found)
                fetched.append(outcome.id)

    running = asyncio.create_task(run())
    try:
        yield fetched
    finally:
        running.cancel()
        await asyncio.wait([running])


async def an_hour_of_gets(client: LuccaTrainingClient, fetched: list[int]) -> Seen:
    """Two a minute, at any moment."""
    chance, waits = random.Random(2), list[float]()
    began, before = now(), len(fetched)
    for number in range(120):
        await asyncio.sleep(max(0.0, began + 30 * number + chance.uniform(0, 30) - now()))
        asked = now()
        await client.realized_trainings.get(900_000 + number)
        waits.append(now() - asked)
    minutes = (now() - began) / 60
    return Seen(waits, (len(fetched) - before) / minutes)


def assert_people_went_first(seen: Seen, sandbox: Sandbox) -> None:
    assert statistics.median(seen.waits) <= 1.2
    assert max(seen.waits) <= 5.9
    assert seen.bulk_a_minute >= 47
    assert sandbox.busiest_window() <= LIMIT.requests
    assert {arrival.status for arrival in sandbox.arrivals} == {200}


@pytest.mark.parametrize(
    "ids", [range(1, 1_000_000), itertools.count(1)], ids=["a range", "of unknown length"]
)
async def test_beside_an_endless_run_a_person_waits_for_seconds_at_the_most(
    ids: Iterable[int],
) -> None:
    """Once the first minute is over, in which the run has used up the budget."""
    async with stage(lucca(), rate_limit=LIMIT) as on, endless(on.client, ids) as fetched:
        await asyncio.sleep(60)
        assert_people_went_first(await an_hour_of_gets(on.client, fetched), on.sandbox)


async def test_and_if_all_answers_take_as_long() -> None:
    """Then all that came at once comes free at once, for ever."""
    sandbox = Sandbox(rate_limit=LIMIT)
    async with stage(sandbox, rate_limit=LIMIT) as on, endless(on.client, range(1, 10**6)) as got:
        await asyncio.sleep(60)
        assert_people_went_first(await an_hour_of_gets(on.client, got), sandbox)


async def test_the_first_of_many_people_waits_for_a_minute_and_the_others_do_not() -> None:
    """Beside runs so short that they take what there is while nobody is about."""
    async with stage(lucca(), rate_limit=LIMIT) as on:

        async def runs() -> None:
            for number in range(100):
                first = 1 + 500 * number
                await on.trainings.get_many(range(first, first + 500), plan="each")

        running = asyncio.create_task(runs())
        await asyncio.sleep(90)
        seen = await an_hour_of_gets(on.client, [])
        running.cancel()
        await asyncio.wait([running])
        assert seen.waits[0] <= 60
        assert statistics.median(seen.waits) <= 1.2
        assert max(seen.waits[2:]) <= 5.9


async def test_with_a_reserve_a_person_waits_for_nothing() -> None:
    limit = RateLimit(50, 60.0, reserved=5)
    async with (
        stage(lucca(), rate_limit=limit) as on,
        endless(on.client, itertools.count(1)) as got,
    ):
        seen = await an_hour_of_gets(on.client, got)
        assert max(seen.waits) <= 0.5
        assert seen.bulk_a_minute >= 42


async def test_a_person_of_another_client_goes_first_as_well() -> None:
    ledger = MemoryLedger()
    ledger._store = MemoryStore(now)  # pyright: ignore[reportPrivateUsage]  # simulated time
    options: dict[str, Any] = {"rate_limit": LIMIT, "shared_budget": ledger}
    async with (
        lucca() as sandbox,
        LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as backend,
        LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as job,
        endless(job, itertools.count(1)) as fetched,
    ):
        await asyncio.sleep(60)
        assert_people_went_first(await an_hour_of_gets(backend, fetched), sandbox)


async def test_a_run_that_is_alone_and_not_long_takes_as_long_as_ever() -> None:
    limit = RateLimit(50, 1.0)
    async with stage(Sandbox(rate_limit=limit), rate_limit=limit) as on:
        await on.trainings.get_many(range(1, 501), plan="each")
        assert now() <= 1.05 * 9
        assert set(on.statuses) == {200}


async def test_a_long_run_takes_a_period_more_and_no_longer() -> None:
    limit = RateLimit(10, 1.0)
    async with stage(Sandbox(rate_limit=limit), rate_limit=limit) as on:
        await on.trainings.get_many(range(1, 501), plan="each")
        assert 49 <= now() <= 49 + 1 + 0.5
        assert set(on.statuses) == {200}
