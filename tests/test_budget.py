"""The budget and the pause as the server sees them: proved on the sandbox's log of arrivals."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest

from lucca_training_async import LuccaTrainingClient, RateLimit, RetryPolicy, Timeouts
from lucca_training_async.sandbox import Fault, Sandbox

from .support import Stage, stage

BUDGET = RateLimit(50, 60.0)


def lucca(
    uplink: Callable[[], float] = lambda: 0.0, downlink: Callable[[], float] = lambda: 0.0
) -> Sandbox:
    """A sandbox with Lucca's budget, whose answers take a millisecond at least.

    With none, a request arrives and completes in the same simulated instant, and rounding
    (t + 60 - 60 may fall short of t) is mistaken for an early arrival.
    """
    return Sandbox(rate_limit=BUDGET, uplink=uplink, downlink=lambda: 0.001 + downlink())


def jitter(seed: int, most: float) -> Callable[[], float]:
    draw = random.Random(seed)
    return lambda: draw.uniform(0, most)


def now() -> float:
    return asyncio.get_running_loop().time()


def assert_within_budget(on: Stage) -> None:
    assert on.sandbox.busiest_window() <= BUDGET.requests
    assert 429 not in on.statuses


@pytest.mark.parametrize("latency", [0.0, 0.2, 2.0, 4.9])
@pytest.mark.parametrize("max_concurrency", [1, 10, 60])
async def test_fifty_in_any_minute_under_jitter(latency: float, max_concurrency: int) -> None:
    async with stage(
        lucca(jitter(1, latency), jitter(2, latency)),
        rate_limit=BUDGET,
        max_concurrency=max_concurrency,
    ) as on:
        result = await on.trainings.get_many(range(1, 301))
        assert len(result.items) == 300
        assert_within_budget(on)


async def test_the_whole_budget_is_used() -> None:
    async with stage(lucca(), rate_limit=BUDGET) as on:
        await on.trainings.get_many(range(1, 501), plan="each")
        # 500 requests, 50 at once and 50 more every minute: nine minutes, and no more.
        assert now() == pytest.approx(9 * 60, abs=0.1)
        assert on.sandbox.busiest_window() == 50


async def test_every_retry_takes_a_slot() -> None:
    async with stage(lucca(), rate_limit=BUDGET) as on:
        draw = random.Random(3)
        faults = [Fault.internal_error(), Fault.drop(), Fault.truncate(), Fault.slow(20)]
        for id in range(1, 201):
            on.sandbox.inject(*draw.choices(faults, k=draw.randrange(4)), id=id)
        result = await on.trainings.get_many(range(1, 201))
        assert len(result.items) == 200
        assert result.stats.retries > 100
        assert_within_budget(on)


async def test_cancelled_requests_are_counted() -> None:
    async with stage(
        lucca(jitter(4, 1.0), jitter(5, 1.0)), rate_limit=BUDGET, max_concurrency=60
    ) as on:
        draw = random.Random(6)

        async def impatient(id: int) -> None:
            try:
                async with asyncio.timeout(draw.uniform(0, 3)):
                    await on.trainings.get(id)
            except TimeoutError:
                pass

        for start in range(1, 401, 40):
            await asyncio.gather(*(impatient(id) for id in range(start, start + 40)))
            await asyncio.sleep(draw.uniform(0, 60))
        assert 100 < len(on.sandbox.arrivals) < 400
        assert_within_budget(on)


async def test_timed_out_requests_that_still_arrive_are_counted() -> None:
    slow_first = iter([3.0] * 20)
    tight = Sandbox(rate_limit=RateLimit(10, 60.0), uplink=lambda: next(slow_first, 0.0))
    async with stage(tight, rate_limit=RateLimit(10, 60.0), timeouts=Timeouts(total=1.0)) as on:
        await on.trainings.get_many(range(1, 21))
        assert on.sandbox.busiest_window() <= 10


async def test_all_calls_of_a_client_share_one_budget_in_order() -> None:
    async with stage(lucca(), rate_limit=BUDGET) as on:
        await asyncio.gather(
            on.trainings.get_many(range(1, 101)),
            on.trainings.get_many(range(101, 201)),
            *(on.trainings.get(id) for id in range(201, 301)),
        )
        assert len(on.sandbox.arrivals) == 300
        assert_within_budget(on)


async def test_a_single_call_is_not_starved_by_a_bulk_run() -> None:
    async with stage(lucca(), rate_limit=BUDGET) as on:
        bulk = asyncio.create_task(on.trainings.get_many(range(1, 1001)))
        await asyncio.sleep(90)
        await on.trainings.get(5000)
        assert now() == pytest.approx(120, abs=1)
        bulk.cancel()
        await asyncio.gather(bulk, return_exceptions=True)


async def test_a_cancelled_wait_leaves_no_slot_held() -> None:
    async with stage(lucca(), rate_limit=BUDGET) as on:
        await on.trainings.get_many(range(1, 51))
        waiting = [asyncio.create_task(on.trainings.get(id)) for id in range(51, 101)]
        await asyncio.sleep(30)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await on.trainings.get_many(range(101, 151))
        assert now() == pytest.approx(60, abs=0.1)
        assert_within_budget(on)


async def test_one_429_pauses_thirty_tasks_then_one_probes_and_the_rest_follow() -> None:
    answers_after = itertools.chain([0.4], itertools.repeat(0.5))
    unlimited = Sandbox(rate_limit=None, downlink=lambda: next(answers_after))
    async with stage(unlimited, max_concurrency=30) as on:
        on.sandbox.inject(Fault.too_many_requests(40))
        calls = [asyncio.create_task(on.trainings.get(id)) for id in range(1, 31)]
        await asyncio.sleep(0.25)
        late = [asyncio.create_task(on.trainings.get(id)) for id in range(31, 61)]
        trainings = await asyncio.gather(*calls, *late)
        assert [training.id for training in trainings] == list(range(1, 61))
        at = [arrival.at for arrival in on.sandbox.arrivals]
        assert at[:30] == [0.0] * 30
        # The 429 came at 0.4 s; until 40 s later nobody sends, then one does, alone.
        assert at[30] == pytest.approx(40.4)
        assert on.ids[30] == "1"
        assert at[31:33] == [pytest.approx(40.9)] * 2
        assert len(at) == 61


async def test_the_longest_pause_counts() -> None:
    async with stage(max_concurrency=3) as on:
        on.sandbox.inject(
            Fault.too_many_requests(5), Fault.too_many_requests(60), Fault.too_many_requests(1)
        )
        await asyncio.gather(*(on.trainings.get(id) for id in range(1, 4)))
        assert [arrival.at for arrival in on.sandbox.arrivals[3:]] == [60.0] * 3


async def test_a_probe_that_meets_a_429_pauses_again() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(10), Fault.too_many_requests(20))
        await on.trainings.get(1)
        assert [arrival.at for arrival in on.sandbox.arrivals] == [0.0, 10.0, 30.0]


async def test_a_cancelled_probe_is_replaced() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(10), Fault.slow(60))
        first = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        others = [asyncio.create_task(on.trainings.get(id)) for id in range(2, 6)]
        await asyncio.sleep(11)
        assert len(on.sandbox.arrivals) == 2
        first.cancel()
        await asyncio.gather(*others)
        assert now() == 12


@pytest.mark.parametrize("every", [1.3, 2.0, 5.0])
async def test_sharing_the_budget_with_another_integration_loses_nothing(every: float) -> None:
    async with stage(lucca(), rate_limit=BUDGET, retry=RetryPolicy()) as on:
        other = LuccaTrainingClient(
            on.sandbox.url, on.sandbox.api_key, rate_limit=None, retry=RetryPolicy(max_attempts=1)
        )

        async def naive() -> None:
            for id in itertools.count(1000):
                await asyncio.gather(other.realized_trainings.get(id), return_exceptions=True)
                await asyncio.sleep(every)

        async with other:
            rival = asyncio.create_task(naive())
            result = await on.trainings.get_many(range(1, 201))
            rival.cancel()
            await asyncio.gather(rival, return_exceptions=True)
        assert result.failures == {}
        assert len(result.items) == 200
