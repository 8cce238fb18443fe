"""Outages: who waits for their end, who is the probe, and who is told at once."""

from __future__ import annotations

import asyncio
import math

import pytest

from lucca_training_async import RateLimit
from lucca_training_async._budget import Cause, Gate, GateClosedError, Owner, Sent
from lucca_training_async._budget.memory import MemoryStore

from .gates import (
    A_503,
    A_MOMENT,
    EndedError,
    Patient,
    SlowLedger,
    admit,
    answer,
    assert_idle,
    close,
    either_ledger,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
    shared_by,
    shared_gate,
)
from .gates import nobody_waits_for_ever as nobody_waits_for_ever

OUTAGE, PAUSE = Cause.OUTAGE, Cause.PAUSE


async def refusal(gate: Gate, owner: Owner | None = None) -> GateClosedError:
    """How a call is refused, which takes no time."""
    before = now()
    with pytest.raises(GateClosedError) as caught:
        await admit(gate, owner)
    assert now() == before
    return caught.value


# -- those who don't wait


async def test_a_get_is_told_at_once_and_nobody_is_asked() -> None:
    """Whatever its patience, which is for pauses."""
    ledger = SlowLedger(in_memory(None), delay=0.0)
    gate = make_gate(ledger=ledger)
    close(gate, await admit(gate), 30, OUTAGE, since=-5.0)
    await asyncio.sleep(10)
    for patience in (0.0, 30.0, math.inf):
        error = await refusal(gate, Owner(patience))
        assert error.seconds == 20
        assert (error.closure.cause, error.closure.since) == (OUTAGE, -5)
        assert (error.closure.closed_at, error.closure.until) == (0, 30)
        assert error.closure.seen is A_503
    assert ledger.asked == 1


@either_ledger
async def test_an_outage_that_begins_ends_the_waits_of_gets_only(delay: float | None) -> None:
    gate = make_gate(concurrency=2, delay=delay)
    first, second = await admit(gate), await admit(gate)
    owners = [Owner(), Patient(), Owner(1), Patient()]
    waiters = [await queue(gate, owner) for owner in owners]
    close(gate, first, 30, OUTAGE)
    began_at = now()
    assert gate.budget().waiting == 2
    gets = await asyncio.gather(waiters[0], waiters[2], return_exceptions=True)
    assert [type(result) for result in gets] == [GateClosedError] * 2
    assert now() == began_at
    leave(second)
    for waiter in (waiters[1], waiters[3]):
        leave(await waiter)
    assert now() - began_at == pytest.approx(30, abs=1)
    await assert_idle(gate)


async def test_a_pause_in_which_the_host_falls_silent_ends_the_waits_of_gets() -> None:
    gate = make_gate()
    first, second = await admit(gate), await admit(gate)
    close(gate, first, 100, PAUSE)
    waiter = await queue(gate)
    await asyncio.sleep(1)
    close(gate, second, 5, OUTAGE)
    with pytest.raises(GateClosedError) as caught:
        await waiter
    assert (caught.value.closure.cause, caught.value.seconds) == (OUTAGE, 5)


# -- probes


async def test_a_get_is_the_probe_if_it_comes_when_one_is_due() -> None:
    gate = make_gate()
    close(gate, await admit(gate), 30, OUTAGE)
    await asyncio.sleep(30)
    probe = await admit(gate)
    assert now() == 30
    # The others need not wait for what it comes to, and are told when to ask again.
    await asyncio.sleep(5)
    assert (await refusal(gate)).seconds == 30
    close(gate, probe, 60, OUTAGE)
    assert (await refusal(gate)).seconds == 60
    await asyncio.sleep(60)
    answer(gate, await admit(gate), now())
    await assert_idle(gate)


@either_ledger
async def test_of_gets_that_come_together_one_is_the_probe(delay: float | None) -> None:
    """The others are told by the time at which it is known what that comes to."""
    gate = make_gate(delay=delay)
    close(gate, await admit(gate), 30, OUTAGE)
    await asyncio.sleep(40)
    probe, *others = [await queue(gate) for _ in range(4)]
    admission = await probe
    if delay is None:
        assert all(other.done() for other in others)
    close(gate, admission, 60, OUTAGE)
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(result) for result in results] == [GateClosedError] * 3
    await asyncio.sleep(60)
    await assert_idle(gate)


async def test_while_a_run_probes_a_get_is_told_at_once() -> None:
    gate, run = make_gate(), Patient()
    close(gate, await admit(gate), 10, OUTAGE)
    probe, other = [await queue(gate, run) for _ in range(2)]
    admission = await probe
    assert (await refusal(gate)).seconds == 10
    answer(gate, admission, now())
    # From now on everybody waits for the slow start.
    waiter = await queue(gate)
    leave(await other)
    leave(await waiter)
    assert now() == 10


async def test_a_request_from_before_the_outage_is_no_probe() -> None:
    gate = make_gate()
    first, lingering = await admit(gate), await admit(gate)
    close(gate, first, 10, OUTAGE)
    await asyncio.sleep(10)
    probe = await admit(gate)
    await refusal(gate)
    leave(lingering, Sent.CUT_OFF)
    await refusal(gate)
    leave(probe)


@pytest.mark.parametrize("sent", [Sent.NEVER, Sent.CUT_OFF])
async def test_a_probe_that_is_given_up_makes_room_for_the_next(sent: Sent) -> None:
    """The caller's doing, which tells nothing of the host."""
    gate = make_gate()
    close(gate, await admit(gate), 10, OUTAGE)
    await asyncio.sleep(10)
    for _ in range(3):
        leave(await admit(gate), sent)
    assert now() == 10
    assert gate.budget().closed_by == "outage"


async def test_a_probe_that_is_answered_429_pauses_those_who_wait() -> None:
    """Which doesn't end the outage, and is not what a get is refused for."""
    gate = make_gate()
    close(gate, await admit(gate), 10, OUTAGE)
    await asyncio.sleep(10)
    close(gate, await admit(gate), 20, PAUSE)
    impatient, patient = Owner(19), Owner(20)
    error = await refusal(gate, impatient)
    assert (error.closure.cause, error.seconds) == (PAUSE, 20)
    await admit(gate, patient)
    assert now() == 30
    assert gate.closures.outage is not None


# -- those who wait


async def test_a_run_waits_through_all_of_an_outage_within_its_patience() -> None:
    """Counted from when it first showed; and the others of its kind go by their own."""
    gate = make_gate()
    long, short = Patient(100), Patient(40)
    close(gate, await admit(gate), 10, OUTAGE)
    probe, second, third = [await queue(gate, owner) for owner in (long, short, long)]
    close(gate, await probe, 30, OUTAGE, since=0.0)
    assert gate.budget().waiting == 2
    admission = await second  # the last moment at which it waits is one of them
    assert now() == 40
    close(gate, admission, 60, OUTAGE, since=0.0)
    assert (await refusal(gate, short)).seconds == 60
    await third
    assert now() == 100


async def test_a_run_is_refused_as_soon_as_its_patience_can_not_suffice() -> None:
    gate, run = make_gate(), Patient(50)
    first, second = await admit(gate), await admit(gate)
    close(gate, first, 30, OUTAGE)
    waiters = [await queue(gate, run) for _ in range(3)]
    await asyncio.sleep(20)
    close(gate, second, 31, OUTAGE, since=0.0)
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result) for result in results] == [GateClosedError] * 3
    assert now() == 20
    assert gate.budget().waiting == 0


async def test_while_a_probe_is_under_way_a_run_without_patience_is_told_at_once() -> None:
    gate, run = make_gate(), Patient(50)
    close(gate, await admit(gate), 40, OUTAGE)
    probe = await admit(gate, run)
    await asyncio.sleep(10)
    waiter = await queue(gate, run)  # just so
    assert not waiter.done()
    await asyncio.sleep(1)
    assert (await refusal(gate, run)).seconds == 40
    answer(gate, probe, 40.0)
    leave(await waiter)


async def test_a_short_doubt_refuses_nobody_and_takes_no_patience() -> None:
    """Whether there is an outage; however impatient they are."""
    gate, impatient = make_gate(), Owner(0)
    first, second = await admit(gate), await admit(gate)
    close(gate, first, 5, Cause.DOUBT)
    waiter = await queue(gate, impatient)
    await asyncio.sleep(1)
    close(gate, second, 9, Cause.DOUBT)
    gate.check(gate.place(impatient))
    leave(await waiter)
    assert now() == 10
    close(gate, await admit(gate), 0.5, PAUSE)
    with pytest.raises(GateClosedError):
        await admit(gate, impatient)


async def test_a_doubt_that_turns_out_to_be_an_outage_refuses_then() -> None:
    gate, run = make_gate(), Patient()
    gate.enter(run)
    close(gate, await admit(gate), 0.5, Cause.DOUBT)
    waiters = [await queue(gate, owner) for owner in (run, Owner(), run)]
    assert run.told_at == []
    assert gate.budget().closed_by == "pause"
    close(gate, await waiters[0], 5, OUTAGE, since=-1.0)
    with pytest.raises(GateClosedError) as caught:
        await waiters[1]
    assert (now(), caught.value.seconds) == (0.5, 5)
    assert run.told_at == [0.5]
    await waiters[2]
    assert now() == 5.5


async def test_after_an_outage_there_is_the_same_slow_start_as_after_a_pause() -> None:
    gate, run = make_gate(), Patient()
    close(gate, await admit(gate), 10, OUTAGE)
    started: list[float] = []

    async def request() -> None:
        admission = await admit(gate, run)
        sent_at = now()
        started.append(sent_at)
        await asyncio.sleep(1)
        answer(gate, admission, sent_at)

    await asyncio.gather(*(request() for _ in range(15)))
    assert [started.count(second) for second in (10, 11, 12, 13)] == [1, 2, 4, 8]


async def test_when_the_next_run_gives_up_its_last_probe_is_due() -> None:
    """A get waits for none; and to ask is not yet to have been paused."""
    gate = make_gate()
    get = Owner(500)
    gate.enter(get)
    assert gate.last_probe_at(5.0) == math.inf
    for patience in (300, 100, math.inf, 30):
        gate.enter(Patient(patience))
    for at, due_at in ((0, 35), (34, 35), (35, 105), (104.9, 105), (200, 305), (400, math.inf)):
        await asyncio.sleep(at - now())
        assert gate.last_probe_at(5.0) == due_at
    await asyncio.sleep(1000)
    close(gate, await admit(gate), 500, PAUSE)
    await admit(gate, get)


# -- one that another process has met


async def test_an_outage_that_another_process_met_refuses_gets_and_nobody_else() -> None:
    gate, ledger = shared_gate()
    run = Patient(500)
    gate.enter(run)
    ledger.cause = OUTAGE
    await asyncio.sleep(7)
    ledger.close_elsewhere(50)
    with pytest.raises(GateClosedError) as caught:
        await admit(gate)  # the first, which learns it
    closure = caught.value.closure
    assert (closure.cause, closure.since, closure.seen) == (OUTAGE, 7, None)
    assert closure.until == pytest.approx(57)
    assert run.told_at == [7]
    waiter = await queue(gate, run)
    await asyncio.sleep(10)
    assert (await refusal(gate)).seconds == pytest.approx(40)
    admission = await waiter
    assert now() == pytest.approx(57)
    answer(gate, admission, now())
    assert gate.budget().closed_by is None
    await assert_idle(gate)


async def test_patience_for_an_outage_elsewhere_counts_from_when_we_learn_of_it() -> None:
    gate, ledger = shared_gate()
    ledger.cause = OUTAGE
    run = Patient(60)
    for began_at, seconds in ((0, 30), (30, 30)):  # its prolongation is the same outage
        assert now() == pytest.approx(began_at)
        ledger.close_elsewhere(seconds)
        leave(await admit(gate, run))
    ledger.close_elsewhere(1)
    assert (await refusal(gate, run)).closure.since == 0


async def test_an_outage_elsewhere_is_over_when_somebody_else_was_answered() -> None:
    """Though there is no slot to find that out by oneself."""
    store = MemoryStore(asyncio.get_running_loop().time)
    limit = RateLimit(2, 60.0)
    here, there = (make_gate(limit, ledger=shared_by(store, limit)) for _ in range(2))
    close(there, await admit(there), 5, OUTAGE)
    assert (await refusal(here)).closure.seen is None
    await asyncio.sleep(6)
    probe = await admit(there)
    await refusal(here)
    answer(there, probe, now())
    await admit(there)
    waiter = await queue(here)
    await asyncio.sleep(1)
    assert not waiter.done()
    assert here.budget().closed_by is None
    leave(await waiter)


# -- telling runs


async def test_every_owner_is_told_once_when_an_outage_begins() -> None:
    gate = make_gate()
    owners = [Patient() for _ in range(3)]
    gone = Patient()
    for owner in (*owners, gone):
        gate.enter(owner)
    gate.leave(gone)
    first, second = await admit(gate), await admit(gate)
    await asyncio.sleep(1)
    close(gate, first, 0.5, OUTAGE)
    await asyncio.sleep(0.2)
    close(gate, second, 60, OUTAGE)  # the same one, prolonged
    probe = await admit(gate, owners[0])
    assert now() == pytest.approx(61.2)
    close(gate, probe, 60, OUTAGE)
    assert [owner.told_at for owner in owners] == [[1]] * 3
    probe = await admit(gate, owners[0])
    answer(gate, probe, now())
    close(gate, await admit(gate), 5, OUTAGE)  # another one
    assert [len(owner.told_at) for owner in owners] == [2] * 3
    assert gone.told_at == []


@pytest.mark.parametrize("seconds", [1, 10, 11, 1000])
@pytest.mark.parametrize("cause", [PAUSE, Cause.DOUBT])
async def test_no_owner_is_told_of_anything_else(cause: Cause, seconds: float) -> None:
    """Their outcomes go on coming, as soon as there is a slot."""
    gate, owner = make_gate(), Patient()
    gate.enter(owner)
    close(gate, await admit(gate), seconds, cause)
    assert owner.told_at == []


async def test_an_owner_may_leave_or_end_when_it_is_told() -> None:
    class Leaving(Patient):
        def on_outage(self) -> None:
            super().on_outage()
            gate.leave(self)
            gate.abandon(self, EndedError())

    gate = make_gate(concurrency=1)
    leaving, staying = [Leaving(), Leaving()], Patient()
    for owner in (*leaving, staying):
        gate.enter(owner)
    held = await admit(gate)
    waiters = [await queue(gate, owner) for owner in (leaving[0], staying, leaving[1])]
    close(gate, held, 10, OUTAGE)
    assert [owner.told_at for owner in (*leaving, staying)] == [[0]] * 3
    for waiter in (waiters[0], waiters[2]):
        with pytest.raises(EndedError):
            await waiter
    leave(await waiters[1])
    assert now() == pytest.approx(10, abs=A_MOMENT)
