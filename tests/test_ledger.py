"""The contract of a ledger: what the gate, and the tenant, rely on. Any ledger must pass it.

The tests know only the protocol. They never take it that ``take`` answers at once, nor that
time stands still meanwhile; a new ledger is one more line in ``LEDGERS``. What holds of it
whatever happens is in ``test_ledger_always.py``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection

import attrs
import pytest

from lucca_training_async import RateLimit
from lucca_training_async._budget import Cause, Lease, Ledger, Sent, Standing, Wait

from .gates import (
    SLACK,
    Make,
    all_there_are,
    close_ledger,
    leased,
    now,
    patiently,
    refused,
    sleep_until,
)
from .gates import make as make

PAUSE, OUTAGE = Cause.PAUSE, Cause.OUTAGE


def seen(ledger: Ledger) -> Standing:
    """The standing without the rounding of many sums."""
    standing = ledger.standing()
    return attrs.evolve(
        standing,
        next_slot_in=round(standing.next_slot_in, 6),
        closed_for=round(standing.closed_for, 6),
    )


# -- slots


async def test_there_are_as_many_leases_as_the_limit_allows(make: Make) -> None:
    ledger = make(RateLimit(3, 60.0))
    assert len(await all_there_are(ledger)) == 3
    # An hour changes nothing for requests that are still under way.
    await asyncio.sleep(3600)
    assert await refused(ledger) == Wait(math.inf)


@pytest.mark.parametrize(("sent", "counted"), [(Sent.ANSWERED, 60.0), (Sent.CUT_OFF, 120.0)])
async def test_a_slot_is_free_so_long_after_completion(
    make: Make, sent: Sent, counted: float
) -> None:
    """One period; or two, where the request may still arrive within the first of them."""
    ledger = make(RateLimit(1, 60.0))
    lease = await leased(ledger)
    await asyncio.sleep(7)
    free_at = now() + counted
    ledger.settle(lease, sent)
    wait = await refused(ledger)
    assert not wait.closed
    assert now() + wait.seconds == pytest.approx(free_at, abs=SLACK)
    await sleep_until(free_at - SLACK)
    await refused(ledger)
    await sleep_until(free_at)
    await leased(ledger)


async def test_a_request_that_was_never_sent_costs_nothing(make: Make) -> None:
    ledger = make(RateLimit(1, 60.0))
    for _ in range(10):
        ledger.settle(await leased(ledger), Sent.NEVER)
    assert seen(ledger) == Standing()


async def test_every_slot_has_a_time_of_its_own(make: Make) -> None:
    """The soonest is told, whatever the order of taking and settling."""
    ledger = make(RateLimit(3, 60.0))
    first, second, third = await all_there_are(ledger)
    start = now()
    ledger.settle(third, Sent.CUT_OFF)  # free at 120
    await asyncio.sleep(1)
    ledger.settle(first, Sent.ANSWERED)  # free at 61
    await asyncio.sleep(9)
    ledger.settle(second, Sent.ANSWERED)  # free at 70
    for free_at in (61, 70, 120):
        wait = await refused(ledger)
        assert now() + wait.seconds == pytest.approx(start + free_at, abs=SLACK)
        await sleep_until(start + free_at)
        await leased(ledger)
    assert await refused(ledger) == Wait(math.inf)


async def test_the_whole_budget_can_be_used(make: Make) -> None:
    ledger = make(RateLimit(3, 20.0))
    for _ in range(9):
        ledger.settle(await patiently(ledger), Sent.ANSWERED)
    assert now() == pytest.approx(40, abs=9 * SLACK)


async def test_without_a_limit_only_closures_count(make: Make) -> None:
    ledger = make(None)
    leases = await all_there_are(ledger, 300)
    assert len(leases) == 300
    for lease in leases:
        ledger.settle(lease, Sent.CUT_OFF)
    assert seen(ledger) == Standing()
    await close_ledger(ledger, 5)
    assert (await refused(ledger)).closed


@pytest.mark.parametrize("after", [None, 0.0, 0.05])
async def test_a_cancelled_take_leaves_no_slot_taken(make: Make, after: float | None) -> None:
    ledger = make(RateLimit(1, 60.0))
    asking = asyncio.create_task(ledger.take())
    if after is not None:
        await asyncio.sleep(after)
    asking.cancel()
    (answer,) = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(answer, Lease):  # it was quicker than we were
        ledger.settle(answer, Sent.NEVER)
    else:
        assert isinstance(answer, asyncio.CancelledError)
    await leased(ledger)


async def test_letting_go_twice_is_no_error(make: Make) -> None:
    ledger = make(RateLimit(1, 60.0))
    ledger.settle(await leased(ledger), Sent.ANSWERED)
    await ledger.aclose()
    await ledger.aclose()


# -- closures


async def test_a_closed_ledger_gives_nobody_a_slot(make: Make) -> None:
    ledger = make(RateLimit(10, 60.0))
    await close_ledger(ledger, 30)
    closed_until = now() + 30
    wait = await refused(ledger)
    assert wait.closed
    assert now() + wait.seconds == pytest.approx(closed_until, abs=SLACK)
    await sleep_until(closed_until - SLACK)
    assert (await refused(ledger)).closed
    await sleep_until(closed_until)
    await leased(ledger)


@pytest.mark.parametrize("cause", Cause)
async def test_a_closed_ledger_says_why(make: Make, cause: Cause) -> None:
    ledger = make(RateLimit(10, 60.0))
    assert ledger.standing().closed_by is None
    await close_ledger(ledger, 30, cause)
    closed_until = now() + 30
    assert (await refused(ledger)).closed is cause
    assert ledger.standing().closed_by is cause
    await sleep_until(closed_until)
    # It knows of no sign of life: for a ledger, either is over when its time is.
    assert ledger.standing().closed_by is None
    await leased(ledger)
    assert (await refused(ledger)).closed is None


@pytest.mark.parametrize(
    ("later", "until", "causes"),
    [(5, 30, [PAUSE]), (1, 30, [PAUSE]), (26, 30, [PAUSE, OUTAGE]), (40, 44, [OUTAGE])],
)
async def test_of_several_closures_the_longest_counts(
    make: Make, later: int, until: int, causes: Collection[Cause]
) -> None:
    """And it is its cause that is told."""
    ledger = make(None)
    leases = await all_there_are(ledger, 2)
    start = now()
    ledger.close_for(30, leases[0], PAUSE)
    await asyncio.sleep(4)
    ledger.close_for(later, leases[1], OUTAGE)
    assert ledger.standing().closed_for == pytest.approx(until - 4, abs=SLACK)
    assert ledger.standing().closed_by in causes
    await sleep_until(start + until - SLACK)
    assert (await refused(ledger)).closed in causes
    await sleep_until(start + until)
    await leased(ledger)


async def test_a_slot_that_is_not_free_outlasts_a_closure(make: Make) -> None:
    ledger = make(RateLimit(1, 60.0))
    await close_ledger(ledger, 10)
    settled_at = now()
    assert (await refused(ledger)).closed
    await sleep_until(settled_at + 10)
    wait = await refused(ledger)
    assert not wait.closed
    assert now() + wait.seconds == pytest.approx(settled_at + 60, abs=SLACK)


@pytest.mark.parametrize("cause", Cause)
async def test_after_a_closure_one_probes_and_each_answer_lets_one_more(
    make: Make, cause: Cause
) -> None:
    ledger = make(None)
    await close_ledger(ledger, 1, cause)
    await asyncio.sleep(1)
    held: list[Lease] = []
    for allowed in range(1, 6):
        held += await all_there_are(ledger)
        assert len(held) == allowed
        assert await refused(ledger) == Wait(math.inf)
        ledger.settle(held.pop(), Sent.ANSWERED)


@pytest.mark.parametrize("sent", [Sent.NEVER, Sent.CUT_OFF])
async def test_a_probe_that_brings_no_answer_opens_nothing(make: Make, sent: Sent) -> None:
    ledger = make(None)
    await close_ledger(ledger, 1)
    await asyncio.sleep(1)
    for _ in range(3):
        (probe,) = await all_there_are(ledger)
        ledger.settle(probe, sent)


async def test_a_request_from_before_the_closure_opens_nothing(make: Make) -> None:
    ledger = make(None)
    early = await all_there_are(ledger, 6)
    ledger.close_for(1, early[0], PAUSE)
    for lease in early[:3]:
        ledger.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(1)
    # Nor does it take the place of the probe, while it is still under way.
    assert len(await all_there_are(ledger)) == 1
    for lease in early[3:]:
        ledger.settle(lease, Sent.ANSWERED)
    assert await all_there_are(ledger) == []


async def test_a_second_closure_starts_over(make: Make) -> None:
    ledger = make(None)
    await close_ledger(ledger, 1)
    await asyncio.sleep(1)
    held: list[Lease] = []
    while len(held) < 5:
        held += await all_there_are(ledger)
        ledger.settle(held.pop(), Sent.ANSWERED)
    ledger.close_for(1, held[0], OUTAGE)
    await asyncio.sleep(1)
    (probe,) = await all_there_are(ledger)
    for lease in held:
        ledger.settle(lease, Sent.ANSWERED)
    assert await all_there_are(ledger) == []
    ledger.settle(probe, Sent.ANSWERED)
    assert len(await all_there_are(ledger)) == 2


async def test_a_slow_start_stays_within_the_limit(make: Make) -> None:
    ledger = make(RateLimit(2, 60.0))
    await close_ledger(ledger, 1)
    start = now()
    await asyncio.sleep(1)
    ledger.settle(await leased(ledger), Sent.ANSWERED)
    wait = await refused(ledger)
    assert now() + wait.seconds == pytest.approx(start + 60, abs=SLACK)


# -- what can be seen


async def test_the_standing_without_asking_anybody(make: Make) -> None:
    ledger = make(RateLimit(2, 60.0))
    assert seen(ledger) == Standing(0, 0.0, 0.0)
    first = await leased(ledger)
    assert seen(ledger) == Standing(1, 0.0, 0.0)
    second = await leased(ledger)
    assert seen(ledger) == Standing(2, math.inf, 0.0)
    ledger.settle(first, Sent.ANSWERED)
    assert seen(ledger) == Standing(2, 60.0, 0.0)
    ledger.settle(second, Sent.NEVER)
    assert seen(ledger) == Standing(1, 0.0, 0.0)
    await asyncio.sleep(60)
    assert seen(ledger) == Standing()


async def test_the_standing_of_a_closed_ledger(make: Make) -> None:
    ledger = make(RateLimit(1, 60.0))
    lease = await leased(ledger)
    ledger.close_for(20, lease, OUTAGE)
    # Opening makes no slot, as long as all of them are held.
    assert seen(ledger) == Standing(1, math.inf, 20.0, OUTAGE)
    ledger.settle(lease, Sent.NEVER)
    await asyncio.sleep(5)
    assert seen(ledger) == Standing(0, 15.0, 15.0, OUTAGE)
    await asyncio.sleep(15)
    assert seen(ledger) == Standing()


async def test_the_standing_knows_of_the_slow_start(make: Make) -> None:
    ledger = make(None)
    await close_ledger(ledger, 5)
    await asyncio.sleep(5)
    probe = await leased(ledger)
    assert seen(ledger) == Standing(1, math.inf, 0.0)
    ledger.settle(probe, Sent.ANSWERED)
    assert seen(ledger) == Standing(0, 0.0, 0.0)
