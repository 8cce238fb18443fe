"""The gate's queue: who is admitted when, and what a wait that ends early leaves behind.

Without sockets, in simulated time, and where it matters with a ledger that is slow to answer.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from lucca_training_async import RateLimit
from lucca_training_async._budget import Budget, Lane, Lease, Owner, Place, Sent, Wait

from .gates import (
    A_MOMENT,
    LateLedger,
    SlowLedger,
    admit,
    assert_idle,
    close,
    either_ledger,
    entries,
    has_timer,
    in_memory,
    leave,
    make_gate,
    now,
    queue,
)
from .gates import nobody_waits_for_ever as nobody_waits_for_ever

# -- the order


@either_ledger
async def test_admission_goes_by_ticket_whoever_came_first(delay: float | None) -> None:
    gate = make_gate(concurrency=1, delay=delay)
    admitted: list[int] = []

    async def request(place: Place) -> None:
        with await gate.admit(place):
            admitted.append(place.ticket)

    held = await admit(gate)
    places = [gate.place(Owner()) for _ in range(20)]
    shuffled = random.Random(1).sample(places, len(places))
    tasks = [asyncio.create_task(request(place)) for place in shuffled]
    await asyncio.sleep(0)
    assert gate.budget().waiting == 20
    leave(held)
    await asyncio.gather(*tasks)
    assert admitted == [place.ticket for place in places]
    await assert_idle(gate)


async def test_a_call_that_is_tried_again_keeps_its_place() -> None:
    gate = make_gate(concurrency=1)
    first, order = gate.place(Owner()), list[str]()

    async def request(name: str, place: Place) -> None:
        with await gate.admit(place):
            order.append(name)

    admission = await gate.admit(first)
    others = [asyncio.create_task(request(name, gate.place(Owner()))) for name in "bcd"]
    await asyncio.sleep(0)
    close(gate, admission, 10)
    again = asyncio.create_task(request("a", first))
    await asyncio.gather(again, *others)
    assert order == ["a", "b", "c", "d"]


@either_ledger
async def test_nobody_overtakes_those_who_wait(delay: float | None) -> None:
    gate = make_gate(concurrency=1, delay=delay)
    held = await admit(gate)
    first = await queue(gate)
    leave(held)
    # The place is free, and promised to one that has not run yet.
    newcomer = await queue(gate)
    admission = await first
    await asyncio.sleep(1)
    assert not newcomer.done()
    leave(admission)
    leave(await newcomer)
    await assert_idle(gate)


async def test_only_one_at_a_time_asks_the_ledger() -> None:
    ledger = SlowLedger(in_memory(None))
    gate = make_gate(ledger=ledger)
    for admission in await asyncio.gather(*(admit(gate) for _ in range(10))):
        leave(admission)
    assert ledger.most_asking == 1
    assert now() == pytest.approx(10 * ledger.delay)


@either_ledger
async def test_concurrency_is_limited_and_handed_on(delay: float | None) -> None:
    gate = make_gate(concurrency=3, delay=delay)
    under_way = most = 0

    async def request() -> None:
        nonlocal under_way, most
        with await admit(gate):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(1)
            under_way -= 1

    await asyncio.gather(*(request() for _ in range(10)))
    assert most == 3
    assert now() == pytest.approx(4, abs=1)
    await assert_idle(gate)


async def test_what_another_gate_of_the_same_ledger_gives_back_is_found() -> None:
    ledger = in_memory(RateLimit(1, 60.0))
    one, other = make_gate(ledger=ledger), make_gate(ledger=ledger)
    admission = await admit(one)
    waiting = await queue(other)
    await asyncio.sleep(5)
    given_back_at = now()
    leave(admission, Sent.NEVER)
    leave(await waiting)
    assert now() - given_back_at < 0.2


async def test_an_answer_that_is_out_of_date_keeps_nobody_waiting() -> None:
    """Another request is still under way, which may take its time."""
    gate = make_gate(ledger=LateLedger(in_memory(RateLimit(2, 60.0))))
    first, second = await admit(gate), await admit(gate)
    waiting = await queue(gate)
    await asyncio.sleep(0.05)
    leave(first, Sent.NEVER)
    leave(await waiting)
    leave(second)


async def test_without_a_limit_nobody_waits() -> None:
    gate = make_gate(concurrency=1000)
    await asyncio.gather(*(admit(gate) for _ in range(1000)))
    assert now() == 0
    assert gate.budget() == Budget(None, 1000, None, 0.0, 0, 1000)


async def test_a_slot_that_is_given_back_unsent_is_free_at_once_for_one_that_waits() -> None:
    gate = make_gate(RateLimit(2, 60.0))
    leave(await admit(gate))
    held = await admit(gate)
    waiter = await queue(gate)
    await asyncio.sleep(20)
    leave(held, Sent.NEVER)
    await waiter
    assert now() == 20


# -- leaving


@pytest.mark.parametrize(
    ("told", "free_after"),
    [(None, 120), (Sent.CUT_OFF, 120), (Sent.ANSWERED, 60), (Sent.NEVER, 0)],
)
@pytest.mark.parametrize("ending", [None, ValueError, asyncio.CancelledError])
async def test_leaving_the_block_settles(
    told: Sent | None, free_after: float, ending: type[BaseException] | None
) -> None:
    """Whichever way it is left; a request of which nothing is told may have been sent."""
    gate = make_gate(RateLimit(1, 60.0), concurrency=1)

    async def request() -> None:
        with await admit(gate) as admission:
            if told is not None:
                admission.sent = told
            if ending is ValueError:
                raise ValueError
            if ending is asyncio.CancelledError:
                await asyncio.sleep(3600)

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    task.cancel()  # too late, unless it sleeps
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert type(result) is (type(None) if ending is None else ending)
    await admit(gate)
    assert now() == pytest.approx(free_after)


# -- waits that are cancelled


@either_ledger
@pytest.mark.parametrize("position", [0, 3, 9])
async def test_a_cancelled_wait_holds_up_nobody(position: int, delay: float | None) -> None:
    gate = make_gate(RateLimit(1, 10.0), delay=delay)
    held = await admit(gate)
    start = now()
    waiters = [await queue(gate) for _ in range(10)]
    waiters.pop(position).cancel()
    leave(held)
    for waiter in waiters:
        leave(await waiter)
    assert now() - start == pytest.approx(90, abs=9 * 0.1 + A_MOMENT)
    await asyncio.sleep(10)
    await assert_idle(gate)


@either_ledger
async def test_cancelled_just_before_its_turn(delay: float | None) -> None:
    gate = make_gate(RateLimit(1, 60.0), concurrency=1, delay=delay)
    held = await admit(gate)
    first, second = await queue(gate), await queue(gate)
    first.cancel()  # it will run later
    leave(held, Sent.NEVER)
    leave(await second, Sent.NEVER)
    assert now() == pytest.approx(2 * (delay or 0))
    await assert_idle(gate)


@either_ledger
@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1], [0, 1, 2]])
async def test_cancelled_at_the_very_moment_of_its_turn(
    cancelled: list[int], delay: float | None
) -> None:
    gate = make_gate(RateLimit(1, 60.0), concurrency=1, delay=delay)
    held = await admit(gate)
    waiters = [await queue(gate) for _ in range(3)]
    leave(held, Sent.NEVER)  # it is the first one's turn, which has not run yet
    for position in cancelled:
        waiters[position].cancel()
    start = now()
    for position, waiter in enumerate(waiters):
        if position not in cancelled:
            leave(await waiter, Sent.NEVER)
    assert now() - start == pytest.approx((3 - len(cancelled)) * (delay or 0))
    await asyncio.gather(*waiters, return_exceptions=True)
    await assert_idle(gate)


@pytest.mark.parametrize("queued_first", [True, False])
async def test_cancelled_while_the_ledger_is_asked(queued_first: bool) -> None:
    gate = make_gate(RateLimit(1, 60.0), delay=1.0)
    if queued_first:
        held = await admit(gate)
        waiter, next_one = await queue(gate), await queue(gate)
        leave(held, Sent.NEVER)
    else:
        waiter, next_one = await queue(gate), await queue(gate)
    start = now()
    await asyncio.sleep(0.5)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    leave(await next_one, Sent.NEVER)
    assert now() - start == pytest.approx(1.5)
    await assert_idle(gate)


async def test_one_that_is_cancelled_lets_nobody_in_while_another_asks() -> None:
    ledger = SlowLedger(in_memory(None), delay=1.0)
    gate = make_gate(concurrency=1, ledger=ledger)
    asking, cancelled, waiting = [await queue(gate) for _ in range(3)]
    await asyncio.sleep(0.5)
    cancelled.cancel()
    admission = await asking
    await asyncio.sleep(10)
    assert ledger.most_asking == 1
    assert not waiting.done()
    leave(admission)
    leave(await waiting)
    await assert_idle(gate)


async def test_a_ledger_that_fails_holds_up_nobody() -> None:
    class FailsOnce(SlowLedger):
        failed = False

        async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
            answer = await super().take(lane)
            if not self.failed:
                self.failed = True
                raise OSError("the database was gone, for once")
            return answer

    gate = make_gate(ledger=FailsOnce(in_memory(None)))
    unlucky, next_one = await queue(gate), await queue(gate)
    with pytest.raises(OSError, match="for once"):
        await unlucky
    leave(await next_one)
    await assert_idle(gate)


async def test_the_last_waiter_takes_the_timer_along() -> None:
    gate = make_gate(RateLimit(1, 60.0))
    leave(await admit(gate))
    waiter = await queue(gate)
    assert has_timer(gate)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert not has_timer(gate)
    assert entries(gate) == []
    await admit(gate)
    assert now() == 60


async def test_a_deadline_at_the_very_moment_of_the_turn_loses_no_slot() -> None:
    gate = make_gate(RateLimit(1, 60.0))
    leave(await admit(gate))

    async def request() -> bool:
        try:
            async with asyncio.timeout_at(60):
                leave(await admit(gate), Sent.NEVER)
        except TimeoutError:
            return False
        return True

    # Some deadlines are set before the gate's timer, others after it.
    await asyncio.gather(*(request() for _ in range(10)))
    assert now() == 60
    await assert_idle(gate)


async def test_twenty_thousand_cancelled_waits_leave_nothing() -> None:
    gate = make_gate(RateLimit(1, 60.0), concurrency=1)
    held = await admit(gate)
    waiters = [asyncio.create_task(admit(gate)) for _ in range(20_000)]
    await asyncio.sleep(0)
    assert gate.budget().waiting == 20_000
    for waiter in random.Random(1).sample(waiters, len(waiters)):
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert gate.budget() == Budget(1, 1, None, 0.0, 0, 1)
    leave(held, Sent.NEVER)
    await assert_idle(gate)
    assert now() == 0
