"""Measures the client against bare aiohttp, and against the ideal that the budget allows."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from lucca_training_async import LuccaTrainingClient, RateLimit

from .by_list import compare_plans
from .ledgers import compare_ledgers
from .memory import peak_megabytes
from .processes import compare_processes
from .processor import processor
from .server import Served, served
from .shared import shared_budgets

CONCURRENCY = 10
PATH = "/talent-training/api/v2/realized-trainings"
Fetch = Callable[[Served, int], Coroutine[Any, Any, None]]


async def ours(server: Served, count: int) -> None:
    async with LuccaTrainingClient(
        server.url, server.api_key, rate_limit=None, max_concurrency=CONCURRENCY
    ) as client:
        result = await client.realized_trainings.get_many(range(1, count + 1), plan="each")
        assert len(result.items) == count


async def bare(
    server: Served, count: int, read: Callable[[aiohttp.ClientResponse], Awaitable[object]]
) -> None:
    """The least that fetches the same: as many workers, no retry, no budget, no types."""
    headers = {"Authorization": f"lucca application={server.api_key}"}
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    found: dict[int, object] = {}
    ids = iter(range(1, count + 1))
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def worker() -> None:
            for id in ids:
                async with session.get(f"{server.url}{PATH}/{id}") as response:
                    response.raise_for_status()
                    found[id] = await read(response)

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    assert len(found) == count


async def bare_json(server: Served, count: int) -> None:
    await bare(server, count, lambda response: response.json())


async def bare_loads(server: Served, count: int) -> None:
    async def loads(response: aiohttp.ClientResponse) -> object:
        return json.loads(await response.read())

    await bare(server, count, loads)


def cpu_microseconds(fetch: Fetch, server: Served, count: int) -> float:
    """CPU per request of this process; the server's is not in it."""
    before = time.process_time()
    asyncio.run(fetch(server, count))
    return (time.process_time() - before) / count * 1e6


def compare_cpu(server: Served, count: int, rounds: int) -> None:
    fetches = {
        "get_many": ours,
        "aiohttp + response.json()": bare_json,
        "aiohttp + json.loads": bare_loads,
    }
    for fetch in fetches.values():
        cpu_microseconds(fetch, server, count // 5)
    taken: dict[str, list[float]] = {name: [] for name in fetches}
    for _ in range(rounds):
        for name, fetch in fetches.items():
            taken[name].append(cpu_microseconds(fetch, server, count))
    print(
        f"CPU per request, {count} ids, {CONCURRENCY} at a time, "
        f"median of {rounds} interleaved rounds"
    )
    for name, values in taken.items():
        print(f"  {name:<28}{statistics.median(values):7.1f} us")
    for name in list(fetches)[1:]:
        ratios = [mine / other for mine, other in zip(taken["get_many"], taken[name], strict=True)]
        target = "(target: at most 1.25)" if name == "aiohttp + response.json()" else ""
        print(f"  get_many / {name:<26}{statistics.median(ratios):6.3f} {target}")


async def stream_memory(server: Served, count: int) -> None:
    async with LuccaTrainingClient(server.url, server.api_key, rate_limit=None) as client:

        async def stream(ids: range) -> int:
            found = 0
            async for outcome in client.realized_trainings.stream(ids):
                found += outcome.training is not None
            return found

        await stream(range(1, 1001))
        before = peak_megabytes()
        assert await stream(range(1, count + 1)) == count
        print(f"Peak memory growth, stream over {count} ids")
        print(f"  {peak_megabytes() - before:.1f} MB (target: at most 20)")


async def against_the_ideal(server: Served, limit: RateLimit, count: int) -> None:
    async with LuccaTrainingClient(server.url, server.api_key, rate_limit=limit) as client:
        started = time.perf_counter()
        result = await client.realized_trainings.get_many(range(1, count + 1), plan="each")
        taken = time.perf_counter() - started
    assert len(result.items) == count
    ideal = (math.ceil(count / limit.requests) - 1) * limit.period
    refusals, busiest = server.refusals_and_busiest_window()
    print(
        f"Time under a budget of {limit.requests} per {limit.period:g} s, "
        f"{count} ids, strict server"
    )
    print(f"  {taken:.3f} s, ideal {ideal:.3f} s, ratio {taken / ideal:.3f} (target: at most 1.05)")
    print(f"  429s: {refusals} (target: none); busiest window: {busiest} of {limit.requests}")


def main() -> None:
    print(f"Python {sys.version.split()[0]}, aiohttp {aiohttp.__version__}\n")
    with served(None) as server:
        # First, while the peak is still low.
        asyncio.run(stream_memory(server, 100_000))
        with processor(0):
            compare_cpu(server, 5000, rounds=9)
    limit = RateLimit(50, 1.0)
    with served(limit) as server:
        asyncio.run(against_the_ideal(server, limit, 500))
    compare_plans(limit)
    with shared_budgets() as budgets:
        compare_processes(limit, budgets)
        compare_ledgers(budgets)


if __name__ == "__main__":
    main()
