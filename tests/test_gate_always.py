"""What holds of a gate whatever happens: latencies, cancellations, ends and closures at random."""

from __future__ import annotations

import asyncio
import random

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import RateLimit
from lucca_training_async._budget import (
    Admission,
    Cause,
    Gate,
    GateClosedError,
    Owner,
    Place,
    Sent,
)
from lucca_training_async.sandbox.window import busiest_window

from .gates import (
    A_MOMENT,
    A_WEEK,
    EndedError,
    LateLedger,
    Patient,
    SlowLedger,
    assert_idle,
    close_for,
    entries,
    in_memory,
    make_gate,
    now,
)
from .virtual_time import run

PERIOD = 10.0
LONGEST_CLOSURE = 20


@attrs.define(eq=False)
class Traffic:
    """Calls of five owners, each of up to three requests with a rest in between.

    Two are as patient as bulk runs, of which one is it for a while only; of the others, none
    waits for an outage.
    """

    gate: Gate
    draw: random.Random
    cancelled: float
    closing: float
    arrivals: list[float] = attrs.field(factory=list[float])
    under_way: int = 0
    most_under_way: int = 0

    def seconds(self, most: int) -> float:
        """Half seconds only: most things happen in the same moment as others."""
        return self.draw.randint(0, 2 * most) / 2

    async def come_and_go(self, ends: int) -> list[str | BaseException]:
        loop = asyncio.get_running_loop()
        owners = [Owner(0.0), Owner(10.0), Owner(), Patient(15.0), Patient()]
        for owner in owners:
            self.gate.enter(owner)
        calls = [asyncio.create_task(self.call(owners[n % 5])) for n in range(30)]
        timers = [
            loop.call_later(self.seconds(90), task.cancel)
            for task in calls
            if self.draw.random() < self.cancelled
        ]
        timers += [
            loop.call_later(self.seconds(90), self.gate.abandon, owner, EndedError())
            for owner in self.draw.sample(owners, ends)
        ]
        async with asyncio.timeout(A_WEEK):
            results = await asyncio.gather(*calls, return_exceptions=True)
        for timer in timers:
            timer.cancel()
        return results

    async def call(self, owner: Owner) -> str:
        await asyncio.sleep(self.seconds(30))
        place = self.gate.place(owner)
        for _ in range(3):
            await self.request(place)
            await self.gate.rest(place, self.seconds(3))
        return "done"

    async def request(self, place: Place) -> None:
        with await self.gate.admit(place) as admission:
            assert place.owner.ended is None
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            try:
                await self.exchange(admission)
            finally:
                self.under_way -= 1

    async def exchange(self, admission: Admission) -> None:
        try:
            await asyncio.sleep(self.seconds(2))
        except asyncio.CancelledError:
            # Nobody listens any more, and still it may arrive, within a period.
            self.arrivals.append(now() + self.draw.uniform(0, PERIOD))
            raise
        if self.draw.random() < 0.1:
            admission.sent = Sent.NEVER
            return
        sent_at = now()
        self.arrivals.append(sent_at)
        await asyncio.sleep(self.seconds(2))
        admission.sent = Sent.ANSWERED
        if self.draw.random() >= self.closing:
            self.gate.closures.over(sent_at, now())
            return
        cause = self.draw.choice(list(Cause))
        close_for(admission, self.seconds(LONGEST_CLOSURE), cause, since=sent_at)
        self.assert_nobody_waits_in_vain()

    def assert_nobody_waits_in_vain(self) -> None:
        """In an outage, whoever is left in the queue waits for its end."""
        outage = self.gate.closures.outage
        if outage is not None and outage.until > now():
            assert all(isinstance(place.owner, Patient) for place in entries(self.gate))


@settings(max_examples=200)
@given(
    kind=st.sampled_from([None, SlowLedger, LateLedger]),
    limit=st.integers(1, 6),
    concurrency=st.integers(1, 8),
    seed=st.integers(0, 2**32),
    cancelled=st.floats(0, 0.5),
    closing=st.floats(0, 0.3),
    ends=st.integers(0, 4),
)
def test_nothing_beyond_the_limit_nothing_is_lost_and_everybody_is_told(
    kind: type[SlowLedger] | None,
    limit: int,
    concurrency: int,
    seed: int,
    cancelled: float,
    closing: float,
    ends: int,
) -> None:
    async def main() -> None:
        budget = RateLimit(limit, PERIOD)
        ledger = in_memory(budget)
        gate = make_gate(
            budget, concurrency=concurrency, ledger=kind(ledger, 0.5) if kind else ledger
        )
        traffic = Traffic(gate, random.Random(seed), cancelled, closing)
        results = await traffic.come_and_go(ends)
        told = (EndedError, GateClosedError, asyncio.CancelledError)
        assert [r for r in results if r != "done" and type(r) not in told] == []
        assert traffic.most_under_way <= concurrency
        assert busiest_window(sorted(traffic.arrivals), PERIOD - A_MOMENT) <= limit
        await asyncio.sleep(LONGEST_CLOSURE + 2 * PERIOD)
        assert gate.budget().in_use == 0
        await assert_idle(gate)

    run(main())
