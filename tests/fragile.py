"""A store that gets out of reach and loses its data; clients of it, closed after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from lucca_training_async import ConfigurationError, RateLimit
from lucca_training_async._budget import Sent, Wait
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.steps import Step, UnreachableError
from lucca_training_async._budget.tenant import Tenant

from .gates import patiently, shared_by

LIMIT = RateLimit(10, 60.0)
LONGEST = 15.0


class FragileStore(MemoryStore):
    """A store that can get out of reach, and lose its data."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.is_reachable = True
        self.never = False
        self.delay = 0.001
        self.asked = 0
        self.is_closed = False

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.never:
            raise ConfigurationError("this is no ledger")
        if not self.is_reachable:
            raise UnreachableError("fragile: out of reach")
        return await super().apply(host, steps)

    async def aclose(self) -> None:
        self.is_closed = True

    def lose(self) -> None:
        self._tenants.clear()


def fragile() -> FragileStore:
    return FragileStore(asyncio.get_running_loop().time)


def client(
    store: MemoryStore, limit: RateLimit | None = LIMIT, *, required: bool = False
) -> SharedLedger:
    made = shared_by(store, limit, longest_attempt=LONGEST, required=required)
    _made.append(made)
    return made


_made: list[SharedLedger] = []


@pytest.fixture(autouse=True)
async def everybody_leaves() -> AsyncGenerator[None, None]:
    """Who is killed in a test is closed after it."""
    yield
    for ledger in _made:
        await ledger.aclose()
    _made.clear()


async def settled(ledger: SharedLedger, sent: Sent = Sent.ANSWERED) -> None:
    ledger.settle(await patiently(ledger), sent)
    await asyncio.sleep(0.01)


def sharing(ledger: SharedLedger) -> tuple[int, int | None, bool]:
    shared = ledger.standing().sharing
    assert shared is not None
    return shared.clients, shared.limit, shared.alone
