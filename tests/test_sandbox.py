"""The embedded Lucca, looked at with a plain aiohttp client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from lucca_training_async import RateLimit
from lucca_training_async.sandbox import Arrival, Fault, Sandbox

PATH = "/talent-training/api/v2/realized-trainings"


async def ask(
    sandbox: Sandbox, id: object = 235, *, key: str | None = None
) -> tuple[int, Any, dict[str, str]]:
    headers = {"Authorization": f"lucca application={key or sandbox.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{sandbox.url}{PATH}/{id}", allow_redirects=False) as answer,
    ):
        text = await answer.text()
        body = json.loads(text) if text and "json" in answer.content_type else text
        return answer.status, body, dict(answer.headers)


async def test_the_documented_example() -> None:
    async with Sandbox() as sandbox:
        status, body, headers = await ask(sandbox)
        assert status == 200
        assert (body["ownerId"], body["durationInHours"]) == (416, 14)
        assert headers["Content-Type"].startswith("application/json")


async def test_the_same_id_gives_the_same_record() -> None:
    async with Sandbox() as one, Sandbox() as other:
        assert (await ask(one, 77))[1] == (await ask(other, 77))[1]


@pytest.mark.parametrize(
    ("id", "status"),
    [
        (1, 200),
        (1_000_000, 200),
        (1_000_001, 404),
        (2**31 - 1, 404),
        (13, 404),
        (2**31, 400),
        (0, 400),
        ("abc", 400),
        ("-1", 400),
        ("٣", 400),
        ("9" * 30, 400),
    ],
)
async def test_errors_are_problem_details(id: object, status: int) -> None:
    async with Sandbox(missing={13}) as sandbox:
        answered, body, headers = await ask(sandbox, id)
        assert answered == status
        if status != 200:
            assert headers["Content-Type"].startswith("application/problem+json")
            assert body["status"] == status
            assert ("errors" in body) == (status == 400)


async def test_unknown_paths_and_methods_are_answered_with_problem_details_too() -> None:
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession(
            headers={"Authorization": f"lucca application={sandbox.api_key}"}
        ) as session,
    ):
        for method, path, status in (("POST", f"{PATH}/5", 405), ("GET", "/elsewhere", 404)):
            async with session.request(method, f"{sandbox.url}{path}") as answer:
                assert answer.status == status
                assert answer.content_type == "application/problem+json"
                assert (await answer.json())["status"] == status


async def test_a_wrong_key() -> None:
    async with Sandbox() as sandbox:
        assert (await ask(sandbox, key="wrong"))[0] == 401


async def test_the_budget_is_strict_and_its_retry_after_honest() -> None:
    async with Sandbox(rate_limit=RateLimit(3, 60.0)) as sandbox:
        answers = [await ask(sandbox) for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        assert answers[-1][2]["Retry-After"] == "60"
        assert [arrival.status for arrival in sandbox.arrivals] == [200, 200, 200, 429, 429]
        assert sandbox.busiest_window() == 5


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.too_many_requests(3), 429),
        (Fault.internal_error(), 500),
        (Fault.unavailable(), 503),
        (Fault.slow(5), 200),
        (Fault.html(), 200),
        (Fault.answer(302, headers={"Location": "/"}), 302),
    ],
)
async def test_faults_come_once_and_are_logged(fault: Fault, status: int) -> None:
    async with Sandbox() as sandbox:
        sandbox.inject(fault, id=7)
        assert (await ask(sandbox, 8))[0] == 200
        assert (await ask(sandbox, 7))[0] == status
        assert (await ask(sandbox, 7))[0] == 200
        assert [arrival.fault for arrival in sandbox.arrivals] == [None, fault.name, None]
        assert [arrival.id for arrival in sandbox.arrivals] == ["8", "7", "7"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.drop, aiohttp.ServerDisconnectedError),
        (Fault.truncate, aiohttp.ClientPayloadError),
    ],
)
async def test_faults_that_break_the_connection(
    fault: Callable[[], Fault], error: type[Exception]
) -> None:
    async with Sandbox() as sandbox:
        # aiohttp itself sends a GET again once.
        sandbox.inject(fault(), fault())
        with pytest.raises(error):
            await ask(sandbox)
        assert sandbox.arrivals[0].status is None


async def test_bad_json() -> None:
    async with Sandbox() as sandbox:
        sandbox.inject(Fault.bad_json())
        with pytest.raises(json.JSONDecodeError):
            await ask(sandbox)


async def test_a_standing_fault_lasts() -> None:
    async with Sandbox() as sandbox:
        sandbox.inject_always(Fault.internal_error(), id=7)
        assert [(await ask(sandbox, id))[0] for id in (7, 7, 8, 7)] == [500, 500, 200, 500]


async def test_it_has_a_url_only_while_it_runs() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="async with"):
        _ = sandbox.url
    async with sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="async with"):
        _ = sandbox.url


async def test_a_port_in_use_is_an_os_error_and_leaves_nothing_open() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            async with Sandbox(port=port):
                pass


async def test_without_a_rate_limit_there_is_no_busiest_window() -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        with pytest.raises(RuntimeError, match="no rate limit"):
            sandbox.busiest_window()


async def test_faults_by_chance_and_a_log_of_what_is_answered() -> None:
    seen: list[tuple[str, str, int | None, str | None]] = []
    faults = iter([None, Fault.internal_error(), Fault.html()])

    def log(arrival: Arrival) -> None:
        last = arrival.path.rpartition("/")[2]
        seen.append((arrival.method, last, arrival.status, arrival.fault))

    sandbox = Sandbox(rate_limit=None, fault=lambda: next(faults, None), on_answer=log)
    sandbox.inject(Fault.error(418), id=1)
    async with sandbox:
        for id in (1, 2, 3, 4, 5):
            await ask(sandbox, id)
    assert seen == [
        ("GET", "1", 418, "error 418"),  # what is injected goes first
        ("GET", "2", 200, None),
        ("GET", "3", 500, "error 500"),
        ("GET", "4", 200, "HTML 200"),
        ("GET", "5", 200, None),
    ]
