"""What the sandbox's lists refuse, and what goes wrong with a page on demand."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest

from lucca_training_async import RateLimit
from lucca_training_async.sandbox import Fault, Sandbox

from .test_sandbox_lists import CATALOGUE, DEMANDED, REALIZED, asked


@pytest.mark.parametrize(
    ("query", "path", "parameter"),
    [
        ("limit=101", REALIZED, "Limit"),
        ("limit=-1", REALIZED, "Limit"),
        ("limit=ten", REALIZED, "Limit"),
        ("limit=", REALIZED, "Limit"),
        ("limit=10&limit=20", REALIZED, "Limit"),
        ("page=0", REALIZED, "Page"),
        ("page=-1", REALIZED, "Page"),
        ("page=1.5", REALIZED, "Page"),
        ("page=", REALIZED, "Page"),
        ("page=~SGlnaA|LYJ77Z9Zqz|q6", REALIZED, "Page"),
        ("page=~|||", REALIZED, "Page"),
        ("fields.root=items", REALIZED, "Fields.Root"),
        ("fields.root=", REALIZED, "Fields.Root"),
        ("ownerIds=", REALIZED, "OwnerIds"),
        ("ownerIds=1,x", REALIZED, "OwnerIds"),
        ("ownerIds=1,", REALIZED, "OwnerIds"),
        ("ownerIds=%D9%A3", REALIZED, "OwnerIds"),
        ("trainingId=2147483648", REALIZED, "TrainingId"),
        ("hasAttended=yes", REALIZED, "HasAttended"),
        ("sessionEndOnAfter=2025-02-30", REALIZED, "SessionEndOnAfter"),
        ("sessionEndOnBefore=20250101", REALIZED, "SessionEndOnBefore"),
        ("ownerId=1", REALIZED, "OwnerId"),
        ("search=x", DEMANDED, "Search"),
        ("states=Requested,Done", DEMANDED, "States"),
        ("ownerId=1,2", DEMANDED, "OwnerId"),
        ("priorityLevels=", DEMANDED, "PriorityLevels"),
        ("id=1,b", CATALOGUE, "Id"),
    ],
)
async def test_bad_values_are_answered_with_problem_details(
    query: str, path: str, parameter: str
) -> None:
    async with asked() as on:
        status, body = await on.answer(query, path)
        assert (status, body["status"]) == (400, 400)
        assert list(body["errors"]) == [parameter]
        assert all(isinstance(message, str) for message in body["errors"][parameter])


async def test_all_that_is_wrong_is_told_at_once() -> None:
    async with asked() as on:
        status, body = await on.answer("limit=200&page=x&ownerIds=y")
        assert status == 400
        assert sorted(body["errors"]) == ["Limit", "OwnerIds", "Page"]


async def test_a_cursor_is_good_for_its_own_filters_only() -> None:
    async with asked() as on:
        cursor = (await on.page("hasAttended=true&fields.root=next"))["next"]
        for query, path in (
            ("", REALIZED),
            ("hasAttended=false", REALIZED),
            ("", CATALOGUE),
        ):
            assert (await on.answer(f"{query}&page={cursor}", path))[0] == 400
        assert (await on.answer(f"hasAttended=true&page={cursor}x"))[0] == 400
        # Other ways to say the same, and another size of page, are no other question.
        assert (await on.answer(f"hasAttended=True&limit=5&page={cursor}"))[0] == 200


async def test_a_fault_for_whichever_comes_next_may_meet_a_page() -> None:
    async with asked() as on:
        on.sandbox.inject(Fault.unavailable(retry_after=1))
        on.sandbox.inject(Fault.internal_error(), id=1)
        assert (await on.answer())[0] == 503
        assert (await on.answer())[0] == 200
        assert (await on.answer(path=f"{REALIZED}/1"))[0] == 500
        on.sandbox.inject(Fault.html())
        async with on.session.get(f"{on.sandbox.url}{CATALOGUE}") as response:
            assert response.content_type == "text/html"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.drop, aiohttp.ServerDisconnectedError),
        (Fault.truncate, aiohttp.ClientPayloadError),
    ],
)
async def test_a_page_that_breaks(fault: Callable[[], Fault], error: type[Exception]) -> None:
    async with asked() as on:
        # aiohttp itself sends a GET again once.
        on.sandbox.inject(fault(), fault())
        with pytest.raises(error):
            await on.answer("limit=5")
        assert on.sandbox.arrivals[0].status is None


async def test_every_request_is_in_the_log_and_counts() -> None:
    async with asked(Sandbox(rate_limit=RateLimit(4, 60.0), size=10)) as on:
        paths = [REALIZED, f"{REALIZED}/7", "/elsewhere", CATALOGUE, DEMANDED]
        answers = [(await on.answer("limit=1&a=%7C", path))[0] for path in paths]
        assert answers == [400, 200, 404, 400, 429]
        assert [arrival.path for arrival in on.sandbox.arrivals] == paths
        assert {arrival.query for arrival in on.sandbox.arrivals} == {"limit=1&a=%7C"}
        assert [arrival.id for arrival in on.sandbox.arrivals] == ["", "7", "", "", ""]
        assert [arrival.status for arrival in on.sandbox.arrivals] == answers
        assert on.sandbox.busiest_window() == 5


async def test_the_key_is_asked_for_everywhere() -> None:
    async with asked() as on, aiohttp.ClientSession() as stranger:
        for path in (REALIZED, CATALOGUE, "/elsewhere"):
            async with stranger.get(f"{on.sandbox.url}{path}") as response:
                assert response.status == 401


async def test_a_list_can_only_be_read() -> None:
    async with asked() as on, on.session.post(f"{on.sandbox.url}{REALIZED}") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"
