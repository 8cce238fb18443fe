"""No id ever gets another id's record, and no answer of somebody else counts as Lucca's."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lucca_training_async import (
    DecodeError,
    Failed,
    Found,
    LuccaError,
    LuccaTrainingClient,
    RealizedTraining,
    RetryPolicy,
    WrongRecordError,
)

from .raw_server import Handle, Request
from .raw_stage import answer, raw_stage, record

PATIENT = RetryPolicy(max_attempts=5, backoff_initial=0.01, backoff_max=0.02)
SESSIONS = pytest.mark.parametrize("given", [None, {}], ids=["own session", "given session"])

Results = dict[int, RealizedTraining | LuccaError]
Way = Callable[[LuccaTrainingClient, list[int]], Awaitable[Results]]


async def get(client: LuccaTrainingClient, ids: list[int]) -> Results:
    async def one(id: int) -> RealizedTraining | LuccaError:
        try:
            return await client.realized_trainings.get(id)
        except LuccaError as error:
            return error

    return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))


async def get_many(client: LuccaTrainingClient, ids: list[int]) -> Results:
    result = await client.realized_trainings.get_many(ids)
    assert not result.missing
    return {**result.items, **result.failures}


async def stream(client: LuccaTrainingClient, ids: list[int]) -> Results:
    results: Results = {}
    async for outcome in client.realized_trainings.stream(ids):
        assert isinstance(outcome, (Found, Failed))
        results[outcome.id] = outcome.training or outcome.error  # type: ignore[assignment]
    return results


WAYS = pytest.mark.parametrize("way", [get, get_many, stream])


def twice_now_and_then(every: int, *, second_of: int = 0, together: bool = True) -> Handle:
    """A server that answers each so-many-th request of a connection twice."""
    seen: dict[int, int] = {}

    async def handle(request: Request) -> bool:
        seen[request.connection] = nth = seen.get(request.connection, 0) + 1
        good = answer(record(request.id))
        if nth % every:
            await request.send(good)
        elif together:
            await request.send(good + answer(record(second_of or request.id)))
        else:
            await request.send(good)
            await asyncio.sleep(0)
            await request.send(answer(record(second_of or request.id)))
        return True

    return handle


@WAYS
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("every", [1, 2, 7])
async def test_an_answer_that_nobody_asked_for_is_nobodys_record(
    way: Way, every: int, together: bool
) -> None:
    async with raw_stage(twice_now_and_then(every, together=together), retry=PATIENT) as on:
        ids = list(range(1, 401))
        results = await way(on.client, ids)
        assert sorted(results) == ids
        for id, found in results.items():
            assert isinstance(found, RealizedTraining), found
            assert found.id == id


@pytest.mark.parametrize("every", [2, 7])
async def test_nor_is_it_with_a_given_session(every: int) -> None:
    async with raw_stage(twice_now_and_then(every), given={}, retry=PATIENT) as on:
        results = await get_many(on.client, list(range(1, 201)))
        wrong = [
            id
            for id, found in results.items()
            if isinstance(found, RealizedTraining) and found.id != id
        ]
        assert not wrong
        assert {type(found) for found in results.values()} <= {RealizedTraining, WrongRecordError}


async def one_record_for_all(request: Request) -> bool:
    await request.send(answer(record(7)))
    return True


@WAYS
@SESSIONS
async def test_a_cache_that_gives_every_id_one_record(
    way: Way, given: dict[str, Any] | None
) -> None:
    async with raw_stage(one_record_for_all, given=given) as on:
        results = await way(on.client, [5, 6, 7, 8])
        found = results.pop(7)
        assert isinstance(found, RealizedTraining)
        assert found.id == 7
        for id, error in results.items():
            assert type(error) is WrongRecordError
            assert isinstance(error, DecodeError)
            assert error.path == "$.id"
            assert f"record {id}" in str(error)
            assert "got 7" in str(error)
            assert error.attempts == 5
            assert error.transient
        assert len(on.server.requests) == 1 + 3 * 5


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_each_retry_goes_over_a_new_connection(attempts: int) -> None:
    retry = RetryPolicy(max_attempts=attempts, backoff_initial=0.01, backoff_max=0.02)
    async with raw_stage(one_record_for_all, retry=retry) as on:
        with pytest.raises(WrongRecordError) as caught:
            await on.trainings.get(5)
        assert caught.value.attempts == len(on.server.requests) == attempts
        assert on.server.connections == attempts
        await asyncio.sleep(1)
        assert on.server.given_up == attempts


async def test_a_connection_whose_answers_are_right_is_kept() -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(record(request.id)))
        return True

    async with raw_stage(handle) as on:
        for id in range(1, 20):
            assert (await on.trainings.get(id)).id == id
        assert on.server.connections == 1


@SESSIONS
async def test_a_wrong_record_that_was_an_accident_costs_one_attempt(
    given: dict[str, Any] | None,
) -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(record(7 if request.number == 1 else request.id)))
        return True

    async with raw_stage(handle, given=given) as on:
        assert (await on.trainings.get(5)).id == 5
        assert len(on.server.requests) == 2


async def test_what_is_under_way_over_the_old_connections_still_arrives() -> None:
    async def handle(request: Request) -> bool:
        if request.id == 1:
            await asyncio.sleep(8)
        await request.send(answer(record(7 if request.number == 2 else request.id)))
        return True

    async with raw_stage(handle) as on:
        slow = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        assert (await on.trainings.get(2)).id == 2
        await asyncio.sleep(1)
        # The one that gave the wrong record is not closed as long as its session is in use.
        assert on.server.given_up == 0
        assert (await slow).id == 1
        await asyncio.sleep(1)
        assert on.server.given_up == 2
        assert on.server.connections == 3
        assert (await on.trainings.get(3)).id == 3
        assert on.server.connections == 3
        gc.collect()  # an unclosed session would warn, and warnings fail


async def test_closing_the_client_closes_what_was_retired() -> None:
    async def handle(request: Request) -> bool:
        if request.id == 1:
            return True  # never
        await request.send(answer(record(7 if request.number == 2 else request.id)))
        return True

    async with raw_stage(handle) as on:
        slow = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        assert (await on.trainings.get(2)).id == 2
        slow.cancel()
        await asyncio.wait([slow])
        await on.client.aclose()
        assert not [task for task in asyncio.all_tasks() if "ClientSession.close" in repr(task)]
        await asyncio.sleep(0.1)
        assert on.server.given_up == 3
        gc.collect()


@pytest.mark.parametrize("id", [None, 7.0, ...], ids=["null", "7.0", "absent"])
async def test_a_record_without_an_id_is_the_one_asked_for(id: object) -> None:
    async def handle(request: Request) -> bool:
        members = json.loads(record(7))
        del members["id"]
        members |= {} if id is ... else {"id": id}
        await request.send(answer(json.dumps(members).encode()))
        return True

    async with raw_stage(handle) as on:
        assert (await on.trainings.get(7)).id == 7
        assert list((await on.trainings.get_many([7])).items) == [7]
