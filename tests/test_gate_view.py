"""What can be seen of a gate: its budget, how long an owner has waited, and a line in the log.

The lines about outages and pauses themselves are in ``test_closures.py``.
"""

from __future__ import annotations

import asyncio
import logging

import attrs
import pytest

from lucca_training_async import RateLimit
from lucca_training_async._budget import Budget, Cause, Owner
from lucca_training_async._budget.closures import NAMES

from .gates import (
    Patient,
    admit,
    answer,
    close,
    close_ledger,
    either_ledger,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
    shared_gate,
)
from .gates import nobody_waits_for_ever as nobody_waits_for_ever


async def test_the_budget_without_asking_anybody() -> None:
    gate = make_gate(RateLimit(2, 60.0))
    assert gate.budget() == Budget(2) == Budget(2, 0, 0.0, 0.0, 0, 0)
    first = await admit(gate)
    assert gate.budget() == Budget(2, 1, 0.0, 0.0, 0, 1)
    second = await admit(gate)
    waiter = await queue(gate)
    assert gate.budget() == Budget(2, 2, None, 0.0, 1, 2)
    leave(first)
    await asyncio.sleep(15)
    assert gate.budget() == Budget(2, 2, 45.0, 0.0, 1, 1)
    assert repr(gate) == "<Gate: 2 of 2 in use, 1 waiting, 1 in flight, next slot in 45.0 s>"
    close(gate, second, 100)
    assert gate.budget() == Budget(2, 2, 100.0, 100.0, 1, 0, "pause")
    assert repr(gate) == "<Gate: 2 of 2 in use, 1 waiting, 0 in flight, closed for 100.0 s>"
    admission = await waiter
    assert now() == 115
    # A pause is over when its time is.
    assert gate.budget() == Budget(2, 1, None, 0.0, 0, 1)
    leave(admission)


async def test_the_budget_says_that_there_is_an_outage_until_a_sign_of_life() -> None:
    gate = make_gate(RateLimit(2, 60.0))
    close(gate, await admit(gate), 100, Cause.OUTAGE)
    assert gate.budget() == Budget(2, 1, 100.0, 100.0, 0, 0, "outage")
    assert str(gate.budget()) == "1 of 2 in use, 0 waiting, 0 in flight, outage, closed for 100.0 s"
    await asyncio.sleep(110)
    assert gate.budget() == Budget(2, closed_by="outage")
    assert str(gate.budget()) == "0 of 2 in use, 0 waiting, 0 in flight, outage"
    probe = await admit(gate)
    assert gate.budget() == Budget(2, 1, None, 0.0, 0, 1, "outage")
    answer(gate, probe, now())
    assert gate.budget() == Budget(2, 1)


async def test_the_outage_is_what_is_told_if_there_is_a_pause_too() -> None:
    gate = make_gate()
    first, second = await admit(gate), await admit(gate)
    close(gate, first, 10, Cause.OUTAGE)
    close(gate, second, 20, Cause.PAUSE)
    assert gate.budget() == Budget(None, 0, 20.0, 20.0, closed_by="outage")


@pytest.mark.parametrize("cause", Cause)
async def test_what_only_the_ledger_knows_is_told_too(cause: Cause) -> None:
    ledger = in_memory(None)
    await close_ledger(ledger, 30, cause)
    assert make_gate(ledger=ledger).budget() == Budget(None, 0, 30.0, 30.0, closed_by=NAMES[cause])


@pytest.mark.parametrize("cause", Cause)
async def test_the_budget_knows_of_a_closure_elsewhere_once_somebody_has_asked(
    cause: Cause,
) -> None:
    gate, ledger = shared_gate()
    ledger.cause = cause
    ledger.close_elsewhere(50)
    assert gate.budget().closed_by is None
    waiter = await queue(gate, Patient())
    assert gate.budget().closed_by == NAMES[cause]
    leave(await waiter)


async def test_a_free_slot_is_none_while_no_more_may_be_under_way() -> None:
    gate = make_gate(RateLimit(5, 60.0), concurrency=1)
    held = await admit(gate)
    assert gate.budget() == Budget(5, 1, None, 0.0, 0, 1)
    leave(held)
    assert gate.budget().next_slot_in == 0


def test_a_budget_is_a_frozen_view() -> None:
    budget = Budget(50)
    assert str(budget) == "0 of 50 in use, 0 waiting, 0 in flight"
    assert str(Budget(None, 3, None, 0.0, 2, 3)) == "no limit, 2 waiting, 3 in flight"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        budget.in_use = 1  # type: ignore[misc]


@either_ledger
async def test_waits_at_the_same_time_are_counted_once(delay: float | None) -> None:
    gate, owner = make_gate(concurrency=1, delay=delay), Owner()

    async def hold(start: float, seconds: float) -> None:
        await asyncio.sleep(start)
        with await admit(gate):  # of somebody else
            await asyncio.sleep(seconds)

    async def wait(start: float) -> None:
        await asyncio.sleep(start)
        leave(await admit(gate, owner))

    async def check_while_waiting() -> None:
        await asyncio.sleep(6)
        assert owner.waited(now()) == pytest.approx(5, abs=0.5)

    # One waits from 1 to 8, the other from 2 to 8, a third from 21 to 23.
    await asyncio.gather(hold(0, 8), hold(20, 3), wait(1), wait(2), wait(21), check_while_waiting())
    assert owner.waited(now()) == pytest.approx(7 + 2, abs=1)
    await asyncio.sleep(100)
    assert owner.waited(now()) == pytest.approx(7 + 2, abs=1)


@pytest.mark.parametrize(
    ("period", "calls", "lines"),
    [
        (10.0, 2, []),
        (11.0, 2, ["waiting for the request budget for 11 s"]),
        # A bulk run has one a minute, and whoever reads the log knows after the first.
        (11.0, 9, ["waiting for the request budget for 11 s"]),
    ],
)
async def test_a_wait_worth_telling_is_told_once_and_at_its_start(
    period: float, calls: int, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gate, bulk = make_gate(RateLimit(1, period)), Owner()

    async def request() -> None:
        leave(await admit(gate, bulk))

    tasks = [asyncio.create_task(request()) for _ in range(calls)]
    await asyncio.sleep(1)
    assert caplog.messages == lines
    await asyncio.gather(*tasks)
    assert now() == (calls - 1) * period
    assert caplog.messages == lines


@pytest.mark.parametrize(
    ("cause", "awaited"),
    [
        (Cause.PAUSE, "end of the pause"),
        (Cause.OUTAGE, "end of the outage"),
        (Cause.DOUBT, "request budget"),
    ],
)
async def test_every_owner_is_told_of_its_own_wait(
    cause: Cause, awaited: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gate = make_gate()
    close(gate, await admit(gate), 30, cause)
    caplog.clear()  # of the line about the closure
    for waiter in [await queue(gate, Patient()), await queue(gate, Patient())]:
        leave(await waiter)
    assert caplog.messages == [f"waiting for the {awaited} for 30 s"] * 2


@pytest.mark.parametrize(("held", "told"), [(10.0, False), (10.5, True)])
async def test_a_wait_of_unknown_length_is_told_when_it_is_over(
    held: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gate = make_gate(concurrency=1)
    holder = await admit(gate)
    waiter = await queue(gate)
    await asyncio.sleep(held)
    assert caplog.messages == []
    leave(holder)
    await waiter
    assert len(caplog.messages) == told
    assert all("waited for its turn for 10 s" in line for line in caplog.messages)


async def test_a_wait_in_two_turns_is_one_wait(caplog: pytest.LogCaptureFixture) -> None:
    """First for a place, then for a slot: neither is long, both together are."""
    caplog.set_level(logging.INFO)
    gate = make_gate(RateLimit(1, 9.0), concurrency=1)
    holder = await admit(gate)
    waiter = await queue(gate)
    await asyncio.sleep(8)
    leave(holder)
    await waiter
    assert now() == 17
    assert caplog.messages == ["a request has waited for its turn for 17 s"]
