"""Several clients of one budget: together within the limit, whoever dies or stops."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import RateLimit
from lucca_training_async._budget import Cause, Sent, Wait
from lucca_training_async._budget.lease import TIME_TO_BEGIN, SharedLease
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async.sandbox.window import busiest_window

from .fragile import LONGEST, client, fragile, settled, sharing
from .fragile import everybody_leaves as everybody_leaves
from .gates import A_MOMENT, all_there_are, leased, now, patiently, refused
from .virtual_time import run

# -- one budget, one pause


async def test_what_one_takes_the_other_has_not() -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await one.open()
    mine = await all_there_are(one)
    assert len(mine) == 5  # an equal part, as the other has just asked as well
    await asyncio.sleep(10)
    mine += await all_there_are(one)
    assert len(mine) == 10
    assert (await refused(other)).seconds < 1
    assert other.standing().in_use == 10
    assert sharing(other) == (2, 10, False)
    for lease in mine:
        one.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(0.1)
    wait = await refused(other)
    assert wait.seconds == pytest.approx(60, abs=0.2)
    await one.aclose()
    await refused(other)
    assert sharing(other) == (1, 10, False)
    await other.aclose()


async def test_hosts_have_budgets_of_their_own() -> None:
    store = fragile()
    one = SharedLedger(store, "acme", 1, 60.0, LONGEST)
    other = SharedLedger(store, "emca", 1, 60.0, LONGEST)
    await leased(one)
    await leased(other)


@pytest.mark.parametrize("cause", Cause)
async def test_a_closure_is_everybodys_and_so_is_the_probe_after_it(cause: Cause) -> None:
    store = fragile()
    one, other = client(store), client(store)
    lease = await leased(one)
    one.close_for(30, lease, cause)
    one.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(0.1)
    wait = await refused(other)
    assert wait.closed is cause
    assert wait.seconds == pytest.approx(29.9, abs=0.1)
    await asyncio.sleep(wait.seconds)
    probe = await leased(other)
    for _ in range(3):
        waiting = await refused(one)
        assert waiting.closed is None
        assert 0 < waiting.seconds <= 1  # nobody could tell
        assert one.standing().next_slot_in > 0
    other.settle(probe, Sent.ANSWERED)
    await asyncio.sleep(0.1)
    assert len([await leased(one), await leased(other)]) == 2
    assert isinstance(await one.take(), Wait)


async def test_the_probe_of_a_killed_client_is_waited_for_as_long_as_an_attempt() -> None:
    store = fragile()
    killed, other = client(store), client(store)
    lease = await leased(killed)
    killed.close_for(5, lease, Cause.OUTAGE)
    killed.settle(lease, Sent.CUT_OFF)
    await asyncio.sleep(6)
    await leased(killed)  # and nothing is ever heard of it again
    await refused(other)
    await asyncio.sleep(LONGEST)
    await refused(other)
    await asyncio.sleep(TIME_TO_BEGIN + 0.1)
    await leased(other)


async def test_the_leases_of_a_killed_client_end_by_themselves() -> None:
    store = fragile()
    killed, other = client(store), client(store)
    assert len(await all_there_are(killed)) == 10
    start = now()
    for _ in range(10):
        await patiently(other)
    # The longest attempt, and two periods: it may have been cut off at its end.
    assert now() - start == pytest.approx(TIME_TO_BEGIN + LONGEST + 120, abs=1)


async def test_the_strictest_limit_counts_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = fragile()
    strict, lax = client(store, RateLimit(4, 90.0)), client(store)
    await strict.open()
    await lax.open()
    await asyncio.sleep(20)
    leases = await all_there_are(lax)
    assert len(leases) == 4
    for lease in leases:
        lax.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(0.1)
    assert (await refused(lax)).seconds == pytest.approx(90, abs=0.2)
    assert caplog.text.count("different limits") == 1


# -- nobody starves


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
@pytest.mark.parametrize("lead", [0, 100])
async def test_of_two_with_endless_work_neither_gets_less_than_a_third(
    limit: int, lead: float
) -> None:
    """Even if one is much quicker than the other, and was there before."""
    store = fragile()
    quick, slow = (client(store, RateLimit(limit, 60.0)) for _ in range(2))
    taken = {quick: 0, slow: 0}

    async def work(ledger: SharedLedger, hesitates: float) -> None:
        while True:
            lease = await ledger.take()
            if isinstance(lease, Wait):
                wait = 0.05 if lease.seconds == math.inf else lease.seconds
                await asyncio.sleep(wait + hesitates)
                continue
            taken[ledger] += now() > lead
            asyncio.get_running_loop().call_later(0.5, ledger.settle, lease, Sent.ANSWERED)

    tasks = [asyncio.create_task(work(quick, 0.0))]
    await asyncio.sleep(lead)
    tasks.append(asyncio.create_task(work(slow, 0.02)))
    await asyncio.sleep(660)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(1)
    assert min(taken.values()) >= sum(taken.values()) / 3
    assert sum(taken.values()) >= 0.9 * limit * 660 / 61
    await quick.aclose()
    await slow.aclose()


async def test_what_one_does_not_want_is_the_others() -> None:
    store = fragile()
    busy, idle = client(store), client(store)
    await settled(idle)
    await asyncio.sleep(2)
    assert len(await all_there_are(busy)) == 9


@settings(max_examples=15)
@given(
    limit=st.integers(1, 6),
    clients=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    killed=st.floats(0, 0.3),
    cut_off=st.floats(0, 0.5),
    unsent=st.floats(0, 0.5),
)
def test_no_window_ever_holds_more_than_the_limit_whoever_sends(
    limit: int, clients: int, seed: int, killed: float, cut_off: float, unsent: float
) -> None:
    draw, period = random.Random(seed), 10.0

    async def main() -> list[float]:
        store = fragile()
        ledgers = [client(store, RateLimit(limit, period)) for _ in range(clients)]
        arrivals: list[float] = []

        async def request() -> None:
            ledger = draw.choice(ledgers)
            await asyncio.sleep(draw.uniform(0, 30))
            lease = await patiently(ledger)
            await asyncio.sleep(draw.uniform(0, LONGEST / 2))
            what = draw.random()
            if what < killed:
                # Nobody settles it, and it arrives as late as it may.
                await asyncio.sleep(draw.uniform(0, LONGEST / 2 + period))
                arrivals.append(now())
            elif what < killed + unsent:
                ledger.settle(lease, Sent.NEVER)
            elif draw.random() < cut_off:
                ledger.settle(lease, Sent.CUT_OFF)
                await asyncio.sleep(draw.uniform(0, period))
                arrivals.append(now())
            else:
                arrivals.append(now())
                await asyncio.sleep(draw.uniform(0, LONGEST / 2))
                ledger.settle(lease, Sent.ANSWERED)

        async with asyncio.timeout(10_000), asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(request())
        for ledger in ledgers:
            await ledger.aclose()
        return arrivals

    assert busiest_window(sorted(run(main())), period - A_MOMENT) <= limit


# -- a process that stood still


async def test_a_lease_must_not_be_used_after_a_suspension() -> None:
    ledger = client(fragile())
    lease = await leased(ledger)
    await asyncio.sleep(TIME_TO_BEGIN - 0.1)
    assert lease.is_fresh()
    await asyncio.sleep(0.2)
    assert not lease.is_fresh()
    assert lease.is_valid()
    await asyncio.sleep(LONGEST - 0.2)
    assert lease.is_valid()
    await asyncio.sleep(0.2)
    assert not lease.is_valid()


async def test_an_attempt_that_began_at_the_last_moment_is_over_before_its_lease_ends() -> None:
    """Killed, it has let go of its request two periods before others can use its slot."""
    store = fragile()
    limit = RateLimit(1, 60.0)
    lease = await leased(client(store, limit))
    assert isinstance(lease, SharedLease)
    other = client(store, limit)
    await patiently(other)
    assert store.clock() >= lease.end_by + 2 * limit.period
    assert lease.end_by == lease.begin_by + LONGEST


async def test_who_wants_nothing_is_seen_and_sees_who_else_there_is() -> None:
    store = fragile()
    first = client(store)
    await first.open()
    others = [client(store) for _ in range(3)]
    for other in others:
        await other.open()
    assert sharing(first) == (1, 10, False)
    await asyncio.sleep(61)
    assert sharing(first) == (4, 10, False)
    await asyncio.sleep(3600)
    assert sharing(others[-1]) == (4, 10, False)
