"""Many trainings by their ids: a hundred for a request, and each id in one place of the result."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import (
    BadRequestError,
    ClientClosedError,
    DecodeError,
    InvalidIdError,
    TrainingsResult,
)
from lucca_training_async.sandbox import Sandbox

from .list_server import Asked, always, course, list_stage
from .raw_stage import answer
from .support import stage
from .virtual_time import run

NO_PAGE = answer(b'{"items": [')


def places(result: TrainingsResult) -> dict[str, list[Any]]:
    """The ids in their four places, those of failures by what they are."""
    return {
        "items": list(result.items),
        "missing": result.missing,
        "failures": list(result.failures),
        "refused": [each.value for each in result.refused],
    }


# -- the four places


async def test_every_value_is_in_one_place_and_in_order() -> None:
    async with stage() as on:
        asked = [7, 301, "5", 45, 7, 2**31, 299, np.int32(12), True, 400, 301, "5"]
        result = await on.client.trainings.get_many(asked)  # type: ignore[arg-type]
        assert places(result) == {
            "items": [7, 45, 299, 12],
            "missing": [301, 400],
            "failures": [],
            "refused": ["5", 2**31, True],
        }
        assert result.items[45].title == "Mastering French: From Basics to Fluency"
        assert all(isinstance(each.error, InvalidIdError) for each in result.refused)
        assert result.stopped is None
        assert [arrival.path for arrival in on.sandbox.arrivals] == [
            "/talent-training/api/v1/trainings"
        ]


@pytest.mark.parametrize(("ids", "requests"), [(0, 0), (1, 1), (100, 1), (101, 2), (300, 3)])
async def test_a_hundred_for_a_request(ids: int, requests: int) -> None:
    async with stage() as on:
        result = await on.client.trainings.get_many(range(1, ids + 1))
        assert list(result.items) == list(range(1, ids + 1))
        assert len(on.sandbox.arrivals) == requests
        stats = result.stats
        assert (stats.requests, stats.retries, stats.pages) == (requests, 0, requests)
        assert (stats.plan, stats.requests_saved) == ("list", ids - requests)


async def test_the_largest_ids_fit_into_one_url() -> None:
    async with stage() as on:
        result = await on.client.trainings.get_many(range(2**31 - 100, 2**31))
        assert len(result.missing) == 100
        # In the other style as well: nothing has come to show how arrays are read.
        assert len(on.sandbox.arrivals) == 2


@settings(max_examples=25)
@given(
    there=st.sets(st.integers(1, 12), max_size=12),
    bad=st.sets(st.integers(1, 12), max_size=4),
    poison=st.sets(st.integers(1, 12), max_size=2),
    most=st.integers(1, 12),
    asked=st.lists(st.integers(-1, 13), max_size=14),
)
def test_whatever_is_asked_and_whatever_comes(
    there: set[int], bad: set[int], poison: set[int], most: int, asked: list[int]
) -> None:
    """Items that are none, and records that break the page: each costs its own id only."""
    bad, poison = bad & there, poison & (there - bad)

    def break_it(request: Asked) -> bytes | None:
        return NO_PAGE if poison & {*request.ids} else None

    async def main() -> None:
        records = [course(id) | ({"title": 5} if id in bad else {}) for id in sorted(there)]
        async with list_stage(records, interfere=break_it, most=most) as on:
            result = await on.trainings.get_many(iter(asked))
        distinct = list(dict.fromkeys(asked))
        valid = [id for id in distinct if id > 0]
        assert places(result) == {
            "items": [id for id in valid if id in there - bad - poison],
            "missing": [id for id in valid if id not in there],
            "failures": [id for id in valid if id in bad | poison],
            "refused": [id for id in distinct if id < 1],
        }
        assert result.stopped is None

    run(main())


# -- where ids come from


def generated(told: list[str], fails: bool = False) -> Generator[int, None, None]:
    try:
        yield from (3, 1, 2)
        if fails:
            raise LookupError("no more")
    finally:
        told.append("closed")


async def generated_slowly(told: list[str], fails: bool = False) -> AsyncGenerator[int, None]:
    try:
        for id in generated([], fails):
            await asyncio.sleep(1)
            yield id
    finally:
        await asyncio.sleep(1)
        told.append("closed")


GENERATORS: list[Callable[..., Any]] = [generated, generated_slowly]


@pytest.mark.parametrize("make", GENERATORS)
async def test_a_generator_is_read_to_its_end(make: Callable[..., Any]) -> None:
    told: list[str] = []
    async with stage() as on:
        assert list((await on.client.trainings.get_many(make(told))).items) == [3, 1, 2]
        assert (told, len(on.sandbox.arrivals)) == (["closed"], 1)


@pytest.mark.parametrize("make", GENERATORS)
async def test_what_a_generator_raises_is_raised(make: Callable[..., Any]) -> None:
    told: list[str] = []
    async with stage() as on:
        with pytest.raises(LookupError, match="no more"):
            await on.client.trainings.get_many(make(told, fails=True))
        assert (told, on.sandbox.arrivals) == (["closed"], [])


async def test_a_generator_is_closed_when_the_call_is_cancelled() -> None:
    told: list[str] = []
    async with stage() as on:
        task = asyncio.create_task(on.client.trainings.get_many(generated_slowly(told)))
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (told, on.sandbox.arrivals) == (["closed"], [])


@pytest.mark.parametrize("make", GENERATORS)
async def test_a_generator_is_closed_by_a_closed_client(make: Callable[..., Any]) -> None:
    told: list[str] = []
    async with stage() as on:
        await on.client.aclose()
        with pytest.raises(ClientClosedError):
            await on.client.trainings.get_many(make(told))
        assert (told, on.sandbox.arrivals) == (["closed"], [])


@pytest.mark.parametrize("ids", [None, 5, "123", b"123"])
async def test_what_can_not_hold_ids_is_refused(ids: Any) -> None:
    async with stage() as on:
        with pytest.raises(TypeError, match="ids must be"):
            await on.client.trainings.get_many(ids)
        assert on.sandbox.arrivals == []


# -- items that are no trainings


async def test_a_bad_item_fails_its_own_id_alone() -> None:
    sandbox = Sandbox(rate_limit=None)
    sandbox.put({"id": 5, "title": 17}, kind="training")
    async with stage(sandbox) as on:
        result = await on.client.trainings.get_many([4, 5, 6])
        assert places(result)["items"] == [4, 6]
        (error,) = result.failures.values()
        assert isinstance(error, DecodeError)
        assert error.item == {"id": 5, "title": 17}
        assert len(on.sandbox.arrivals) == 1


@pytest.mark.parametrize("item", [None, {}, {"id": "5", "title": "?"}, 5])
async def test_an_item_that_can_not_be_told_is_not_missing(item: Any) -> None:
    """It may be any of the ids that were not shown: by halves it shows which."""
    async with list_stage(map(course, range(1, 9))) as on:
        on.server.records[5] = item
        result = await on.trainings.get_many([*range(1, 9), 20, 21])
        assert places(result)["missing"] == [20, 21]
        assert list(result.failures) == [5]
        # All, [5] alone, and the two that are left.
        assert len(on.server.asked) == 3


async def test_where_all_are_there_it_is_none_of_them() -> None:
    async with list_stage(map(course, range(1, 9))) as on:
        whole = {"items": [None, course(1), course(2)], "next": None, "count": 3}
        on.server.interfere = always(answer(json.dumps(whole).encode()))
        assert list((await on.trainings.get_many([1, 2])).items) == [1, 2]


# -- servers that read a filter otherwise


async def test_a_server_that_reads_repeated_arrays_only() -> None:
    async with list_stage(map(course, range(1, 301)), reads="repeated") as on:
        result = await on.trainings.get_many(range(1, 301))
        assert list(result.items) == list(range(1, 301))
        # Found out once, with one request.
        assert len(on.server.asked) == 4


@pytest.mark.parametrize("most", [100, 30])
async def test_a_server_that_ignores_the_filter_is_read_once(
    most: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with list_stage(map(course, range(1, 301)), reads="nothing", most=most) as on:
        result = await on.trainings.get_many([*range(250, 50, -1), 999, *range(1000, 1200)])
        assert list(result.items) == list(range(250, 50, -1))
        assert result.missing == [999, *range(1000, 1200)]
        # Both styles, and then the catalogue.
        assert len(on.server.asked) == 2 + 300 // most
        (warning,) = caplog.messages
        assert "ignored the filter id" in warning


async def test_the_catalogue_fails_once_for_all() -> None:
    """Halves of it can't be asked for, and every other chunk would read it all again."""

    def fail(asked: Asked) -> bytes | None:
        return NO_PAGE if asked.page == 2 else None

    async with list_stage(map(course, range(1, 301)), interfere=fail, reads="nothing") as on:
        result = await on.trainings.get_many(range(51, 451))
        assert list(result.items) == list(range(51, 101))
        assert list(result.failures) == list(range(101, 451))
        assert isinstance(result.stopped, DecodeError)
        assert len(on.server.asked) == 4


async def test_a_bad_item_of_an_unfiltered_catalogue_fails_what_it_may_be() -> None:
    async with list_stage(map(course, range(1, 301)), reads="nothing") as on:
        on.server.records[5] = None
        on.server.records[7] = {"id": 7, "title": 17}
        result = await on.trainings.get_many([1, 5, 7, 8])
        assert places(result) == {
            "items": [1, 8],
            "missing": [],
            "failures": [5, 7],
            "refused": [],
        }
        assert len(on.server.asked) == 2 + 3


async def test_a_record_is_in_one_place_though_it_was_another_before() -> None:
    """Page 1 comes three times: once in each style, and once more with the catalogue."""

    def mend(asked: Asked) -> None:
        if asked.number == 3:
            on.server.records[1], on.server.records[2] = course(1), {"id": 2, "title": 17}

    async with list_stage(map(course, range(1, 4)), interfere=mend, reads="nothing") as on:
        on.server.records[1] = {"id": 1, "title": 17}
        result = await on.trainings.get_many([1, 2])
        assert places(result) == {"items": [1, 2], "missing": [], "failures": [], "refused": []}


# -- what raises


async def test_what_failed_is_raised_together_and_what_is_missing_is_not() -> None:
    async with list_stage([course(1), course(2) | {"title": 17}]) as on:
        (await on.trainings.get_many([1, 9])).raise_for_failures()
        result = await on.trainings.get_many([1, 2, 9, 0])
        with pytest.raises(ExceptionGroup, match="2 of 4 ids failed") as caught:
            result.raise_for_failures()
        kinds = [type(error) for error in caught.value.exceptions]
        assert kinds == [DecodeError, InvalidIdError]


async def test_a_filter_that_is_refused_is_not_tried_for_ever() -> None:
    async with stage() as on:
        on.sandbox.answer("/talent-training/api/v1/trainings", {"status": 400}, status=400)
        result = await on.client.trainings.get_many(range(1, 301))
        assert len(result.failures) == 300
        assert all(isinstance(error, BadRequestError) for error in result.failures.values())
        assert len(on.sandbox.arrivals) < 60
