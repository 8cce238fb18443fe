"""Calls for one id at the same time share one request, and each of them ends by itself."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest

from lucca_training_async import (
    ClientClosedError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    NotFoundError,
    PermissionDeniedError,
    RateLimit,
    Timeouts,
    UsageError,
)
from lucca_training_async._http.flights import Flights
from lucca_training_async.sandbox import Fault, Sandbox

from .support import Stage, stage


def slow(seconds: float = 1.0) -> Sandbox:
    return Sandbox(rate_limit=None, downlink=lambda: seconds)


def getting(on: Stage, id: int, number: int = 1, **options: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(on.trainings.get(id, **options)) for _ in range(number)]


async def under_way(on: Stage) -> None:
    """Wait until the server has a request."""
    while not on.sandbox.arrivals:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_those_who_ask_for_one_id_share_one_request() -> None:
    async with stage(slow()) as on:
        first, *others = await asyncio.gather(*getting(on, 1, 10))
        assert all(other is first for other in others)
        assert on.ids == ["1"]
        # What is over is not shared.
        await on.trainings.get(1)
        assert on.ids == ["1", "1"]


async def test_those_who_come_while_it_is_under_way_share_it_as_well() -> None:
    async with stage(slow()) as on:
        early = getting(on, 1)
        await under_way(on)
        late = getting(on, 1, 3)
        await asyncio.gather(*early, *late)
        assert on.ids == ["1"]


async def test_other_ids_are_asked_for_by_themselves() -> None:
    async with stage(slow()) as on:
        await asyncio.gather(*getting(on, 1, 2), *getting(on, 2, 2))
        assert sorted(on.ids) == ["1", "2"]


async def test_a_call_of_another_kind_is_another_call() -> None:
    """It waits in another way, or not as long."""
    async with stage(slow()) as on:
        hasty = on.client.with_options(timeouts=Timeouts(total=0.5))
        results = await asyncio.gather(
            on.trainings.get(1),
            on.trainings.get(1, priority="bulk"),
            hasty.realized_trainings.get(1),
            return_exceptions=True,
        )
        assert on.ids[:3] == ["1", "1", "1"]
        assert isinstance(results[2], LuccaTimeoutError)


async def test_views_of_one_policy_share_as_well() -> None:
    """Made for each request of a backend, as they cost nothing."""
    async with stage(slow()) as on:
        views = [on.client.with_options(timeouts=Timeouts(total=9)) for _ in range(3)]
        await asyncio.gather(*(view.realized_trainings.get(1) for view in views))
        assert on.ids == ["1"]


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_one_that_is_cancelled_leaves_the_others_alone(who: int) -> None:
    async with stage(slow()) as on:
        calls = getting(on, 1, 3)
        await under_way(on)
        gone = calls.pop(who)
        gone.cancel()
        assert {found.id for found in await asyncio.gather(*calls)} == {1}
        assert gone.cancelled()
        assert on.ids == ["1"]


async def test_the_last_one_that_is_cancelled_takes_the_request_with_it() -> None:
    async with stage(slow(), rate_limit=RateLimit(5, 60.0)) as on:
        calls = getting(on, 1, 3)
        await under_way(on)
        assert on.client.budget.in_flight == 1
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        # Nothing is held from the very moment in which the last of them is over.
        assert (on.client.budget.in_flight, on.client.budget.waiting) == (0, 0)
        assert all(call.cancelled() for call in calls)
        assert (await on.trainings.get(1)).id == 1
        assert on.ids == ["1", "1"]


async def test_one_that_comes_as_the_last_is_leaving_takes_its_place() -> None:
    async with stage(slow()) as on:
        (last,) = getting(on, 1)
        await under_way(on)
        last.cancel()
        assert (await on.trainings.get(1)).id == 1
        assert last.cancelled()
        assert on.ids == ["1"]


async def test_one_that_comes_after_it_asks_anew_though_the_request_is_not_over() -> None:
    flights, begun = Flights(), 0

    async def call() -> int:
        nonlocal begun
        begun += 1
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            await asyncio.sleep(1)  # it takes its time to let go
            raise
        return begun

    last = asyncio.create_task(flights.join("1", call))
    await asyncio.sleep(0.5)
    last.cancel()
    await asyncio.sleep(0.1)
    assert not last.done()
    assert await flights.join("1", call) == 2
    await asyncio.wait([last])
    assert last.cancelled()


async def test_each_has_a_limit_of_its_own() -> None:
    async with stage(slow()) as on:

        async def within(seconds: float) -> object:
            async with asyncio.timeout(seconds):
                return await on.trainings.get(1)

        results = await asyncio.gather(within(0.5), within(5), return_exceptions=True)
        assert isinstance(results[0], TimeoutError)
        assert not isinstance(results[1], BaseException)
        assert on.ids == ["1"]


async def test_all_are_told_of_a_failure_each_by_an_error_of_its_own() -> None:
    async with stage(slow()) as on:
        calls = getting(on, 2_000_000, 3)
        results = await asyncio.gather(*calls, return_exceptions=True)
        errors = [result for result in results if isinstance(result, NotFoundError)]
        assert len({id(error) for error in errors}) == 3
        assert {str(error) for error in errors} == {str(errors[0])}
        assert all(error.__context__ is None for error in errors)
        assert on.ids == ["2000000"]


async def test_a_failure_is_not_kept() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.error(403), id=1)
        results = await asyncio.gather(*getting(on, 1, 2), return_exceptions=True)
        assert [type(result) for result in results] == [PermissionDeniedError] * 2
        assert (await on.trainings.get(1)).id == 1


async def test_a_failure_that_nobody_waits_for_any_more_troubles_nobody() -> None:
    """All were cancelled in the very moment in which it failed."""
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    calls: list[asyncio.Task[object]] = []

    async def call() -> object:
        await asyncio.sleep(1)
        for each in calls:
            each.cancel()
        raise RuntimeError("nobody is there")

    flights = Flights()
    calls += [asyncio.create_task(flights.join("1", call)) for _ in range(2)]
    await asyncio.wait(calls)
    assert all(each.cancelled() for each in calls)
    calls.clear()
    gc.collect()
    await asyncio.sleep(0)
    assert not told


async def test_a_failure_leaves_nothing_that_leads_in_a_circle() -> None:
    """Else the frames of a failed call, and all that they hold, stay until they are collected."""
    async with stage() as on:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(NotFoundError) as caught:
                await on.trainings.get(2_000_000)
            gone = weakref.ref(caught.value)
            del caught
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()


async def test_a_cancelled_call_tells_where_it_stood() -> None:
    async with stage(slow()) as on:
        (call,) = getting(on, 1)
        await under_way(on)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        assert "aiohttp" in "".join(traceback.format_exception(caught.value))


async def test_what_no_error_of_ours_is_reaches_all_as_it_is() -> None:
    class OddError(BaseException):
        def __init__(self, *, why: str) -> None:
            super().__init__(why)

    async def call() -> int:
        await asyncio.sleep(1)
        raise OddError(why="a hook")

    flights = Flights()
    results = await asyncio.gather(
        *(flights.join("1", call) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [OddError] * 2


async def test_a_fresh_call_shares_no_request_that_was_sent_before_it() -> None:
    async with stage(slow()) as on:
        early = getting(on, 1)
        await under_way(on)
        late = getting(on, 1, fresh=True)
        await asyncio.sleep(0)
        last = getting(on, 1)  # which may share it
        await asyncio.gather(*early, *late, *last)
        assert on.ids == ["1", "1"]


async def test_closing_the_client_ends_all_of_them() -> None:
    limit = RateLimit(1, 60.0)
    async with stage(slow(), rate_limit=limit) as on:
        await on.trainings.get(1)
        calls = getting(on, 2, 3)
        await asyncio.sleep(0.1)
        await on.client.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ClientClosedError] * 3
        with pytest.raises(ClientClosedError):
            await on.trainings.get(2)


@pytest.mark.real_time
async def test_what_another_loop_asks_for_is_not_shared() -> None:
    async with stage(slow(0.3)) as on:
        calls = getting(on, 1)
        await under_way(on)

        def elsewhere(client: LuccaTrainingClient) -> None:
            asyncio.run(_get(client))

        with pytest.raises(UsageError):
            await asyncio.to_thread(elsewhere, on.client)
        await asyncio.gather(*calls)


async def _get(client: LuccaTrainingClient) -> object:
    return await client.realized_trainings.get(1)


Call = Callable[[LuccaTrainingClient, Any], Awaitable[object]]
CALLS: dict[str, Call] = {
    "get": lambda client, wrong: client.realized_trainings.get(1, priority=wrong),
    "get_many": lambda client, wrong: client.realized_trainings.get_many([1], priority=wrong),
    "count": lambda client, wrong: client.realized_trainings.count(priority=wrong),
    "courses": lambda client, wrong: client.trainings.get_many([1], priority=wrong),
    "raw_get": lambda client, wrong: client.raw_get("/api", priority=wrong),
}
LISTS: dict[str, Callable[[LuccaTrainingClient, Any], object]] = {
    "stream": lambda client, wrong: client.realized_trainings.stream([1], priority=wrong),
    "list": lambda client, wrong: client.realized_trainings.list(priority=wrong),
    "changes": lambda client, wrong: client.realized_trainings.changes(
        ended_since=date(2025, 1, 1), priority=wrong
    ),
    "sync": lambda client, wrong: client.realized_trainings.sync({}, priority=wrong),
    "courses": lambda client, wrong: client.trainings.list(priority=wrong),
    "demands": lambda client, wrong: client.training_demands.list(priority=wrong),
}


@pytest.mark.parametrize("wrong", ["urgent", None, 1])
async def test_a_priority_that_there_is_not_costs_no_request(wrong: object) -> None:
    async with stage() as on:
        for call in CALLS.values():
            with pytest.raises(ValueError, match="priority must be 'interactive' or 'bulk'"):
                await call(on.client, wrong)
        for listing in LISTS.values():
            with pytest.raises(ValueError, match="priority must be 'interactive' or 'bulk'"):
                listing(on.client, wrong)
        assert on.sandbox.arrivals == []
