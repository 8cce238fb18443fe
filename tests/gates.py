"""Ledgers and gates as their tests need them."""

# What a gate keeps to itself is looked at here, and nowhere else.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import atexit
import itertools
import math
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lucca_training_async import LuccaError, RateLimit, RateLimitedError, ResponseError
from lucca_training_async._budget import (
    Admission,
    Cause,
    Closure,
    Gate,
    Lane,
    Lease,
    Ledger,
    Owner,
    OwnLedger,
    Place,
    Sent,
    Standing,
    Wait,
)
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.redis import RedisStore
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.sqlite import SqliteStore
from lucca_training_async._budget.steps import Step, Store
from lucca_training_async._budget.tenant import Tenant

from .redis_server import HAS_REDIS, redis_url
from .virtual_time import VirtualTimeLoop

# Rounding may leave a wait short of its moment by less than this.
A_MOMENT = 1e-6
# Beyond some months, the resolution of the loop's clock is lost in the sum.
A_WEEK = 7 * 86_400.0


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest_asyncio.fixture(autouse=True)
async def nobody_waits_for_ever() -> AsyncGenerator[None, None]:
    """Let a lost wake-up fail at once: simulated time stands still where no timer is set."""

    def give_up() -> None:
        for task in asyncio.all_tasks():
            task.cancel("it has waited for a week")

    timer = asyncio.get_running_loop().call_later(A_WEEK, give_up)
    yield
    timer.cancel()


async def sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - now()) + A_MOMENT)


# -- ledgers


def in_memory(limit: RateLimit | None) -> Ledger:
    return OwnLedger(limit, asyncio.get_running_loop().time, grain=0.0)


@dataclass
class SlowLedger:
    """A ledger that is a round trip away: nobody is answered at once."""

    ledger: Ledger
    delay: float = 0.1
    asked: int = field(default=0, init=False)
    asking: int = field(default=0, init=False)
    most_asking: int = field(default=0, init=False)

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        self.asked += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            await asyncio.sleep(self.delay)
            return await self.ledger.take(lane)
        finally:
            self.asking -= 1

    def settle(self, lease: Lease, sent: Sent) -> None:
        self.ledger.settle(lease, sent)

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        self.ledger.close_for(seconds, lease, cause)

    def standing(self) -> Standing:
        return self.ledger.standing()

    async def aclose(self) -> None:
        await self.ledger.aclose()


@dataclass
class LateLedger(SlowLedger):
    """A ledger whose answer takes as long on its way back, and may be out of date by then."""

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        answer = await self.ledger.take(lane)
        try:
            await asyncio.sleep(self.delay)
        except BaseException:
            if isinstance(answer, Lease):
                self.settle(answer, Sent.NEVER)
            raise
        return answer


@dataclass
class ClosableLedger(SlowLedger):
    """A ledger that another process can close, which this one learns when it asks."""

    delay: float = 0.0
    closed_until: float = field(default=-math.inf, init=False)
    cause: Cause = field(default=Cause.PAUSE, init=False)

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        if self.closed_until > now():
            return Wait(self.closed_until - now(), closed=self.cause)
        return await super().take(lane)

    def close_elsewhere(self, seconds: float) -> None:
        self.closed_until = now() + seconds


Make = Callable[[RateLimit | None], Ledger]

_FOLDER = Path(tempfile.mkdtemp(prefix="ledgers-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_files = itertools.count()


def shared_by(store: Store, limit: RateLimit | None, **options: Any) -> SharedLedger:
    """One client's ledger over a store."""
    requests, period = (None, 60.0) if limit is None else (limit.requests, limit.period)
    # Longer than any test: what a lease does when it ends has tests of its own.
    longest = options.pop("longest_attempt", A_WEEK)
    host = options.pop("host", "acme")
    made = SharedLedger(store, host, requests, period, longest, grain=0.0, **options)
    made.reserved = 0 if limit is None else limit.reserved
    return made


def in_shared_memory(limit: RateLimit | None) -> Ledger:
    return shared_by(MemoryStore(asyncio.get_running_loop().time), limit)


def in_a_file(limit: RateLimit | None) -> Ledger:
    path = _FOLDER / f"{next(_files)}.db"
    return shared_by(SqliteStore(str(path), asyncio.get_running_loop().time), limit)


class RedisStoreOfSimulatedTime(RedisStore):
    """Its server is real, and may take its real time."""

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with loop.asking_outside():
            return await super().apply(host, steps)


def on_a_server(limit: RateLimit | None) -> Ledger:
    time = asyncio.get_running_loop().time
    # Simulated as well: the server's own clock would not jump.
    store = RedisStoreOfSimulatedTime(redis_url(), time, time)
    return shared_by(store, limit, host=f"tenant-{next(_files)}")


LEDGERS: dict[str, Make] = {
    "memory": in_memory,
    "slow": lambda limit: SlowLedger(in_memory(limit)),
    "late": lambda limit: LateLedger(in_memory(limit)),
    "shared memory": in_shared_memory,
    "sqlite": in_a_file,
}
if HAS_REDIS:
    LEDGERS["redis"] = on_a_server


@pytest.fixture(params=list(LEDGERS))
async def make(request: pytest.FixtureRequest) -> AsyncGenerator[Make, None]:
    """Each kind of ledger in turn, closed after the test."""
    made: list[Ledger] = []

    def make_one(limit: RateLimit | None) -> Ledger:
        made.append(LEDGERS[request.param](limit))
        return made[-1]

    yield make_one
    for ledger in made:
        await ledger.aclose()


# How far a ledger may be from the exact second, on the late side.
SLACK = 0.5


async def leased(ledger: Ledger) -> Lease:
    answer = await ledger.take()
    assert isinstance(answer, Lease)
    return answer


async def refused(ledger: Ledger) -> Wait:
    answer = await ledger.take()
    assert isinstance(answer, Wait)
    return answer


async def all_there_are(ledger: Ledger, most: int = 100) -> list[Lease]:
    """Everything that can be had just now."""
    leases: list[Lease] = []
    while len(leases) < most and isinstance(answer := await ledger.take(), Lease):
        leases.append(answer)
    return leases


async def patiently(ledger: Ledger) -> Lease:
    """Ask again as told; and once in a while, where nobody could tell."""
    while True:
        answer = await ledger.take()
        if isinstance(answer, Lease):
            return answer
        await asyncio.sleep(max(min(answer.seconds, 1.0), A_MOMENT))


async def close_ledger(ledger: Ledger, seconds: float, cause: Cause = Cause.PAUSE) -> None:
    """As a 429 does: by the request that met it, before it is over."""
    lease = await leased(ledger)
    ledger.close_for(seconds, lease, cause)
    ledger.settle(lease, Sent.ANSWERED)


# -- gates

either_ledger = pytest.mark.parametrize("delay", [None, 0.1], ids=["memory", "slow"])


class EndedError(LuccaError):
    """What an owner is ended with."""


class Patient(Owner):
    """An owner that waits for outages and pauses alike, as a bulk run does."""

    waits_for_outages = True

    def __init__(self, patience: float = math.inf) -> None:
        super().__init__(patience)
        self.told_at: list[float] = []

    def waits_until(self, closure: Closure, now: float, paused: float) -> float:
        return closure.since + self.patience

    def on_outage(self) -> None:
        self.told_at.append(now())


def make_gate(
    limit: RateLimit | None = None,
    *,
    concurrency: int = 100,
    delay: float | None = None,
    ledger: Ledger | None = None,
) -> Gate:
    """A gate with the ledger given, or one in memory: that answers at once, or after a delay."""
    if ledger is None:
        ledger = in_memory(limit) if delay is None else SlowLedger(in_memory(limit), delay)
    loop = asyncio.get_running_loop()
    return Gate(ledger, limit, concurrency=concurrency, loop=loop)


def shared_gate() -> tuple[Gate, ClosableLedger]:
    ledger = ClosableLedger(in_memory(None))
    return make_gate(ledger=ledger), ledger


async def admit(gate: Gate, owner: Owner | None = None, *, patience: float = math.inf) -> Admission:
    return await gate.admit(gate.place(owner or Owner(patience)))


def leave(admission: Admission, sent: Sent = Sent.ANSWERED) -> None:
    with admission:
        admission.sent = sent


async def queue(
    gate: Gate, owner: Owner | None = None, *, patience: float = math.inf
) -> asyncio.Task[Admission]:
    """One more call that waits, and has got as far as it can."""
    place = gate.place(owner or Owner(patience))
    waiting = asyncio.create_task(gate.admit(place))
    await asyncio.sleep(0)
    return waiting


A_429 = RateLimitedError("429", url="https://acme.ilucca.net/1", status=429)


A_503 = ResponseError("503", url="https://acme.ilucca.net/1", status=503, transient=True)


def close_for(
    admission: Admission,
    seconds: float,
    cause: Cause = Cause.PAUSE,
    *,
    since: float | None = None,
) -> None:
    seen = A_429 if cause is Cause.PAUSE else A_503
    admission.close_for(seconds, cause, since=now() if since is None else since, seen=seen)


def close(
    gate: Gate,
    admission: Admission,
    seconds: float,
    cause: Cause = Cause.PAUSE,
    *,
    since: float | None = None,
) -> None:
    """As a 429 does: by the request that met it, before its place is given back."""
    with admission:
        admission.sent = Sent.ANSWERED
        close_for(admission, seconds, cause, since=since)


def answer(gate: Gate, admission: Admission, sent_at: float) -> None:
    """As a sign of life does."""
    with admission:
        admission.sent = Sent.ANSWERED
        gate.closures.over(sent_at, now())


def entries(gate: Gate) -> list[Place]:
    return list(gate._queue)


def has_timer(gate: Gate) -> bool:
    return gate._timer is not None


async def assert_idle(gate: Gate) -> None:
    """Nothing waits, nothing is held, no timer runs: the next call is admitted at once."""
    assert entries(gate) == []
    assert not has_timer(gate)
    assert gate._resting == set()
    budget = gate.budget()
    assert (budget.waiting, budget.in_flight) == (0, 0)
    before = now()
    leave(await admit(gate), Sent.NEVER)
    # A slow ledger takes its time, and no longer.
    assert now() - before <= getattr(gate._ledger, "delay", 0.0) + A_MOMENT
