"""Admission: budget, pause and concurrency, without sockets and in simulated time."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lucca_training_async.throttle import IN_TRANSIT_ALLOWANCE, Fate, PauseTooLongError, Throttle

from lucca_training_async import RateLimit
from lucca_training_async.sandbox.window import SlidingWindow, busiest_window

from .virtual_time import run


def throttle(
    limit: RateLimit | None = None, *, max_concurrency: int = 100, max_pause: float = 1e9
) -> Throttle:
    return Throttle(
        limit,
        max_concurrency=max_concurrency,
        max_pause=max_pause,
        loop=asyncio.get_running_loop(),
    )


def now() -> float:
    return asyncio.get_running_loop().time()


async def acquire(gate: Throttle) -> int:
    ticket = gate.ticket()
    epoch = gate.try_acquire()
    return await gate.acquire(ticket) if epoch is None else epoch


def is_free(gate: Throttle) -> bool:
    """Whether nothing is held: a request would be let through this instant."""
    epoch = gate.try_acquire()
    if epoch is None:
        return False
    gate.release(epoch, Fate.UNSENT)
    return True


async def test_a_slot_is_free_one_period_after_completion() -> None:
    gate = throttle(RateLimit(1, 60.0))
    epoch = await acquire(gate)
    await asyncio.sleep(7)
    gate.release(epoch, Fate.ANSWERED)
    await acquire(gate)
    assert now() == 67


async def test_an_unanswered_request_is_counted_a_little_longer() -> None:
    gate = throttle(RateLimit(1, 60.0))
    gate.release(await acquire(gate), Fate.UNANSWERED)
    await acquire(gate)
    assert now() == pytest.approx(60 * (1 + IN_TRANSIT_ALLOWANCE))


async def test_an_unsent_request_costs_nothing() -> None:
    gate = throttle(RateLimit(1, 60.0))
    for _ in range(10):
        gate.release(await acquire(gate), Fate.UNSENT)
    assert now() == 0


async def test_no_limit_means_no_wait() -> None:
    gate = throttle(None, max_concurrency=10_000)
    for _ in range(1000):
        await acquire(gate)
    assert now() == 0


async def test_concurrency_is_limited_and_handed_on() -> None:
    gate = throttle(max_concurrency=3)
    under_way = most = 0

    async def request() -> None:
        nonlocal under_way, most
        epoch = await acquire(gate)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1
        gate.release(epoch, Fate.ANSWERED)

    await asyncio.gather(*(request() for _ in range(10)))
    assert (most, now()) == (3, 4)


async def test_admission_goes_by_ticket() -> None:
    gate = throttle(RateLimit(1, 1.0))
    admitted: list[int] = []

    async def request(ticket: int) -> None:
        epoch = await gate.acquire(ticket)
        admitted.append(ticket)
        gate.release(epoch, Fate.ANSWERED)

    tickets = [gate.ticket() for _ in range(20)]
    gate.release(await acquire(gate), Fate.ANSWERED)
    shuffled = random.Random(1).sample(tickets, len(tickets))
    await asyncio.gather(*(request(ticket) for ticket in shuffled))
    assert admitted == tickets


async def test_nobody_overtakes_those_who_wait() -> None:
    gate = throttle(max_concurrency=1)
    first = await acquire(gate)
    waiting = asyncio.create_task(acquire(gate))
    await asyncio.sleep(0)
    gate.release(first, Fate.ANSWERED)
    assert gate.try_acquire() is None
    gate.release(await waiting, Fate.ANSWERED)


@pytest.mark.parametrize("position", [0, 3, 9])
async def test_a_cancelled_waiter_holds_up_nobody(position: int) -> None:
    gate = throttle(RateLimit(1, 1.0))
    held = await acquire(gate)
    waiters = [asyncio.create_task(acquire(gate)) for _ in range(10)]
    await asyncio.sleep(0)
    waiters[position].cancel()
    gate.release(held, Fate.ANSWERED)
    for waiter in waiters:
        if waiter is not waiters[position]:
            gate.release(await waiter, Fate.ANSWERED)
    assert now() == 9
    await asyncio.sleep(1)
    assert is_free(gate)


async def test_cancelled_at_the_very_moment_of_admission() -> None:
    gate = throttle(RateLimit(1, 60.0), max_concurrency=1)
    held = await acquire(gate)
    waiter = asyncio.create_task(acquire(gate))
    await asyncio.sleep(0)
    gate.release(held, Fate.UNSENT)  # admits the waiter, which has not run yet
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert is_free(gate)


async def test_a_pause_stops_everybody_and_one_probes_then_the_rest_follow() -> None:
    gate = throttle(max_concurrency=30)
    log: list[tuple[float, int]] = []
    under_way = 0

    async def request() -> None:
        nonlocal under_way
        epoch = await acquire(gate)
        under_way += 1
        log.append((now(), under_way))
        await asyncio.sleep(1)
        under_way -= 1
        gate.release(epoch, Fate.ANSWERED)

    gate.pause(10)
    await asyncio.gather(*(request() for _ in range(30)))
    assert [most for at, most in log if at == 10] == [1]
    # One more may be under way with each answer: 1, 2, 4, 8, then the remaining 15.
    assert [sum(at == when for at, _ in log) for when in (10, 11, 12, 13, 14)] == [1, 2, 4, 8, 15]


async def test_a_shorter_pause_never_shortens_a_longer_one() -> None:
    gate = throttle()
    gate.pause(30)
    gate.pause(5)
    await asyncio.sleep(6)
    gate.pause(1)
    await acquire(gate)
    assert now() == 30


async def test_a_later_pause_extends_the_wait_of_those_who_wait() -> None:
    gate = throttle()
    gate.pause(5)
    waiter = asyncio.create_task(acquire(gate))
    await asyncio.sleep(4)
    gate.pause(10)
    await waiter
    assert now() == 14


@pytest.mark.parametrize("fate", [Fate.UNSENT, Fate.UNANSWERED])
async def test_a_probe_that_brings_no_answer_is_followed_by_another_probe(fate: Fate) -> None:
    gate = throttle()
    gate.pause(1)
    probe = await acquire(gate)
    assert gate.try_acquire() is None
    gate.release(probe, fate)
    await acquire(gate)
    assert gate.try_acquire() is None


async def test_an_answer_from_before_the_pause_opens_nothing() -> None:
    gate = throttle()
    early = [await acquire(gate) for _ in range(5)]
    gate.pause(1)
    await asyncio.sleep(2)
    for epoch in early:
        gate.release(epoch, Fate.ANSWERED)
    await acquire(gate)
    assert gate.try_acquire() is None


async def test_a_cancelled_waiter_does_not_kill_the_pause_for_the_others() -> None:
    gate = throttle()
    gate.pause(5)
    waiters = [asyncio.create_task(acquire(gate)) for _ in range(5)]
    await asyncio.sleep(1)
    waiters[0].cancel()
    for waiter in waiters[1:]:
        gate.release(await waiter, Fate.ANSWERED)
    assert now() == 5


async def test_a_pause_beyond_the_cap_is_refused_with_the_time_left() -> None:
    gate = throttle(max_pause=120)
    gate.pause(60)
    waiter = asyncio.create_task(acquire(gate))
    await asyncio.sleep(0)
    gate.pause(3600)
    with pytest.raises(PauseTooLongError) as caught:
        await waiter
    assert caught.value.seconds == 3600
    await asyncio.sleep(600)
    with pytest.raises(PauseTooLongError) as caught:
        await acquire(gate)
    assert caught.value.seconds == 3000
    await asyncio.sleep(2900)
    await acquire(gate)
    assert now() == 3600


@given(
    limit=st.integers(1, 6),
    max_concurrency=st.integers(1, 8),
    seed=st.integers(0, 2**32),
    cancelled=st.floats(0, 0.5),
    unanswered=st.floats(0, 0.5),
)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, max_concurrency: int, seed: int, cancelled: float, unanswered: float
) -> None:
    """Whatever the latencies, cancellations and failures, arrivals stay within the budget."""
    draw = random.Random(seed)
    period = 10.0

    async def main() -> list[float]:
        gate = throttle(RateLimit(limit, period), max_concurrency=max_concurrency)
        arrivals: list[float] = []

        async def request() -> None:
            await asyncio.sleep(draw.uniform(0, 30))
            epoch, fate = await acquire(gate), Fate.UNANSWERED
            try:
                await asyncio.sleep(draw.expovariate(1))
                arrivals.append(now())
                await asyncio.sleep(draw.expovariate(1))
                if draw.random() >= unanswered:
                    fate = Fate.ANSWERED
            finally:
                gate.release(epoch, fate)

        tasks = [asyncio.create_task(request()) for _ in range(30)]
        for task in tasks:
            if draw.random() < cancelled:
                asyncio.get_running_loop().call_later(draw.uniform(0, 60), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(2 * period)
        assert is_free(gate)
        return arrivals

    assert busiest_window(sorted(run(main())), period) <= limit


@pytest.mark.parametrize(
    ("times", "busiest"),
    [
        ([], 0),
        ([1.0], 1),
        ([0.0, 59.0, 60.0], 2),
        ([0.0, 60.0], 1),
        ([0.0, 0.0, 59.9], 3),
        ([0.0, 30.0, 60.0, 90.0, 119.0], 3),
    ],
)
def test_busiest_window(times: list[float], busiest: int) -> None:
    assert busiest_window(times, 60.0) == busiest


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(1, 5))
def test_the_servers_window_admits_the_limit_and_no_more(times: list[float], limit: int) -> None:
    window = SlidingWindow(RateLimit(limit, 10.0))
    admitted: list[float] = []
    for time in sorted(times):
        seconds = window.refused_for(time)
        if seconds is None:
            admitted.append(time)
        else:
            assert sum(time - 10.0 < at for at in admitted) == limit
            assert 0 <= seconds <= 10.0 + 1e-9
    assert busiest_window(admitted, 10.0) <= limit
