"""Many ids by the list: how many requests, and how far from the ideal time.

Pages come one after the other, since each has the cursor of the next. So the ideal is that of a
client which wastes nothing: each request leaves as soon as the answer before it is there and
the budget has a place, which is one period after the request of so many places ago::

    sent[n] = max(sent[n - 1] + page, sent[n - 50] + 1 s)        taken = sent[last] + page

``page`` is what bare aiohttp takes for a page of the same server, parsed with json.loads: the
median over a list that is read without a budget.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time

import aiohttp

from lucca_training_async import LuccaTrainingClient, RateLimit
from lucca_training_async.sandbox.question import MOST_ITEMS

from .server import Served, served

IDS = 10_000
RECORDS = 12_000
PATH = "/talent-training/api/v2/realized-trainings"
MOST_REQUESTS = 130
MOST_RATIO = 1.10


async def seconds_for_a_page(server: Served) -> float:
    headers = {"Authorization": f"lucca application={server.api_key}"}
    taken: list[float] = []
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        page: str | None = "1"
        while page is not None:
            began = time.perf_counter()
            query = {"fields.root": "count,next,prev", "limit": str(MOST_ITEMS), "page": page}
            async with session.get(PATH, params=query) as response:
                page = json.loads(await response.read())["next"]
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def ideal_seconds(requests: int, limit: RateLimit, page: float) -> float:
    """See the module: the budget's time, and the pages that no budget hides."""
    sent: list[float] = []
    for number in range(requests):
        after_the_last = sent[-1] + page if sent else 0.0
        in_the_budget = (
            sent[number - limit.requests] + limit.period if number >= limit.requests else 0.0
        )
        sent.append(max(after_the_last, in_the_budget))
    return sent[-1] + page


async def by_list(server: Served, limit: RateLimit) -> tuple[int, float]:
    """How many requests, and how many seconds."""
    ids = random.Random(1).sample(range(1, RECORDS + 1), IDS)
    async with LuccaTrainingClient(server.url, server.api_key, rate_limit=limit) as client:
        began = time.perf_counter()
        result = await client.realized_trainings.get_many(ids)
        taken = time.perf_counter() - began
    assert list(result.items) == ids
    assert result.stats.plan == "list"
    return result.stats.requests, taken


def compare_plans(limit: RateLimit) -> None:
    with served(None, RECORDS) as server:
        page = asyncio.run(seconds_for_a_page(server))
    with served(limit, RECORDS) as server:
        requests, taken = asyncio.run(by_list(server, limit))
        refusals, busiest = server.refusals_and_busiest_window()
    ideal = ideal_seconds(requests, limit, page)
    each = (IDS - 1) // limit.requests * limit.period
    print(f"By list: {IDS} ids of {RECORDS} records, {limit.requests} per {limit.period:g} s")
    print(f"  {requests} requests (target: at most {MOST_REQUESTS}); by id: {IDS}")
    print(
        f"  {taken:.3f} s, ideal {ideal:.3f} s, of which {(requests - 1) // limit.requests} s for "
        f"the budget (bare aiohttp: {page * 1000:.1f} ms a page); by id: at least {each:g} s"
    )
    print(f"  ratio {taken / ideal:.3f} (target: at most {MOST_RATIO})")
    print(f"  429s: {refusals} (target: none); busiest window: {busiest} of {limit.requests}")


if __name__ == "__main__":
    compare_plans(RateLimit(50, 1.0))
