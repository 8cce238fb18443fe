"""One client in a process of its own: what it needed, as a line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import nullcontext

from ..memory import peak_megabytes
from ..processor import processor
from .clients import CLIENTS, Task

WARM_UP = 200


def main(
    name: str, url: str, api_key: str, count: str, concurrency: str, requests: str, period: str
) -> None:
    budget = (int(requests), float(period)) if int(requests) else None
    task = Task(url, api_key, range(1, int(count) + 1), int(concurrency), budget)
    # What is measured without a budget is CPU, which a neighbour on the same processor disturbs.
    with nullcontext() if budget else processor(0):
        if budget is None:
            # Imports, and whatever else is done once.
            first = Task(url, api_key, range(1, WARM_UP + 1), int(concurrency))
            asyncio.run(_awaited(name, first))
        before, cpu, began = peak_megabytes(), time.process_time(), time.perf_counter()
        found = asyncio.run(_awaited(name, task))
    told = {
        "found": found,
        "cpu": (time.process_time() - cpu) / len(task.ids) * 1e6,
        "seconds": time.perf_counter() - began,
        "peak": peak_megabytes(),
        "growth": peak_megabytes() - before,
    }
    print(json.dumps(told))


async def _awaited(name: str, task: Task) -> int:
    return await CLIENTS[name](task)


if __name__ == "__main__":
    main(*sys.argv[1:])
