"""What ends a rest, or everything that an owner does."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Awaitable, Callable

import pytest

from lucca_training_async import LuccaError, RateLimit
from lucca_training_async._budget import Cause, Gate, GateClosedError, Owner, Sent

from .gates import (
    A_MOMENT,
    EndedError,
    SlowLedger,
    admit,
    assert_idle,
    close,
    either_ledger,
    has_timer,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
)
from .gates import nobody_waits_for_ever as nobody_waits_for_ever


class Watched(Owner):
    """An owner that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[LuccaError | None] = []

    def on_end(self) -> None:
        self.ends.append(self.ended)


async def rest(gate: Gate, owner: Owner) -> None:
    await gate.rest(gate.place(owner), 0)


# -- rests


async def test_a_rest_holds_nothing() -> None:
    gate = make_gate(concurrency=1)
    resting = asyncio.create_task(gate.rest(gate.place(Owner()), 30))
    await asyncio.sleep(0)
    leave(await admit(gate))
    assert now() == 0
    await resting
    assert now() == 30
    await assert_idle(gate)


@pytest.mark.parametrize("ended_first", [True, False])
async def test_a_rest_that_is_cancelled_leaves_nothing(
    ended_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gate, owner = make_gate(), Owner()
    resting = asyncio.create_task(gate.rest(gate.place(owner), 30))
    await asyncio.sleep(1)
    if ended_first:  # in the same moment
        gate.abandon(owner, EndedError())
    resting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resting
    await assert_idle(gate)
    del resting
    gc.collect()
    assert caplog.messages == []  # such as "exception was never retrieved"


# -- ends


@either_ledger
async def test_an_end_ends_the_waits_and_rests_of_its_owner_only(delay: float | None) -> None:
    gate, owner, other = make_gate(concurrency=1, delay=delay), Watched(), Watched()
    held = await admit(gate, owner)
    waits = [await queue(gate, who) for who in (owner, other, owner, other)]
    rests = [asyncio.create_task(gate.rest(gate.place(who), 30)) for who in (owner, other)]
    await asyncio.sleep(1)
    end, start = EndedError(), now()
    gate.abandon(owner, end)
    assert gate.budget().waiting == 2
    results = await asyncio.gather(waits[0], waits[2], rests[0], return_exceptions=True)
    assert all(result is end for result in results)
    assert now() == start
    leave(held)
    for waiter in (waits[1], waits[3]):
        leave(await waiter)
    await rests[1]
    assert now() - start == pytest.approx(29)
    assert other.ended is None
    assert other.ends == []
    await assert_idle(gate)


@pytest.mark.parametrize("begin", [admit, rest])
async def test_nothing_begins_after_the_end_and_the_first_end_counts(
    begin: Callable[[Gate, Owner], Awaitable[object]],
) -> None:
    ledger = SlowLedger(in_memory(None))
    gate, owner, first = make_gate(ledger=ledger), Watched(), EndedError()
    gate.abandon(owner, first)
    gate.abandon(owner, EndedError("again"))
    for _ in range(50):
        with pytest.raises(EndedError) as caught:
            await begin(gate, owner)
        assert caught.value is first
    assert owner.ends == [first]
    assert (now(), ledger.asked) == (0, 0)
    # One error for all, and yet it doesn't gather the frames of everybody who raised it.
    assert len(traceback.extract_tb(first.__traceback__)) < 10


async def test_the_end_of_the_last_who_waits_takes_the_timer_along() -> None:
    gate, owner = make_gate(RateLimit(1, 60.0)), Owner()
    leave(await admit(gate, owner))
    waiter = await queue(gate, owner)
    assert has_timer(gate)
    gate.abandon(owner, EndedError())
    assert not has_timer(gate)
    with pytest.raises(EndedError):
        await waiter


@either_ledger
@pytest.mark.parametrize("wait", [None, 0.05], ids=["before it runs", "while it asks"])
async def test_nothing_goes_out_even_if_it_was_its_turn(
    delay: float | None, wait: float | None
) -> None:
    gate, owner = make_gate(RateLimit(1, 60.0), delay=delay), Owner()
    held = await admit(gate)
    waiter, next_one = await queue(gate, owner), await queue(gate)
    await asyncio.sleep(1)
    leave(held, Sent.NEVER)
    if delay is not None and wait is not None:
        await asyncio.sleep(wait)
    start = now()
    gate.abandon(owner, EndedError())
    with pytest.raises(EndedError):
        await waiter
    # Not even its slot is lost.
    leave(await next_one, Sent.NEVER)
    assert now() - start <= 2 * (delay or 0) + A_MOMENT
    await assert_idle(gate)


async def test_an_end_between_its_turn_and_a_wait_leaves_the_others_a_timer() -> None:
    gate, owner = make_gate(RateLimit(1, 60.0), concurrency=1), Owner()
    held = await admit(gate)
    waiter, other = await queue(gate, owner), await queue(gate)
    leave(held)  # its turn, but there is no slot
    gate.abandon(owner, EndedError())
    with pytest.raises(EndedError):
        await waiter
    leave(await other)
    assert now() == 60


async def test_the_place_of_the_request_that_ends_its_owner_goes_to_others() -> None:
    gate, owner = make_gate(concurrency=1), Owner()
    admitted: list[str] = []

    async def request(name: str, owner: Owner) -> None:
        with await admit(gate, owner):
            admitted.append(name)

    with await admit(gate, owner):
        mine = [asyncio.create_task(request("mine", owner)) for _ in range(3)]
        other = asyncio.create_task(request("other", Owner()))
        await asyncio.sleep(1)
        gate.abandon(owner, EndedError())
    await asyncio.gather(*mine, other, return_exceptions=True)
    assert admitted == ["other"]
    await assert_idle(gate)


async def test_closing_ends_every_owner_with_an_error_of_its_own() -> None:
    gate = make_gate(concurrency=1)
    owners = [Watched() for _ in range(3)]
    gone = Watched()
    for owner in (*owners, gone):
        gate.enter(owner)
    gate.leave(gone)
    held = await admit(gate, owners[0])
    waiters = [await queue(gate, owner) for owner in owners]
    gate.close(EndedError)
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert results == [owner.ended for owner in owners]
    assert len(set(map(id, results))) == 3
    assert [len(owner.ends) for owner in owners] == [1, 1, 1]
    assert gone.ended is None
    leave(held)
    await assert_idle(gate)


async def test_the_gate_lets_go_of_its_ledger() -> None:
    class Connected(SlowLedger):
        is_closed = False

        async def aclose(self) -> None:
            self.is_closed = True

    ledger = Connected(in_memory(None))
    await make_gate(ledger=ledger).aclose()
    assert ledger.is_closed


async def test_a_get_is_told_at_once_that_another_is_the_probe_though_no_place_is_free() -> None:
    gate = make_gate(delay=0.1, concurrency=1)
    close(gate, await admit(gate), 30, Cause.OUTAGE)
    await asyncio.sleep(40)
    probe, other = await queue(gate), await queue(gate)
    admission = await probe
    with pytest.raises(GateClosedError):
        await other
    leave(admission)
