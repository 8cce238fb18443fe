"""How bulk runs end before their ids do: a stop, a cancellation, an error of the caller's."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import aiohttp
import pytest

from lucca_training_async import (
    AuthenticationError,
    ClientClosedError,
    Found,
    LuccaConnectionError,
    LuccaError,
    Outcome,
    RateLimit,
    UsageError,
)
from lucca_training_async._bulk import BulkRun
from lucca_training_async.sandbox import Fault, Sandbox

from .support import Stage, stage
from .test_bulk import workers


def late(seconds: float, fault: Fault) -> Fault:
    """The same misfortune, told only after a while."""

    async def apply(request: Any, normal: Any) -> Any:
        await asyncio.sleep(seconds)
        return await fault.apply(request, normal)

    return Fault(f"late {fault.name}", apply)


class StillReadError(Exception):
    """The source is read on and on: what has no end would be read for ever."""


def watched(ids: Iterable[Any], read: list[Any], most: int = 2000) -> Iterator[Any]:
    for value in ids:
        if len(read) == most:
            raise StillReadError
        read.append(value)
        yield value


async def at_rest(*ids: int) -> AsyncGenerator[int, None]:
    """A queue that nobody puts anything into any more."""
    for value in ids:
        yield value
    await asyncio.Event().wait()


class QueueAtRest:
    """The same, and no generator."""

    def __init__(self, *ids: int) -> None:
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        for value in ids:
            self._queue.put_nowait(value)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        return await self._queue.get()


class SizedQueueAtRest(QueueAtRest):
    """Even where it says how many there will be, nobody knows when."""

    def __len__(self) -> int:
        return 100


# -- a stop


IDS = range(1, 1001)


@pytest.mark.parametrize("ids", [IDS, list(IDS), set(IDS), dict.fromkeys(IDS)], ids=type)
async def test_a_401_fails_every_id_of_a_collection(ids: Iterable[int]) -> None:
    async with stage(api_key="wrong-key") as on:
        result = await on.trainings.get_many(ids, plan="each")
        assert list(result.failures) == list(range(1, 1001))
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}
        assert result.stopped is result.failures[1000]
        # As many as were under way when the first answer came.
        assert len(on.sandbox.arrivals) == 10
        with pytest.raises(ExceptionGroup, match="1000 of 1000 ids failed") as caught:
            result.raise_for_failures()
        assert len(caught.value.exceptions) <= 10


ENDLESS: dict[str, Callable[[], Iterable[Any]]] = {
    "new ids": lambda: itertools.count(1),
    "the same id": lambda: itertools.repeat(1),
    "the same ids": lambda: itertools.cycle([1, 2, 3]),
    "an id, then values that are none": lambda: itertools.chain([1], itertools.count(-(10**6))),
    "an id, then the same invalid one": lambda: itertools.chain([1], itertools.repeat("1")),
}


async def asynchronously(ids: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for value in ids:
        yield value


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("max_concurrency", [1, 10])
async def test_a_401_ends_the_reading_of_what_has_no_end(
    endless: Callable[[], Iterable[Any]], is_async: bool, max_concurrency: int
) -> None:
    read: list[Any] = []
    got: list[Outcome] = []
    ids = watched(endless(), read, most=100_000)
    async with stage(api_key="wrong-key", max_concurrency=max_concurrency) as on:
        result = await on.trainings.get_many(
            asynchronously(ids) if is_async else ids, on_outcome=got.append
        )
        assert type(result.stopped) is AuthenticationError
        assert set(result.failures.values()) >= {result.stopped}
        assert len(on.sandbox.arrivals) <= max_concurrency
    # Every value that was read has its outcome, and no other.
    assert len(got) == len(set(read)) == len(result.failures) + len(result.refused)
    assert set(result.failures) == {value for value in read if type(value) is int and value > 0}


@pytest.mark.parametrize("source", [at_rest, QueueAtRest, SizedQueueAtRest])
@pytest.mark.parametrize("way", ["401", "closed client"])
@pytest.mark.parametrize("max_concurrency", [2, 10])
async def test_a_stop_ends_the_wait_for_a_source_at_rest(
    source: Callable[..., Any], way: str, max_concurrency: int
) -> None:
    async with stage(max_concurrency=max_concurrency) as on:
        ids: tuple[int, ...] = (1, 2)
        if way == "401":
            on.sandbox.inject(late(5, Fault.error(401)), id=3)
            ids = (1, 2, 3)
        else:
            asyncio.get_running_loop().call_later(
                5, lambda: asyncio.ensure_future(on.client.aclose())
            )
        result = await on.trainings.get_many(source(*ids))
        assert list(result.items) == [1, 2]
        assert list(result.failures) == list(ids[2:])
        expected = AuthenticationError if way == "401" else ClientClosedError
        assert type(result.stopped) is expected
        with pytest.raises(ExceptionGroup):
            result.raise_for_failures()


@pytest.mark.parametrize("by_another_task", [False, True])
async def test_a_source_that_closes_the_client_itself_ends_its_run(by_another_task: bool) -> None:
    read: list[int] = []
    closed: list[bool] = []

    async def ids(on: Stage) -> AsyncGenerator[int, None]:
        for value in itertools.count(1):
            read.append(value)
            yield value
            if value == 25:
                await asyncio.sleep(1)
                closing = on.client.aclose()
                await (asyncio.create_task(closing) if by_another_task else closing)
                closed.append(True)

    async with stage() as on:
        result = await on.trainings.get_many(ids(on))
        assert type(result.stopped) is ClientClosedError
        assert list(result.items) == list(range(1, 26))
        assert list(result.failures) == read[25:]
        assert len(read) <= 26
        # Its own call of aclose is not what the stop cuts short.
        assert closed or by_another_task
        assert all(error is result.stopped for error in result.failures.values())


async def test_closing_the_client_ends_a_run_with_an_outcome_for_every_id() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        bulk = asyncio.create_task(on.trainings.get_many(range(1, 1001), plan="each"))
        await asyncio.sleep(2.5)
        await on.client.aclose()
        result = await bulk
        assert sorted(result.items) == list(range(1, 21))
        assert sorted(result.failures) == list(range(21, 1001))
        assert type(result.stopped) is ClientClosedError
        kinds = {type(error) for error in result.failures.values()}
        assert kinds <= {ClientClosedError, LuccaConnectionError}
        assert result.failures[1000] is result.stopped


async def test_a_given_session_that_is_closed_ends_a_run() -> None:
    async with aiohttp.ClientSession() as session, stage(session=session) as on:
        on.sandbox.inject(Fault.slow(5), id=1)
        asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(session.close()))
        result = await on.trainings.get_many(at_rest(1))
        assert list(result.failures) == [1]
        assert type(result.stopped) is UsageError


async def test_a_closed_client_raises_and_does_not_fail_every_id() -> None:
    async with stage() as on:
        await on.client.aclose()
        with pytest.raises(ClientClosedError, match="closed"):
            await on.trainings.get_many(range(10))
        with pytest.raises(ClientClosedError, match="closed"):
            async for _ in on.trainings.stream(range(10)):
                pass


async def test_a_401_of_one_run_does_not_end_another() -> None:
    async with stage() as on:
        on.sandbox.inject_always(Fault.error(401), id=1)
        one, other = await asyncio.gather(
            on.trainings.get_many(range(1, 101)), on.trainings.get_many(range(2, 102))
        )
        assert one.failures
        assert (len(other.items), other.stopped) == (100, None)


# -- no request after the 401


async def test_no_request_goes_out_after_a_401_from_those_that_wait_for_the_budget() -> None:
    async with stage(rate_limit=RateLimit(2, 60.0)) as on:
        on.sandbox.inject(Fault.slow(100), id=1)
        on.sandbox.inject(late(5, Fault.error(401)), id=2)
        client_side = on.client.with_options(timeouts=None)
        result = await client_side.realized_trainings.get_many(range(1, 101))
        assert on.ids == ["1", "2"]
        assert len(result.failures) == 100
        assert {id for id, error in result.failures.items() if error is not result.stopped} <= {1}


async def test_no_request_goes_out_after_a_401_from_those_that_wait_for_a_place() -> None:
    """The place that the 401 gives back is another caller's."""
    async with stage(max_concurrency=2) as on:
        on.sandbox.inject(Fault.slow(8), id=1001)
        on.sandbox.inject(late(5, Fault.error(401)), id=1)
        holds_a_place = asyncio.create_task(on.trainings.get(1001))
        await asyncio.sleep(0)
        bulk = asyncio.create_task(on.trainings.get_many(range(1, 101)))
        await asyncio.sleep(1)
        waits_behind = asyncio.create_task(on.trainings.get(1002))
        result = await bulk
        assert [one.id for one in await asyncio.gather(holds_a_place, waits_behind)] == [1001, 1002]
        assert sorted(on.ids) == ["1", "1001", "1002"]
        assert set(result.failures.values()) == {result.stopped}


@pytest.mark.parametrize("fault", [Fault.unavailable(100), Fault.too_many_requests(100)])
async def test_no_request_goes_out_after_a_401_from_those_that_wait_to_try_again(
    fault: Fault,
) -> None:
    async with stage(max_concurrency=3) as on:
        on.sandbox.inject(fault, id=1)
        on.sandbox.inject(late(5, Fault.error(401)), id=2)
        on.sandbox.inject(Fault.slow(7), id=3)
        result = await on.trainings.get_many(range(1, 101))
        # Id 1 is not waited for either.
        assert asyncio.get_running_loop().time() < 100
        assert on.ids == ["1", "2", "3"]
        assert list(result.items) == [3]
        assert set(result.failures.values()) == {result.stopped}


async def test_a_failure_that_comes_after_a_401_is_not_retried() -> None:
    async with stage(rate_limit=RateLimit(2, 60.0)) as on:
        on.sandbox.inject(late(2, Fault.unavailable(100)), id=1)
        on.sandbox.inject(Fault.error(401), id=2)
        result = await on.trainings.get_many(range(1, 11))
        assert asyncio.get_running_loop().time() < 100
        assert on.ids == ["1", "2"]
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}


# -- a cancellation


class Situation:
    """What a run is waiting for when it is cancelled."""

    def __init__(self, ids: Callable[[], Any], *faults: Fault, **options: Any) -> None:
        self.ids = ids
        self.faults = faults
        self.options = options


SITUATIONS = {
    "answers": Situation(lambda: range(1, 100), *[Fault.slow(10)] * 100),
    "the budget": Situation(lambda: range(1, 100), rate_limit=RateLimit(5, 600.0)),
    "another attempt": Situation(lambda: range(1, 100), *[Fault.unavailable(100)] * 100),
    "the end of a pause": Situation(lambda: range(1, 100), Fault.too_many_requests(100)),
    "a source at rest": Situation(lambda: at_rest(1, 2)),
}


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
async def test_cancelling_raises_the_cancellation_and_leaves_nothing_behind(
    situation: Situation,
) -> None:
    async with stage(**situation.options) as on:
        on.sandbox.inject(*situation.faults)
        bulk = asyncio.create_task(on.trainings.get_many(situation.ids()))
        await asyncio.sleep(8)
        assert not bulk.done()
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await bulk
        assert type(caught.value) is asyncio.CancelledError
        assert bulk.cancelled()
        assert workers() == []
        del bulk, caught
        await assert_nothing_is_kept(on)


async def test_a_timeout_around_get_many_is_a_timeout() -> None:
    async with stage(rate_limit=RateLimit(5, 600.0)) as on:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await on.trainings.get_many(range(1, 1001))
        assert workers() == []


@pytest.mark.parametrize("limit", [None, RateLimit(1, 600.0)])
async def test_cancelling_get_raises_the_cancellation(limit: RateLimit | None) -> None:
    async with stage(rate_limit=limit) as on:
        on.sandbox.inject(*[Fault.slow(10)] * 2)
        gets = [asyncio.create_task(on.trainings.get(id)) for id in (1, 2)]
        await asyncio.sleep(5)
        for one in gets:
            one.cancel()
        await asyncio.wait(gets)
        assert all(one.cancelled() for one in gets)
        await assert_nothing_is_kept(on)


async def test_a_worker_cancelled_by_somebody_else_hangs_nobody() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 1.0)) as on:
        asyncio.get_running_loop().call_later(2.5, lambda: workers()[3].cancel())
        with pytest.raises(asyncio.CancelledError):
            await on.trainings.get_many(range(1, 101))
        assert workers() == []
        assert (await on.trainings.get(1)).id == 1


@pytest.mark.parametrize("source", [at_rest, QueueAtRest])
async def test_a_worker_cancelled_while_it_reads_is_no_end_of_the_ids(
    source: Callable[..., Any],
) -> None:
    async with stage(max_concurrency=3) as on:
        asyncio.get_running_loop().call_later(1, lambda: [one.cancel() for one in workers()[:1]])
        with pytest.raises(asyncio.CancelledError):
            await on.trainings.get_many(source(1, 2))


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        (itertools.repeat(1), None),
        (itertools.repeat("1"), None),
        ((str(number) for number in itertools.count()), None),
        (range(1, 10**9), "wrong-key"),
    ],
    ids=["duplicates", "invalid duplicates", "invalid ids", "after a 401"],
)
@pytest.mark.real_time
async def test_ids_that_cost_no_request_leave_the_loop_its_turn(ids: Any, key: str | None) -> None:
    """However many there are, a run can be cancelled."""
    async with stage(api_key=key) as on:
        bulk = asyncio.create_task(on.trainings.get_many(ids))
        await asyncio.sleep(0.2)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk


# -- the caller's errors


def broken_after(count: int) -> Iterator[int]:
    yield from range(1, count + 1)
    raise LookupError("cursor closed")


@pytest.mark.parametrize("count", [0, 25, 99, 100])
async def test_a_source_that_fails_is_the_callers_error(count: int) -> None:
    async with stage() as on:
        with pytest.raises(LookupError, match="cursor closed"):
            await on.trainings.get_many(broken_after(count))
        assert sorted(map(int, on.ids)) == list(range(1, count + 1))
        await assert_nothing_is_kept(on)


async def test_a_source_that_awaits_something_cancelled_hangs_nobody() -> None:
    async def ids() -> AsyncGenerator[int, None]:
        for value in range(1, 26):
            yield value
        forgotten = asyncio.create_task(asyncio.sleep(60))
        forgotten.cancel()
        await forgotten

    got: list[Outcome] = []
    async with stage() as on:
        with pytest.raises(asyncio.CancelledError):
            await on.trainings.get_many(ids(), on_outcome=got.append)
    assert sorted(one.id for one in got if isinstance(one, Found)) == list(range(1, 26))


# -- what is left of a run


async def assert_nothing_is_kept(on: Stage) -> None:
    """No run of this client is alive, and its gate knows nobody on whose behalf it sends."""
    await asyncio.sleep(0)  # what has just been awaited is still in the event loop's hands
    gc.collect()
    caller = vars(on.trainings)["_caller"]
    # By type(): what merely claims to be one may be anything, in this suite.
    runs = [one for one in gc.get_objects() if issubclass(type(one), BulkRun)]
    assert [one for one in runs if vars(one)["_way"] is caller] == []
    assert vars(on.client)["_link"].bind().owners == set()


async def test_a_finished_run_is_forgotten_while_its_client_lives() -> None:
    async with stage() as on:
        result = await on.trainings.get_many(range(1, 101))
        await assert_nothing_is_kept(on)
        on.sandbox.inject(Fault.error(401), Fault.error(500))
        stopped = await on.trainings.get_many(range(1, 101))
        await assert_nothing_is_kept(on)
        assert result.items
        assert isinstance(stopped.stopped, LuccaError)
