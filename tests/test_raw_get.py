"""Any other endpoint, through the one path of a request and the one budget of the tenant."""

from __future__ import annotations

import asyncio
import pickle
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from lucca_training_async import (
    AuthenticationError,
    ClientClosedError,
    DecodeError,
    LuccaConnectionError,
    LuccaError,
    LuccaTrainingClient,
    NotFoundError,
    RateLimit,
    ResponseError,
    RetryPolicy,
    ServerError,
    UsageError,
)
from lucca_training_async.resources.raw import path_on_host, query_of
from lucca_training_async.sandbox import Fault, Sandbox

from .raw_server import Request
from .raw_stage import KEY, always, answer, raw_stage
from .support import stage
from .virtual_time import run

USERS = "/api/v3/users"


async def test_status_headers_and_exact_numbers() -> None:
    body = b'{"n": 0.1000000000000000055, "i": 12345678901234567890, "e": 1e400, "s": ["\xc3\xa9"]}'
    async with raw_stage(always(answer(body, "203 Non-Authoritative", "X-Total: 7"))) as on:
        got = await on.client.raw_get(USERS, params={"fields": "id,name"})
        assert got.status == 203
        assert (got.headers["x-total"], got.headers["X-TOTAL"]) == ("7", "7")
        assert got.json == {
            "n": Decimal("0.1000000000000000055"),
            "i": 12345678901234567890,
            "e": Decimal("1e400"),
            "s": ["é"],
        }
        assert (type(got.json["n"]), type(got.json["i"])) == (Decimal, int)
        line = on.server.requests[0].head.splitlines()[0]
        assert line == "GET /api/v3/users?fields=id,name HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "json"),
    [(b"[]", []), (b"null", None), (b"", None), (b" \r\n", None), (b"5", 5), (b'"x"', "x")],
)
async def test_whatever_json_is(body: bytes, json: Any) -> None:
    async with raw_stage(always(answer(body))) as on:
        assert (await on.client.raw_get(USERS)).json == json


async def test_no_content() -> None:
    async with raw_stage(always(answer(b"", "204 No Content", length=None))) as on:
        got = await on.client.raw_get(USERS)
        assert (got.status, got.json) == (204, None)


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff", b"{}{}"])
async def test_what_is_no_json_is_told(body: bytes) -> None:
    async with raw_stage(always(answer(body))) as on:
        with pytest.raises(DecodeError):
            await on.client.raw_get(USERS)


async def test_it_can_be_pickled_and_shows_neither_headers_nor_body() -> None:
    async with raw_stage(always(answer(b'{"secret": 1}', "200 OK", "X-Secret: 2"))) as on:
        got = await on.client.raw_get(USERS)
        again = pickle.loads(pickle.dumps(got))
        assert (again.json, again.status) == (got.json, got.status)
        assert again.headers["x-secret"] == "2"
        assert "secret" not in repr(got).lower()


# -- the path of a request


async def test_it_is_tried_again_pauses_and_fails_as_a_get_does() -> None:
    async with stage(retry=RetryPolicy(max_attempts=3)) as on:
        on.sandbox.answer(USERS, {"items": [Decimal("1.10")]})
        on.sandbox.inject(Fault.internal_error(), Fault.too_many_requests(20), Fault.drop())
        began = asyncio.get_running_loop().time()
        got = await on.client.raw_get(USERS)
        assert got.json["items"] == [Decimal("1.10")]
        assert asyncio.get_running_loop().time() - began >= 20
        assert len(on.sandbox.arrivals) == 4
        on.sandbox.inject(*[Fault.internal_error()] * 3)
        with pytest.raises(ServerError) as caught:
            await on.client.raw_get(USERS)
        assert caught.value.attempts == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ResponseError), (401, AuthenticationError), (404, NotFoundError), (302, ResponseError)],
)
async def test_other_statuses(status: int, error: type[LuccaError]) -> None:
    async with stage() as on:
        on.sandbox.answer(USERS, {"title": "no"}, status=status)
        with pytest.raises(error, match=USERS):
            await on.client.raw_get(USERS)
        assert len(on.sandbox.arrivals) == 1


async def test_the_tenant_has_one_budget_for_all() -> None:
    limit = RateLimit(4, 60.0)
    async with stage(Sandbox(rate_limit=limit), rate_limit=limit) as on:
        on.sandbox.answer(USERS, [])
        asked = [on.client.raw_get(USERS) for _ in range(4)]
        gets = [on.trainings.get(n) for n in range(1, 5)]
        await asyncio.gather(
            *asked, *gets, on.client.trainings.list(ids=[1]).__aiter__().__anext__()
        )
        assert set(on.statuses) == {200}
        assert on.sandbox.busiest_window() == 4
        assert on.client.budget.in_flight == 0


async def test_a_body_beyond_the_cap() -> None:
    async with stage(max_body_bytes=100) as on:
        on.sandbox.answer(USERS, ["x" * 200])
        with pytest.raises(DecodeError, match="max_body_bytes"):
            await on.client.raw_get(USERS)


async def test_closed_and_cancelled() -> None:
    async with stage(Sandbox(rate_limit=None, downlink=lambda: 5.0)) as on:
        on.sandbox.answer(USERS, [])
        task = asyncio.create_task(on.client.raw_get(USERS))
        await asyncio.sleep(1)
        assert on.client.budget.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert on.client.budget.in_flight == 0
        task = asyncio.create_task(on.client.raw_get(USERS))
        await asyncio.sleep(1)
        await on.client.aclose()
        with pytest.raises((ClientClosedError, LuccaConnectionError)):
            await task
        with pytest.raises(ClientClosedError):
            await on.client.raw_get(USERS)


def test_another_loop_is_refused() -> None:
    async def main() -> None:
        async with stage() as on:
            on.sandbox.answer(USERS, [])
            await on.client.raw_get(USERS)

            async def elsewhere() -> None:
                with pytest.raises(UsageError):
                    await on.client.raw_get(USERS)

            await asyncio.to_thread(asyncio.run, elsewhere())

    run(main())


# -- where it goes

LEAVING = [
    "",
    "api/v3/users",
    "//evil.example/x",
    "///x",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/x",
    "http:/x",
    "/api/../../x",
    "/..",
    "/.",
    "/api/./x",
    "/api/%2e%2e/x",
    "/api/%2E./x",
    "/x?y=1",
    "/x#y",
    "/x\r\nHost: evil.example",
    "/x\0",
    "/x\x7f",
    "/\ud800",
    "/x\t",
]
INSIDE = {
    "/": "/",
    "/api/v3/users": "/api/v3/users",
    "/api/v3/users/": "/api/v3/users/",
    "/a b": "/a%20b",
    "/é": "/%C3%A9",
    "/a%2Fb": "/a%2Fb",
    "/@evil.example/": "/@evil.example/",
    "/x:y;z=1,2": "/x:y;z=1,2",
    "/a/...": "/a/...",
    "/a//b": "/a//b",
    '/"<>^`{}|': "/%22%3C%3E%5E%60%7B%7D%7C",
}


@pytest.mark.parametrize("path", LEAVING)
async def test_a_path_that_leaves_the_host_is_refused(path: str) -> None:
    async with raw_stage(always(answer(b"[]"))) as on:
        with pytest.raises(ValueError):  # noqa: PT011  # also a lone surrogate, by its own error
            await on.client.raw_get(path)
        assert on.server.connections == 0


@pytest.mark.parametrize("path", INSIDE)
async def test_any_other_goes_there(path: str) -> None:
    async with raw_stage(always(answer(b"[]"))) as on:
        await on.client.raw_get(path)
        head = on.server.requests[0].head
        assert head.startswith(f"GET {INSIDE[path]} HTTP/1.1\r\n")
        assert f"Host: {URL(on.server.url).authority}\r\n" in head
        assert f"Authorization: lucca application={KEY}\r\n" in head


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_no_path_leaves_the_host(text: str) -> None:
    origin = URL("https://acme.ilucca.net")
    for path in (text, f"/{text}"):
        try:
            encoded = path_on_host(path)
        except ValueError:
            continue
        assert encoded.isascii()
        assert encoded.isprintable()
        assert " " not in encoded
        url = origin.with_path(encoded, encoded=True)
        assert URL(str(url)).origin() == origin
        assert origin.join(URL(encoded)).origin() == origin


@pytest.mark.parametrize("path", [None, 5, b"/x", URL("/x")])
async def test_a_path_is_a_text(path: Any) -> None:
    with pytest.raises(TypeError):
        await LuccaTrainingClient("acme.ilucca.net", KEY).raw_get(path)


# -- the query


class Kind(StrEnum):
    A = "a&b"


class Number(IntEnum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("params", "query"),
    [
        (None, ""),
        ({}, ""),
        ({"a": None}, ""),
        ({"fields": "id,name"}, "fields=id,name"),
        ({"a": True, "b": False, "c": 5, "d": None}, "a=true&b=false&c=5"),
        ({"a": Decimal("1.50"), "b": date(2024, 2, 29)}, "a=1.50&b=2024-02-29"),
        ({"a": Kind.A, "b": Number.SEVEN}, "a=a%26b&b=7"),
        ({"dtContractEnd": "notequal,null"}, "dtContractEnd=notequal,null"),
        ({"a b": "+", "é": ""}, "a%20b=%2B&%C3%A9="),
    ],
)
def test_parameters(params: Any, query: str) -> None:
    assert query_of(params) == query


@given(st.dictionaries(TEXTS := st.text(st.characters(exclude_categories=["Cs"])), TEXTS))
def test_any_text_survives(params: dict[str, str]) -> None:
    read = parse_qsl(query_of(params), keep_blank_values=True)
    assert dict(read) == params


@pytest.mark.parametrize(
    "params",
    [
        "a=1",
        [("a", 1)],
        {"a": 1.5},
        {"a": [1, 2]},
        {"a": b"x"},
        {"a": object()},
        {"a": (1,)},
        {1.5: "x"},
        {None: "x"},
        {"a": "\ud800"},
    ],
)
async def test_other_parameters_are_refused(params: Any) -> None:
    async with raw_stage(always(answer(b"[]"))) as on:
        with pytest.raises((TypeError, ValueError)):
            await on.client.raw_get(USERS, params)
        assert on.server.connections == 0


async def test_a_redirect_to_elsewhere_is_not_followed() -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(b"", "302 Found", "Location: https://evil.example/x"))
        return True

    async with raw_stage(handle) as on:
        with pytest.raises(ResponseError, match="redirect"):
            await on.client.raw_get(USERS)
        assert len(on.server.requests) == 1
