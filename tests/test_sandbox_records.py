"""Records and answers that users give the sandbox, beside or instead of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from lucca_training_async import RealizedTraining, Training, TrainingDemand, TrainingSummary
from lucca_training_async.sandbox import Sandbox
from lucca_training_async.sandbox.data import realized_training

from .test_sandbox_lists import CATALOGUE, DEMANDED, REALIZED, asked
from .test_sandbox_thread import until_it_arrives


def record(id: int, **changes: Any) -> RealizedTraining:
    values: dict[str, Any] = {
        "owner_id": 5_000,
        "session_starts_on": date(2030, 1, 1),
        "session_ends_on": date(2030, 1, 2),
        "duration_in_hours": Decimal("2.50"),
        "training": TrainingSummary(id=45, title="Mine"),
    }
    return RealizedTraining(id=id, **(values | changes))


async def test_records_given_at_the_beginning() -> None:
    mine: list[RealizedTraining | dict[str, Any]] = [
        record(7),
        record(5_000_000),
        realized_training(3) | {"id": 2_000, "extra": [1]},
    ]
    async with asked(Sandbox(rate_limit=None, size=1_000, trainings=mine)) as on:
        assert await on.count() == 1_002
        assert (await on.ids())[-3:] == [1_000, 2_000, 5_000_000]
        assert await on.ids("ownerIds=5000") == [7, 5_000_000]
        assert (await on.page(path=f"{REALIZED}/7"))["training"]["title"] == "Mine"
        assert (await on.page(path=f"{REALIZED}/2000"))["extra"] == [1]
        assert await on.ids("sessionEndOnAfter=2030-01-01") == [7, 5_000_000]
        assert await on.ids("sessionEndOnAfter=2030-01-02") == []


async def test_put_and_remove() -> None:
    async with asked() as on:
        before = await on.ids("ownerIds=416,5000")
        on.sandbox.put(record(1_500))
        assert await on.ids("ownerIds=416,5000") == [*before, 1_500]
        on.sandbox.put(record(1_500, owner_id=9_999))
        assert await on.ids("ownerIds=416,5000") == before
        assert await on.count() == 1_001
        for id in (1_500, 8, 235):
            on.sandbox.remove(id)
            assert (await on.answer(path=f"{REALIZED}/{id}"))[0] == 404
            with pytest.raises(LookupError, match=f"no realized training {id}"):
                on.sandbox.remove(id)
        assert await on.count() == 998
        assert 235 not in await on.ids("ownerIds=416,5000")
        on.sandbox.put(record(8))
        assert await on.ids("ownerIds=416,5000") == [
            8,
            *(id for id in before if id not in (8, 235)),
        ]
        assert await on.count() == 999


async def test_what_is_missing_can_be_put() -> None:
    async with asked(Sandbox(rate_limit=None, size=300, missing={13, 235})) as on:
        assert await on.count() == 298
        assert (await on.answer(path=f"{REALIZED}/235"))[0] == 404
        on.sandbox.put(record(13))
        assert await on.count() == 299
        assert (await on.page("limit=13"))["items"][-1]["id"] == 13


async def test_decimals_are_written_exactly() -> None:
    hours = Decimal("14.0000000000000000000000001")
    async with asked() as on:
        on.sandbox.put(record(1, duration_in_hours=hours))
        on.sandbox.put({"id": 2, "é": [{"deep": (Decimal("1E+2"), None, True)}], "n": Decimal(-3)})
        for path in (f"{REALIZED}/1", REALIZED):
            async with on.session.get(f"{on.sandbox.url}{path}") as response:
                assert f'"durationInHours": {hours}' in await response.text()
        async with on.session.get(f"{on.sandbox.url}{REALIZED}/2") as response:
            text = await response.text()
        assert text == '{"id": 2, "é": [{"deep": [1E+2, null, true]}], "n": -3}'
        assert json.loads(text)["n"] == -3


ODD: list[dict[str, Any]] = [
    {"id": 1_001},
    {"id": 1_001, "ownerId": "416", "training": 5, "sessionEndsOn": 7, "hasAttended": None},
    {"id": 1_001, "ownerId": [416], "training": {"id": {}}, "sessionEndsOn": "2025-99-99"},
    {"id": 1_001, "ownerId": True, "training": [], "sessionEndsOn": "soon"},
    {"id": 1_001, "training": {"title": "half of a character: \ud800"}},
]


@pytest.mark.parametrize("odd", ODD)
async def test_odd_records_are_kept_as_they_are(odd: dict[str, Any]) -> None:
    async with asked() as on:
        on.sandbox.put(odd)
        assert await on.page(path=f"{REALIZED}/1001") == odd
        assert (await on.items())[-1] == odd
        for query in ("ownerIds=416", "trainingId=5", "sessionEndOnAfter=1999-01-01"):
            assert 1_001 not in await on.ids(query)
        assert 1_001 in await on.ids("hasAttended=true")


async def test_a_record_may_be_found_by_another_id_than_its_own() -> None:
    async with asked() as on:
        on.sandbox.put({"id": "six"}, id=5)
        on.sandbox.put({}, id=6)
        items = (await on.page("limit=6"))["items"]
        assert items[4:] == [{"id": "six"}, {}]


@pytest.mark.parametrize("odd", [{}, {"id": None}, {"id": "7"}, {"id": 0}, {"id": True}])
def test_a_record_without_an_id_needs_one(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give one"):
        Sandbox().put(odd)
    with pytest.raises(ValueError, match="give one"):
        Sandbox(trainings=[odd])


def test_what_is_no_record() -> None:
    sandbox = Sandbox()
    nonsense: Any = [7]
    with pytest.raises(TypeError, match="a model or a dict, not list"):
        sandbox.put(nonsense)
    for value in (object(), date(2025, 1, 1), {1, 2}, {5: Decimal(1)}):
        with pytest.raises(TypeError):
            sandbox.put({"id": 7, "value": value, "decimal": Decimal(1)})
    with pytest.raises(ValueError, match="a RealizedTraining is no training"):
        sandbox.put(record(7), kind="training")
    unknown: Any = "course"
    with pytest.raises(ValueError, match="kind must be one of"):
        sandbox.put({"id": 7}, kind=unknown)
    with pytest.raises(ValueError, match="kind must be one of"):
        sandbox.remove(7, kind=unknown)


async def test_a_record_is_kept_as_it_was_when_it_was_put() -> None:
    mine: dict[str, Any] = {"id": 5, "training": {"id": 1}}
    async with asked() as on:
        on.sandbox.put(mine)
        mine["training"]["id"] = 2
        assert (await on.page(path=f"{REALIZED}/5"))["training"] == {"id": 1}
        assert 5 in await on.ids("trainingId=1")


async def test_courses_and_demands() -> None:
    course = Training(id=1_000, title="Été", state="Ready")
    demand = TrainingDemand(id=1_000, state="Invalid")
    async with asked(Sandbox(rate_limit=None, size=10, trainings=[course])) as on:
        on.sandbox.put(demand)
        assert await on.count() == 10
        assert await on.ids("search=ete", CATALOGUE) == [1_000]
        assert 1_000 in await on.ids("states=Invalid", DEMANDED)
        on.sandbox.put({"id": 1_001, "title": "wire"}, kind="training")
        on.sandbox.put({"id": 1_001, "state": "New"}, kind="training demand")
        assert (await on.ids("", CATALOGUE))[-2:] == [1_000, 1_001]
        on.sandbox.remove(1_000, kind="training")
        on.sandbox.remove(1_000, kind="training demand")
        on.sandbox.remove(7, kind="training demand")
        assert 1_000 not in await on.ids("", CATALOGUE)
        assert {7, 1_000}.isdisjoint(await on.ids("", DEMANDED))
        assert await on.count() == 10


async def test_courses_and_demands_given_at_the_beginning() -> None:
    sandbox = Sandbox(
        rate_limit=None, size=0, catalogue=[{"id": 999}], demands=[{"id": 999, "owner": None}]
    )
    async with asked(sandbox) as on:
        assert (await on.ids("", CATALOGUE))[-1] == 999
        assert (await on.ids("", DEMANDED))[-1] == 999
        assert 999 not in await on.ids("ownerId=7", DEMANDED)


async def test_answers_for_other_paths() -> None:
    async with asked() as on:
        on.sandbox.answer("/api/v3/users", {"data": {"items": [{"id": Decimal("1.50")}]}})
        on.sandbox.answer("/api/v3/gone", None, status=410)
        on.sandbox.answer(f"{REALIZED}/5", "instead")
        assert await on.page("limit=5", "/api/v3/users") == {"data": {"items": [{"id": 1.5}]}}
        assert await on.answer("", "/api/v3/gone") == (410, None)
        assert await on.page("", f"{REALIZED}/5") == "instead"
        assert [arrival.status for arrival in on.sandbox.arrivals] == [200, 410, 200]


@pytest.mark.parametrize("path", ["users", "/users?x=1", "/users#top", ""])
def test_an_answer_needs_a_path(path: str) -> None:
    with pytest.raises(ValueError, match="a path begins with"):
        Sandbox().answer(path, {})


@pytest.mark.real_time
async def test_others_have_their_turn_while_a_million_records_are_filtered() -> None:
    async with asked(Sandbox(rate_limit=None)) as on:
        answered: list[str] = []

        async def ask(name: str, query: str) -> None:
            await on.page(query)
            answered.append(name)

        slow = asyncio.create_task(ask("filtered", "hasAttended=true&limit=1"))
        await until_it_arrives(on.sandbox)
        await ask("first page", "limit=1")
        await slow
        assert answered == ["first page", "filtered"]


async def test_records_may_come_from_another_thread_in_the_midst_of_it() -> None:
    async with asked(Sandbox(rate_limit=None, size=50)) as on:

        def put_them() -> None:
            for id in range(100, 400):
                on.sandbox.put(record(id))

        thread = threading.Thread(target=put_them)
        thread.start()
        while thread.is_alive():
            assert await on.count() >= 50
            await on.ids("ownerIds=5000")
        thread.join()
        assert await on.ids("ownerIds=5000") == list(range(100, 400))


async def test_many_different_filters_are_not_all_remembered() -> None:
    async with asked() as on:
        counts = [await on.count(f"ownerIds={owner}") for owner in range(1, 30)]
        assert counts == [await on.count(f"ownerIds={owner}") for owner in range(1, 30)]
