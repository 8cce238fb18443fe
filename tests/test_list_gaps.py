"""Lists, models and sandbox: what mutations have shown to be tested by nothing else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

import pytest

from lucca_training_async import DecodeError, LuccaTrainingClient, RealizedTraining, Training
from lucca_training_async._lists.walk import Walk
from lucca_training_async.models import JsonSyntaxError, dumps, parse
from lucca_training_async.models._json import MOST_DIGITS
from lucca_training_async.sandbox import Sandbox
from lucca_training_async.sandbox.store import Store
from lucca_training_async.sandbox.thread import LoopThread

from .list_server import OLD, Asked, course, list_stage, told, wire, wires
from .listed import lists, realized
from .other_lucca import DEMANDS, TRAININGS, OtherLucca, Reading
from .other_lucca import KEY as OTHER_KEY
from .raw_stage import KEY, always, answer, raw_stage

NO_PAGE = answer(b'{"items": [')

# -- where a list has to end: on the very page


def test_ten_stale_pages_are_shifting_records_and_eleven_are_a_loop() -> None:
    walk = Walk(10, None)
    walk.after(10, 10, next="~0", names_next=True, count=None)
    for number in range(1, 11):
        walk.after(10, 0, next=f"~{number}", names_next=True, count=None)
        assert walk.problem is None, number
    walk.after(10, 0, next="~11", names_next=True, count=None)
    assert walk.problem is not None
    assert walk.page is None


def test_twice_the_count_and_a_thousand_is_the_most() -> None:
    walk = Walk(100, None)
    walk.after(1_200, 1_200, next="~1", names_next=True, count=100)
    assert (walk.page, walk.problem) == ("~1", None)
    walk.after(1, 1, next="~2", names_next=True, count=100)
    assert walk.problem is not None


def test_ten_thousand_pages_that_nobody_counts_are_the_most() -> None:
    walk = Walk(1, None)
    for number in range(1, 10_000):
        walk.after(1, 1, next=f"~{number}", names_next=True, count=None)
    assert (walk.page, walk.problem) == ("~9999", None)
    walk.after(1, 1, next="~10000", names_next=True, count=None)
    assert walk.page is None
    assert "10000 pages" in (walk.problem or "")


# -- fingerprints and plain values


def test_the_order_of_members_changes_no_fingerprint() -> None:
    def made(*languages: str) -> str:
        names = {language: language.upper() for language in languages}
        category = {"id": 1, "t9n": {"name": names}}
        return Training.from_json(json.dumps(course(1) | {"category": category})).fingerprint

    assert made("fr", "en", "de") == made("de", "en", "fr")
    assert made("fr", "en") != made("fr", "de")


@pytest.mark.parametrize("zero", ["0.0", "0.00", "-0.0", "0E+3", "0e-7", "-0"])
def test_every_zero_has_one_fingerprint(zero: str) -> None:
    assert hours(zero).fingerprint == hours("0").fingerprint


def hours(number: str) -> RealizedTraining:
    text = json.dumps(wire(1) | {"durationInHours": 0})
    return RealizedTraining.from_json(text.replace('Hours": 0', f'Hours": {number}'))


SAME = [("14", "14.00", "1.4e1", "140E-1"), ("-2.5", "-2.50", "-25e-1"), ("100", "1E2", "1.00e+2")]


@pytest.mark.parametrize("ways", SAME)
def test_a_number_has_one_fingerprint_however_it_is_written(ways: tuple[str, ...]) -> None:
    assert len({hours(way).fingerprint for way in ways}) == 1


def test_numbers_that_differ_have_fingerprints_that_differ() -> None:
    numbers = ("14", "140", "1.4", "-14", "0", "104", "14.0000000000000000000000000000000001")
    prints = {hours(number).fingerprint for number in numbers}
    assert len(prints) == len(numbers)
    assert all(len(each) == 16 and set(each) <= set("0123456789abcdef") for each in prints)


def test_what_is_null_and_what_is_absent_have_one_fingerprint() -> None:
    absent = {name: value for name, value in course(1).items() if value is not None}
    assert (
        Training.from_json(json.dumps(absent | {"subtitle": None})).fingerprint
        == Training.from_json(json.dumps(absent)).fingerprint
    )


LONG = "1" * (MOST_DIGITS + 1)


@pytest.mark.parametrize(
    "number", [LONG, f"{LONG}.5", f"1.{LONG}E+200", f"{LONG}E5", "1E+2", "-0", "0.10", "1" * 100]
)
def test_a_number_is_the_same_after_a_way_through_json(number: str) -> None:
    there = Decimal(number)
    back = hours(dumps(there))
    assert back.duration_in_hours.as_tuple() == there.as_tuple()
    assert RealizedTraining.from_json(back.to_json()) == back


def test_an_enum_is_a_plain_string_in_a_dict() -> None:
    training = Training.from_json(json.dumps(course(1) | {"level": "Expert", "state": "Other"}))
    assert {type(training.to_dict()[name]) for name in ("level", "state")} == {str}


# -- JSON of which nobody knows the fields


async def test_a_number_that_python_does_not_convert_is_no_json_of_raw_get() -> None:
    body = b'{"n": ' + b"9" * 5_000 + b"}"
    with pytest.raises(JsonSyntaxError, match="too many digits"):
        parse(body, strict=True)
    async with raw_stage(always(answer(body))) as on:
        with pytest.raises(DecodeError):
            await on.client.raw_get("/api/v3/users")


# -- items that are no records


async def test_the_key_is_in_no_part_of_an_item_that_is_no_record() -> None:
    """Should the other side echo it, in a list within the item or in a member's name."""
    item = {"id": 1, "echo": [f"a {KEY}", [KEY], {KEY: KEY, "n": [KEY, 1, None]}], "ownerId": "x"}
    body = json.dumps({"items": [wire(2), item], "next": None, "count": 2}).encode()
    caught: list[DecodeError] = []
    async with raw_stage(always(answer(body))) as on:
        records = [record.id async for record in on.trainings.list(on_error=caught.append)]
    (error,) = caught
    assert records == [2]
    assert KEY not in f"{error!r} {error} {error.item!r} {error.excerpt} {vars(error)}"
    assert cast(Any, error.item)["echo"][2]["n"][1:] == [1, None]
    assert error.path.startswith("$.items[1].")


async def test_an_item_too_deep_for_python_costs_itself_only() -> None:
    deep = "[" * 600 + "]" * 600
    bad = json.dumps(wire(1) | {"ownerId": "x", "deep": 0}).replace('"deep": 0', f'"deep": {deep}')
    body = f'{{"items": [{bad}, {json.dumps(wire(2))}], "next": null, "count": 2}}'.encode()
    caught: list[DecodeError] = []
    async with raw_stage(always(answer(body))) as on:
        assert [it.id async for it in on.trainings.list(on_error=caught.append)] == [2]
    assert [error.path for error in caught] == ["$.items[0].ownerId"]
    # How deep is too deep differs from one Python to the next.
    item: Any = caught[0].item
    assert item is None or item["id"] == 1


@pytest.mark.parametrize(
    ("body", "says"), [(b'{"next": null}', "is missing"), (b'{"items": 1}', "expected an array")]
)
async def test_a_page_without_items_says_so(body: bytes, says: str) -> None:
    async with raw_stage(always(answer(body))) as on:
        with pytest.raises(DecodeError, match=says) as caught:
            await anext(aiter(on.trainings.list()))
        assert caught.value.path == "$.items"


# -- counts


async def test_a_count_that_nothing_confirms_is_not_believed() -> None:
    """The first page answers a filter that is ignored, and only pages tell a count."""
    records = [realized(n, attended=n <= 100) for n in range(1, 151)]

    async def twist(asked: Any, page: Any) -> Any:
        if asked.values["limit"] == ["0"]:
            page.pop("count", None)
        return page

    async with lists(records, Reading(ignores=frozenset(["hasAttended"])), twist) as on:
        assert await on.realized.count(has_attended=True) == 100


async def test_one_page_that_has_them_all_needs_no_confirmation() -> None:
    records = [realized(n) for n in range(1, 21)]
    async with lists(records, Reading(arrays="commas")) as on:
        assert await on.realized.count(has_attended=True) == 20
        assert len(on.server.asked) == 1


# -- ids


async def test_items_without_an_id_take_nothing_from_those_that_come_after() -> None:
    """They are no failures in a row, as long as all that was asked for has come with them."""

    def interfere(asked: Asked) -> bytes | None:
        if 1_450 in asked.ids:
            return NO_PAGE
        items: list[Any] = [*map(course, asked.ids), {}]
        return answer(json.dumps({"items": items, "next": None}).encode())

    async with list_stage([], interfere=interfere) as on:
        result = await on.trainings.get_many(range(1, 1_501))
        assert list(result.failures) == [1_450]
        assert len(result.items) == 1_499


async def test_sync_asks_for_every_id_that_is_gone_by_itself_and_for_no_count() -> None:
    gone = range(1_001, 1_301)
    async with list_stage(wires(1, 2, 3)) as on:
        changes = await told(on, on.known | dict.fromkeys(gone, OLD))
        assert sorted(changes) == [("Removed", id) for id in gone]
        assert len(on.server.pages) == 1
        assert sorted(on.server.singles) == list(gone)


def test_the_sandbox_takes_the_largest_id() -> None:
    sandbox = Sandbox()
    sandbox.put(wire(2**31 - 1))
    sandbox.remove(2**31 - 1)
    for id in (2**31, 0):
        with pytest.raises(ValueError, match="no id"):
            sandbox.put(wire(7) | {"id": id})


def test_what_is_missing_is_a_realized_training_and_nothing_else() -> None:
    store = Store(10, missing=[3])
    there = {kind: store.records(kind).text(3) is not None for kind in store.lists}
    assert there == {"realized training": False, "training": True, "training demand": True}


@pytest.mark.timeout(20)
def test_what_ending_raises_is_raised_by_stop() -> None:
    async def begin() -> None:
        """It works."""

    async def end() -> None:
        raise RuntimeError("at the end")

    thread = LoopThread(begin, end)
    thread.start()
    with pytest.raises(RuntimeError, match="at the end"):
        thread.stop()


# -- records that have nothing to be filtered by


@pytest.mark.parametrize(
    ("path", "filters", "ignored"),
    [
        (DEMANDS, {"owner_id": 1}, "ownerId"),
        (DEMANDS, {"session_id": 1}, "sessionId"),
        (DEMANDS, {"department_ids": [1]}, "departmentIds"),
        (DEMANDS, {"establishment_ids": [1]}, "establishmentIds"),
        (DEMANDS, {"states": ["Invalid"]}, "states"),
        (DEMANDS, {"priority_levels": ["High"]}, "priorityLevels"),
        (TRAININGS, {"provider_ids": [1]}, "providerIds"),
        (TRAININGS, {"category_ids": [1]}, "categoryIds"),
    ],
)
async def test_they_are_not_given_where_the_filter_is_ignored(
    path: str, filters: dict[str, Any], ignored: str
) -> None:
    other = OtherLucca({path: [{"id": 7}]}, Reading(ignores=frozenset([ignored])))
    async with (
        other.running() as server,
        LuccaTrainingClient(server.url, OTHER_KEY, rate_limit=None) as client,
    ):
        resource: Any = client.training_demands if path == DEMANDS else client.trainings
        assert [record.id async for record in resource.list()] == [7]
        assert [record.id async for record in resource.list(**filters)] == []


# -- lists in several parts


async def test_records_that_every_part_brings_again_are_no_loop() -> None:
    """Each part is a list of its own: what the one before has brought is new in the next."""
    records = [realized(n, owner=n) for n in range(1, 201)]
    ignoring = Reading(arrays="commas", cap=10, ignores=frozenset(["ownerIds"]))
    async with lists(records, ignoring) as on:
        owners = [*range(1, 201), *range(10_000, 10_400)]
        assert [record.id async for record in on.realized.list(owner_ids=owners)] == [
            record["id"] for record in records
        ]


async def test_how_arrays_are_read_may_show_in_a_later_part() -> None:
    """The first part has no records, and so no answer to that."""
    records = [realized(n, owner=590 + n) for n in range(1, 6)]
    reading = Reading(arrays="repeated", root="commas", misread="nothing")
    async with lists(records, reading) as on:
        found = on.realized.list(owner_ids=range(1, 600))
        assert [record.id async for record in found] == [1, 2, 3, 4, 5]
