"""Whatever comes over the wire: a record, or an error that tells and keeps the key to itself.

The suite tries some of it; ``nox -s fuzz`` tries thousands (LUCCA_FUZZ is how many, for each test).
"""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from lucca_training_async import (
    LuccaError,
    LuccaTrainingClient,
    RealizedTraining,
    RetryPolicy,
    Training,
    TrainingDemand,
)
from lucca_training_async._http.answers import (
    Reply,
    decode_error,
    deprecation_notice,
    excerpt,
    is_page,
    item_error,
    parse_retry_after,
    request_id,
    response_error,
)
from lucca_training_async.models import BadItem, Record, WireError, page_reader, reader
from lucca_training_async.sandbox.catalogue import training
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.sandbox.demands import training_demand
from lucca_training_async.settings import ApiKey

from .any_records import json_values, texts
from .raw_server import RawServer
from .raw_stage import KEY, always
from .virtual_time import run

SECRET = ApiKey(KEY)
ADDRESS = URL("https://acme.ilucca.net/realized-trainings/235")
MODELS: dict[type[Record], dict[str, Any]] = {
    RealizedTraining: realized_training(235),
    Training: training(1),
    TrainingDemand: training_demand(1),
}
kinds = st.sampled_from(list(MODELS))
# What parsers stumble over, more often than chance would have it.
TOKENS = [
    *(
        b"null",
        b"true",
        b"-0",
        b"-0.0",
        b"1e400",
        b"1e-400",
        b"1E+999999999999",
        b"NaN",
        b"-Infinity",
    ),
    *(
        b"9" * 5000,
        b"0." + b"0" * 5000 + b"1",
        b"[" * 2000,
        b'{"":' * 2000,
        b'"\\ud800"',
        b"\\u0000",
    ),
    *(b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31"', b'"2025-02-29"', b"{}", b"[]", b'""', b'"'),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b",", b":", b"}", b"]", b"\r\n", b"<", KEY.encode()),
]
tokens = st.sampled_from(TOKENS) | st.binary(max_size=8)


@st.composite
def bodies(draw: st.DrawFn, document: object) -> bytes:
    """A body that was right, and is cut and pasted in some places."""
    body = json.dumps(document).encode()
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(body)))
        end = min(len(body), begin + draw(st.integers(0, 30)))
        body = body[:begin] + draw(tokens) + body[end:]
    return body


@st.composite
def changed(draw: st.DrawFn, document: object) -> object:
    """A document of the same shape, with a value of any kind here and there."""
    if draw(st.integers(0, 9)) == 0:
        return draw(json_values)
    if isinstance(document, dict):
        members = cast("dict[str, Any]", document)
        kept = {name: draw(changed(member)) for name, member in members.items()}
        return kept | draw(st.dictionaries(texts, st.none() | texts, max_size=1))
    return document


def documents(cls: type[Record]) -> st.SearchStrategy[bytes]:
    text = changed(MODELS[cls]).map(lambda it: json.dumps(it, default=str).encode())
    return bodies(MODELS[cls]) | text


def assert_told(error: LuccaError) -> None:
    """An error as it may be logged, sent to another process and shown to anybody."""
    again: LuccaError = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    shown = f"{error} {error!r} {vars(error)}"
    assert KEY not in shown
    assert str(error).isprintable()
    assert len(str(error)) < 2000
    str(error).encode()


def assert_a_record(record: Record) -> None:
    assert type(record).from_json(record.to_json()) == record
    assert len(record.fingerprint) == 16


@given(st.data())
def test_a_body_is_a_record_or_an_error(data: st.DataObject) -> None:
    cls = data.draw(kinds)
    body = data.draw(documents(cls))
    try:
        record = reader(cls)(body, asked_for=235)
    except WireError as error:
        fault = error
    else:
        assert record.id == 235
        assert_a_record(record)
        return
    assert_told(decode_error(Reply(200, {}, body, ADDRESS), fault, attempts=1, key=SECRET))


@given(st.data())
def test_a_body_is_a_page_or_an_error(data: st.DataObject) -> None:
    cls = data.draw(kinds)
    items = [MODELS[cls], data.draw(changed(MODELS[cls]))]
    page = json.loads(json.dumps({"items": items, "next": "2", "count": 5}, default=str))
    body = data.draw(bodies(page))
    reply = Reply(200, {}, body, ADDRESS)
    try:
        read = page_reader(cls)(body)
    except WireError as error:
        fault = error
    else:
        for item in read.items:
            if isinstance(item, BadItem):
                assert_told(item_error(reply, item, SECRET))
            else:
                assert_a_record(item)
        return
    assert_told(decode_error(reply, fault, attempts=1, key=SECRET))


NAMES = ["Retry-After", "Date", "Content-Type", "Location", "Deprecation", "Sunset", "X-Request-Id"]
VALUES = [
    *(
        "0",
        "1",
        "1.5",
        "9" * 400,
        "-1",
        "Wed, 21 Oct 2065 07:28:00 GMT",
        "Sat, 01 Jan 0000 00:00 -0000",
    ),
    *(
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 99 Foo 10000",
        "@99999999999",
        "@1",
        "text/html",
        KEY,
    ),
    *("1, Wed, 21 Oct 2065 07:28:00 GMT", "1, 2,,3", "٣", "1e9", "\x00", "\x1b[31m"),
]
headers = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | texts), max_size=5)
PROBLEM = {
    "type": "https://example.org",
    "title": "Bad Request",
    "status": 400,
    "detail": f"key {KEY}",
    "errors": {"ownerIds": ["wrong", KEY], "stackTrace": ["at Lucca"]},
    "traceId": "00-1",
    "other": [{"Message": KEY}],
}
error_bodies = (
    bodies(PROBLEM)
    | changed(PROBLEM).map(lambda it: json.dumps(it, default=str).encode())
    | st.binary(max_size=200)
)


@given(st.integers(100, 999), headers, error_bodies, st.booleans())
def test_an_answer_is_told(
    status: int, pairs: list[tuple[str, str]], body: bytes, is_whole: bool
) -> None:
    reply = Reply(status, CIMultiDict(pairs), body, ADDRESS, is_whole=is_whole)
    error = response_error(reply, attempts=1, key=SECRET)
    assert_told(error)
    assert error.status == status
    seconds = parse_retry_after(reply.headers, lambda: 1_700_000_000.0)
    assert seconds is None or 0 <= seconds <= 1e12
    deprecation_notice(reply.headers)
    assert is_page(reply) in (True, False)
    assert len(excerpt(body, SECRET)) <= 120
    assert len(request_id(reply, None, SECRET) or "") <= 120


HEADS = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 404 Not Found"),
    *(
        b"HTTP/1.1 429 Slow",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 999 ?",
        b"HTTP/2 200",
        b"hello",
        b"",
    ),
]
LINES = [
    *(
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 1e3",
        b"Content-Length: 99999",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Connection: close",
    ),
    *(
        b"Content-Type: text/html",
        b"Retry-After: 1",
        b"Location: /",
        b"Set-Cookie: a=b",
        b": x",
        b"x",
    ),
    b"X-Request-Id: " + KEY.encode(),
]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """What may come back over the connection, which need not be HTTP."""
    lines = [draw(st.sampled_from(HEADS)), *draw(st.lists(st.sampled_from(LINES), max_size=4))]
    body = draw(bodies(MODELS[RealizedTraining]))
    if draw(st.booleans()):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", draw(st.just(body) | tokens)])


@given(answers())
def test_a_call_ends_with_a_record_or_an_error(data: bytes) -> None:
    async def main() -> None:
        async with RawServer(always(data)).running() as server:
            once = RetryPolicy(max_attempts=1, retry_after_max=0.0)
            async with LuccaTrainingClient(server.url, KEY, rate_limit=None, retry=once) as client:
                try:
                    async with asyncio.timeout(600):
                        record = await client.realized_trainings.get(235)
                except LuccaError as error:
                    assert_told(error)
                else:
                    assert record.id == 235

    run(main())


@pytest.mark.parametrize("cls", MODELS)
def test_what_is_changed_is_right_to_begin_with(cls: type[Record]) -> None:
    document = MODELS[cls]
    assert_a_record(reader(cls)(json.dumps(document).encode(), asked_for=document["id"]))
