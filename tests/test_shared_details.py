"""What a shared budget promises at its edges: while it is closed, in doubt, alone or just back."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence

import pytest
from yarl import URL

from lucca_training_async import MemoryLedger, RateLimit
from lucca_training_async._budget import Cause, Lane, Sent, Wait
from lucca_training_async._budget.lease import TIME_TO_BEGIN
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.opening import open_ledger
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.steps import Step, Take
from lucca_training_async._budget.tenant import Ask, Tenant

from .fragile import LONGEST, FragileStore, client, fragile, settled, sharing
from .fragile import everybody_leaves as everybody_leaves
from .gates import all_there_are, leased, now, refused
from .virtual_time import run

# -- its end


async def test_what_is_given_back_while_it_is_closed_is_free_for_others() -> None:
    store = fragile()
    store.delay = 0.1
    ledger, other = client(store), client(store)
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0.05)
    asking.cancel()
    await ledger.aclose()
    await other.open()
    assert other.standing().in_use == 0


async def test_what_is_settled_while_it_is_closed_is_told() -> None:
    store = fragile()
    store.delay = 0.1
    ledger, other = client(store), client(store)
    lease = await leased(ledger)
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(ledger.aclose())
    await asyncio.sleep(0.01)
    ledger.settle(lease, Sent.NEVER)
    await closing
    await asking
    await other.open()
    assert other.standing().in_use == 1


def test_closed_from_another_loop_it_says_nothing() -> None:
    async def opened() -> tuple[FragileStore, SharedLedger]:
        store = fragile()
        ledger = client(store)
        await leased(ledger)
        return store, ledger

    store, ledger = run(opened())
    asked = store.asked
    run(ledger.aclose())
    assert store.is_closed
    assert store.asked == asked


# -- what is known


async def test_what_is_settled_while_a_question_is_under_way_is_known_with_its_answer() -> None:
    store = fragile()
    ledger = client(store)
    lease = await leased(ledger)
    store.delay = 1.0
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0.5)
    ledger.settle(lease, Sent.NEVER)
    await asking
    assert ledger.standing().in_use == 1


async def test_what_a_store_gives_is_a_copy_that_changes_nobody_elses() -> None:
    store = fragile()
    tenant, _ = await store.apply("acme", [Take(Ask("one", "one:1", 10, 60.0, 15.0, 135.0))])
    tenant.settle("one", "one:1", 0, 0.0, answered=True)
    tenant.pace.due_at = 1e9
    tenant.members["one"].seen_at = -1e9
    assert not tenant.slots
    again, _ = await store.apply("acme", [])
    assert list(again.slots) == ["one:1"]
    assert again.pace.due_at < 1e9
    assert list(again.members) == ["one"]


@pytest.mark.real_time
async def test_threads_that_ask_at_once_both_count() -> None:
    threads: list[threading.Thread] = []

    def ask(name: str) -> None:
        step = Take(Ask(name, f"{name}:1", 10, 60.0, 15.0, 135.0))
        asyncio.run(store.apply("acme", [step]))

    def clock() -> float:
        if not threads:
            # In the midst of the first question.
            threads.append(threading.Thread(target=ask, args=["two"]))
            threads[0].start()
            threads[0].join(timeout=0.2)
        return 0.0

    store = MemoryStore(clock)
    await asyncio.to_thread(ask, "one")
    threads[0].join()
    tenant, _ = await store.apply("acme", [])
    assert sorted(tenant.slots) == ["one:1", "two:1"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://acme.ilucca.net", "acme.ilucca.net"),
        ("https://ACME.ilucca.net:443", "acme.ilucca.net"),
        ("http://acme.ilucca.net", "acme.ilucca.net"),
        ("https://acme.ilucca.net:8443", "acme.ilucca.net:8443"),
    ],
)
async def test_a_budget_is_that_of_a_host_with_its_port_if_that_is_an_unusual_one(
    origin: str, host: str
) -> None:
    shared = MemoryLedger()
    opened = open_ledger(shared, URL(origin), RateLimit(1, 60.0), LONGEST, required=True)
    same = shared.ledger_for(host, 1, 60.0, LONGEST)
    await leased(opened)
    assert isinstance(await same.take(), Wait)
    await opened.aclose()
    await same.aclose()


# -- a lease


async def test_the_time_to_begin_runs_from_the_question_not_from_the_answer() -> None:
    store = fragile()
    store.delay = TIME_TO_BEGIN - 1
    lease = await leased(client(store))
    await asyncio.sleep(0.9)
    assert lease.is_fresh()
    await asyncio.sleep(0.2)
    assert not lease.is_fresh()


async def test_an_answer_that_is_read_when_its_lease_has_ended_is_one_of_no_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process may be stopped while it is on its way."""
    store = fragile()
    ledger, apply = client(store), store.apply

    async def answering_late(host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        answer = await apply(host, steps)
        await asyncio.sleep(3600)
        return answer

    monkeypatch.setattr(store, "apply", answering_late)
    lease = await leased(ledger)
    assert not lease.is_fresh()
    monkeypatch.undo()
    ledger.settle(lease, Sent.NEVER)
    await leased(ledger)
    assert ledger.standing().in_use == 1


async def test_a_slot_counts_for_a_grain_more_as_a_clock_may_be_late() -> None:
    ledger = SharedLedger(fragile(), "acme", 1, 60.0, LONGEST, grain=0.5)
    await settled(ledger)
    assert (await refused(ledger)).seconds > 60
    await ledger.aclose()


# -- nobody starves


@pytest.mark.parametrize("lane", [Lane.BULK, Lane.LONG_BULK])
@pytest.mark.parametrize(("limit", "reserved"), [(2, 1), (10, 5), (50, 40)])
async def test_of_two_batches_that_leave_a_reserve_neither_gets_less_than_a_third(
    lane: Lane, limit: int, reserved: int
) -> None:
    """The parts are of what is left for them, not of the whole budget."""
    store, budget = fragile(), RateLimit(limit, 60.0, reserved=reserved)
    quick, slow = client(store, budget), client(store, budget)
    taken = {quick: 0, slow: 0}

    async def work(ledger: SharedLedger, hesitates: float) -> None:
        while True:
            lease = await ledger.take(lane)
            if isinstance(lease, Wait):
                wait = 0.05 if lease.seconds == math.inf else lease.seconds
                await asyncio.sleep(wait + hesitates)
                continue
            taken[ledger] += now() > 100
            asyncio.get_running_loop().call_later(0.5, ledger.settle, lease, Sent.ANSWERED)

    tasks = [asyncio.create_task(work(quick, 0.0))]
    await asyncio.sleep(100)
    tasks.append(asyncio.create_task(work(slow, 0.02)))
    await asyncio.sleep(660)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(1)
    assert min(taken.values()) >= sum(taken.values()) / 3
    assert sum(taken.values()) >= 0.9 * (limit - reserved) * 660 / 61


# -- alone, and back


async def test_who_is_back_keeps_to_its_part_until_the_others_must_be_back() -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    await one.open()
    await other.open()
    store.is_reachable = False
    await leased(one)
    store.is_reachable = True
    await asyncio.sleep(one.retry_every + 0.1)
    assert sharing(one) == (2, 10, False)
    assert len(await all_there_are(one)) == 4
    assert 0 < (await refused(one)).seconds <= one.retry_every
    await asyncio.sleep(13.8)  # twice a wait and a try that takes its time
    assert (await refused(one)).seconds < 0.2
    await asyncio.sleep(0.2)
    assert len(await all_there_are(one)) == 5


async def test_who_is_alone_has_its_part_of_the_strictest_limit() -> None:
    store = fragile()
    lax, strict = client(store), client(store, RateLimit(4, 60.0))
    await strict.open()
    await lax.open()
    store.is_reachable = False
    assert len(await all_there_are(lax)) == 2
    assert sharing(lax) == (2, 2, True)


async def test_who_is_alone_and_has_used_its_part_asks_again_soon() -> None:
    """When it is back there may be more."""
    ledger = client(store := fragile(), RateLimit(1, 60.0))
    await settled(ledger)
    store.is_reachable = False
    assert (await refused(ledger)).seconds == ledger.retry_every


async def test_who_is_alone_keeps_a_closure_to_its_end_and_tells_it_when_it_is_back() -> None:
    ledger = client(store := fragile())
    lease = await leased(ledger)
    store.is_reachable = False
    ledger.close_for(30.0, lease, Cause.OUTAGE)
    assert (await refused(ledger)).closed is Cause.OUTAGE
    assert (await refused(ledger)).seconds == pytest.approx(30, abs=0.1)
    store.is_reachable = True
    await asyncio.sleep(10)
    wait = await refused(client(store))
    assert wait.closed is Cause.OUTAGE
    assert wait.seconds == pytest.approx(20, abs=0.1)


async def test_what_is_under_way_when_it_is_back_is_known_as_that() -> None:
    store, limit = fragile(), RateLimit(1, 60.0)
    ledger, other = client(store, limit), client(store, limit)
    store.is_reachable = False
    await leased(ledger)
    store.is_reachable = True
    await asyncio.sleep(ledger.retry_every + 0.1)
    # Its answer may come at any time, and frees the slot a period later.
    assert (await refused(other)).seconds < 1
    await asyncio.sleep(TIME_TO_BEGIN + LONGEST)
    assert (await refused(other)).seconds > 100


# -- lost, or not


async def test_a_host_that_others_are_in_doubt_about_is_no_lost_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    lease = await leased(one)
    one.close_for(2.0, lease, Cause.DOUBT)
    one.settle(lease, Sent.CUT_OFF)
    await asyncio.sleep(0.1)
    assert (await refused(other)).closed is Cause.DOUBT
    assert not caplog.records


async def test_a_loss_is_waited_for_as_long_as_the_longest_period_of_those_who_share() -> None:
    store = fragile()
    one, other = client(store), client(store, RateLimit(10, 90.0))
    await other.open()
    await leased(one)
    store.lose()
    assert (await refused(one)).seconds == pytest.approx(90, abs=0.1)
