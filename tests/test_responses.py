"""What an answer means, by table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from lucca_training_async import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProblemDetails,
    RateLimitedError,
    ResponseError,
    ServerError,
)
from lucca_training_async._http.answers import (
    Reply,
    deprecation_notice,
    parse_retry_after,
    quoted,
    response_error,
)
from lucca_training_async._http.problem import parse_problem
from lucca_training_async.settings import ApiKey

KEY = ApiKey("1f2e3d4c-0000-1111-2222-333344445555")
NOON = "Wed, 25 Nov 2026 12:00:00 GMT"
NOON_EPOCH = 1795608000.0


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, CIMultiDict(named), body, URL("https://acme.ilucca.net/trainings/1"))


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitedError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
        (302, ResponseError),
        (304, ResponseError),
        (405, ResponseError),
        (408, ResponseError),
        (413, ResponseError),
        (431, ResponseError),
        (499, ResponseError),
    ],
)
def test_status_to_class(status: int, cls: type[ResponseError]) -> None:
    error = response_error(reply(status), attempts=2, key=KEY)
    assert type(error) is cls
    assert (error.status, error.attempts) == (status, 2)
    assert error.url == "https://acme.ilucca.net/trainings/1"
    assert str(status) in str(error)


def test_everything_the_answer_tells_is_kept() -> None:
    body = {
        "type": "https://lucca.example/invalid",
        "title": "Invalid",
        "status": 400,
        "detail": "The request is invalid.",
        "errors": {"ownerId": ["must be positive"], "odd": "text", "null": None, "mixed": [1, "x"]},
    }
    error = response_error(
        reply(400, json.dumps(body).encode(), X_Request_Id="r-1", Retry_After="7"),
        attempts=1,
        key=KEY,
    )
    assert error.problem == ProblemDetails(
        type="https://lucca.example/invalid",
        title="Invalid",
        status=400,
        detail="The request is invalid.",
        errors={"ownerId": ("must be positive",), "odd": ("text",), "mixed": ("x",)},
    )
    assert (error.request_id, error.retry_after) == ("r-1", 7.0)
    for told in ("400 Bad Request", "ownerId: must be positive", "r-1", "7 s"):
        assert told in str(error)


def test_a_redirect_says_that_it_is_one_and_where_to() -> None:
    error = response_error(reply(302, Location="https://login.example/"), attempts=1, key=KEY)
    assert "redirect to 'https://login.example/'" in str(error)
    assert "not followed" in str(error)
    for status in (299, 400):
        error = response_error(reply(status, Location="https://x.example/"), attempts=1, key=KEY)
        assert "redirect" not in str(error)


def test_a_body_that_is_no_problem_is_quoted_short_and_on_one_line() -> None:
    error = response_error(
        reply(502, b"<html>\n<h1>Bad\tgateway</h1>" + b"x" * 9999), attempts=1, key=KEY
    )
    assert "<html> <h1>Bad gateway</h1>xxx" in str(error)
    assert len(str(error)) < 250
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"5", b'"text"', b"{}", b"{", b"\xff", b'{"title": 5}', b"[" * 100_000],
)
def test_no_problem_details(body: bytes) -> None:
    assert parse_problem(body, str) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["type", "title", "status", "errors", "x"]), inner)
        ),
    )
)
def test_any_json_is_a_problem_or_none(value: Any) -> None:
    problem = parse_problem(json.dumps(value).encode(), str)
    assert problem is None or str(problem) is not None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": " 30 "}, 30.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "99999999999"}, 99999999999.0),
        ({"Retry-After": "9" * 400}, 1e12),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Wed, 25 Nov 2026 12:00:30 GMT", "Date": NOON}, 30.0),
        ({"Retry-After": "Wed, 25 Nov 2026 12:00:30 -0000", "Date": NOON}, 30.0),
        ({"Retry-After": "Wed, 25 Nov 2026 13:00:30 +0100", "Date": NOON}, 30.0),
        ({"Retry-After": "Wednesday, 25-Nov-26 12:00:30 GMT", "Date": NOON}, 30.0),
        ({"Retry-After": "Wed, 25 Nov 2026 11:00:00 GMT", "Date": NOON}, 0.0),
        ({"Retry-After": "Wed, 25 Nov 2026 12:01:00 GMT"}, 50.0),
        ({"Retry-After": "Wed, 25 Nov 2026 12:01:00 GMT", "Date": "nonsense"}, 50.0),
        ({"Retry-After": "Wed, 99 Nov 2026 12:01:00 GMT", "Date": NOON}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    # This machine's clock is 10 s past noon; only where the answer has no Date does it count.
    assert parse_retry_after(CIMultiDict(headers), lambda: NOON_EPOCH + 10) == seconds


@given(st.text(), st.text())
def test_any_retry_after_is_understood_or_ignored(value: str, date: str) -> None:
    seconds = parse_retry_after({"Retry-After": value, "Date": date})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("headers", "notice"),
    [
        ({}, None),
        ({"Content-Type": "application/json"}, None),
        ({"Deprecation": "true"}, "Deprecation: true"),
        ({"Deprecation": "@1795608000"}, "Deprecation: 2026-11-25 12:00 UTC"),
        ({"sunset": NOON}, f"Sunset: {NOON}"),
        (
            {"Deprecation": "@1795608000", "Sunset": NOON},
            f"Deprecation: 2026-11-25 12:00 UTC; Sunset: {NOON}",
        ),
        ({"Deprecation": "@99999999999999999"}, "Deprecation: @99999999999999999"),
    ],
)
def test_deprecation_notice(headers: dict[str, str], notice: str | None) -> None:
    assert deprecation_notice(CIMultiDict(headers)) == notice


def test_what_the_other_side_wrote_stays_short() -> None:
    endless = json.dumps({"title": "x", "detail": "y" * 1_000_000, "errors": {"z" * 9999: ["a"]}})
    error = response_error(
        reply(500, endless.encode(), X_Request_Id="i" * 9999), attempts=1, key=KEY
    )
    assert error.problem is not None
    assert len(str(error)) < 900
    assert len(error.problem.detail or "") == 500
    assert [len(field) for field in error.problem.errors] == [500]
    assert len(error.request_id or "") == 120
    redirect = response_error(reply(302, Location="z" * 9999), attempts=1, key=KEY)
    assert len(str(redirect)) < 700


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Unavailable\nERROR payroll deleted", "Unavailable ERROR payroll deleted"),
        ("a\r\nb\tc\u2028d\x85e", "a b c d e"),
        ("\x1b[2J\x1b[31m", "\ufffd[2J\ufffd[31m"),
        ("half a \ud83d smiley", "half a \ufffd smiley"),
        ("zero\u200bwidth \u202e right to left", "zero\ufffdwidth \ufffd right to left"),
        ("Sécurité incendie", "Sécurité incendie"),
        ("", ""),
    ],
)
def test_what_the_other_side_wrote_is_one_printable_line(text: str, told: str) -> None:
    assert quoted(text, KEY) == told
    body = json.dumps({"title": text, "errors": {text: [text]}}).encode()
    error = response_error(reply(400, body), attempts=1, key=KEY)
    str(error).encode()
    assert str(error).isprintable()


@given(st.text(), st.integers(1, 50))
def test_any_text_can_be_quoted(text: str, most: int) -> None:
    told = quoted(text, KEY, most)
    assert told.isprintable()
    assert len(told) <= most


def test_a_304_is_not_called_a_redirect() -> None:
    assert "redirect" not in str(response_error(reply(304), attempts=1, key=KEY))


def test_the_key_is_found_behind_the_escapes_of_json() -> None:
    key = ApiKey("abc+def/ghi&jkl")
    escaped = (
        b'{"title": "abc\\u002Bdef\\/ghi\\u0026jkl", "errors": {"abc\\u002bdef/ghi&jkl": ["no"]}}'
    )
    error = response_error(reply(500, escaped), attempts=1, key=key)
    assert error.problem == ProblemDetails(title="[api key]", errors={"[api key]": ("no",)})
    assert "abc" not in str(error)


def test_no_header_is_quoted_with_the_key() -> None:
    key = "1f2e3d4c-0000-1111-2222-333344445555"
    leaky = reply(302, f"echo {key}".encode(), X_Request_Id=key, Location=f"/?{key}")
    error = response_error(leaky, attempts=1, key=ApiKey(key))
    assert key not in f"{error} {vars(error)}"
    assert error.request_id == "[api key]"
    assert key not in repr(leaky)
