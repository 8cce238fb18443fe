"""Streams that are never started, left early, forgotten, or overtaken by the end of the loop."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable

import pytest

from lucca_training_async import (
    LuccaTrainingClient,
    OutcomeStream,
)
from lucca_training_async.sandbox import Sandbox

from .streams import asynchronous, finish_it, forget_it, some_turns
from .support import stage
from .test_bulk import workers
from .test_bulk_ends import assert_nothing_is_kept


async def test_a_stream_never_asked_for_anything_starts_nothing() -> None:
    async with stage() as on:
        on.trainings.stream(range(1, 1001))
        async with on.trainings.stream(range(1, 1001)):
            assert workers() == []
        assert on.sandbox.arrivals == []


async def test_an_error_in_the_body_of_a_stream_leaves_no_task() -> None:
    async with stage() as on:
        with pytest.raises(LookupError):
            async with on.trainings.stream(range(1, 1001)) as stream:
                async for _ in stream:
                    raise LookupError
        assert workers() == []


async def test_a_worker_cancelled_by_somebody_else_hangs_no_consumer() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        asyncio.get_running_loop().call_later(2.5, lambda: workers()[3].cancel())
        with pytest.raises(asyncio.CancelledError):
            async for _ in on.trainings.stream(range(1, 101)):
                pass
        assert workers() == []


async def test_a_forgotten_stream_is_disposed_of() -> None:
    async with stage() as on:
        async for _ in on.trainings.stream(range(1, 1001)):
            assert len(workers()) == 10
            break
        await some_turns()
        assert workers() == []
        await assert_nothing_is_kept(on)


async def test_a_stream_forgotten_in_a_cycle_is_disposed_of_by_the_collector() -> None:
    class Report:
        def __init__(self, stream: OutcomeStream) -> None:
            self.stream = stream
            self.itself = self

    async with stage() as on:
        gc.disable()
        try:
            report = Report(on.trainings.stream(range(1, 1001)))
            await anext(report.stream)
            del report
            await some_turns()
            assert len(workers()) == 10
            gc.collect()
            await some_turns()
            assert workers() == []
        finally:
            gc.enable()
        await assert_nothing_is_kept(on)


@pytest.mark.real_time
async def test_a_stream_forgotten_in_another_thread_is_disposed_of() -> None:
    """The collector runs in whichever thread it likes."""
    async with stage() as on:
        box = [on.trainings.stream(range(1, 1001))]
        await anext(box[0])
        assert len(workers()) == 10
        await asyncio.to_thread(box.clear)
        await some_turns()
        assert workers() == []


async def test_a_stream_that_has_ended_keeps_nothing_once_it_is_gone() -> None:
    async with stage() as on:
        stream = on.trainings.stream(range(1, 101))
        assert len([outcome async for outcome in stream]) == 100
        del stream
        await some_turns()
        async with on.trainings.stream(range(1, 101)) as closed:
            await anext(closed)
        del closed
        await assert_nothing_is_kept(on)


held: list[OutcomeStream] = []


async def hold_it(stream: OutcomeStream) -> None:
    held.append(stream)
    await anext(stream)


@pytest.mark.parametrize("use", [hold_it, forget_it, finish_it])
@pytest.mark.parametrize("closes", [True, False], ids=["client closed", "client left open"])
@pytest.mark.parametrize("number", [30, 1000])
def test_a_loop_that_ends_meanwhile_ends_in_peace(
    use: Callable[[OutcomeStream], Awaitable[None]],
    closes: bool,
    number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Sandbox(rate_limit=None) as sandbox:
            client = LuccaTrainingClient(sandbox.url, sandbox.api_key, rate_limit=None)
            try:
                await use(client.realized_trainings.stream(asynchronous(number)))
            finally:
                if closes:
                    await client.aclose()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
        held.clear()
        gc.collect()
    told = [str(one.message) for one in caught]
    # A client left open is aiohttp's to complain of, and rightly so.
    told += [record.getMessage() for record in caplog.records]
    assert [one for one in told if closes or not one.lower().startswith("unclosed")] == []
