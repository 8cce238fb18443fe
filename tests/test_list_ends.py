"""Lists that misbehave, items that are no records, and arguments that are none."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import DecodeError, InvalidIdError, LuccaTrainingClient, RealizedTraining

from .listed import FIRST_DAY, all_of, ids_of, lists, realized, some, told, wanted
from .other_lucca import KEY, REALIZED, Item, Reading
from .virtual_time import run

SMALL = Reading(arrays="commas", cap=10)
UNCOUNTED = Reading(arrays="commas", cap=10, counts=False)

# -- servers that misbehave


def anew(number: int) -> list[Item]:
    return [realized(number * 10 + n + 1) for n in range(10)]


TRICKS: dict[str, Callable[[int, Item], Item]] = {
    "a cursor comes again": lambda n, page: page | {"next": "2"},
    "an empty page with a cursor": lambda n, page: page if n == 1 else page | {"items": []},
    "the same for ever": lambda n, page: page | {"items": anew(0), "next": f"{n + 1}"},
    "something new for ever": lambda n, page: page | {"items": anew(n), "next": f"{n + 1}"},
    "next is missing": lambda n, page: page | {"next": None},
    "next is an empty text": lambda n, page: page | {"next": ""},
    "all is empty": lambda n, page: page | {"items": [], "next": f"{n + 1}"},
    "the first page for ever": lambda n, page: page | {"next": "1"},
    "items without an id for ever": lambda n, page: page | {"items": [{}] * 50, "next": f"{n + 1}"},
}
# Those end after two million items: see the tables of ``Walk``.
SLOW = {("something new for ever", False), ("items without an id for ever", False)}
# These have come to their end, as far as can be told.
ENDS = {("next is missing", False), ("next is an empty text", False)}


@pytest.mark.parametrize(
    ("trick", "counted"),
    [
        (trick, counted)
        for trick in TRICKS
        for counted in (True, False)
        if (trick, counted) not in SLOW
    ],
)
async def test_no_server_leads_into_a_loop(trick: str, counted: bool) -> None:
    reading = SMALL if counted else UNCOUNTED
    async with lists(some(35), reading, told(TRICKS[trick])) as on:
        got: list[int] = []
        found = on.realized.list(on_error=lambda _: None)
        if (trick, counted) in ENDS:
            assert len(await ids_of(found)) == 10
            return
        with pytest.raises(DecodeError, match="can't be followed") as caught:
            async for record in found:
                got.append(record.id)
        assert caught.value.path == "$.next"
        assert not caught.value.transient
        assert len(got) == len(set(got))
        assert len(on.server.asked) < 1300
        # What was good of it is not lost.
        assert got or trick in ("all is empty", "items without an id for ever")


NO_PAGES: dict[str, Any] = {
    "no items": {"next": None},
    "items that are none": {"items": {"a": 1}},
    "null": {"items": None},
    "a number as a cursor": {"items": [], "next": 1.5},
    "an object as a cursor": {"items": [], "next": {"page": 2}},
    "true as a cursor": {"items": [], "next": True},
    "a count that is none": {"items": [], "count": "many"},
    "a count below zero": {"items": [], "count": -1},
}


@pytest.mark.parametrize("name", NO_PAGES)
async def test_what_is_no_page_is_told(name: str) -> None:
    async with lists(some(5), SMALL, told(lambda n, page: NO_PAGES[name])) as on:
        with pytest.raises(DecodeError) as caught:
            await all_of(on.realized.list(on_error=lambda _: None))
        assert caught.value.path in ("$.items", "$.next", "$.count")
        assert len(on.server.asked) == 1


# -- items that are no records


def with_bad_items() -> list[Item]:
    records = some(25)
    records[3] = realized(4) | {"training": {"id": 1, "level": 17}}
    records[12] = {"id": 13, "surprise": KEY}
    return records


async def test_a_bad_item_costs_itself_alone() -> None:
    bad: list[DecodeError] = []
    async with lists(with_bad_items(), SMALL) as on:
        got = await ids_of(on.realized.list(on_error=bad.append))
        assert got == [n for n in range(1, 26) if n not in (4, 13)]
        first, second = bad
        assert first.path == "$.items[3].training.level"
        assert first.item == json.loads(json.dumps(with_bad_items()[3]), parse_float=Decimal)
        assert second.path.startswith("$.items[2].")
        assert KEY not in f"{second} {second.item} {second.excerpt}"
        bad.clear()
        pages = await all_of(on.realized.list(on_error=bad.append).pages())
        assert [len(page.items) for page in pages] == [9, 9, 5]
        assert len(bad) == 2


async def test_by_default_it_is_raised_after_what_stands_before_it() -> None:
    async with lists(with_bad_items(), SMALL) as on:
        got: list[int] = []
        with pytest.raises(DecodeError, match=r"\$\.items\[3\]\.training\.level"):
            async for record in on.realized.list():
                got.append(record.id)
        assert got == [1, 2, 3]
        assert on.client.budget.in_flight in (0, 1)


@pytest.mark.parametrize(
    "item",
    [None, 5, "text", [], [[1]], {}, {"id": "4"}, {"id": 0}, {"id": -3}, {"id": 10**30}, True],
)
async def test_whatever_an_item_is(item: Any) -> None:
    def twist(number: int, page: Item) -> Item:
        return page | {"items": [*page["items"], item]}

    bad: list[DecodeError] = []
    async with lists(some(5), SMALL, told(twist)) as on:
        assert await ids_of(on.realized.list(on_error=bad.append)) == [1, 2, 3, 4, 5]
    assert [error.path.startswith("$.items[5]") for error in bad] == [True]


async def test_a_bad_item_does_not_hide_the_record_of_its_id() -> None:
    """It was being changed, and comes again, whole, on the next page."""

    def twist(number: int, page: Item) -> Item:
        return page | {"items": [{"id": 11}, *page["items"]]} if number == 1 else page

    bad: list[DecodeError] = []
    async with lists(some(15), SMALL, told(twist)) as on:
        got = await ids_of(on.realized.list(on_error=bad.append))
        assert got == list(range(1, 16))
    assert len(bad) == 1


async def test_what_on_error_raises_ends_it() -> None:
    def refuse(error: DecodeError) -> None:
        raise LookupError(error.path)

    async with lists(with_bad_items(), SMALL) as on:
        with pytest.raises(LookupError, match="level"):
            await all_of(on.realized.list(on_error=refuse))
        with pytest.raises(LookupError, match="level"):
            await all_of(on.realized.list(on_error=refuse).pages())
        assert len(on.server.asked) >= 2


# -- arguments


async def later(error: DecodeError) -> None: ...


class Later:
    async def __call__(self, error: DecodeError) -> None: ...


BAD_ARGUMENTS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("realized_trainings", {"owner_ids": 5}, TypeError),
    ("realized_trainings", {"owner_ids": "123"}, TypeError),
    ("realized_trainings", {"owner_ids": b"123"}, TypeError),
    ("realized_trainings", {"owner_ids": [1, "2"]}, InvalidIdError),
    ("realized_trainings", {"owner_ids": [0]}, InvalidIdError),
    ("realized_trainings", {"owner_ids": [True]}, InvalidIdError),
    ("realized_trainings", {"training_ids": [2**31]}, InvalidIdError),
    ("realized_trainings", {"training_ids": [1.0]}, InvalidIdError),
    ("realized_trainings", {"has_attended": "yes"}, TypeError),
    ("realized_trainings", {"has_attended": 1}, TypeError),
    ("realized_trainings", {"ended_from": "2024-01-01"}, TypeError),
    ("realized_trainings", {"ended_from": datetime(2024, 1, 1)}, TypeError),
    ("realized_trainings", {"ended_to": 20240101}, TypeError),
    (
        "realized_trainings",
        {"ended_from": date(2024, 1, 2), "ended_to": date(2024, 1, 1)},
        ValueError,
    ),
    ("realized_trainings", {"page_size": 0}, ValueError),
    ("realized_trainings", {"page_size": 101}, ValueError),
    ("realized_trainings", {"page_size": True}, ValueError),
    ("realized_trainings", {"page_size": 10.0}, ValueError),
    ("realized_trainings", {"on_error": "ignore"}, TypeError),
    ("realized_trainings", {"on_error": None}, TypeError),
    ("realized_trainings", {"on_error": later}, TypeError),
    ("realized_trainings", {"on_error": Later()}, TypeError),
    ("realized_trainings", {"on_error": functools.partial(later)}, TypeError),
    ("trainings", {"ids": 5}, TypeError),
    ("trainings", {"search": 5}, TypeError),
    ("trainings", {"search": "x" * 2000}, ValueError),
    ("trainings", {"search": "\ud800"}, ValueError),
    ("trainings", {"provider_ids": [-1]}, InvalidIdError),
    ("trainings", {"category_ids": [None]}, InvalidIdError),
    ("training_demands", {"owner_id": "7"}, InvalidIdError),
    ("training_demands", {"session_id": 0}, InvalidIdError),
    ("training_demands", {"states": "Invalid"}, TypeError),
    ("training_demands", {"states": [5]}, TypeError),
    ("training_demands", {"department_ids": [0]}, InvalidIdError),
    ("training_demands", {"priority_levels": 5}, TypeError),
    ("training_demands", {"page_size": -1}, ValueError),
]


@pytest.mark.parametrize(("resource", "arguments", "error"), BAD_ARGUMENTS)
def test_a_bad_argument_is_refused_where_it_is_written(
    resource: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    client = LuccaTrainingClient("acme.ilucca.net", KEY)
    with pytest.raises(error) as caught:
        getattr(client, resource).list(**arguments)
    assert type(caught.value) is error or issubclass(type(caught.value), ValueError)


@pytest.mark.parametrize(
    ("start", "owners", "error"),
    [
        (5, [1], TypeError),
        (b"~f", [1], TypeError),
        ("~f", range(1, 1000), ValueError),
        ("99/~f", range(1, 1000), ValueError),
        ("/~f", range(1, 1000), ValueError),
        ("-1/~f", range(1, 1000), ValueError),
        ("", range(1, 1000), ValueError),
    ],
)
async def test_a_start_of_another_list_is_refused(start: Any, owners: Any, error: Any) -> None:
    async with lists(some(5)) as on:
        with pytest.raises(error):
            await all_of(on.realized.list(owner_ids=owners).pages(start=start))
        assert on.server.asked == []


@pytest.mark.parametrize("filters", [{"owner_ids": []}, {"training_ids": ()}, {"owner_ids": {}}])
async def test_none_of_nothing_costs_no_request(filters: Any) -> None:
    async with lists(some(5)) as on:
        assert await all_of(on.realized.list(**filters)) == []
        assert await all_of(on.realized.list(**filters).pages()) == []
        assert await on.realized.count(**filters) == 0
        assert on.server.asked == []


async def test_an_iterator_of_ids_serves_every_loop() -> None:
    async with lists(some(20)) as on:
        found = on.realized.list(owner_ids=iter([1, 2]))
        assert await ids_of(found) == await ids_of(found) != []


# -- whatever there is, and whatever is asked for

RECORDS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.none() | st.integers(1, 4),
        st.integers(0, 6),
        st.none() | st.booleans(),
    ),
    max_size=45,
).map(lambda rows: [realized(n, *row) for n, row in enumerate(rows, 1)])
DAYS = st.none() | st.integers(-1, 7).map(lambda n: date.fromordinal(FIRST_DAY.toordinal() + n))
IDS = st.none() | st.lists(st.integers(1, 5), min_size=1, max_size=4)
READINGS = st.builds(
    Reading,
    arrays=st.sampled_from(["commas", "repeated"]),
    misread=st.sampled_from([400, "ignore", "nothing", "first"]),
    includes_days=st.booleans(),
    next=st.sampled_from(["cursor", "nasty", "int", "text", "absent"]),
    counts=st.booleans(),
    omits_null=st.booleans(),
    cap=st.sampled_from([3, 10, 100]),
    order=st.sampled_from(["ascending", "descending", "shuffled"]),
    has_times=st.booleans(),
)


@settings(max_examples=120)
@given(
    RECORDS,
    READINGS,
    st.fixed_dictionaries(
        {
            "owner_ids": IDS,
            "training_ids": IDS,
            "has_attended": st.none() | st.booleans(),
            "ended_from": DAYS,
            "ended_to": DAYS,
        }
    ),
    st.sampled_from([2, 7, 100]),
)
def test_each_matching_record_comes_once_and_is_counted(
    records: list[Item], reading: Reading, filters: dict[str, Any], page_size: int
) -> None:
    first, last = filters["ended_from"], filters["ended_to"]
    if first and last and first > last:
        filters = filters | {"ended_from": last, "ended_to": first}
    right = wanted(records, **filters)

    async def main() -> None:
        async with lists(records, reading) as on:
            found = on.realized.list(page_size=page_size, **filters)
            pages = await all_of(found.pages())
            ids = [record.id for page in pages for record in page.items]
            assert sorted(ids) == right
            assert await on.realized.count(**filters) == len(right)
            for number in {0, len(pages) // 2, len(pages) - 2} & set(range(len(pages) - 1)):
                rest = await all_of(found.pages(start=pages[number].next))
                left = [record.id for page in pages[number + 1 :] for record in page.items]
                assert [record.id for page in rest for record in page.items] == left

    logging.getLogger("lucca_training_async").setLevel(logging.ERROR)
    try:
        run(main())
    finally:
        logging.getLogger("lucca_training_async").setLevel(logging.NOTSET)


async def test_the_numbers_of_a_record_are_exact() -> None:
    async with lists(some(3)) as on:
        one = (await all_of(on.realized.list()))[0]
        assert isinstance(one, RealizedTraining)
        assert one.duration_in_hours == Decimal("1.25")
        assert on.server.asked[0].path == REALIZED
