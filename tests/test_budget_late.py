"""The budget where requests arrive late, or the clock is coarse: never more than N in a window.

It is promised as long as no request arrives later than one period after the client let go of
it, and so late they do come here. Lucca counts arrivals, and so does the server of these tests.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lucca_training_async import LuccaError, RateLimit, RetryPolicy, Timeouts

from .late_server import BUDGET, Decide, Fate, LateStage, fine, gateway, late_stage, now
from .raw_server import Request
from .raw_stage import answer
from .virtual_time import VirtualTimeLoop, assert_nothing_is_left, run

ONCE = RetryPolicy(max_attempts=1)


async def impatient(on: LateStage, id: int, seconds: float | None = 5.0) -> None:
    """As docs/budget.md bounds a call."""
    try:
        async with asyncio.timeout(seconds):
            await on.trainings.get(id)
    except TimeoutError:
        pass


# -- without a cut-off


@pytest.mark.parametrize("max_concurrency", [10, 60])
async def test_counting_cut_offs_for_longer_costs_nothing_where_there_are_none(
    max_concurrency: int,
) -> None:
    async with late_stage(fine, max_concurrency=max_concurrency) as on:
        await on.trainings.get_many(range(1, 501), plan="each")
        assert now() == pytest.approx(9 * 60, abs=0.1)
        assert on.server.busiest_window() == 50


# -- a server that stands still


@pytest.mark.parametrize("max_concurrency", [10, 60])
@pytest.mark.parametrize("seconds", [20, 40, 60])
async def test_requests_that_a_stopped_server_reads_when_it_goes_on_are_counted(
    seconds: int, max_concurrency: int
) -> None:
    stops_at = 59.0
    goes_on_at = stops_at + seconds

    async def stop(request: Request) -> Fate:
        if request.at >= stops_at:
            await asyncio.sleep(max(0.0, goes_on_at - request.at))
        return await fine(request)

    async with late_stage(stop, max_concurrency=max_concurrency) as on:
        ids = itertools.count(1)

        async def call_until(end: float) -> None:
            while now() < end:
                await impatient(on, next(ids))

        await asyncio.gather(*(call_until(goes_on_at + 130) for _ in range(max_concurrency)))
        assert on.server.given_up >= 40
        assert sum(at >= goes_on_at for at in on.server.arrivals) >= 100
        assert on.server.busiest_window() <= BUDGET.requests


# -- one way to lose a request at a time


def hung(late: float) -> Fate:
    return Fate(None, late)


def dropped(late: float) -> Fate:
    return Fate(b"", late, keep=False)


def cut_in_mid_body(late: float) -> Fate:
    return Fate(answer(b"{", length=100), late, keep=False)


WAYS: dict[str, tuple[Callable[[float], Fate], float | None]] = {
    # What becomes of the request, and how long its caller waits; the client itself does for 4 s.
    "cancelled": (hung, 3.0),
    "timed out": (hung, None),
    "dropped": (dropped, None),
    "cut in mid-body": (cut_in_mid_body, None),
    "502": (lambda late: gateway(502, late), None),
    "504": (lambda late: gateway(504, late), None),
    "524": (lambda late: gateway(524, late), None),
}


@pytest.mark.parametrize("late", [5.0, 30.0, 60.0])
@pytest.mark.parametrize("way", WAYS)
async def test_requests_that_arrive_after_the_client_let_go_of_them_are_counted(
    way: str, late: float
) -> None:
    lose, patience = WAYS[way]

    async def lose_49(request: Request) -> Fate:
        return lose(late) if 2 <= request.number <= 50 else await fine(request)

    async with late_stage(
        lose_49, max_concurrency=60, timeouts=Timeouts(total=4.0), retry=ONCE
    ) as on:
        await on.trainings.get(1)
        calls = (impatient(on, id, patience) for id in range(2, 51))
        await asyncio.gather(*calls, return_exceptions=True)
        assert now() <= 4.0
        result = await on.trainings.get_many(range(51, 151))
        assert result.failures == {}
        assert len(on.server.arrivals) >= 150
        assert on.server.busiest_window() <= BUDGET.requests


# -- all of them at random


def at_random(draw: random.Random, share: float, latest: float, ends_at: float) -> Decide:
    """So many requests are lost until then, in one way or another; all others are answered."""
    ways = [hung, hung, hung, dropped, cut_in_mid_body, *(way for way, _ in WAYS.values())]

    async def decide(request: Request) -> Fate:
        if request.at >= ends_at or draw.random() >= share:
            return await fine(request)
        return draw.choice(ways)(draw.uniform(0, latest))

    return decide


# Minutes of traffic don't shrink to anything in less than minutes.
@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0.3, 0.9),
    latest=st.floats(30, 60),
    trouble=st.floats(20, 200),
    max_concurrency=st.sampled_from([10, 60]),
)
def test_random_cut_offs_that_arrive_late_are_counted(
    seed: int, share: float, latest: float, trouble: float, max_concurrency: int
) -> None:
    draw = random.Random(seed)

    async def scenario() -> None:
        decide = at_random(draw, share, latest, trouble)
        timeouts = Timeouts(total=4.0)
        async with late_stage(decide, max_concurrency=max_concurrency, timeouts=timeouts) as on:
            ids = itertools.count(1000)

            async def call() -> None:
                while now() < trouble + 130:
                    try:
                        await impatient(on, next(ids), draw.uniform(0, 8))
                    except LuccaError:
                        await asyncio.sleep(draw.uniform(0, 2))

            bulk = asyncio.create_task(on.trainings.get_many(range(1, 201)))
            await asyncio.gather(bulk, *(call() for _ in range(20)))
            result = bulk.result()
            assert len(result.items) + len(result.failures) == 200
            await on.server.everything_has_arrived()
            assert on.server.busiest_window() <= BUDGET.requests

    run(scenario())


# -- a coarse clock


class CoarseLoop(VirtualTimeLoop):
    """Counts whole milliseconds, as uvloop's does, while time goes on in between."""

    def time(self) -> float:
        self._clock.now += 2e-5  # code takes its time
        return math.floor(self._clock.now * 1000) / 1000

    def exact(self) -> float:
        return self._clock.now


@pytest.mark.parametrize("seed", range(5))
def test_a_clock_of_whole_milliseconds_lets_no_request_through_too_early(seed: int) -> None:
    limit = RateLimit(20, 1.0)
    draw = random.Random(seed)

    async def wake_the_loop() -> None:
        # Or else it waits for the whole of a period, by a finer clock than its own.
        for _ in itertools.count():
            await asyncio.sleep(draw.uniform(0, 0.2))

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CoarseLoop)
        something_else = asyncio.create_task(wake_the_loop())
        async with late_stage(fine, loop.exact, rate_limit=limit, max_concurrency=60) as on:
            await asyncio.sleep(draw.uniform(0, 0.01))
            await on.trainings.get_many(range(1, 201))
            assert loop.exact() == pytest.approx(9.1, abs=0.1)
            assert on.server.busiest_window(limit) == 20
        something_else.cancel()
        await asyncio.gather(something_else, return_exceptions=True)
        await assert_nothing_is_left()

    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        runner.run(scenario())
