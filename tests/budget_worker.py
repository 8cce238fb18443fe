"""A process of its own that fetches ids for ever, within a shared budget: for tests to kill."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys

from lucca_training_async import LuccaTrainingClient, RateLimit


async def main(host: str, key: str, shared: str, requests: int, period: float) -> None:
    limit = RateLimit(requests, period)
    async with LuccaTrainingClient(host, key, shared_budget=shared, rate_limit=limit) as client:
        ids = (number % 100 + 1 for number in itertools.count())
        print("ready", flush=True)
        while True:
            batch = [next(ids) for _ in range(50)]
            await client.realized_trainings.get_many(batch, plan="each")


if __name__ == "__main__":
    # A pipe takes a line even where no file may grow.
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
    logging.getLogger("lucca_training_async").setLevel(logging.INFO)
    host, key, shared, requests, period = sys.argv[1:]
    asyncio.run(main(host, key, shared, int(requests), float(period)))
