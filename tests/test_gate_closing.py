"""Pauses: how long nobody is admitted, who comes first afterwards, and who won't wait for it.

What an outage does beyond that is in ``test_gate_outages.py``.
"""

from __future__ import annotations

import asyncio
import math

import pytest

from lucca_training_async import RateLimit
from lucca_training_async._budget import Cause, GateClosedError, Lane, Lease, Owner, Sent, Wait

from .gates import (
    LateLedger,
    Patient,
    SlowLedger,
    admit,
    assert_idle,
    close,
    close_for,
    entries,
    has_timer,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
    shared_gate,
)
from .gates import nobody_waits_for_ever as nobody_waits_for_ever

# -- closures


async def test_one_probes_after_a_closure_and_the_rest_follow() -> None:
    gate = make_gate()
    started: list[float] = []

    async def request() -> None:
        with await admit(gate) as admission:
            started.append(now())
            await asyncio.sleep(1)
            admission.sent = Sent.ANSWERED

    close(gate, await admit(gate), 10)
    await asyncio.gather(*(request() for _ in range(30)))
    # One more may be under way with each answer: 1, 2, 4, 8, then the remaining 15.
    assert [started.count(second) for second in (10, 11, 12, 13, 14)] == [1, 2, 4, 8, 15]


@pytest.mark.parametrize("sent", [Sent.NEVER, Sent.CUT_OFF])
async def test_a_probe_without_an_answer_is_followed_by_another(sent: Sent) -> None:
    gate = make_gate()
    close(gate, await admit(gate), 1)
    waiters = [await queue(gate) for _ in range(4)]
    for waiter in waiters:
        admission = await waiter
        await asyncio.sleep(1)
        assert gate.budget().in_flight == 1
        leave(admission, sent)


async def test_an_answer_from_before_the_closure_opens_nothing() -> None:
    gate = make_gate()
    early = [await admit(gate) for _ in range(5)]
    close(gate, early.pop(), 1)
    probe, other = await queue(gate), await queue(gate)
    await asyncio.sleep(2)
    for admission in early:
        leave(admission)
    await asyncio.sleep(1)
    assert probe.done()
    assert not other.done()
    leave(await probe)
    leave(await other)


@pytest.mark.parametrize(("later", "opens_at"), [(5, 30), (40, 44)])
async def test_the_longest_closure_counts_for_those_who_wait(later: float, opens_at: float) -> None:
    gate = make_gate()
    first, second = await admit(gate), await admit(gate)
    close(gate, first, 30)
    waiter = await queue(gate)
    await asyncio.sleep(4)
    close(gate, second, later)
    await waiter
    assert now() == opens_at


async def test_a_cancelled_wait_leaves_the_others_their_timer() -> None:
    gate = make_gate()
    close(gate, await admit(gate), 5)
    waiters = [await queue(gate) for _ in range(5)]
    await asyncio.sleep(1)
    waiters.pop(0).cancel()
    for waiter in waiters:
        leave(await waiter)
    assert now() == 5


async def test_a_lease_settled_while_the_answer_is_on_its_way() -> None:
    """The ledger said that a lease must be settled first; by now it is, and nobody would come."""
    limit = RateLimit(1, 60.0)
    gate = make_gate(limit, ledger=LateLedger(in_memory(limit), delay=1.0))
    held = await admit(gate)
    waiter = await queue(gate)
    await asyncio.sleep(0.5)
    settled_at = now()
    leave(held)
    await waiter
    assert now() == pytest.approx(settled_at + 60, abs=3)


# -- patience


async def test_a_closure_beyond_its_patience_refuses_a_call_with_the_seconds_left() -> None:
    gate = make_gate()
    first, second, third = [await admit(gate) for _ in range(3)]
    close(gate, first, 60)
    waiter = await queue(gate, patience=120)
    close(gate, second, 3600)
    assert gate.budget().waiting == 0
    close(gate, third, 5)  # which shortens nothing
    with pytest.raises(GateClosedError) as caught:
        await waiter
    assert caught.value.seconds == 3600
    await asyncio.sleep(600)
    with pytest.raises(GateClosedError) as caught:
        await admit(gate, patience=120)
    assert caught.value.seconds == 3000
    assert entries(gate) == []
    assert not has_timer(gate)
    await asyncio.sleep(2880)
    await admit(gate, patience=120)  # no longer than it is willing to
    assert now() == 3600


async def test_those_who_are_patient_stay() -> None:
    gate = make_gate()
    held = await admit(gate)
    close(gate, await admit(gate), 1)
    patiences = [math.inf, 10.0, 100.0, 99.0, math.inf]
    waiters = [await queue(gate, patience=patience) for patience in patiences]
    close(gate, held, 100)
    refused = [waiters.pop(3), waiters.pop(1)]
    results = await asyncio.gather(*refused, return_exceptions=True)
    assert [type(result) for result in results] == [GateClosedError] * 2
    for waiter in waiters:
        leave(await waiter)
    assert now() == 100
    await assert_idle(gate)


async def test_every_pause_counts_against_patience_whatever_it_is_for() -> None:
    """One that Lucca asks for, and one that a 429 without Retry-After leaves to us."""
    gate = make_gate()
    close(gate, await admit(gate), 0.5)
    with pytest.raises(GateClosedError) as caught:
        await admit(gate, patience=0)
    assert caught.value.seconds == 0.5
    assert caught.value.closure.cause is Cause.PAUSE
    await admit(gate, patience=0.5)
    assert now() == 0.5


@pytest.mark.parametrize(
    ("patience", "counted", "refused_at"),
    [
        (9, 0, 0),
        (10, 0, 11),
        (21, 0, 11),
        (22, 0, 24),
        (33, 0, 24),
        (34, 0, None),
        # With the requests that were answered 429; other requests are no waiting.
        (34, 1, 24),
        (35, 1, 24),
        (36, 1, None),
    ],
)
async def test_patience_is_for_all_pauses_of_a_call_together(
    patience: float, counted: float, refused_at: float | None
) -> None:
    gate, owner = make_gate(), Owner(patience)
    close(gate, await admit(gate), 10)
    place = gate.place(owner)
    try:
        for seconds in (12, 12):
            admission = await gate.admit(place)
            await asyncio.sleep(1)
            owner.note_refusal(counted)
            close(gate, admission, seconds)
        await gate.admit(place)
    except GateClosedError as refusal:
        assert now() == refused_at
        assert refusal.seconds == (10 if refused_at == 0 else 12)
    else:
        assert refused_at is None
        assert now() == 10 + 1 + 12 + 1 + 12


async def test_a_pause_that_holds_already_counts_from_when_it_is_met() -> None:
    gate, owner = make_gate(), Owner(10)
    close(gate, await admit(gate), 30)
    await asyncio.sleep(20)
    leave(await admit(gate, owner))
    assert now() == 30
    close(gate, await admit(gate), 1)
    with pytest.raises(GateClosedError):
        await admit(gate, owner)


async def test_time_without_a_pause_before_the_first_is_not_held_against_it() -> None:
    gate, owner = make_gate(RateLimit(1, 60.0)), Owner(10)
    leave(await admit(gate))
    held = await admit(gate, owner)
    assert now() == 60
    close(gate, held, 10)
    await admit(gate, owner)
    assert now() == 120


async def test_a_pause_that_is_prolonged_while_it_is_waited_out_uses_patience_up() -> None:
    gate = make_gate()
    first, second, third = [await admit(gate) for _ in range(3)]
    close(gate, first, 8)
    waiter = await queue(gate, patience=20)
    await asyncio.sleep(7)
    close(gate, second, 13)  # until 20, just so
    assert gate.budget().waiting == 1
    await asyncio.sleep(5)
    close(gate, third, 9)
    with pytest.raises(GateClosedError) as caught:
        await waiter
    assert (now(), caught.value.seconds) == (12, 9)


async def test_a_request_that_has_met_a_pause_learns_whether_it_waits() -> None:
    """As a call does before it goes back to its place."""
    gate = make_gate()
    patient, impatient = gate.place(Owner(60)), gate.place(Owner(59))
    for place in (patient, impatient):
        gate.check(place)
    with await gate.admit(impatient) as admission:
        close_for(admission, 60)
        gate.check(patient)
        with pytest.raises(GateClosedError) as caught:
            gate.check(impatient)
    assert caught.value.seconds == 60
    assert caught.value.closure.seen is not None


async def test_owners_with_a_patience_of_another_kind_stay() -> None:
    """A run counts from when the pause first showed, and not the time of earlier ones."""
    gate, run = make_gate(), Patient(100)
    for _ in range(3):
        close(gate, await admit(gate, run), 100)
        await asyncio.sleep(200)
    assert now() == 600
    close(gate, await admit(gate, run), 60, since=590.0)
    close(gate, await admit(gate, run), 31, since=590.0)
    assert now() == 660
    with pytest.raises(GateClosedError):
        await admit(gate, run)


async def test_a_closure_that_another_process_met_refuses_the_impatient_too() -> None:
    gate, ledger = shared_gate()
    ledger.close_elsewhere(500)
    # The first of them learns it.
    waiters = [await queue(gate, patience=patience) for patience in (math.inf, 10, math.inf, 499)]
    for impatient in (waiters.pop(3), waiters.pop(1)):
        with pytest.raises(GateClosedError) as caught:
            await impatient
        assert caught.value.seconds == pytest.approx(500)
    await asyncio.sleep(100)
    with pytest.raises(GateClosedError) as caught:
        await admit(gate, patience=10)
    assert caught.value.seconds == pytest.approx(400)
    for waiter in waiters:
        leave(await waiter)
    assert now() == pytest.approx(500)
    await assert_idle(gate)


async def test_an_impatient_one_that_learns_of_a_closure_leaves_the_others_a_timer() -> None:
    gate, ledger = shared_gate()
    ledger.close_elsewhere(500)
    ledger.delay = 1.0
    impatient, patient = await queue(gate, patience=10), await queue(gate)
    with pytest.raises(GateClosedError):
        await impatient
    leave(await patient)
    assert now() == pytest.approx(501)


class RoundingLedger(SlowLedger):
    """One that tells of a closure a hair more than it was told."""

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        answer = await super().take(lane)
        if isinstance(answer, Lease):
            return answer
        return Wait(answer.seconds + 1e-9, closed=answer.closed)


@pytest.mark.parametrize(
    ("kind", "delay"),
    [(SlowLedger, 0.0), (SlowLedger, 0.7), (LateLedger, 0.7), (RoundingLedger, 0.0)],
)
async def test_our_own_closure_is_not_taken_for_that_of_another_process(
    kind: type[SlowLedger], delay: float
) -> None:
    gate = make_gate(ledger=kind(in_memory(None), delay))
    held = await admit(gate)
    close(gate, await admit(gate), 100)
    await asyncio.sleep(10)
    waiter = await queue(gate)
    with held:
        close_for(held, 5)
        held.sent = Sent.NEVER  # so that somebody asks the ledger before it is over
    await asyncio.sleep(10)
    with pytest.raises(GateClosedError) as caught:
        await admit(gate, patience=50)
    assert caught.value.closure.seen is not None
    leave(await waiter)


# -- asking the ledger


@pytest.mark.parametrize(
    ("limit", "asks"),
    [
        pytest.param(None, 1, id="nothing known"),
        # It is told of a slot in 60 s only when it asks again.
        pytest.param(RateLimit(1, 60.0), 2, id="an answer must come first"),
        pytest.param(RateLimit(2, 60.0), 1, id="a slot in 60 s"),
    ],
)
async def test_nobody_asks_the_ledger_in_vain(limit: RateLimit | None, asks: int) -> None:
    """What the gate knows itself costs no round trip."""
    ledger = SlowLedger(in_memory(limit), delay=0.0)
    gate = make_gate(limit, ledger=ledger)
    if limit == RateLimit(2, 60.0):
        leave(await admit(gate))
    held = await admit(gate)
    if limit is None:
        close(gate, held, 30)
        waiter, asked = await queue(gate), ledger.asked
    else:
        waiter = await queue(gate)
        await asyncio.sleep(1)  # it is told to wait
        asked = ledger.asked
        close(gate, held, 30)
    await asyncio.sleep(29)
    assert ledger.asked == asked
    leave(await waiter)
    assert ledger.asked - asked == asks


async def test_a_refused_request_that_lingers_holds_up_nobody() -> None:
    gate = make_gate()
    close(gate, await admit(gate), 5)
    probe, waiter = await queue(gate), await queue(gate)
    with await probe as admission:
        close_for(admission, 10)
        await asyncio.sleep(1000)
        assert waiter.done()
    leave(await waiter)


async def test_a_wait_too_short_to_move_the_clock_is_no_endless_loop() -> None:
    class Rounded(SlowLedger):
        async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
            answer = await super().take(lane)
            assert self.asked < 10
            return answer if now() > 1000 else Wait(1e-18)

    gate = make_gate(ledger=Rounded(in_memory(None), delay=0.0))
    await asyncio.sleep(1000)
    await admit(gate)
    assert now() == pytest.approx(1000, abs=1e-3)
