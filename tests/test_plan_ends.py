"""A run that ends, or is ended, while it reads a list: nothing is left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    ClientClosedError,
    Outcome,
    RateLimitedError,
    RetryPolicy,
)
from lucca_training_async.sandbox import Fault

from .plans import LIST, asked, in_short, passes, singles
from .streams import some_turns
from .support import Stage, stage
from .test_bulk import workers
from .test_bulk_ends import assert_nothing_is_kept
from .test_plan_trouble import IDS, PLANS, assert_whole, sandbox


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 2.5])
async def test_a_run_cancelled_while_it_lists_leaves_nothing(seconds: float, plan: Any) -> None:
    async with stage(sandbox(downlink=lambda: 1.0), rate_limit=None) as on:
        got: list[Outcome] = []
        bulk = asyncio.create_task(on.trainings.get_many(IDS, plan=plan, on_outcome=got.append))
        await asyncio.sleep(seconds)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
        assert len(got) % 100 == 0
        await assert_nothing_is_left(on)
        assert_whole(await on.trainings.get_many(IDS, plan=plan))


async def assert_nothing_is_left(on: Stage) -> None:
    assert workers() == []
    assert on.client.budget.in_flight == 0
    await some_turns()
    await assert_nothing_is_kept(on)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("after", [1, 99, 100, 101, 250])
async def test_a_stream_left_early_leaves_nothing(after: int, plan: Any) -> None:
    async with stage(sandbox()) as on:
        async with on.trainings.stream(IDS, plan=plan) as stream:
            seen = 0
            async for _ in stream:
                seen += 1
                if seen == after:
                    break
        arrived = len(on.sandbox.arrivals)
        del stream
        await assert_nothing_is_left(on)
        assert len(on.sandbox.arrivals) == arrived <= 5
        assert singles(on.sandbox) == []


async def test_a_slow_consumer_holds_the_list_back() -> None:
    async with stage(sandbox()) as on:
        async with on.trainings.stream(IDS, plan="list") as stream:
            for pages in (2, 2, 2):
                await anext(stream)
                await asyncio.sleep(100)
                assert asked(on.sandbox) == (0, pages, 0)


@pytest.mark.parametrize("plan", PLANS)
async def test_what_a_callback_raises_ends_the_run(plan: Any) -> None:
    for number in (1, 100, 101, 250):
        for name in ("on_outcome", "on_progress"):
            calls = iter(range(1, 1000))

            def callback(_: object, number: int = number, calls: Iterator[int] = calls) -> None:
                if next(calls) == number:
                    raise LookupError("no room")

            callbacks: dict[str, Any] = {name: callback}
            async with stage(sandbox()) as on:
                with pytest.raises(LookupError, match="no room"):
                    await on.trainings.get_many(IDS, plan=plan, **callbacks)
                await assert_nothing_is_left(on)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_client_closed_while_it_lists(plan: Any) -> None:
    async with stage(sandbox(downlink=lambda: 1.0)) as on:
        bulk = asyncio.create_task(on.trainings.get_many(IDS, plan=plan))
        await asyncio.sleep(2.5 if plan == "list" else 3.5)
        await on.client.aclose()
        result = await bulk
        assert list(result.items) == list(range(1, 201))
        assert list(result.failures) == list(range(201, 301))
        assert {type(error) for error in result.failures.values()} == {ClientClosedError}
        assert singles(on.sandbox) == []


@pytest.mark.parametrize("plan", PLANS)
async def test_patience_that_ends_while_it_lists(
    plan: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    retry = RetryPolicy(patience=60)
    async with stage(sandbox(), retry=retry) as on:
        before = [passes()] * (2 if plan == "list" else 3)
        on.sandbox.inject(*before, *[Fault.too_many_requests(25)] * 100, id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert list(result.items) == list(range(1, 201))
        assert isinstance(result.stopped, RateLimitedError)
        assert {type(error) for error in result.failures.values()} == {RateLimitedError}
        assert singles(on.sandbox) == []
    assert not any("no use" in one.message for one in caplog.records)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_refused_key_is_told_of_every_id(plan: Any) -> None:
    async with stage(sandbox(), api_key="wrong") as on:
        result = await on.trainings.get_many(IDS, plan=plan)
        assert isinstance(result.stopped, AuthenticationError)
        assert list(result.failures) == list(IDS)
        # One beside those that were under way when the first answer came: ten at the most.
        assert 2 <= len(on.sandbox.arrivals) <= 11


@pytest.mark.parametrize("plan", PLANS)
async def test_two_runs_at_a_time_and_what_the_source_raises(plan: Any) -> None:
    async def broken() -> AsyncGenerator[int, None]:
        for id in IDS:
            yield id
        raise LookupError("no more rows")

    async with stage(sandbox()) as on:
        first, second, third = await asyncio.gather(
            on.trainings.get_many(IDS, plan=plan),
            on.trainings.get_many(IDS, plan="each"),
            on.trainings.get_many(broken(), plan=plan),
            return_exceptions=True,
        )
        assert isinstance(first, BulkResult)
        assert isinstance(second, BulkResult)
        assert in_short(first) == in_short(second)
        assert isinstance(third, LookupError)
        got: list[int] = []
        with pytest.raises(LookupError):
            async for outcome in on.trainings.stream(broken(), plan=plan):
                assert outcome.training is not None
                got.append(outcome.training.id)
        assert sorted(got) == list(IDS)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seconds", [1.5, 2.5, 3.5])
async def test_a_run_cancelled_while_it_finds_out_whether_the_list_is_to_blame(
    seconds: float, plan: Any
) -> None:
    async with stage(sandbox(downlink=lambda: 1.0)) as on:
        on.sandbox.inject(*[Fault.internal_error()] * 100, id=LIST)
        bulk = asyncio.create_task(on.trainings.get_many(IDS, plan=plan))
        await asyncio.sleep(seconds)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
        await assert_nothing_is_left(on)


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("plan", PLANS)
async def test_a_worker_cancelled_by_somebody_else_ends_the_run(plan: Any, number: int) -> None:
    async with stage(sandbox(downlink=lambda: 1.0)) as on:
        asyncio.get_running_loop().call_later(2.5, lambda: workers()[number].cancel())
        with pytest.raises(asyncio.CancelledError):
            async for _ in on.trainings.stream(IDS, plan=plan):
                pass
        assert workers() == []
