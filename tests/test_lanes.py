"""People before batches: what each ledger keeps free, and what a gate asks it for first."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from lucca_training_async import ConfigurationError, RateLimit
from lucca_training_async._budget import Gate, Lane, Lease, Ledger, Owner, Sent, Wait
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.shared import SharedLedger

from .gates import (
    A_MOMENT,
    SLACK,
    Make,
    Patient,
    admit,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
    shared_by,
)
from .gates import make as make
from .gates import nobody_waits_for_ever as nobody_waits_for_ever

PERSON, BULK, LONG = Lane.INTERACTIVE, Lane.BULK, Lane.LONG_BULK


async def all_for(ledger: Ledger, lane: Lane) -> list[Lease]:
    leases: list[Lease] = []
    while len(leases) < 100 and isinstance(answer := await ledger.take(lane), Lease):
        leases.append(answer)
    return leases


async def used_up(ledger: Ledger, lane: Lane = LONG) -> int:
    """Take all there is, each request answered at once; how many that were."""
    leases = await all_for(ledger, lane)
    for lease in leases:
        ledger.settle(lease, Sent.ANSWERED)
    return len(leases)


async def one_for(ledger: Ledger, lane: Lane) -> bool:
    """Take one, answered at once, if there is one."""
    answer = await ledger.take(lane)
    if isinstance(answer, Lease):
        ledger.settle(answer, Sent.ANSWERED)
    return isinstance(answer, Lease)


async def moments(ledger: Ledger, lane: Lane, number: int) -> list[float]:
    """When so many could be had, each as soon as the ledger says, and answered at once."""
    taken: list[float] = []
    while len(taken) < number:
        answer = await ledger.take(lane)
        if isinstance(answer, Wait):
            await asyncio.sleep(max(min(answer.seconds, 60.0), A_MOMENT))
            continue
        ledger.settle(answer, Sent.ANSWERED)
        taken.append(now())
    return taken


# -- what a ledger keeps free


@pytest.mark.parametrize("lane", [PERSON, BULK, LONG])
async def test_all_of_a_fresh_budget_is_for_whoever_comes(make: Make, lane: Lane) -> None:
    assert await used_up(make(RateLimit(10, 60.0)), lane) == 10


async def test_a_long_run_takes_no_more_than_one_every_so_often_once_it_was_full(
    make: Make,
) -> None:
    ledger = make(RateLimit(10, 60.0))
    await used_up(ledger)
    await asyncio.sleep(60 + SLACK)
    began = now()
    taken = [moment - began for moment in await moments(ledger, LONG, 6)]
    assert taken == pytest.approx([0, 6, 12, 18, 24, 30], abs=SLACK)
    # The others are there for people, all at once.
    assert len(await all_for(ledger, PERSON)) == 4


async def test_a_short_run_takes_all_while_nobody_is_about(make: Make) -> None:
    ledger = make(RateLimit(10, 60.0))
    for _ in range(3):
        assert await used_up(ledger, BULK) == 10
        await asyncio.sleep(60 + SLACK)


async def test_a_short_run_is_spread_while_people_are_about(make: Make) -> None:
    ledger = make(RateLimit(10, 60.0))
    assert await used_up(ledger, BULK) == 10
    # Whoever was not served may have gone.
    assert not await one_for(ledger, PERSON)
    await asyncio.sleep(60 + SLACK)
    assert await used_up(ledger, BULK) == 10
    await asyncio.sleep(60 + SLACK)
    assert await one_for(ledger, PERSON)
    assert await used_up(ledger, BULK) == 1
    await asyncio.sleep(6 + SLACK)
    assert await used_up(ledger, BULK) == 1
    assert await one_for(ledger, PERSON)
    # Ten periods after the last of them they are gone.
    for _ in range(9):
        await asyncio.sleep(60)
        assert await used_up(ledger, BULK) == 1
    await asyncio.sleep(60 + SLACK)
    assert await used_up(ledger, BULK) > 5


async def test_a_budget_that_was_left_alone_for_two_periods_is_fresh_again(make: Make) -> None:
    ledger = make(RateLimit(10, 60.0))
    await used_up(ledger)
    await asyncio.sleep(119 - SLACK)
    assert await used_up(ledger) == 1
    await asyncio.sleep(120 + SLACK)
    assert await used_up(ledger) == 10


async def test_what_is_late_makes_the_next_no_later(make: Make) -> None:
    """Else a timer that is a millisecond late each time would cost a fifth of a fast budget."""
    ledger = make(RateLimit(10, 60.0))
    await used_up(ledger)
    await asyncio.sleep(60 + SLACK)
    assert await one_for(ledger, LONG)
    began, taken = now(), 0
    while now() < began + 60 - SLACK:
        await asyncio.sleep(4)
        taken += await one_for(ledger, LONG)
    assert taken == 10


@pytest.mark.parametrize("lane", [BULK, LONG])
async def test_what_is_reserved_is_for_people_alone(make: Make, lane: Lane) -> None:
    ledger = make(RateLimit(10, 60.0, reserved=3))
    assert await used_up(ledger, lane) == 7
    wait = await ledger.take(lane)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(60, abs=SLACK)
    assert len(await all_for(ledger, PERSON)) == 3
    assert isinstance(await ledger.take(PERSON), Wait)


async def test_a_budget_is_full_for_a_run_when_no_more_than_the_reserve_is_left(make: Make) -> None:
    ledger = make(RateLimit(10, 60.0, reserved=3))
    assert await used_up(ledger) == 7
    await asyncio.sleep(60 + SLACK)
    assert await used_up(ledger) == 1


async def test_people_who_use_more_than_the_reserve_do_not_starve_a_batch(make: Make) -> None:
    """What is reserved is theirs; of the rest they have what they take."""
    ledger = make(RateLimit(6, 60.0, reserved=3))
    for _ in range(4):
        assert await one_for(ledger, PERSON)
    assert await used_up(ledger, BULK) == 2
    assert not await one_for(ledger, PERSON)


async def test_a_bulk_request_waits_for_a_slot_of_its_own_kind(make: Make) -> None:
    ledger = make(RateLimit(3, 60.0, reserved=2))
    assert await one_for(ledger, PERSON)
    await asyncio.sleep(10)
    assert await one_for(ledger, BULK)
    wait = await ledger.take(BULK)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(60, abs=SLACK)
    assert await one_for(ledger, PERSON)
    wait = await ledger.take(PERSON)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(50, abs=SLACK)


async def test_without_a_limit_nothing_is_spread(make: Make) -> None:
    ledger = make(None)
    assert len(await all_for(ledger, LONG)) == 100


@pytest.mark.parametrize("reserved", [-1, 10, 11, 1.0, True, "1", None])
def test_a_reserve_that_leaves_nothing_or_is_none_is_refused(reserved: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"RateLimit\.reserved .* less than requests"):
        RateLimit(10, 60.0, reserved=reserved)


# -- several clients


async def test_a_person_of_one_client_goes_before_the_batch_of_another() -> None:
    """Though the batch is quicker, and has less."""
    store = MemoryStore(asyncio.get_running_loop().time)
    limit = RateLimit(4, 60.0)
    person, batch = shared_by(store, limit), shared_by(store, limit)
    for _ in range(4):
        lease = await person.take(PERSON)
        assert isinstance(lease, Lease)
        person.settle(lease, Sent.ANSWERED)
        await asyncio.sleep(2)
    assert isinstance(await batch.take(LONG), Wait)
    wait = await person.take(PERSON)
    assert isinstance(wait, Wait)
    await asyncio.sleep(wait.seconds + A_MOMENT)
    assert isinstance(await batch.take(LONG), Wait)
    assert isinstance(await person.take(PERSON), Lease)
    await person.aclose()
    await batch.aclose()


async def test_two_batches_take_turns_where_they_are_spread() -> None:
    store = MemoryStore(asyncio.get_running_loop().time)
    limit = RateLimit(10, 60.0)
    ledgers = [shared_by(store, limit) for _ in range(2)]
    taken = dict.fromkeys(ledgers, 0)

    async def work(ledger: SharedLedger) -> None:
        while True:
            answer = await ledger.take(LONG)
            if isinstance(answer, Wait):
                await asyncio.sleep(max(min(answer.seconds, 1.0), A_MOMENT))
            else:
                ledger.settle(answer, Sent.ANSWERED)
                taken[ledger] += 1

    working = [asyncio.create_task(work(ledger)) for ledger in ledgers]
    await asyncio.sleep(1200)
    for task in working:
        task.cancel()
    await asyncio.wait(working)
    assert sum(taken.values()) >= 180
    assert min(taken.values()) >= sum(taken.values()) / 3
    for ledger in ledgers:
        await ledger.aclose()


async def test_where_batches_are_spread_the_next_is_for_the_one_that_has_waited_longer() -> None:
    store = MemoryStore(asyncio.get_running_loop().time)
    first, second = (shared_by(store, RateLimit(10, 60.0)) for _ in range(2))
    assert await used_up(first) == 10
    await asyncio.sleep(60 + A_MOMENT)
    assert await one_for(second, LONG)
    assert not await one_for(first, LONG)
    await asyncio.sleep(1)
    assert not await one_for(second, LONG)
    await asyncio.sleep(5 + A_MOMENT)
    assert not await one_for(second, LONG)
    assert await one_for(first, LONG)
    await first.aclose()
    await second.aclose()


# -- the queue


class Batch(Patient):
    """A run that says how much it has still to ask for."""

    def __init__(self, to_come: float = 0) -> None:
        super().__init__()
        self.is_bulk = True
        self.left = to_come

    def to_come(self) -> float:
        return self.left


async def test_people_are_admitted_before_batches_whoever_came_first() -> None:
    gate = make_gate(RateLimit(1, 60.0))
    leave(await admit(gate))
    order: list[str] = []

    async def one(name: str, owner: Owner) -> None:
        leave(await admit(gate, owner))
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, owner in [
            ("batch 1", Batch()),
            ("person 1", Owner()),
            ("batch 2", Batch()),
            ("person 2", Owner()),
        ]:
            tasks.create_task(one(name, owner))
            await asyncio.sleep(1)
        budget = gate.budget()
        assert (budget.waiting, budget.waiting_interactive, budget.waiting_bulk) == (4, 2, 2)
        assert "4 waiting (2 of them interactive)" in str(budget)
        assert budget.next_bulk_slot_in is not None
    assert order == ["person 1", "person 2", "batch 1", "batch 2"]


async def test_a_person_does_not_wait_because_a_batch_does() -> None:
    """The ledger has told the batch when to come back, which is no answer for the person."""
    gate = make_gate(RateLimit(10, 60.0, reserved=2))
    for _ in range(8):
        leave(await admit(gate, Batch()))
    waiting = await queue(gate, Batch())
    await asyncio.sleep(1)
    budget = gate.budget()
    assert budget.next_slot_in == 0
    assert budget.next_bulk_slot_in == pytest.approx(59, abs=SLACK)
    began = now()
    leave(await admit(gate))
    assert now() == began
    assert not waiting.done()
    leave(await waiting)
    assert now() == pytest.approx(60, abs=SLACK)


@pytest.mark.parametrize(("reserved", "at_once"), [(0, 3), (2, 2)])
async def test_where_slots_are_kept_for_people_a_place_is_as_well(
    reserved: int, at_once: int
) -> None:
    """A batch whose answers are slow may hold all the others."""
    gate = make_gate(RateLimit(10, 60.0, reserved=reserved), concurrency=3)
    batch = [await queue(gate, Batch()) for _ in range(3)]
    await asyncio.sleep(1)
    assert gate.budget().in_flight == at_once
    person = await queue(gate)
    await asyncio.sleep(1)
    assert person.done() is (reserved > 0)
    for place in [*batch, person]:
        leave(await place)


@pytest.mark.parametrize(
    ("sent", "to_come", "lane"),
    [
        (0, 0, Lane.BULK),
        (200, 200, Lane.BULK),
        (201, 0, Lane.LONG_BULK),
        (0, 201, Lane.LONG_BULK),
        (0, math.inf, Lane.LONG_BULK),
    ],
)
def test_a_run_is_long_if_it_takes_more_than_twenty_budgets(
    sent: int, to_come: float, lane: Lane
) -> None:
    run = Batch(to_come)
    run.requests = sent
    assert run.lane(10) is lane
    run.is_bulk = False
    assert run.lane(10) is Lane.INTERACTIVE


async def test_a_cancelled_person_leaves_the_turn_to_the_batch() -> None:
    gate: Gate = make_gate(RateLimit(1, 60.0), ledger=in_memory(RateLimit(1, 60.0)))
    leave(await admit(gate))
    person, batch = await queue(gate), await queue(gate, Batch())
    await asyncio.sleep(30)
    person.cancel()
    leave(await batch)
    assert now() == pytest.approx(60, abs=SLACK)
