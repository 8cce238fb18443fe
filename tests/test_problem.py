"""What the body of an error says, whoever wrote it, in bounded and printable texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from lucca_training_async import ProblemDetails, ResponseError
from lucca_training_async._http.answers import Reply, excerpt, quoted, response_error
from lucca_training_async._http.problem import parse_problem
from lucca_training_async.settings import ApiKey

KEY = ApiKey("1f2e3d4c-0000-1111-2222-333344445555")
SECRET = "at Lucca.Internal.Secret() in Secret.cs:line 42"


def quote(text: str) -> str:
    return quoted(text, KEY)


def parsed(value: object) -> ProblemDetails:
    problem = parse_problem(json.dumps(value).encode(), quote)
    assert problem is not None
    return problem


def error_of(
    value: object, status: int = 500, headers: Mapping[str, str] | None = None
) -> ResponseError:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = CIMultiDict(headers or {})
    return response_error(
        Reply(status, named, body, URL("https://acme.ilucca.net/1")), attempts=1, key=KEY
    )


FULL = {
    "type": "https://lucca.example/locked",
    "title": "Locked",
    "status": 423,
    "detail": "It is being edited.",
    "instance": "/trainings/1",
    "traceId": "00-abc-01",
    "errors": {"Id": ["too small", "odd"], "Name": "missing"},
    "lockedBy": {"name": "Zoé", "since": [2024, 1, None, True, 1.5]},
}


def test_problem_details_are_kept_as_a_whole() -> None:
    assert parsed(FULL) == ProblemDetails(
        type="https://lucca.example/locked",
        title="Locked",
        status=423,
        detail="It is being edited.",
        instance="/trainings/1",
        errors={"Id": ("too small", "odd"), "Name": ("missing",)},
        trace_id="00-abc-01",
        extensions={
            "traceId": "00-abc-01",
            "lockedBy": {"name": "Zoé", "since": [2024, 1, None, True, 1.5]},
        },
    )


@pytest.mark.parametrize(
    ("value", "told"),
    cast(
        "list[tuple[object, str]]",
        [
            ({"title": "A", "detail": "B"}, "A - B"),
            ({"title": "A"}, "A"),
            ({"Title": "A", "DETAIL": "B"}, "A - B"),
            ({"Status": 500, "Message": "B"}, "B"),
            ({"status": 500, "message": "B"}, "B"),
            ({"STATUS": 500, "MESSAGE": "B"}, "B"),
            ({"title": "A", "message": "B"}, "A - B"),
            ({"detail": "D", "message": "B"}, "D"),
            ({"detail": "", "message": "B"}, "B"),
            ({"errors": {"Id": ["x", "y"]}}, "Id: x y"),
            ({"errors": {"Id": "x"}}, "Id: x"),
            ({"errors": ["x", "y"]}, "x y"),
            ({"errors": [{"field": "Id", "message": "x"}]}, "Id: x"),
            ({"errors": [{"Name": "Id", "Detail": "x"}]}, "Id: x"),
            ({"errors": [{"propertyName": "Id", "errorMessage": "x"}]}, "Id: x"),
            ({"errors": [{"pointer": "/id", "reason": "x"}]}, "/id: x"),
            ({"errors": [{"message": "x"}, {"key": "Id", "description": "y"}]}, "x - Id: y"),
            (
                {"errors": [{"field": "Id", "message": "x"}, {"field": "Id", "message": "y"}]},
                "Id: x y",
            ),
            ({"errors": ["x", 1, None, {}, [], {"field": "Id"}]}, "x"),
            ({"title": "A", "errors": 5}, "A"),
            ({"title": "A", "errors": {"Id": [1, None], "N": 5}}, "A"),
            ({"title": 5, "detail": "B"}, "B"),
        ],
    ),
)
def test_what_a_problem_tells(value: object, told: str) -> None:
    assert str(parsed(value)) == told
    assert told in str(error_of(value))


@pytest.mark.parametrize(
    ("status", "kept"),
    [(404, 404), (0, 0), ("404", None), (404.0, None), (True, None), (None, None)],
)
def test_the_status_that_a_body_names(status: object, kept: int | None) -> None:
    assert parsed({"title": "A", "status": status}).status == kept
    assert parsed({"title": "A", "Status": status}).status == kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{}",
        b'{"a": 1}',
        b'{"title": null}',
        b'{"title": ""}',
        b'{"title": "A"',
        b"<html>",
        b"\xff\xfe\x00",
        b"\x00",
        b"{" * 200_000,
        b"[" * 200_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_problem(body: bytes) -> None:
    assert parse_problem(body, quote) is None
    error = error_of(body)
    assert error.problem is None
    assert str(error).isprintable()
    assert len(str(error)) < 400


@pytest.mark.parametrize("name", ["traceId", "TraceId", "TRACEID", "traceid"])
def test_a_trace_id_alone_is_a_problem(name: str) -> None:
    assert parsed({name: "00-abc"}).trace_id == "00-abc"


@pytest.mark.parametrize(
    ("headers", "trace_id", "told"),
    [
        ({"X-Request-Id": "a", "CF-RAY": "b"}, "t", "a"),
        ({"x-request-id": "a"}, None, "a"),
        ({"X-Correlation-Id": "c", "CF-RAY": "b"}, "t", "c"),
        ({"Request-Id": "r", "CF-RAY": "b"}, "t", "r"),
        ({"CF-RAY": "b"}, "t", "b"),
        ({"cf-ray": "b"}, None, "b"),
        ({}, "t", "t"),
        ({}, None, None),
    ],
)
def test_the_request_id(headers: dict[str, str], trace_id: str | None, told: str | None) -> None:
    error = error_of({"title": "A", "traceId": trace_id}, headers=headers)
    assert error.request_id == told
    assert (f"(request id {told})" in str(error)) == (told is not None)


NAMES = [
    "StackTrace",
    "stackTrace",
    "stacktrace",
    "STACKTRACE",
    "exceptionStackTrace",
    "StackTraceString",
]
Member = dict[str, Any]
NESTS: dict[str, Callable[[Member], object]] = {
    "at the top": lambda member: {"title": "A", **member},
    "in an object": lambda member: {"title": "A", "exception": member},
    "deep": lambda member: {"title": "A", "a": {"b": {"c": [{"d": member}]}}},
    "in a list": lambda member: {"title": "A", "inner": [member, [member]]},
    "in errors": lambda member: {"title": "A", "errors": [{"message": "x", **member}]},
    "in the errors of fields": lambda member: {"title": "A", "errors": {"Id": ["x"], **member}},
    "older": lambda member: {"Status": 500, "Message": "A", **member},
    "alone": lambda member: member,
    "in a list of all": lambda member: [member],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"frames": SECRET}, [{"at": [SECRET]}]])
def test_a_stack_trace_is_never_told(value: object, nest: str, name: str) -> None:
    error = error_of(NESTS[nest]({name: value}))
    assert "Secret" not in f"{error} {error.problem!r} {vars(error)}"
    if nest not in ("alone", "in a list of all"):
        assert "A" in str(error)


@pytest.mark.parametrize("name", [*NAMES, "stack_trace", "Stack_Trace"])
@pytest.mark.parametrize(
    "body",
    [
        '{"%s": "' + SECRET,
        '[{"%s": "' + SECRET + '"}]',
        '{"a": 1, "%s": ["' + SECRET + '"]',
        "%s: " + SECRET,
        "<html><pre>%s: " + SECRET + "</pre></html>",
        '{"\u00e9": "x", \'%s\': \'' + SECRET + "'}",
    ],
)
def test_an_excerpt_never_shows_one(body: str, name: str) -> None:
    told = excerpt((body % name).encode(), KEY)
    assert "Secret" not in told
    assert "Secret" not in str(error_of((body % name).encode()))


def texts(value: object) -> Iterator[str]:
    """Every text in a problem, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in cast("dict[object, object]", value).items():
            yield from texts(name)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[object]", value):
            yield from texts(item)


def assert_bounded(problem: ProblemDetails) -> None:
    members = attrs.asdict(problem, recurse=False)
    found = list(texts(members))
    for text in found:
        assert len(text) <= 500
        assert text.isprintable()
    assert sum(map(len, found)) < 200_000
    json.dumps(members)
    repr(problem)
    str(problem).encode()


BIG = "x" * 1_000_000
HOSTILE: dict[str, object] = {
    "members": {"title": "A"} | {f"m{n}": "v" * 9 for n in range(200_000)},
    "long names": {"title": "A"} | {f"{n}{BIG[:9000]}": n for n in range(99)},
    "members of a member": {"title": "A", "m": {str(n): "v" for n in range(200_000)}},
    "items": {"title": "A", "m": ["v"] * 200_000},
    "fields": {"errors": {f"f{n}": ["v"] for n in range(200_000)}},
    "messages": {"errors": {"f": ["v"] * 200_000}},
    "errors": {"errors": ["v"] * 200_000},
    "errors as objects": {"errors": [{"field": "f", "message": "v"}] * 100_000},
    "long texts": {"title": BIG, "detail": BIG, "errors": {BIG: [BIG]}, BIG: BIG},
    "a long trace id": {"title": "A", "traceId": BIG},
    "white space": {"title": "A" + " " * 1_000_000 + "B"},
    "escapes": {"title": "A" + "\\u0041%41&#65;" * 100_000},
    "wide and deep": {"title": "A", "m": [[["v" * 99] * 20] * 20] * 20},
    "deep": b'{"title": "A", "m": ' + b"[" * 400 + b"]" * 400 + b"}",
    "deep objects": b'{"title": "A", "m": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
    "a huge number": b'{"title": "A", "m": ' + b"9" * 4000 + b"}",
    "a huge float": b'{"title": "A", "m": 1e999999, "n": -1e999999, "o": NaN}',
    "lone surrogates": b'{"title": "\\ud800A\\udfff", "\\ud83d": "\\ude00", "errors": ["\\udc80"]}',
    "control characters": {"title": "A\n\x00\x1b[2J\x7f\x85\u2028\u202e\ufeff\u200b"},
    "forged lines": {"title": "A\r\nERROR x", "errors": {"f\r\ng": ["a\nb"]}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_told_in_bounds(name: str) -> None:
    error = error_of(HOSTILE[name], headers={"X-Request-Id": "r" * 100_000})
    assert error.problem is not None
    assert_bounded(error.problem)
    assert len(str(error)) < 1000
    assert str(error).isprintable()
    assert len(error.request_id or "") <= 120
    str(error).encode()


@pytest.mark.parametrize("digits", [4301, 10_000, 100_000])
def test_an_integer_beyond_what_python_reads_harms_nobody(digits: int) -> None:
    """Its problem may be lost; nothing else is."""
    error = error_of(b'{"title": "A", "m": ' + b"9" * digits + b"}", 404, {"X-Request-Id": "r"})
    assert (error.status, error.request_id) == (404, "r")
    assert str(error).isprintable()
    assert len(str(error)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(FULL)), inner)
    ),
)


@given(st.dictionaries(st.sampled_from([*FULL, "Message", "Status", "x", "StackTrace"]), JSON))
def test_any_json_is_told_in_bounds(value: dict[str, Any]) -> None:
    error = error_of(value)
    if error.problem is not None:
        assert_bounded(error.problem)
        names = {name.lower() for name in error.problem.extensions}
        assert not names & {"stacktrace", "title", "detail", "errors", "status"}
    assert str(error).isprintable()
    assert len(str(error)) < 1000
