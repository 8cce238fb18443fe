"""Trainings by their ids where the list fails: what that costs, and whom."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from lucca_training_async import (
    AuthenticationError,
    ClientClosedError,
    DecodeError,
    LuccaConnectionError,
    LuccaError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
)

from .list_server import BROKEN, REFUSED, Asked, Interfere, always, course, list_stage
from .raw_stage import answer

NO_PAGE = answer(b'{"items": [')
ALL = range(1, 101)


def breaking(ids: Collection[int], with_: bytes) -> Interfere:
    """Every page with one of these on it fails."""
    return lambda asked: with_ if {*ids} & {*asked.ids} else None


# -- a record that the list fails over

POISON: dict[str, Collection[int]] = {
    "the first": [1],
    "the last": [100],
    "one in the middle": [50],
    "both ends": [1, 100],
    "three together": [1, 2, 3],
    "five together": [1, 2, 3, 4, 5],
    "ten together": range(40, 50),
}


@pytest.mark.parametrize("host", ["a known host", "a new host"])
@pytest.mark.parametrize("name", POISON)
async def test_a_record_that_breaks_its_page_costs_its_own_id_only(name: str, host: str) -> None:
    """A new host that answers nothing but 500 would be given up, and all ids with it."""
    poison = POISON[name]
    async with list_stage(map(course, ALL), interfere=breaking(poison, BROKEN)) as on:
        if host == "a known host":
            await on.trainings.get_many([20, 21])
        result = await on.trainings.get_many([*ALL, 200])
        assert result.stopped is None
        assert (list(result.failures), result.missing) == (list(poison), [200])
        assert list(result.items) == [id for id in ALL if id not in poison]
        assert all(isinstance(error, ServerError) for error in result.failures.values())


@pytest.mark.parametrize(("poison", "requests"), [(1, 13), (50, 15), (100, 15)])
async def test_that_takes_two_requests_for_each_halving(poison: int, requests: int) -> None:
    """Nothing is tried again: Lucca would answer the same."""
    async with list_stage(map(course, ALL), interfere=breaking([poison], NO_PAGE)) as on:
        result = await on.trainings.get_many(ALL)
        assert list(result.failures) == [poison]
        assert isinstance(result.failures[poison], DecodeError)
        assert (len(on.server.asked), result.stats.requests) == (requests, requests)
        # Only what came counts as a page.
        assert result.stats.pages < requests
        assert result.stats.requests_saved == 99 - requests


async def test_the_other_hundreds_are_none_the_worse() -> None:
    async with list_stage(map(course, range(1, 301)), interfere=breaking([150], NO_PAGE)) as on:
        result = await on.trainings.get_many(range(1, 301))
        assert list(result.failures) == [150]
        assert len(result.items) == 299
        assert len(on.server.asked) == 2 + 15


async def test_a_list_that_always_fails_is_not_halved_for_ever() -> None:
    async with list_stage([], interfere=always(NO_PAGE)) as on:
        result = await on.trainings.get_many(range(1, 1001))
        assert len(result.failures) == 1000
        assert len(on.server.asked) < 40


async def test_one_that_breaks_the_connection_costs_its_own_id_only() -> None:
    def drop(asked: Asked) -> bytes | None:
        if 7 in asked.ids:
            asked.request.writer.transport.abort()
        return None

    async with list_stage(map(course, range(1, 9)), interfere=drop) as on:
        await on.trainings.get_many([1, 2])
        result = await on.trainings.get_many(range(1, 9))
        assert list(result.failures) == [7]
        assert isinstance(result.failures[7], LuccaConnectionError)
        assert len(result.items) == 7


async def test_a_page_short_of_its_count_makes_nobody_missing() -> None:
    """What did not come may be there all the same."""
    short = answer(b'{"items": [{"id": 1, "title": "One"}], "next": null, "count": 3}')
    async with list_stage([course(1)], interfere=always(short)) as on:
        result = await on.trainings.get_many([1, 2, 3])
        assert (list(result.items), result.missing) == ([1], [])
        assert list(result.failures) == [2, 3]


# -- what concerns every id


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError)],
)
async def test_a_refusal_ends_it_after_one_request(status: int, kind: type[LuccaError]) -> None:
    async with list_stage([], interfere=always(REFUSED[status])) as on:
        result = await on.trainings.get_many([*range(1, 301), 0])
        assert isinstance(result.stopped, kind)
        assert list(result.failures) == list(range(1, 301))
        assert {id(error) for error in result.failures.values()} == {id(result.stopped)}
        assert len(on.server.asked) == 1
        with pytest.raises(ExceptionGroup, match="301 of 301") as caught:
            result.raise_for_failures()
        assert len(caught.value.exceptions) == 2  # one refusal, however many ids


async def test_what_had_come_before_a_refusal_is_kept() -> None:
    def refuse(asked: Asked) -> bytes | None:
        return REFUSED[403] if asked.number == 2 else None

    async with list_stage(map(course, range(1, 301)), interfere=refuse) as on:
        result = await on.trainings.get_many(range(1, 301))
        assert list(result.items) == list(range(1, 101))
        assert list(result.failures) == list(range(101, 301))
        assert isinstance(result.stopped, PermissionDeniedError)
        assert len(on.server.asked) == 2


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_in_the_middle_of_it(how: str) -> None:
    reached = asyncio.Event()

    def stall(asked: Asked) -> bytes | None:
        if asked.number == 2:
            reached.set()
            return b""
        return None

    async with list_stage(map(course, range(1, 301)), interfere=stall) as on:
        task = asyncio.create_task(on.trainings.get_many(range(1, 301)))
        await reached.wait()
        if how == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await on.client.aclose()
            result = await task
            assert list(result.items) == list(range(1, 101))
            assert len(result.failures) == 200
            assert isinstance(result.stopped, ClientClosedError)
        assert len(on.server.asked) == 2


async def test_a_client_that_is_closed_while_a_new_host_is_asked_for_its_count() -> None:
    reached = asyncio.Event()

    def stall(asked: Asked) -> bytes:
        if not asked.ids:
            reached.set()
        return BROKEN if asked.ids else b""

    async with list_stage([], interfere=stall) as on:
        task = asyncio.create_task(on.trainings.get_many([1, 2, 3]))
        await reached.wait()
        await on.client.aclose()
        result = await task
        assert isinstance(result.stopped, ClientClosedError)
        assert list(result.failures) == [1, 2, 3]


@pytest.mark.parametrize("seconds", [30, 600])
async def test_an_outage_is_waited_out_for_as_long_as_patience_lasts(seconds: int) -> None:
    loop = asyncio.get_running_loop()

    def fail(asked: Asked) -> bytes | None:
        return BROKEN if 1 <= asked.request.at - began < seconds else None

    patience = RetryPolicy(patience=120)
    began = loop.time()
    async with list_stage(map(course, range(1, 301)), interfere=fail, retry=patience) as on:
        assert len((await on.trainings.get_many([1, 2])).items) == 2
        await asyncio.sleep(2)
        result = await on.trainings.get_many(range(1, 301))
        if seconds < 120:
            assert result.failures == {}
            assert len(result.items) == 300
        else:
            assert isinstance(result.stopped, OutageError)
            assert list(result.failures) == list(range(1, 301))
            assert set(result.failures.values()) == {result.stopped}


async def test_a_host_that_never_answers_is_given_up() -> None:
    async with list_stage([], interfere=always(BROKEN), retry=RetryPolicy()) as on:
        began = asyncio.get_running_loop().time()
        result = await on.trainings.get_many(range(1, 301))
        assert len(result.failures) == 300
        assert result.stopped is not None
        assert asyncio.get_running_loop().time() - began <= 90
