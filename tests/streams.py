"""Ways to use a stream, and sources of ids, that several tests share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator

from lucca_training_async import OutcomeStream


async def slow_to_close(told: list[str]) -> AsyncGenerator[int, None]:
    try:
        for value in itertools.count(1):
            yield value
    finally:
        await asyncio.sleep(5)
        told.append("closed")


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def asynchronous(number: int) -> AsyncGenerator[int, None]:
    for value in range(1, number + 1):
        await asyncio.sleep(0)
        yield value


async def forget_it(stream: OutcomeStream) -> None:
    async for _ in stream:
        break


async def finish_it(stream: OutcomeStream) -> None:
    async for _ in stream:
        pass
