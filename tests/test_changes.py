"""What has ended since a day: from how much earlier it is asked for, and that each comes once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import LuccaTrainingClient, RealizedTraining
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox import Sandbox

from .list_server import Asked, list_stage, wire
from .raw_stage import KEY
from .support import Stage, stage
from .virtual_time import run

DAY = date(2025, 1, 15)


def ending(*days: date) -> Sandbox:
    """Records that end on these days, with the ids from 1 on."""
    given = [
        wire(id) | {"sessionStartsOn": day.isoformat(), "sessionEndsOn": day.isoformat()}
        for id, day in enumerate(days, 1)
    ]
    return Sandbox(rate_limit=None, size=0, trainings=given)


async def ids_of(on: Stage, since: date, **how: Any) -> list[int]:
    return [it.id async for it in on.trainings.changes(ended_since=since, **how)]


def bound(on: Stage) -> list[str] | None:
    """From when on Lucca was asked, in the only request that there was."""
    (arrival,) = on.sandbox.arrivals
    return parse_qs(arrival.query).get("sessionEndOnAfter")


@pytest.mark.parametrize("overlap", [0, 1, 30])
async def test_the_first_day_of_the_overlap_is_in_and_the_day_before_is_not(overlap: int) -> None:
    first = DAY - timedelta(days=overlap)
    days = first - timedelta(days=1), first, DAY, DAY + timedelta(days=400)
    async with stage(ending(*days)) as on:
        assert await ids_of(on, DAY, overlap_days=overlap) == [2, 3, 4]
        # The sandbox leaves out the day of a bound, as Lucca's v1 does; so it is asked a day early.
        assert bound(on) == [days[0].isoformat()]


async def test_the_overlap_is_thirty_days_unless_told() -> None:
    async with stage(ending(DAY - timedelta(days=31), DAY - timedelta(days=30))) as on:
        assert await ids_of(on, DAY) == [2]


@pytest.mark.parametrize(
    ("since", "overlap"),
    [
        (date.min, 0),
        (date.min, 30),
        (date.min + timedelta(days=30), 30),
        (date.min + timedelta(days=30), 31),
        (DAY, 10**30),
        (date.max, 10**30),
    ],
)
async def test_there_is_no_day_before_the_first(since: date, overlap: int) -> None:
    async with stage(ending(date.min, DAY)) as on:
        assert await ids_of(on, since, overlap_days=overlap) == [1, 2]
        assert bound(on) is None


async def test_the_second_day_of_all_has_one_before_it() -> None:
    async with stage(ending(date.min, date.min + timedelta(days=1))) as on:
        assert await ids_of(on, date.min + timedelta(days=1), overlap_days=0) == [2]
        assert bound(on) == ["0001-01-01"]


async def test_the_last_day_of_all() -> None:
    async with stage(ending(DAY, date.max)) as on:
        assert await ids_of(on, date.max) == [2]


@settings(max_examples=25)
@given(
    since=st.dates(date(2024, 12, 1), date(2025, 2, 1)),
    overlap=st.integers(0, 60),
    days=st.lists(st.dates(date(2024, 10, 1), date(2025, 3, 1)), max_size=8),
)
def test_all_that_ended_from_that_day_on_and_nothing_else(
    since: date, overlap: int, days: list[date]
) -> None:
    async def main() -> None:
        async with stage(ending(*days)) as on:
            found = await ids_of(on, since, overlap_days=overlap, page_size=3)
        first = since - timedelta(days=overlap)
        assert found == [id for id, day in enumerate(days, 1) if day >= first]

    run(main())


async def test_what_is_confirmed_late_comes_with_the_next_run_and_what_was_seen_again() -> None:
    async with stage(ending(DAY - timedelta(days=3))) as on:
        assert await ids_of(on, DAY - timedelta(days=3)) == [1]
        on.sandbox.put(wire(7) | {"sessionEndsOn": (DAY - timedelta(days=20)).isoformat()})
        on.sandbox.put(wire(8) | {"sessionEndsOn": (DAY - timedelta(days=31)).isoformat()})
        assert await ids_of(on, DAY) == [1, 7]


async def test_each_comes_once_although_the_pages_shift() -> None:
    def confirm_another(asked: Asked) -> None:
        # It stands before all others, and so the last of each page comes again on the next.
        old = dict(on.server.records)
        on.server.records.clear()
        on.server.records.update({100 + asked.number: wire(100 + asked.number)} | old)

    async with list_stage(map(wire, range(1, 11)), interfere=confirm_another, most=3) as on:
        found = [it.id async for it in on.realized.changes(ended_since=date.min)]
        assert len(found) == len(set(found))
        assert set(found) >= set(range(1, 11))


async def test_a_bad_item_is_told_and_the_others_come() -> None:
    told: list[object] = []
    async with stage(ending(DAY, DAY, DAY)) as on:
        on.sandbox.put(wire(2) | {"durationInHours": "many", "sessionEndsOn": DAY.isoformat()})
        assert await ids_of(on, DAY, on_error=told.append) == [1, 3]
        assert len(told) == 1


BAD: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "no date": (TypeError, {"ended_since": None}),
    "a text": (TypeError, {"ended_since": "2025-01-15"}),
    "a moment": (TypeError, {"ended_since": datetime(2025, 1, 15)}),
    "a number": (TypeError, {"ended_since": 20250115}),
    "an overlap below 0": (ValueError, {"overlap_days": -1}),
    "a part of a day": (ValueError, {"overlap_days": 1.5}),
    "a truth": (ValueError, {"overlap_days": True}),
    "no overlap": (ValueError, {"overlap_days": None}),
    "an interval": (ValueError, {"overlap_days": timedelta(days=30)}),
    "a page of none": (ValueError, {"page_size": 0}),
    "too large a page": (ValueError, {"page_size": 101}),
    "no handler": (TypeError, {"on_error": "ignore"}),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_can_not_be_asked_is_refused_at_once(name: str) -> None:
    kind, given = BAD[name]
    how: dict[str, Any] = {"ended_since": DAY} | given
    async with stage() as on:
        with pytest.raises(kind):
            on.trainings.changes(**how)
        assert on.sandbox.arrivals == []


def test_no_loop_is_needed_to_say_what_is_wanted() -> None:
    client = LuccaTrainingClient("acme.ilucca.net", KEY)
    client.realized_trainings.changes(ended_since=DAY)


def test_the_docstring_says_what_it_can_not_see() -> None:
    method: Callable[..., object] = RealizedTrainings.changes
    told = " ".join((method.__doc__ or "").split())
    for blind_spot in ("deletions", "changes of records that ended earlier", "overlap"):
        assert blind_spot in told


async def test_the_same_list_may_be_read_twice() -> None:
    async with stage(ending(DAY, DAY)) as on:
        listed = on.trainings.changes(ended_since=DAY)
        for _ in range(2):
            records: list[RealizedTraining] = [it async for it in listed]
            assert [it.id for it in records] == [1, 2]
