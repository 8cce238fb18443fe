"""The sandbox's three lists, looked at with a plain aiohttp client."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest
from yarl import URL

from lucca_training_async.sandbox import Sandbox
from lucca_training_async.sandbox.catalogue import COURSES
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.sandbox.demands import DEMANDS
from lucca_training_async.sandbox.question import at

REALIZED = "/talent-training/api/v2/realized-trainings"
CATALOGUE = "/talent-training/api/v1/trainings"
DEMANDED = "/talent-training/api/v2/training-demands"
Passes = Callable[[Any], bool]


@attrs.frozen
class Asked:
    sandbox: Sandbox
    session: aiohttp.ClientSession

    async def answer(self, query: str = "", path: str = REALIZED) -> tuple[int, Any]:
        url = URL(f"{self.sandbox.url}{path}?{query}", encoded=True)
        async with self.session.get(url) as response:
            return response.status, json.loads(await response.text())

    async def page(self, query: str = "", path: str = REALIZED) -> Any:
        status, body = await self.answer(query, path)
        assert status == 200, body
        return body

    async def items(self, query: str = "", path: str = REALIZED) -> list[Any]:
        """All items, by the cursors."""
        found: list[Any] = []
        page: str | None = "1"
        while page is not None:
            body = await self.page(f"{query}&fields.root=next&page={page}", path)
            found += body["items"]
            page = body["next"]
        return found

    async def ids(self, query: str = "", path: str = REALIZED) -> list[int]:
        return [item["id"] for item in await self.items(query, path)]

    async def count(self, query: str = "", path: str = REALIZED) -> int:
        body = await self.page(f"{query}&fields.root=count&limit=0", path)
        assert body["items"] == []
        count = body["count"]
        assert isinstance(count, int)
        return count


@asynccontextmanager
async def asked(sandbox: Sandbox | None = None) -> AsyncGenerator[Asked, None]:
    async with sandbox or Sandbox(rate_limit=None, size=1_000) as running:
        headers = {"Authorization": f"lucca application={running.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Asked(running, session)


# -- pages


async def test_the_first_page_has_a_hundred_items_and_nothing_else() -> None:
    async with asked() as on:
        body = await on.page()
        assert list(body) == ["items"]
        assert body["items"] == [realized_training(id) for id in range(1, 101)]
        assert await on.page("page=1&limit=100") == body


async def test_an_item_is_what_the_single_get_gives() -> None:
    async with asked() as on:
        items = {item["id"]: item for item in await on.items()}
        for id in (1, 235, 1_000):
            assert await on.page(path=f"{REALIZED}/{id}") == items[id]


@pytest.mark.parametrize("style", ["count,prev,next", "next&fields.root=count&fields.root=prev"])
async def test_what_is_asked_for_at_the_root(style: str) -> None:
    async with asked() as on:
        first = await on.page(f"fields.root={style}")
        assert list(first) == ["items", "prev", "next", "count"]
        assert (first["prev"], first["count"]) == (None, 1_000)
        assert first["next"] is not None
        last = await on.page(f"fields.root={style}&page=10")
        assert last["next"] is None
        assert last["prev"] is not None
        assert list(await on.page("fields.root=count")) == ["items", "count"]


async def test_cursors_have_the_documented_shapes_and_lead_both_ways() -> None:
    async with asked() as on:
        root = "limit=7&hasAttended=true&fields.root=next,prev"
        pages = [await on.page(root)]
        for _ in range(3):
            pages.append(await on.page(f"{root}&page={pages[-1]['next']}"))
        assert [len(page["items"]) for page in pages] == [7] * 4
        assert re.fullmatch(r"~\w+\|\w+\|\w+", pages[0]["next"])
        assert pages[1]["prev"] == "~f"
        assert re.fullmatch(r"!\w+\|\w+\|\w+", pages[2]["prev"])
        for page, before in zip(pages[1:], pages, strict=False):
            assert (await on.page(f"{root}&page={page['prev']}"))["items"] == before["items"]
        # Quoted or not, it is the same cursor.
        quoted = pages[0]["next"].replace("~", "%7E").replace("|", "%7C")
        assert await on.page(f"{root}&page={quoted}") == pages[1]


async def test_pages_by_index_and_by_cursor_give_the_same() -> None:
    async with asked() as on:
        by_index = [
            item["id"]
            for page in range(1, 16)
            for item in (await on.page(f"page={page}&limit=70"))["items"]
        ]
        assert by_index == list(range(1, 1_001)) == await on.ids("limit=70")


async def test_beyond_the_end_there_is_nothing() -> None:
    async with asked() as on:
        body = await on.page("page=999&fields.root=next,prev,count")
        assert (body["items"], body["next"], body["count"]) == ([], None, 1_000)
        assert (await on.page(f"page={body['prev']}"))["items"][-1]["id"] == 1_000


async def test_what_comes_and_goes_between_two_pages_shifts_them() -> None:
    async with asked() as on:
        first = await on.page("limit=10&fields.root=next")
        on.sandbox.remove(3)
        second = await on.page(f"limit=10&page={first['next']}")
        assert second["items"][0]["id"] == 12


async def test_the_default_has_a_million() -> None:
    async with asked(Sandbox(rate_limit=None, missing={7, 9})) as on:
        assert await on.count() == 999_998
        assert (await on.page("page=10000&limit=100"))["items"][-1]["id"] == 1_000_000
        assert [item["id"] for item in (await on.page("limit=8"))["items"]] == [
            *(1, 2, 3, 4, 5, 6, 8, 10)
        ]
        assert await on.count("hasAttended=true") + await on.count("hasAttended=false") == 999_998
        assert 235 in await on.ids("ownerIds=416&trainingId=45")


@pytest.mark.parametrize("size", [0, 1, 234, 235, 12_000])
async def test_the_size(size: int) -> None:
    async with asked(Sandbox(rate_limit=None, size=size)) as on:
        assert await on.count() == size
        assert await on.count("sessionEndOnAfter=1999-01-01") == size
        for id in (1, 235, size, size + 1):
            status, _ = await on.answer(path=f"{REALIZED}/{id}")
            assert status == (400 if id == 0 else 200 if id <= size else 404)


@pytest.mark.parametrize("size", [-1, 2**31])
def test_sizes_that_can_not_be(size: int) -> None:
    with pytest.raises(ValueError, match="size must be from 0"):
        Sandbox(size=size)


class _Odd:
    """No more than a container."""

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and id % 2 == 1


@pytest.mark.parametrize("missing", [_Odd(), range(1, 10**12, 2), list(range(1, 1_000, 2))])
async def test_missing_ids_are_in_no_list(missing: Any) -> None:
    async with asked(Sandbox(rate_limit=None, size=1_000, missing=missing)) as on:
        assert await on.ids() == list(range(2, 1_001, 2))
        assert await on.count() == 500
        assert all(id % 2 == 0 for id in await on.ids("ownerIds=416,1,2,3,4,5,6,7"))
        assert await on.ids("trainingId=45") == [
            id for id in range(2, 1_001, 2) if realized_training(id)["training"]["id"] == 45
        ]


# -- filters


def _realized(**wanted: Passes) -> list[int]:
    records = map(realized_training, range(1, 1_001))
    return [
        record["id"]
        for record in records
        if all(passes(record[member]) for member, passes in wanted.items())
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ownerIds=416", _realized(ownerId=lambda owner: owner == 416)),
        ("ownerIds=416,2", _realized(ownerId=lambda owner: owner in (2, 416))),
        ("ownerIds=416&ownerIds=2", _realized(ownerId=lambda owner: owner in (2, 416))),
        ("ownerIds=416%2C2&ownerIds=3", _realized(ownerId=lambda owner: owner in (2, 3, 416))),
        ("trainingId=45,1", _realized(training=lambda training: training["id"] in (1, 45))),
        ("hasAttended=false", _realized(hasAttended=lambda attended: not attended)),
        ("hasAttended=True", _realized(hasAttended=bool)),
        ("sessionEndOnAfter=2025-01-04", _realized(sessionEndsOn=lambda day: day > "2025-01-04")),
        ("sessionEndOnBefore=2025-01-04", _realized(sessionEndsOn=lambda day: day < "2025-01-04")),
        (
            "sessionEndOnAfter=2025-01-03&sessionEndOnBefore=2025-01-05",
            _realized(sessionEndsOn=lambda day: day == "2025-01-04"),
        ),
        (
            "sessionEndOnBefore=2024-01-01&hasAttended=true&trainingId=1,2,3,4,5,6,7,8,9,10",
            _realized(
                sessionEndsOn=lambda day: day < "2024-01-01",
                hasAttended=bool,
                training=lambda training: training["id"] <= 10,
            ),
        ),
        ("ownerIds=1000000", []),
    ],
)
async def test_filters_of_realized_trainings(query: str, expected: list[int]) -> None:
    async with asked() as on:
        assert await on.ids(query) == expected
        assert await on.count(query) == len(expected)


async def test_the_documented_example_is_found_by_each_of_its_members() -> None:
    async with asked() as on:
        for query in (
            "ownerIds=416",
            "trainingId=45",
            "hasAttended=true",
            "sessionEndOnAfter=2025-01-03&sessionEndOnBefore=2025-01-05",
        ):
            assert 235 in await on.ids(query)
        assert 235 not in await on.ids("sessionEndOnAfter=2025-01-04")
        assert 235 not in await on.ids("sessionEndOnBefore=2025-01-04")


async def test_the_catalogue() -> None:
    async with asked() as on:
        courses = {item["id"]: item for item in await on.items(path=CATALOGUE)}
        assert list(courses) == list(range(1, COURSES + 1))
        assert courses[45]["title"] == "Mastering French: From Basics to Fluency"
        assert courses[45]["provider"] == {
            "id": 12,
            "name": "L'Élan Français",
            "websiteHref": "https://elan-francais.fr",
        }
        assert {course["state"] for course in courses.values()} == {"Ready", "Archived"}
        assert {course["type"] for course in courses.values()} == {"External", "Internal"}
        for record in await on.items("limit=100"):
            course = courses[record["training"]["id"]]
            assert record["training"] == {
                "id": course["id"],
                "title": course["title"],
                "level": course["level"],
                "categoryId": course["category"]["id"],
                "providerUrl": course["provider"]["websiteHref"],
            }


async def test_filters_of_the_catalogue() -> None:
    async with asked() as on:
        courses = await on.items(path=CATALOGUE)
        cases: dict[str, Passes] = {
            "providerIds=12,9": lambda course: course["provider"]["id"] in (9, 12),
            "categoryIds=2": lambda course: course["category"]["id"] == 2,
            "id=45&id=46,7": lambda course: course["id"] in (7, 45, 46),
            "search=SECURITE%20incendie": lambda course: "Sécurité incendie" in course["title"],
            "search=%C3%A9lan": lambda course: "L'Élan" in course.get("description", ""),
            "search=donnees%2C%2014": lambda course: course["subtitle"] == "Données, 14 h",
            "search=nothing%20of%20that": lambda _: False,
        }
        for query, passes in cases.items():
            expected = [course["id"] for course in courses if passes(course)]
            assert await on.ids(query, CATALOGUE) == expected
            assert bool(expected) == ("nothing" not in query)


async def test_training_demands() -> None:
    async with asked() as on:
        demands = await on.items(path=DEMANDED)
        assert [demand["id"] for demand in demands] == list(range(1, DEMANDS + 1))
        example = demands[409]
        assert (example["training"]["title"], example["owner"]["id"]) == ("Angular (advanced)", 416)
        assert example["createdAt"] == "2023-01-01T09:34:43.6529455+00:00"
        assert (example["state"], example["status"]) == ("Requested", "PendingRegistration")
        # What is optional may be null or absent, and both are there.
        assert any(demand["session"] is None for demand in demands)
        assert any("plan" not in demand for demand in demands)
        cases: dict[str, Passes] = {
            "ownerId=416": lambda demand: demand["owner"]["id"] == 416,
            "sessionId=169": lambda demand: at(demand, "session", "id") == 169,
            "states=Requested,Realized": lambda demand: (
                demand["state"] in ("Requested", "Realized")
            ),
            "states=Invalid&states=Registered": lambda demand: (
                demand["state"] in ("Invalid", "Registered")
            ),
            "departmentIds=12": lambda demand: demand["owner"]["departmentId"] == 12,
            "establishmentIds=1,2": lambda demand: demand["owner"]["establishmentId"] in (1, 2),
            "priorityLevels=High&states=Requested": lambda demand: (
                demand["state"] == "Requested" and at(demand, "prioritization", "level") == "High"
            ),
        }
        for query, passes in cases.items():
            expected = [demand["id"] for demand in demands if passes(demand)]
            assert expected
            assert await on.ids(query, DEMANDED) == expected
            assert await on.count(query, DEMANDED) == len(expected)
