"""What a ledger costs: one slot taken and settled, and told, with a full budget's slots in it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from yarl import URL

from lucca_training_async import MemoryLedger, RateLimit
from lucca_training_async._budget import Lease, Ledger, OwnLedger, Sent
from lucca_training_async._budget.opening import open_ledger

LIMIT = RateLimit(100, 60.0)
ROUNDS, PAIRS = 5, 400
HELD = 50


async def microseconds(ledger: Ledger, pairs: int) -> float:
    """For one slot taken and given back."""
    began = time.perf_counter()
    for _ in range(pairs):
        lease = await ledger.take()
        assert isinstance(lease, Lease)
        ledger.settle(lease, Sent.NEVER)
    # What was settled last is told at the latest with this.
    await ledger.take()
    return (time.perf_counter() - began) / pairs * 1e6


async def measure(ledger: Ledger) -> list[float]:
    try:
        for _ in range(HELD):
            assert isinstance(await ledger.take(), Lease)
        return [await microseconds(ledger, PAIRS) for _ in range(ROUNDS)]
    finally:
        await ledger.aclose()


def shown(name: str, taken: Sequence[float]) -> str:
    return f"  {name:<28}{statistics.median(taken):7.0f} us"


def compare_ledgers(budgets: dict[str, str]) -> None:
    print(
        f"An acquire and its completion, {HELD} slots in use, median of {ROUNDS} rounds of {PAIRS}"
    )

    async def shared(budget: str | MemoryLedger, host: str) -> list[float]:
        origin = URL(f"https://{host}")
        return await measure(open_ledger(budget, origin, LIMIT, 15.0, required=False))

    async def own() -> list[float]:
        return await measure(OwnLedger(LIMIT, asyncio.get_running_loop().time))

    print(shown("a client's own", asyncio.run(own())))
    all_budgets: dict[str, str | MemoryLedger] = {"memory, shared": MemoryLedger(), **budgets}
    for name, budget in all_budgets.items():
        print(shown(name, asyncio.run(shared(budget, "costs.ilucca.net"))))
