"""Outcomes as they arrive: shared, waited for in vain, left early, forgotten."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from lucca_training_async import (
    AuthenticationError,
    BulkStats,
    ClientClosedError,
    Failed,
    Found,
    Outcome,
    Progress,
    Refused,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .streams import finish_it, slow_to_close, some_turns
from .support import stage
from .test_bulk import workers
from .test_bulk_ends import assert_nothing_is_kept, at_rest, broken_after


def id_of(outcome: Outcome) -> int:
    assert not isinstance(outcome, Refused)
    return outcome.id


async def test_results_stream_as_they_arrive() -> None:
    async with stage(max_concurrency=2) as on:
        on.sandbox.inject(Fault.slow(10), id=1)
        order = [id_of(outcome) async for outcome in on.trainings.stream([1, 2, 3, 4])]
        assert order == [2, 3, 4, 1]


async def test_a_stream_tells_what_it_takes_while_it_runs_and_afterwards() -> None:
    told: list[Progress] = []
    async with stage(max_concurrency=2) as on:
        on.sandbox.inject(Fault.internal_error(), id=1)
        async with on.trainings.stream([1, 2, 2], on_progress=told.append) as stream:
            assert (stream.total, stream.stats, stream.stopped) == (3, BulkStats(), None)
            got = {id_of(await anext(stream))}
            assert 1 <= stream.stats.requests <= 3
            got |= {id_of(outcome) async for outcome in stream}
            await asyncio.sleep(100)
            assert (stream.stats.requests, stream.stats.retries) == (3, 1)
            assert stream.stats.elapsed < 100
            assert stream.stopped is None
        assert got == {1, 2}
        assert told[-1].done == 3
        assert on.trainings.stream(iter([1])).total is None


async def test_ids_are_read_as_they_are_used() -> None:
    read: list[int] = []

    def counted() -> Iterator[int]:
        for value in range(1, 10_001):
            read.append(value)
            yield value

    async with stage(max_concurrency=4) as on, on.trainings.stream(counted()) as stream:
        for _ in range(100):
            await anext(stream)
        assert len(read) <= 100 + 4 + 4 + 4


async def test_a_slow_consumer_holds_the_workers_back() -> None:
    async with stage(max_concurrency=3) as on:
        async with on.trainings.stream(range(1, 1001)) as stream:
            await anext(stream)
            await asyncio.sleep(60)
            assert 4 <= len(on.sandbox.arrivals) <= 3 + 3 + 1


async def test_no_more_tasks_than_workers() -> None:
    most = 0
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 0.01), max_concurrency=7) as on:
        async with on.trainings.stream(range(1, 301)) as stream:
            async for _ in stream:
                most = max(most, len(workers()))
    assert most == 7


@pytest.mark.parametrize("ids", [range(1, 10**20), range(1, 4)])
async def test_a_length_that_python_can_not_tell(ids: range) -> None:
    async with stage() as on, on.trainings.stream(ids) as stream:
        assert (await anext(stream)).training is not None
        assert stream.total == (3 if len(str(ids)) < 20 else None)


# -- several consumers, and waits in vain


async def test_a_wait_that_is_cancelled_loses_no_outcome() -> None:
    got: list[int] = []
    in_vain = 0
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 5.0), max_concurrency=3) as on:
        stream = on.trainings.stream(range(1, 31))
        while True:
            try:
                got.append(id_of(await asyncio.wait_for(anext(stream), 0.7)))
            except TimeoutError:
                in_vain += 1
            except StopAsyncIteration:
                break
    assert in_vain > 10
    assert sorted(got) == list(range(1, 31))


async def test_a_wait_cancelled_in_any_turn_of_the_loop_loses_no_outcome() -> None:
    """Also in the very turn in which an outcome has come, or in which the stream ends."""
    got: list[int] = []
    async with stage(max_concurrency=3) as on:
        stream = on.trainings.stream(range(1, 101))
        turns = itertools.cycle(range(30))
        while True:
            wait = asyncio.ensure_future(anext(stream))
            for _ in range(next(turns)):
                await asyncio.sleep(0)
            wait.cancel()
            await asyncio.wait([wait])
            if wait.cancelled():
                continue
            if isinstance(wait.exception(), StopAsyncIteration):
                break
            got.append(id_of(wait.result()))
    assert sorted(got) == list(range(1, 101))


async def test_cancelling_a_wait_raises_the_cancellation() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 5.0)) as on:
        async with on.trainings.stream(range(1, 31)) as stream:
            wait = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(1)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await wait
            assert type(caught.value) is asyncio.CancelledError
            assert id_of(await anext(stream)) in range(1, 11)


@pytest.mark.parametrize("consumers", [2, 3])
@pytest.mark.parametrize("downlink", [0.0, 0.5])
async def test_consumers_share_a_stream(consumers: int, downlink: float) -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: downlink)) as on:
        stream = on.trainings.stream(range(1, 101))

        async def consume(pause: float) -> list[int]:
            got: list[int] = []
            async for outcome in stream:
                got.append(id_of(outcome))
                await asyncio.sleep(pause)
            return got

        shares = await asyncio.gather(*(consume(number / 10) for number in range(consumers)))
        assert sorted(itertools.chain(*shares)) == list(range(1, 101))
        assert all(shares)
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


async def test_a_failure_is_told_to_one_of_the_consumers_and_the_others_end() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 0.5)) as on:
        stream = on.trainings.stream(broken_after(25))
        got: list[int] = []

        async def consume() -> None:
            async for outcome in stream:
                got.append(id_of(outcome))

        ends = await asyncio.gather(*(consume() for _ in range(3)), return_exceptions=True)
        assert sorted(map(str, ends)) == ["None", "None", "cursor closed"]
        assert sorted(got) == list(range(1, 26))


async def test_the_error_of_a_run_survives_a_wait_that_is_cancelled_while_it_closes() -> None:
    def fail(progress: Progress) -> None:
        if progress.done == 3:
            raise LookupError("the bar is gone")

    got: list[int] = []
    async with stage(max_concurrency=1) as on:
        stream = on.trainings.stream(slow_to_close([]), on_progress=fail)
        with pytest.raises(LookupError, match="the bar is gone"):
            while True:
                try:
                    got.append(id_of(await asyncio.wait_for(anext(stream), 1)))
                except TimeoutError:
                    assert got == [1, 2, 3]
        assert got == [1, 2, 3]


async def test_closing_wakes_the_consumers_that_wait() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 100.0)) as on:
        stream = on.trainings.stream(range(1, 31))
        waits = [asyncio.ensure_future(anext(stream)) for _ in range(3)]
        await asyncio.sleep(1)
        assert len(workers()) == 10
        await stream.aclose()
        assert workers() == []
        await asyncio.wait(waits)
        assert [type(one.exception()) for one in waits] == [StopAsyncIteration] * 3
        assert asyncio.get_running_loop().time() < 100


async def test_a_closed_stream_gives_nothing_more_and_may_be_closed_again() -> None:
    async with stage() as on:
        async with on.trainings.stream(range(1, 1001)) as stream:
            await anext(stream)
            assert len(workers()) == 10
        assert workers() == []
        assert [outcome async for outcome in stream] == []
        await stream.aclose()


async def test_two_may_close_a_stream_at_once() -> None:
    """Python closes an async generator for one of them only."""
    told: list[str] = []
    async with stage() as on:
        stream = on.trainings.stream(slow_to_close(told))
        await anext(stream)
        await asyncio.gather(stream.aclose(), stream.aclose(), anext(stream, None))
        assert told == ["closed"]


# -- a stop


async def test_a_401_ends_a_stream_with_an_outcome_for_every_id_read() -> None:
    read: list[int] = []

    def counted() -> Iterator[int]:
        for value in itertools.count(1):
            read.append(value)
            yield value

    async with stage(api_key="wrong-key") as on:
        stream = on.trainings.stream(counted())
        failed = [outcome async for outcome in stream]
        assert {type(outcome) for outcome in failed} == {Failed}
        assert sorted(map(id_of, failed)) == read
        assert type(stream.stopped) is AuthenticationError
        assert len(on.sandbox.arrivals) == 10

        stream = on.trainings.stream(range(1, 101))
        assert sorted([id_of(outcome) async for outcome in stream]) == list(range(1, 101))
        assert type(stream.stopped) is AuthenticationError


async def test_closing_the_client_ends_a_stream_whose_source_is_at_rest() -> None:
    async with stage() as on:
        stream = on.trainings.stream(at_rest(1, 2))
        got = {id_of(await anext(stream)), id_of(await anext(stream))}
        wait = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1)
        await on.client.aclose()
        await asyncio.wait([wait])
        assert isinstance(wait.exception(), StopAsyncIteration)
        assert got == {1, 2}
        assert type(stream.stopped) is ClientClosedError


@pytest.mark.parametrize("kind", [Found, Failed])
async def test_a_source_that_fails_loses_no_outcome_of_a_stream(kind: type[Outcome]) -> None:
    got: list[int] = []
    key = "wrong-key" if kind is Failed else None
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0), api_key=key) as on:
        with pytest.raises(LookupError, match="cursor closed"):
            async for outcome in on.trainings.stream(broken_after(5)):
                assert type(outcome) is kind
                got.append(id_of(outcome))
    assert sorted(got) == list(range(1, 6))


async def test_a_stream_ended_by_an_error_keeps_nothing() -> None:
    """The error's traceback leads to the stream, and must not keep its run."""

    def fail(_: Progress) -> None:
        raise LookupError

    async with stage() as on:
        stream = on.trainings.stream(range(1, 101), on_progress=fail)
        with pytest.raises(LookupError):
            await finish_it(stream)
        del stream
        await some_turns()
        await assert_nothing_is_kept(on)
