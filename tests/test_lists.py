"""Every list gives what was asked for and nothing else, whichever way Lucca reads the question.

What is right is found out here, from the records; both servers hold the same ones.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import attrs
import pytest

from lucca_training_async import LuccaTrainingClient
from lucca_training_async.sandbox import Sandbox
from lucca_training_async.sandbox.catalogue import COURSES, training
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.sandbox.demands import DEMANDS as HOW_MANY_DEMANDS
from lucca_training_async.sandbox.demands import training_demand

from .listed import FIRST_DAY, all_of, ids_of, lists, realized, some, wanted
from .other_lucca import DEMANDS, KEY, REALIZED, TRAININGS, Item, OtherLucca, Reading
from .support import QUICK

SIZE = 250
RECORDS: dict[str, list[Item]] = {
    REALIZED: [realized_training(n) for n in range(1, SIZE + 1)],
    TRAININGS: [training(n) for n in range(1, COURSES + 1)],
    DEMANDS: [training_demand(n) for n in range(1, HOW_MANY_DEMANDS + 1)],
}
READINGS: dict[str, Reading | None] = {
    "the sandbox": None,
    "repeated, else 400": Reading(),
    "repeated, else 500": Reading(misread=500, next="text"),
    "repeated, else no filter": Reading(misread="ignore", order="descending"),
    "repeated, else no match": Reading(misread="nothing", includes_days=False),
    "repeated, else the first": Reading(misread="first", next="int", order="shuffled"),
    "commas, else 400": Reading(arrays="commas", next="nasty", has_times=True),
    "commas, exclusive": Reading(arrays="commas", includes_days=False, next="absent"),
    "commas in arrays alone": Reading(arrays="commas", root="repeated", misread="ignore"),
    "no count": Reading(counts=False, order="shuffled"),
    "no count, small pages": Reading(counts=False, cap=30),
    "neither count nor next": Reading(counts=False, next="absent"),
    "neither, and small pages": Reading(counts=False, next="absent", cap=30),
    "null is left out": Reading(omits_null=True, cap=50),
    "null is left out, no count": Reading(omits_null=True, counts=False),
    "small pages": Reading(cap=30, misread="ignore"),
    "small pages, no next": Reading(cap=30, next="absent", includes_days=False),
}


def at(item: Item, *path: str) -> Any:
    value: Any = item
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore
    return value  # pyright: ignore[reportUnknownVariableType]


@attrs.frozen
class Question:
    """Filters of one list, and which items answer them."""

    resource: str
    path: str
    answers: Callable[[Item], bool]
    filters: dict[str, Any]

    @property
    def right(self) -> list[int]:
        return [item["id"] for item in RECORDS[self.path] if self.answers(item)]


def of_realized(**filters: Any) -> Question:
    right = set(wanted(RECORDS[REALIZED], **filters))
    return Question("realized_trainings", REALIZED, lambda it: it["id"] in right, filters)


def of_trainings(answers: Callable[[Item], bool], **filters: Any) -> Question:
    return Question("trainings", TRAININGS, answers, filters)


def of_demands(answers: Callable[[Item], bool], **filters: Any) -> Question:
    return Question("training_demands", DEMANDS, answers, filters)


OWNERS = sorted({item["ownerId"] for item in RECORDS[REALIZED]})
DAYS = sorted(date.fromisoformat(item["sessionEndsOn"]) for item in RECORDS[REALIZED])
MANY = [*OWNERS[::2], *range(100_000, 100_300)]
QUESTIONS: dict[str, Question] = {
    "all": of_realized(),
    "one owner": of_realized(owner_ids=OWNERS[3:4]),
    "owners": of_realized(owner_ids=OWNERS[:90]),
    "owners beyond one URL": of_realized(owner_ids=MANY),
    "owners without any": of_realized(owner_ids=[100_000, 100_001]),
    "trainings": of_realized(training_ids=list(range(1, 60))),
    "owners and trainings": of_realized(owner_ids=OWNERS[:120], training_ids=list(range(1, 150))),
    "not attended": of_realized(has_attended=False),
    "attended": of_realized(has_attended=True),
    "from a day": of_realized(ended_from=DAYS[100]),
    "to a day": of_realized(ended_to=DAYS[100]),
    "a day": of_realized(ended_from=DAYS[60], ended_to=DAYS[60]),
    "some days, attended": of_realized(
        ended_from=DAYS[20], ended_to=DAYS[200], has_attended=True, owner_ids=OWNERS[40:120]
    ),
    "a day long gone": of_realized(ended_to=date(1999, 1, 1)),
    "all days": of_realized(ended_from=date.min, ended_to=date.max),
    "the catalogue": of_trainings(lambda it: True),
    "courses": of_trainings(lambda it: it["id"] in (1, 45, 299), ids=[299, 45, 1, 45]),
    "a course": of_trainings(lambda it: it["id"] == 45, ids=(45,)),
    "a search": of_trainings(lambda it: "sql" in it["title"].lower(), search="SQL"),
    "a search for nothing": of_trainings(lambda it: True, search=""),
    "providers": of_trainings(lambda it: at(it, "provider", "id") in (1, 9), provider_ids=[1, 9]),
    "categories of a provider": of_trainings(
        lambda it: at(it, "category", "id") in (2, 3) and at(it, "provider", "id") == 2,
        category_ids=[2, 3],
        provider_ids=[2],
    ),
    "demands": of_demands(lambda it: True),
    "an owner": of_demands(lambda it: at(it, "owner", "id") == 7, owner_id=7),
    "a session": of_demands(lambda it: at(it, "session", "id") == 169, session_id=169),
    "states": of_demands(
        lambda it: it["state"] in ("Invalid", "Realized"), states=["Invalid", "Realized"]
    ),
    "departments": of_demands(
        lambda it: at(it, "owner", "departmentId") in (3, 4), department_ids={3, 4}
    ),
    "an establishment": of_demands(
        lambda it: at(it, "owner", "establishmentId") == 2, establishment_ids=[2]
    ),
    "priorities": of_demands(
        lambda it: at(it, "prioritization", "level") in ("High", "Low"),
        priority_levels=["High", "Low"],
    ),
}


@asynccontextmanager
async def client_of(reading: Reading | None) -> AsyncGenerator[LuccaTrainingClient, None]:
    if reading is None:
        async with Sandbox(rate_limit=None, size=SIZE) as sandbox:
            async with LuccaTrainingClient(
                sandbox.url, sandbox.api_key, rate_limit=None, retry=QUICK
            ) as client:
                yield client
                assert client.budget.in_flight == 0
                longest = max((len(it.path + it.query) for it in sandbox.arrivals), default=0)
    else:
        async with OtherLucca(RECORDS, reading).running() as server:
            async with LuccaTrainingClient(server.url, KEY, rate_limit=None, retry=QUICK) as client:
                yield client
                assert client.budget.in_flight == 0
                longest = max((len(it.path + it.raw_query) for it in server.asked), default=0)
    assert longest <= 2000 - len("https://") - 60


@pytest.mark.parametrize("reading", READINGS)
async def test_each_list_gives_what_was_asked_for(reading: str) -> None:
    wrong: dict[str, object] = {}
    async with client_of(READINGS[reading]) as client:
        for name, question in QUESTIONS.items():
            filters = dict(question.filters)
            resource = getattr(client, question.resource)
            got = await ids_of(resource.list(**filters))
            if sorted(got) != question.right:
                wrong[name] = (len(got), len(question.right))
            if question.path == REALIZED:
                count = await resource.count(**filters)
                if count != len(question.right):
                    wrong[f"count of {name}"] = (count, len(question.right))
    assert wrong == {}


@pytest.mark.parametrize(
    ("reading", "page_size"),
    [
        ("the sandbox", 100),
        ("the sandbox", 37),
        ("repeated, else 400", 61),
        ("repeated, else no match", 100),
        ("repeated, else the first", 61),
        ("commas, else 400", 61),
        ("neither, and small pages", 100),
        ("null is left out", 100),
        ("small pages, no next", 100),
    ],
)
async def test_it_is_taken_up_at_any_page(reading: str, page_size: int) -> None:
    async with client_of(READINGS[reading]) as client:
        for name in ("all", "owners beyond one URL", "some days, attended"):
            question = QUESTIONS[name]
            found = client.realized_trainings.list(page_size=page_size, **question.filters)
            pages = await all_of(found.pages())
            ids = [[record.id for record in page.items] for page in pages]
            assert sorted(itertools.chain(*ids)) == question.right
            assert pages[-1].next is None
            for number, page in enumerate(pages[:-1], 1):
                assert page.next
                rest = await all_of(found.pages(start=page.next))
                left = [[record.id for record in one.items] for one in rest]
                # There may be an empty one behind the last, for want of a better end.
                assert [each for each in left if each] == [each for each in ids[number:] if each]


async def test_the_models_are_those_of_the_list() -> None:
    async with client_of(None) as client:
        course = (await all_of(client.trainings.list(ids=[45])))[0]
        assert (course.title, course.state) == ("Mastering French: From Basics to Fluency", "Ready")
        assert course.provider is not None
        assert course.provider.name == "L'Élan Français"
        demand = next(
            it for it in await all_of(client.training_demands.list(owner_id=416)) if it.id == 410
        )
        assert demand.created_at is not None
        assert demand.created_at.isoformat() == "2023-01-01T09:34:43.652945+00:00"
        found = await all_of(client.realized_trainings.list(owner_ids=[416]))
        single = await client.realized_trainings.get(235)
        assert single in found


# -- what was not asked for


@pytest.mark.parametrize(
    ("ignored", "filters"),
    [
        ("ownerIds", {"owner_ids": [2, 3]}),
        ("trainingId", {"training_ids": [2]}),
        ("hasAttended", {"has_attended": False}),
        ("sessionEndOnAfter", {"ended_from": FIRST_DAY + timedelta(days=20)}),
        ("sessionEndOnBefore", {"ended_to": FIRST_DAY + timedelta(days=3)}),
        ("ownerIds", {"owner_ids": [2, *range(10_000, 10_400)]}),
    ],
)
async def test_a_filter_that_is_ignored_lets_nothing_through_and_is_told_once(
    ignored: str, filters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    records = some(330)
    async with lists(records, Reading(ignores=frozenset([ignored]))) as on:
        with caplog.at_level(logging.WARNING, "lucca_training_async"):
            got = await ids_of(on.realized.list(**filters))
        assert sorted(got) == wanted(records, **filters)
        assert len(caplog.records) == 1
        assert f"ignored the filter {ignored}" in caplog.text
        assert await on.realized.count(**filters) == len(got)


async def test_bounds_are_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    """Those of the day before and after were asked for, to be sure."""
    records = some(200)
    days: dict[str, Any] = {
        "ended_from": FIRST_DAY + timedelta(4),
        "ended_to": FIRST_DAY + timedelta(9),
    }
    for includes_days in (True, False):
        async with lists(records, Reading(includes_days=includes_days)) as on:
            got = await ids_of(on.realized.list(**days))
            assert sorted(got) == wanted(records, **days)
            assert await on.realized.count(**days) == len(got)
    assert caplog.records == []


async def test_what_is_not_there_can_not_be_shown_to_be_what_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [realized(1, training=None), realized(2, training=3)]
    async with lists(records, Reading(ignores=frozenset(["trainingId"]))) as on:
        assert await ids_of(on.realized.list(training_ids=[3])) == [2]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("misread", ["ignore", "nothing", "first", 400])
async def test_how_arrays_are_read_is_found_out_once(misread: Any) -> None:
    records = some(350)
    async with lists(records, Reading(misread=misread)) as on:
        for owners in ([1, 2], [3, 4], [5, 6, 7]):
            got = await ids_of(on.realized.list(owner_ids=owners))
            assert sorted(got) == wanted(records, owner_ids=owners)
        # A hundred items are one page, and 150 are two; the very first was asked for twice.
        assert len(on.server.asked) == 1 + 1 + 1 + 2


# -- a list that changes while it is read


@pytest.mark.parametrize("reading", [Reading(cap=10), Reading(cap=10, next="int", counts=False)])
async def test_records_that_come_twice_are_given_once(reading: Reading) -> None:
    """Those behind move to the next page when others are added before them."""
    records = some(60)[10:]
    added = some(10)

    async def twist(asked: Any, page: Item) -> Item:
        if asked.number in (2, 3, 4):
            on.server.records[REALIZED][:0] = [added.pop(), added.pop()]
        return page

    async with lists(records, reading) as on:
        on.server.twist = twist
        got = await ids_of(on.realized.list())
        assert len(got) == len(set(got))
        assert {item["id"] for item in records} <= set(got)


@pytest.mark.parametrize("reading", [Reading(cap=10), Reading(cap=10, next="absent")])
async def test_records_that_are_removed_end_no_list(reading: Reading) -> None:
    async def twist(asked: Any, page: Item) -> Item:
        if asked.number in (2, 4):
            del on.server.records[REALIZED][0]
        return page

    async with lists(some(55), reading) as on:
        on.server.twist = twist
        got = await ids_of(on.realized.list())
        assert len(got) == len(set(got)) >= 50


async def test_a_list_is_read_anew_by_each_loop() -> None:
    async with lists(some(5)) as on:
        found = on.realized.list()
        assert await ids_of(found) == [1, 2, 3, 4, 5]
        on.server.records[REALIZED] = some(6)
        one, two = await asyncio.gather(ids_of(found), ids_of(found))
        assert one == two == [1, 2, 3, 4, 5, 6]


async def test_the_count_of_a_list_whose_filter_is_ignored_is_not_believed() -> None:
    """Nearly all have attended: the first page shows nothing of what became of the filter."""
    records = [realized(number, attended=number <= 150) for number in range(1, 201)]
    async with lists(records, Reading(ignores=frozenset(["hasAttended"]))) as on:
        assert len(await ids_of(on.realized.list(has_attended=True))) == 150
        assert await on.realized.count(has_attended=True) == 150
