"""Which plan a bulk run takes, what it asks for then, and what it says of it."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Any

import pytest
from aiohttp import web

from lucca_training_async import (
    BulkStats,
    Found,
    Missing,
    Outcome,
    Progress,
    Refused,
)
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training

from .plans import LIST, Sized, SizedQueue, asked, in_short, singles, without
from .support import stage

PLANS: list[Any] = ["each", "list", "auto"]


def sandbox(size: int = 1000, **settings: Any) -> Sandbox:
    return Sandbox(rate_limit=None, size=size, **settings)


def shuffled(ids: Iterable[int]) -> list[int]:
    return random.Random(7).sample(list(ids), len(list(ids)))


def choices(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.message.startswith("plan ")]


# -- the choice


@pytest.mark.parametrize(
    ("size", "ids", "requests", "why"),
    [
        # Of many, the list takes fewer.
        (1000, 900, (1, 10, 0), "plan list: the list has 1000 records on 10 pages, and 900 ids"),
        (1000, 201, (1, 10, 0), "plan list: the list has 1000 records on 10 pages, and 201 ids"),
        (20_000, 201, (1, 200, 0), "plan list: the list has 20000 records on 200 pages"),
        (20_001, 201, (1, 0, 201), "plan each: the list has 20001 records on 201 pages"),
        (20_100, 201, (1, 0, 201), "plan each: the list has 20100 records on 201 pages"),
        (1_000_000, 250, (1, 0, 250), "plan each: the list has 1000000 records on 10000 pages"),
        # It has to show more ids than it has pages.
        (0, 201, (1, 0, 201), "plan each: the list has 0 records on 0 pages, and 201 ids"),
        (1, 201, (1, 0, 201), "plan each: the list has 1 records on 1 pages, and 201 ids"),
        (2, 201, (1, 1, 199), "plan list: the list has 2 records on 1 pages, and 201 ids"),
    ],
)
async def test_auto_asks_once_for_the_count_and_takes_what_needs_fewer_requests(
    size: int,
    ids: int,
    requests: tuple[int, int, int],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    # The last ones, so that the whole list has to be read.
    wanted = range(max(1, size - ids + 1), max(1, size - ids + 1) + ids)
    async with stage(sandbox(size)) as on:
        result = await on.trainings.get_many(wanted)
        assert asked(on.sandbox) == requests
        assert on.sandbox.arrivals[0].query == "fields.root=count&limit=0"
        assert list(result.items) == [id for id in wanted if id <= size]
        assert result.missing == [id for id in wanted if id > size]
        (line,) = choices(caplog)
        assert line.startswith(why)


@pytest.mark.parametrize(
    "ids",
    [
        range(1, 201),
        [*range(1, 201)] * 3,
        [*range(1, 201), *["x"] * 50, *range(-50, 0)],
        Sized(range(1, 201), 10_000),
        iter(range(1, 401)),
        (id for id in range(1, 401)),
        Sized(range(1, 401), 100),
        SizedQueue(range(1, 401)),
    ],
    ids=["200", "duplicates", "refused", "lies", "iterator", "generator", "lies too", "queue"],
)
async def test_auto_asks_for_no_count_where_it_is_not_worth_it_or_nobody_knows(
    ids: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    async with stage(sandbox()) as on:
        result = await on.trainings.get_many(ids)
        assert asked(on.sandbox) == (0, 0, len(result.items))
        assert len(result.items) in (200, 400)
        assert result.stats.plan == "each"
    assert choices(caplog) == []


def generator(ids: range) -> Iterator[int]:
    yield from ids


async def async_generator(ids: range) -> AsyncGenerator[int, None]:
    for id in ids:
        yield id


def view(ids: range) -> Iterable[int]:
    return dict.fromkeys(ids).keys()


def one_shot(ids: range) -> Sized:
    return Sized(iter(ids), len(ids))


COLLECTIONS: dict[str, Callable[[range], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "dict": dict.fromkeys,
    "view": view,
    "one-shot": one_shot,
}


@pytest.mark.parametrize("make", COLLECTIONS.values(), ids=COLLECTIONS)
async def test_auto_takes_the_list_for_any_collection(make: Callable[[range], Any]) -> None:
    wanted = range(101, 601)
    async with stage(sandbox()) as on:
        result = await on.trainings.get_many(make(wanted))
        assert list(result.items) == list(wanted)
        assert asked(on.sandbox) == (1, 6, 0)


@pytest.mark.parametrize("make", [generator, async_generator, iter, list, one_shot])
async def test_the_list_is_read_for_any_ids_if_it_is_asked_for(
    make: Callable[[range], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    async with stage(sandbox()) as on:
        result = await on.trainings.get_many(make(range(101, 151)), plan="list")
        assert list(result.items) == list(range(101, 151))
        assert asked(on.sandbox) == (0, 2, 0)
    assert choices(caplog) == ["plan list, as asked for: 50 ids"]


@pytest.mark.parametrize("ids", [[], iter([]), ["x", 0, True], set[int]()])
@pytest.mark.parametrize("plan", PLANS)
async def test_no_id_costs_no_request(ids: Any, plan: Any) -> None:
    async with stage(sandbox()) as on:
        result = await on.trainings.get_many(ids, plan=plan)
        assert (result.items, result.missing, result.failures) == ({}, [], {})
        assert on.sandbox.arrivals == []


async def test_a_plan_that_is_none_costs_no_request() -> None:
    async with stage(sandbox()) as on:
        for plan in ("pages", "", "Each", None, 1, ["list"], b"list"):
            bad: Any = plan
            with pytest.raises(ValueError, match="plan must be 'auto', 'each' or 'list', not"):
                await on.trainings.get_many(range(1, 500), plan=bad)
            with pytest.raises(ValueError, match="plan must be"):
                on.trainings.stream(range(1, 500), plan=bad)
        assert on.sandbox.arrivals == []


# -- what is asked for


@pytest.mark.parametrize("plan", ["list", "auto"])
async def test_listing_ends_when_every_id_is_found(plan: Any) -> None:
    async with stage(sandbox(10_000)) as on:
        await on.trainings.get_many(shuffled(range(1, 301)), plan=plan)
        # The last page shows the last of them: no page more is on its way.
        assert asked(on.sandbox) == (plan == "auto", 3, 0)


async def test_only_a_404_by_id_says_that_there_is_none() -> None:
    gone = set(range(5, 1000, 50))
    async with stage(sandbox(1000, missing=gone)) as on:
        result = await on.trainings.get_many(range(1, 1001))
        assert result.missing == sorted(gone)
        assert sorted(singles(on.sandbox)) == sorted(gone)
        assert all(arrival.status == 404 for arrival in on.sandbox.arrivals if arrival.id)
        assert set(result.items) == set(range(1, 1001)) - gone


async def test_a_record_that_is_newer_than_the_list_is_found_by_its_id() -> None:
    async with stage(sandbox()) as on:

        async def late() -> AsyncGenerator[int, None]:
            for id in (*range(1, 1001), 5000):
                yield id

        kept: list[Outcome] = []

        def keep(outcome: Outcome) -> None:
            kept.append(outcome)
            if len(kept) == 1000:
                on.sandbox.put(realized_training(5000))

        result = await on.trainings.get_many(late(), plan="list", on_outcome=keep)
        assert list(result.items) == [*range(1, 1001), 5000]
        assert singles(on.sandbox) == [5000]


@pytest.mark.parametrize("cap", [1, 10, 50])
@pytest.mark.parametrize("size", [400, 12_000])
async def test_pages_smaller_than_asked_for_are_read_as_long_as_they_save_requests(
    cap: int, size: int
) -> None:
    """A server's own bound of a page, as if the limit were another."""

    def capped(name: str) -> Fault:
        async def apply(request: web.Request, normal: web.Response) -> web.StreamResponse:
            if "limit=100" not in request.query_string:
                return normal
            page = int(request.query["page"])
            first = (page - 1) * cap + 1
            items = [realized_training(id) for id in range(first, min(first + cap, size + 1))]
            after = page + 1 if first + cap <= size else None
            return web.json_response({"items": items, "count": size, "next": after})

        return Fault(name, apply)

    async with stage(sandbox(size)) as on:
        on.sandbox.inject_always(capped("capped"), id=LIST)
        wanted = shuffled(range(1, 401))
        result = await on.trainings.get_many(wanted)
        assert list(result.items) == wanted
        counts, pages, by_id = asked(on.sandbox)
        assert counts == 1
        # What is found out on the way costs a page at the most.
        assert counts + pages + by_id <= 400 + 2
        if size == 400 and cap > 1:
            assert (pages, by_id) == (400 // cap, 0)


# -- its outcomes


@pytest.mark.parametrize("plan", PLANS)
async def test_mixed_ids_have_the_same_outcomes_in_their_order(plan: Any) -> None:
    values: list[Any] = [*range(400, 100, -1), *["7", 0, True, 2**31], *[150, 150], 5000, "7", 9]
    async with stage(sandbox(missing={120, 130})) as on:
        on.sandbox.put({**realized_training(140), "durationInHours": "many"})
        result = await on.trainings.get_many(values, plan=plan)
        assert list(result.items) == [i for i in [*range(400, 100, -1), 9] if i not in BAD]
        assert result.missing == [130, 120, 5000]
        assert list(result.failures) == [140]
        assert result.failures[140].args[0].count("/realized-trainings/140") == 1
        assert [one.value for one in result.refused] == ["7", 0, True, 2**31]
        assert len(on.sandbox.arrivals) == result.stats.requests


BAD = {120, 130, 140}


async def test_all_plans_agree_to_the_last_field() -> None:
    values: list[Any] = [*shuffled(range(1, 600)), "x", 5, 5, 4000]
    async with stage(sandbox(500, missing={7, 8})) as on:
        on.sandbox.put({"id": 9})
        on.sandbox.put({**realized_training(10), "id": None}, id=10)
        results = [await on.trainings.get_many(values, plan=plan) for plan in PLANS]
        shorts = [in_short(result) for result in results]
        assert shorts[0] == shorts[1] == shorts[2]
        assert list(results[0].failures) == [9]
        assert 10 in results[1].items


@pytest.mark.parametrize("plan", PLANS)
async def test_a_stream_has_one_outcome_for_every_distinct_id(plan: Any) -> None:
    values: list[Any] = [*range(1, 301), 5, "x", 2000]
    async with stage(sandbox()) as on:
        stream = on.trainings.stream(values, plan=plan)
        assert on.sandbox.arrivals == []
        assert stream.total == 303
        got = [outcome async for outcome in stream]
        assert sorted(one.id for one in got if isinstance(one, Found)) == list(range(1, 301))
        assert [one.id for one in got if isinstance(one, Missing)] == [2000]
        assert [one.value for one in got if isinstance(one, Refused)] == ["x"]
        assert stream.stats.plan == ("each" if plan == "each" else "list")
        assert stream.stats.requests == len(on.sandbox.arrivals)


async def test_a_stream_asks_for_each_unless_told_otherwise() -> None:
    async with stage(sandbox()) as on:
        async for _ in on.trainings.stream(range(1, 301)):
            pass
        assert asked(on.sandbox) == (0, 0, 300)


# -- what is told


@pytest.mark.parametrize("plan", PLANS)
async def test_stats_name_the_plan_the_pages_and_what_was_saved(plan: Any) -> None:
    async with stage(sandbox(1000, missing={5})) as on:
        values: list[Any] = [*range(1, 1001), 1, "x"]
        stats = (await on.trainings.get_many(values, plan=plan)).stats
        assert stats.requests == len(on.sandbox.arrivals)
        assert stats.requests_saved == 1000 - stats.requests
        assert stats.retries == 0
        expected = {"each": ("each", 0), "list": ("list", 10), "auto": ("list", 10)}
        assert (stats.plan, stats.pages) == expected[plan]


async def test_stats_of_a_run_that_asked_in_vain() -> None:
    async with stage(sandbox(100_000)) as on:
        stats = (await on.trainings.get_many(range(1, 301))).stats
        assert (stats.plan, stats.pages, stats.requests_saved) == ("each", 0, -1)
        assert stats.requests == 301
        assert BulkStats().plan == "each"


@pytest.mark.parametrize("plan", PLANS)
async def test_progress_counts_up_to_the_total(plan: Any) -> None:
    told: list[Progress] = []
    values: list[Any] = [*range(1, 301), 1, 2, "x", 3000]
    async with stage(sandbox()) as on:
        await on.trainings.get_many(values, plan=plan, on_progress=told.append)
    assert {one.total for one in told} == {304}
    done = [one.done for one in told]
    assert done == sorted(done)
    last = told[-1]
    assert (last.done, last.found, last.missing, last.refused) == (304, 300, 1, 1)
    assert all(b.found - a.found <= 1 for a, b in itertools.pairwise(told))


async def test_no_count_means_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    async with stage(sandbox()) as on:
        on.sandbox.inject(without("count"), id=LIST)
        result = await on.trainings.get_many(range(1, 301))
        assert list(result.items) == list(range(1, 301))
        assert asked(on.sandbox) == (1, 0, 300)
    assert choices(caplog) == ["plan each: Lucca gives no count; 300 ids"]
