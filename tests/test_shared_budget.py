"""Several clients of one budget: together within the limit, whoever dies, stops or loses touch."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import ConfigurationError, RateLimit, SharedBudgetError
from lucca_training_async._budget import Cause, Lease, Sent, Wait
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.steps import Step, UnreachableError
from lucca_training_async._budget.tenant import Tenant
from lucca_training_async.sandbox.window import busiest_window

from .gates import A_MOMENT, all_there_are, leased, now, patiently, refused, shared_by
from .virtual_time import run

LIMIT = RateLimit(10, 60.0)
LONGEST = 15.0


class FragileStore(MemoryStore):
    """A store that can get out of reach, and lose its data."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.is_reachable = True
        self.takes = 0.001
        self.never = False

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        await asyncio.sleep(self.takes)
        if self.never:
            raise ConfigurationError("this is no ledger")
        if not self.is_reachable:
            raise UnreachableError("fragile: out of reach")
        return await super().apply(host, steps)

    def lose(self) -> None:
        self._tenants.clear()


def fragile() -> FragileStore:
    return FragileStore(asyncio.get_running_loop().time)


def client(
    store: MemoryStore, limit: RateLimit | None = LIMIT, *, required: bool = False
) -> SharedLedger:
    return shared_by(store, limit, longest_attempt=LONGEST, required=required)


async def settled(ledger: SharedLedger, sent: Sent = Sent.ANSWERED) -> None:
    ledger.settle(await patiently(ledger), sent)
    await asyncio.sleep(0.01)


def sharing(ledger: SharedLedger) -> tuple[int, int | None, bool]:
    shared = ledger.standing().sharing
    assert shared is not None
    return shared.clients, shared.limit, shared.alone


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
    await asyncio.sleep(1.1)
    await leased(other)


async def test_the_leases_of_a_killed_client_end_by_themselves() -> None:
    store = fragile()
    killed, other = client(store), client(store)
    assert len(await all_there_are(killed)) == 10
    start = now()
    for _ in range(10):
        await patiently(other)
    # The longest attempt, and two periods: it may have been cut off at its end.
    assert now() - start == pytest.approx(LONGEST + 120, abs=2)


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
    assert lease.is_valid()
    await asyncio.sleep(LONGEST)
    assert lease.is_valid()
    await asyncio.sleep(1.1)
    assert not lease.is_valid()


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
    assert "different limits" not in caplog.text
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
    await asyncio.sleep(3)
    assert len(await all_there_are(one)) == len(await all_there_are(other)) == 5
    await one.aclose()
    await other.aclose()


async def test_one_that_never_reached_it_has_the_whole_budget() -> None:
    store = fragile()
    store.is_reachable = False
    ledger = client(store)
    await ledger.open()
    assert len(await all_there_are(ledger)) == 10
    await ledger.aclose()


async def test_nobody_waits_while_one_that_is_alone_tries_to_come_back() -> None:
    """It may take seconds to find out that a store is still out of reach."""
    store = fragile()
    ledger = client(store)
    await ledger.open()
    store.is_reachable, store.takes = False, 2.0
    await leased(ledger)
    start = now()
    for _ in range(9):
        await leased(ledger)
        await asyncio.sleep(1)
    assert now() - start == pytest.approx(9)
    store.is_reachable, store.takes = True, 0.001
    await asyncio.sleep(20)
    assert sharing(ledger) == (1, 10, False)
    assert ledger.standing().in_use == 10
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
    assert caplog.text.count("has been lost") == 2
    # What is under way is known again.
    assert other.standing().in_use >= 1
    await asyncio.sleep(wait.seconds + 0.1)
    assert isinstance(await other.take(), Lease)
    one.settle(held, Sent.ANSWERED)
    await one.aclose()
    await other.aclose()


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
    await one.aclose()


async def test_what_was_forgotten_long_ago_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    store = fragile()
    ledger = client(store)
    await settled(ledger)
    await asyncio.sleep(86_400)
    store.lose()
    await leased(ledger)
    assert "lost" not in caplog.text
