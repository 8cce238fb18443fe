"""What becomes of the caller's generator of ids when a run ends early."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from lucca_training_async import (
    AuthenticationError,
    Progress,
    RateLimit,
)
from lucca_training_async.sandbox import Fault

from .streams import finish_it, forget_it, slow_to_close
from .support import Stage, stage


async def break_in_a_stream(on: Stage, ids: Any) -> None:
    async with on.trainings.stream(ids) as stream:
        async for _ in stream:
            break


async def forget_a_stream(on: Stage, ids: Any) -> None:
    await forget_it(on.trainings.stream(ids))
    await asyncio.sleep(10)


async def cancel(on: Stage, ids: Any) -> None:
    bulk = asyncio.create_task(on.trainings.get_many(ids))
    await asyncio.sleep(0.5)
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk


async def fail_in_on_progress(on: Stage, ids: Any) -> None:
    def fail(_: Progress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await on.trainings.get_many(ids, on_progress=fail)


async def fail_in_on_progress_of_a_stream(on: Stage, ids: Any) -> None:
    def fail(_: Progress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await finish_it(on.trainings.stream(ids, on_progress=fail))


async def meet_a_401(on: Stage, ids: Any) -> None:
    on.sandbox.inject_always(Fault.error(401), id=5)
    result = await on.trainings.get_many(ids)
    assert type(result.stopped) is AuthenticationError


async def meet_a_401_in_a_stream(on: Stage, ids: Any) -> None:
    on.sandbox.inject_always(Fault.error(401), id=5)
    await finish_it(on.trainings.stream(ids))


async def close_the_client(on: Stage, ids: Any) -> None:
    bulk = asyncio.create_task(on.trainings.get_many(ids))
    await asyncio.sleep(0.5)
    await on.client.aclose()
    await bulk


ENDINGS = [
    break_in_a_stream,
    forget_a_stream,
    cancel,
    fail_in_on_progress,
    fail_in_on_progress_of_a_stream,
    meet_a_401,
    meet_a_401_in_a_stream,
    close_the_client,
]


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_generator_is_closed_when_its_run_ends_early(
    end: Callable[[Stage, Any], Awaitable[None]], is_async: bool
) -> None:
    told: list[str] = []

    def plain() -> Iterator[int]:
        try:
            yield from itertools.count(1)
        finally:
            told.append("closed")

    ids = slow_to_close(told) if is_async else plain()  # held here: nobody disposes of it
    async with stage(rate_limit=RateLimit(20, 60.0)) as on:
        await end(on, ids)
        assert told == ["closed"]
    del ids


class OwnFile:
    """An iterator that has a ``close``, which is its owner's to call."""

    def __init__(self) -> None:
        self.closed = False
        self._ids = itertools.count(1)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return next(self._ids)

    def close(self) -> None:
        self.closed = True


class OwnCursor:
    def __init__(self) -> None:
        self.closed = False
        self._ids = itertools.count(1)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        return next(self._ids)

    async def aclose(self) -> None:
        self.closed = True

    close = aclose


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("kind", [OwnFile, OwnCursor])
async def test_what_is_no_generator_is_not_closed(
    end: Callable[[Stage, Any], Awaitable[None]], kind: type[OwnFile | OwnCursor]
) -> None:
    own = kind()
    async with stage(rate_limit=RateLimit(20, 60.0)) as on:
        await end(on, own)
    assert not own.closed
