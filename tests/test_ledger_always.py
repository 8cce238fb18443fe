"""What holds of every ledger whatever happens, and of the one in memory whatever its clock says."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import RateLimit
from lucca_training_async._budget import Cause, Lease, OwnLedger, Sent, Wait
from lucca_training_async._budget.own import CLOCK_GRAIN
from lucca_training_async.sandbox.window import busiest_window

from .gates import (
    A_MOMENT,
    LEDGERS,
    SLACK,
    all_there_are,
    leased,
    now,
    patiently,
    refused,
    sleep_until,
)
from .virtual_time import run

# A server is outside of the simulated time, which waits for it at each jump. That it does what
# memory does is shown in test_redis_store.py.
QUICK_ONES = [name for name in LEDGERS if name != "redis"]


@settings(max_examples=60)
@given(
    name=st.sampled_from(QUICK_ONES),
    limit=st.none() | st.integers(1, 4),
    events=st.lists(
        st.sampled_from(list(Sent))
        | st.floats(0.1, 15.0)
        | st.tuples(st.integers(1, 15), st.sampled_from(list(Cause))),
        max_size=30,
    ),
)
def test_a_wait_is_as_long_as_the_ledger_says(
    name: str, limit: int | None, events: list[Sent | float | tuple[int, Cause]]
) -> None:
    """Asking again after ``Wait.seconds`` succeeds, if nobody was quicker; and no sooner."""

    async def main() -> None:
        ledger = LEDGERS[name](RateLimit(limit, 10.0) if limit else None)
        held: list[Lease] = []
        for event in events:
            if isinstance(event, float):
                await asyncio.sleep(event)
            elif isinstance(event, tuple) and held:
                ledger.close_for(event[0], held[0], event[1])
            elif isinstance(event, Sent) and held:
                ledger.settle(held.pop(0), event)
            held += await all_there_are(ledger, 2)
        told = await ledger.take()
        moment = now()
        while isinstance(told, Wait) and told.seconds < math.inf:
            if told.seconds > 2 * SLACK:
                await sleep_until(moment + told.seconds - SLACK)
                assert isinstance(sooner := await ledger.take(), Wait)
                assert sooner.closed is told.closed
            await sleep_until(moment + told.seconds)
            again, moment = await ledger.take(), now()
            # A closure says when it ends, and cannot promise a slot.
            assert isinstance(again, Lease) or (told.closed and not again.closed)
            told = again
        await ledger.aclose()

    run(main())


@settings(max_examples=60)
@given(
    name=st.sampled_from(QUICK_ONES),
    limit=st.integers(1, 6),
    seed=st.integers(0, 2**32),
    cut_off=st.floats(0, 0.5),
    unsent=st.floats(0, 0.5),
    closing=st.floats(0, 0.2),
)
def test_no_window_ever_holds_more_arrivals_than_the_limit(
    name: str, limit: int, seed: int, cut_off: float, unsent: float, closing: float
) -> None:
    draw, period = random.Random(seed), 10.0

    async def main() -> list[float]:
        ledger = LEDGERS[name](RateLimit(limit, period))
        arrivals: list[float] = []

        async def request() -> None:
            await asyncio.sleep(draw.uniform(0, 30))
            lease = await patiently(ledger)
            await asyncio.sleep(draw.expovariate(1))
            if draw.random() < unsent:
                ledger.settle(lease, Sent.NEVER)
            elif draw.random() < cut_off:
                # Nobody listens any more, and still it arrives: within a period, as is assumed.
                ledger.settle(lease, Sent.CUT_OFF)
                await asyncio.sleep(draw.uniform(0, period))
                arrivals.append(now())
            else:
                arrivals.append(now())
                await asyncio.sleep(draw.expovariate(1))
                if draw.random() < closing:
                    ledger.close_for(draw.uniform(0, 20), lease, draw.choice(list(Cause)))
                ledger.settle(lease, Sent.ANSWERED)

        async with asyncio.timeout(10_000), asyncio.TaskGroup() as tasks:
            for _ in range(30):
                tasks.create_task(request())
        await asyncio.sleep(2 * period)
        assert ledger.standing().in_use == 0
        await ledger.aclose()
        return arrivals

    # A hair less than a period, as t + 10 - 10 may fall short of t.
    assert busiest_window(sorted(run(main())), period - A_MOMENT) <= limit


# -- the grain of the clock

Clock = Callable[[], float]


def in_milliseconds() -> float:
    """As uvloop tells the time, if each turn of the loop took no time."""
    return math.floor(now() * 1000) / 1000


def behind(seed: int) -> Clock:
    """At any moment behind by anything up to the grain."""
    draw = random.Random(seed)
    return lambda: now() - draw.uniform(0, CLOCK_GRAIN)


def test_the_grain_covers_the_clocks_that_there_are() -> None:
    assert CLOCK_GRAIN > 0.001


@pytest.mark.parametrize(("sent", "periods"), [(Sent.ANSWERED, 1), (Sent.CUT_OFF, 2)])
async def test_the_grain_comes_once_on_top_of_what_is_counted(sent: Sent, periods: int) -> None:
    ledger = OwnLedger(RateLimit(1, 60.0), now)
    ledger.settle(await leased(ledger), sent)
    assert (await refused(ledger)).seconds == pytest.approx(periods * 60 + CLOCK_GRAIN)


@settings(max_examples=100)
@given(
    clock=st.just(in_milliseconds) | st.integers(0, 2**32).map(behind),
    limit=st.integers(1, 3),
    period=st.sampled_from([0.05, 1.0, 60.0]),
    times=st.lists(st.floats(0, 2), min_size=2, max_size=20),
)
def test_no_slot_is_handed_out_within_a_period_of_its_true_completion(
    clock: Clock, limit: int, period: float, times: list[float]
) -> None:
    """Whatever the clock says; so a window of the true time holds no more than the limit."""

    async def main() -> None:
        ledger = OwnLedger(RateLimit(limit, period), clock)
        completions: list[float] = []
        for taken, seconds in enumerate(times):
            lease = await patiently(ledger)
            if taken >= limit:
                # One slot after the other, so that it is the oldest which is free again.
                assert now() >= completions[taken - limit] + period
            await asyncio.sleep(seconds)
            ledger.settle(lease, Sent.ANSWERED)
            completions.append(now())

    run(main())
