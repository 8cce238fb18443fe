"""One of the processes that share a budget: it fetches until it is killed."""

from __future__ import annotations

import asyncio
import sys

from lucca_training_async import LuccaTrainingClient, RateLimit

IDS = range(1, 1_000_001)


async def main(url: str, api_key: str, shared: str, requests: int, period: float) -> None:
    async with LuccaTrainingClient(
        url,
        api_key,
        shared_budget=shared or None,
        rate_limit=RateLimit(requests, period),
        max_concurrency=requests,
    ) as client:
        print("ready", flush=True)
        async with client.realized_trainings.stream(IDS) as outcomes:
            async for _ in outcomes:
                pass


if __name__ == "__main__":
    url, api_key, shared, requests, period = sys.argv[1:]
    asyncio.run(main(url, api_key, shared, int(requests), float(period)))
