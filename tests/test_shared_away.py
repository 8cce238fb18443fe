"""What becomes of clients whose store is out of reach, is lost, or goes while they are closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import math

import pytest

from lucca_training_async import ConfigurationError, RateLimit, SharedBudgetError
from lucca_training_async._budget import Cause, Lease, Sent, Wait
from lucca_training_async._budget.lease import TIME_TO_BEGIN
from lucca_training_async._budget.replica import Replica
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.steps import Meet
from lucca_training_async._budget.tenant import Ask

from .fragile import LONGEST, FragileStore, client, fragile, settled, sharing
from .fragile import everybody_leaves as everybody_leaves
from .gates import all_there_are, leased, now, refused

# -- out of reach


async def test_out_of_reach_each_keeps_to_its_part_and_comes_back_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store = fragile()
    one, other = client(store), client(store)
    await one.open()
    await other.open()
    await one.open()
    store.is_reachable = False
    assert len(await all_there_are(one)) == 5
    assert len(await all_there_are(other)) == 5
    assert sharing(one) == (2, 5, True)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2  # one of each client
    assert "within 5 requests per 60 s" in warnings[0].message
    await asyncio.sleep(20)
    assert len(caplog.records) == 2
    store.is_reachable = True
    await asyncio.sleep(20)
    assert sharing(one) == (2, 10, False)
    # What was used meanwhile is known to all.
    third = client(store)
    await refused(third)
    assert third.standing().in_use == 10
    for ledger in (one, other, third):
        await ledger.aclose()


async def test_out_of_reach_what_was_used_before_still_counts() -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await asyncio.sleep(20)
    for lease in await all_there_are(one):
        one.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(0.1)
    await refused(other)
    store.is_reachable = False
    assert await all_there_are(one) == []
    assert await all_there_are(other) == []
    await asyncio.sleep(61)
    assert len(await all_there_are(one)) == 5
    assert len(await all_there_are(other)) == 5
    await one.aclose()
    await other.aclose()


async def test_one_that_never_reached_it_has_the_whole_budget() -> None:
    store = fragile()
    store.is_reachable = False
    ledger = client(store)
    await ledger.open()
    assert len(await all_there_are(ledger)) == 10
    await ledger.aclose()


async def test_more_clients_than_slots_have_one_each() -> None:
    store = fragile()
    ledgers = [client(store, RateLimit(2, 60.0)) for _ in range(5)]
    for ledger in ledgers:
        await ledger.open()
    await ledgers[0].open()
    store.is_reachable = False
    await ledgers[0].take()
    await asyncio.sleep(61)
    assert len(await all_there_are(ledgers[0])) == 1
    await ledgers[0].aclose()


async def test_required_and_out_of_reach_is_an_error() -> None:
    store = fragile()
    ledger = client(store, required=True)
    await settled(ledger)
    store.is_reachable = False
    with pytest.raises(SharedBudgetError, match="out of reach"):
        await ledger.take()
    with pytest.raises(SharedBudgetError):
        await ledger.open()
    store.is_reachable = True
    assert ledger.standing().in_use == 1
    await leased(ledger)
    await ledger.aclose()


async def test_what_never_can_be_a_ledger_is_an_error() -> None:
    store = fragile()
    store.never = True
    ledger = client(store)
    with pytest.raises(ConfigurationError, match="no ledger"):
        await ledger.open()
    with pytest.raises(ConfigurationError, match="no ledger"):
        await ledger.take()
    await ledger.aclose()


@pytest.mark.parametrize("required", [False, True])
async def test_a_settlement_that_is_not_heard_is_told_later(required: bool) -> None:
    store = fragile()
    ledger, other = client(store, required=required), client(store)
    lease = await leased(ledger)
    store.is_reachable = False
    ledger.settle(lease, Sent.NEVER)
    await asyncio.sleep(1)
    store.is_reachable = True
    await asyncio.sleep(20)
    assert isinstance(await ledger.take(), Lease)
    await other.open()
    assert other.standing().in_use == 1
    await ledger.aclose()
    await other.aclose()


async def test_alone_those_who_were_seen_last_are_remembered_however_long_ago() -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await one.open()
    await asyncio.sleep(86_400)
    store.is_reachable = False
    await one.take()
    assert sharing(one) == (2, 5, True)
    await one.aclose()
    await other.aclose()


async def test_who_comes_back_from_being_alone_tells_of_no_other_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await one.open()
    store.is_reachable = False
    await one.take()
    store.is_reachable = True
    await asyncio.sleep(20)
    assert not sharing(one)[2]
    assert "different limits" not in caplog.text
    await one.aclose()
    await other.aclose()


# -- its end


@pytest.mark.parametrize("loses", [True, False])
async def test_nothing_is_left_of_a_ledger_that_is_closed_while_its_store_is_lost(
    loses: bool,
) -> None:
    store = fragile()
    ledger = client(store)
    lease, another = await leased(ledger), await leased(ledger)
    ledger.settle(lease, Sent.ANSWERED)
    store.is_reachable = not loses
    await ledger.aclose()
    store.is_reachable = True
    asked = store.asked
    ledger.settle(another, Sent.ANSWERED)  # its request was still under way
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(100)
    assert store.asked == asked


async def test_a_close_that_is_cancelled_has_closed() -> None:
    store = fragile()
    ledger = client(store)
    await ledger.open()
    store.delay = 1000.0
    ledger.settle(await leased_slowly(ledger, store), Sent.ANSWERED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await ledger.aclose()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert store.is_closed


async def leased_slowly(ledger: SharedLedger, store: FragileStore) -> Lease:
    delay, store.delay = store.delay, 0.001
    lease = await leased(ledger)
    store.delay = delay
    return lease


async def test_who_asks_while_a_close_is_cancelled_is_told_to_wait_and_not_cancelled() -> None:
    """The gate has ended all that waits, and will say so."""
    store = fragile()
    ledger = client(store)
    await ledger.open()
    store.delay = 1000.0
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await ledger.aclose()
    assert await asking == Wait(math.inf)


async def test_what_is_required_and_fails_after_its_call_was_cancelled_troubles_nobody() -> None:
    store = fragile()
    ledger = client(store, required=True)
    store.is_reachable = False
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(1)
    gc.collect()
    assert not told


async def test_out_of_reach_what_is_under_way_counts_from_when_it_may_arrive() -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await asyncio.sleep(20)
    leases = await all_there_are(one)
    await refused(other)
    store.is_reachable = False
    await refused(other)
    await asyncio.sleep(LONGEST)
    for lease in leases:
        one.settle(lease, Sent.ANSWERED)
    await asyncio.sleep(59)
    assert await all_there_are(one) + await all_there_are(other) == []
    await asyncio.sleep(TIME_TO_BEGIN + 2)
    assert len(await all_there_are(one)) == len(await all_there_are(other)) == 5


async def test_nobody_waits_while_one_that_is_alone_tries_to_come_back() -> None:
    """It may take seconds to find out that a store is still out of reach."""
    store = fragile()
    ledger = client(store)
    await ledger.open()
    store.is_reachable, store.delay = False, 2.0
    await leased(ledger)
    start = now()
    for _ in range(9):
        await leased(ledger)
        await asyncio.sleep(1)
    assert now() - start == pytest.approx(9)
    store.is_reachable, store.delay = True, 0.001
    await asyncio.sleep(20)
    assert sharing(ledger) == (1, 10, False)
    assert ledger.standing().in_use == 10


# -- lost


async def test_a_ledger_that_lost_its_data_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    held = await leased(one)
    await settled(one)
    store.lose()
    wait = await refused(one)
    assert wait.seconds == pytest.approx(60, abs=0.1)
    assert (await refused(other)).closed
    assert caplog.text.count("may have been lost") == 2
    # What counts is known again, and nothing else.
    assert other.standing().in_use == 2
    await asyncio.sleep(wait.seconds + 0.1)
    assert isinstance(await other.take(), Lease)
    one.settle(held, Sent.ANSWERED)
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("silent_for", [1.0, 300.0, 86_400.0])
async def test_a_loss_is_noticed_however_long_a_client_was_silent(silent_for: float) -> None:
    """What it has sent itself counts no more; what others have sent may."""
    store = fragile()
    ledger, other = client(store), client(store)
    await settled(ledger)
    await asyncio.sleep(silent_for)
    await all_there_are(other)
    store.lose()
    assert (await refused(ledger)).closed is Cause.DOUBT


async def test_what_was_lost_more_than_a_period_ago_is_no_loss() -> None:
    store = fragile()
    replica = Replica(store, "acme", "one", 10, 60.0, 0.0)
    meet = Meet(Ask("one", "one:1", 10, 60.0, 15.0, 135.0))
    await replica.tell(meet)
    store.lose()
    await client(store).open()
    await asyncio.sleep(61)
    await replica.tell(meet)
    assert replica.tenant().opens_at < store.clock()


@pytest.mark.parametrize("was_alone", [False, True])
async def test_a_ledger_that_lost_its_data_is_told_who_shares_it(was_alone: bool) -> None:
    """Out of reach once more before the others have come, one keeps to no more than its part."""
    store = fragile()
    ledgers = [client(store) for _ in range(3)]
    for ledger in [*ledgers, *ledgers]:
        await ledger.open()
    one = ledgers[0]
    if was_alone:
        store.is_reachable = False
        await settled(one)
        store.is_reachable = True
    store.lose()
    await asyncio.sleep(20)
    if not was_alone:
        await refused(one)
    assert sharing(one) == (3, 10, False)
    store.is_reachable = False
    await one.take()
    assert sharing(one) == (3, 3, True)
