"""What something on the way has answered, or has broken, is not taken for Lucca's word."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from lucca_training_async import (
    DecodeError,
    Failed,
    LuccaConnectionError,
    Missing,
    NotFoundError,
    ResponseError,
)

from .raw_server import Request
from .raw_stage import always, answer, chunked, raw_stage, record

PAGE = b"<!DOCTYPE html><html><body>No such page</body></html>"
NO_RECORD = b'{"title": "Not Found", "status": 404}'
NOT_FOUND = "404 Not Found"
HTML = "Content-Type: text/html"


def as_page(body: bytes, content_type: str = "text/html; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {NOT_FOUND}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


PAGES = {
    "an HTML page": as_page(PAGE),
    "an HTML page after white space": as_page(b"\n\t " + PAGE),
    "an HTML page with a byte order mark": as_page(b"\xef\xbb\xbf" + PAGE),
    "an HTML page that says it is JSON": as_page(PAGE, "application/json"),
    "an HTML page that says nothing": as_page(PAGE, ""),
    "XML": as_page(b'<?xml version="1.0"?><Error/>', "application/xml"),
    "text that says it is HTML": as_page(b"Not found."),
    "text that says it is HTML, in capitals": as_page(b"Not found.", "TEXT/HTML"),
    "XHTML": as_page(b"Not found.", "application/xhtml+xml"),
    "a page in chunks": chunked(PAGE[:9], PAGE[9:], status=NOT_FOUND),
    "a page cut off": answer(PAGE, NOT_FOUND, length=1000),
}
LUCCAS = {
    "a problem": answer(NO_RECORD, NOT_FOUND),
    "a problem that says it is HTML": as_page(NO_RECORD),
    "nothing": answer(b"", NOT_FOUND),
    "text": answer(b"Not found.", NOT_FOUND),
    "a problem cut off": answer(NO_RECORD, NOT_FOUND, length=1000),
    "wrong gzip": answer(NO_RECORD, NOT_FOUND, "Content-Encoding: gzip"),
    "an unknown encoding": answer(NO_RECORD, NOT_FOUND, "Content-Encoding: zstd9"),
    "a list": answer(b"[]", NOT_FOUND),
    "older JSON": answer(b'{"Status": 404, "Message": "none"}', NOT_FOUND),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_404_that_is_a_page_says_nothing_of_the_record(name: str) -> None:
    async with raw_stage(always(PAGES[name])) as on:
        with pytest.raises(ResponseError) as caught:
            await on.trainings.get(5)
        assert type(caught.value) is ResponseError
        assert caught.value.status == 404
        result = await on.trainings.get_many([5, 6])
        assert (result.missing, list(result.failures)) == ([], [5, 6])
        assert {type(error) for error in result.failures.values()} == {ResponseError}
        outcomes = [outcome async for outcome in on.trainings.stream([5])]
        assert [type(outcome) for outcome in outcomes] == [Failed]


@pytest.mark.parametrize("name", LUCCAS)
async def test_any_other_404_is_luccas(name: str) -> None:
    async with raw_stage(always(LUCCAS[name])) as on:
        with pytest.raises(NotFoundError):
            await on.trainings.get(5)
        result = await on.trainings.get_many([5, 6])
        assert (result.missing, result.failures) == ([5, 6], {})
        outcomes = [outcome async for outcome in on.trainings.stream([5])]
        assert [type(outcome) for outcome in outcomes] == [Missing]
        assert len(on.server.requests) == 4


GZIPPED = gzip.compress(record(5))
FAULTS_OF_THE_WAY = {
    "a page": answer(PAGE),
    "a page that says so": answer(PAGE).replace(b"application/json", b"text/html"),
    "text that says it is a page": answer(b"Welcome").replace(b"application/json", b"text/html"),
    "JSON cut off, of unknown length": answer(record(5)[:-9], length=None),
    "nothing, of unknown length": answer(length=None),
    "JSON cut off in UTF-8, of unknown length": answer(b'{"id":5,"x":"\xc3', length=None),
    "gzip cut off": answer(GZIPPED[:-20], "200 OK", "Content-Encoding: gzip"),
    "gzip without its end": answer(GZIPPED[:-8], "200 OK", "Content-Encoding: gzip"),
    "gzip cut off within its head": answer(GZIPPED[:1], "200 OK", "Content-Encoding: gzip"),
    "gzip cut off before any byte of it": answer(GZIPPED[:12], "200 OK", "Content-Encoding: gzip"),
    "gzip cut off early, in chunks": chunked(GZIPPED[:40], headers=("Content-Encoding: gzip",)),
    "gzip cut off in chunks": chunked(GZIPPED[:-20], headers=("Content-Encoding: gzip",)),
    "gzip of unknown length, cut off": answer(
        GZIPPED[:40], "200 OK", "Content-Encoding: gzip", length=None
    ),
    "gzip that is none": answer(record(5), "200 OK", "Content-Encoding: gzip"),
    "gzip with a wrong checksum": answer(
        GZIPPED[:-8] + b"\0" * 8, "200 OK", "Content-Encoding: gzip"
    ),
    "a body shorter than it says": answer(record(5)[:-9], length=len(record(5))),
    "chunks without an end": chunked(record(5))[:-5],
    "a broken chunk": answer(b"zz\r\n{}", "200 OK", "Transfer-Encoding: chunked", length=None),
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no HTTP": b"\x16\x03\x01\0\x05\r\n\r\n",
}


@pytest.mark.parametrize("given", [None, {}], ids=["own session", "given session"])
@pytest.mark.parametrize("name", FAULTS_OF_THE_WAY)
async def test_a_fault_of_the_way_is_retried(name: str, given: dict[str, Any] | None) -> None:
    async def handle(request: Request) -> bool:
        bad = request.number <= 2
        await request.send(FAULTS_OF_THE_WAY[name] if bad else answer(record(request.id)))
        return False

    async with raw_stage(handle, given=given) as on:
        assert (await on.trainings.get(5)).id == 5
        assert len(on.server.requests) == 3


@pytest.mark.parametrize("name", FAULTS_OF_THE_WAY)
async def test_a_fault_of_the_way_that_lasts_is_told(name: str) -> None:
    async with raw_stage(always(FAULTS_OF_THE_WAY[name])) as on:
        with pytest.raises((DecodeError, LuccaConnectionError)) as caught:
            await on.trainings.get(5)
        assert caught.value.transient
        assert caught.value.attempts == len(on.server.requests) == 5
        assert "realized-trainings/5" in str(caught.value)


NO_RECORDS = {
    "JSON cut off, of a known length": answer(record(5)[:-9]),
    "JSON cut off, in chunks": chunked(record(5)[:-9]),
    "text": answer(b"Welcome"),
    "nothing": answer(),
    "another kind of object": answer(b"{}"),
    "an object of an unknown length": answer(b'{"id": 5}', length=None),
    "a wrong type": answer(record(5, durationInHours=True)),
}


@pytest.mark.parametrize("name", NO_RECORDS)
async def test_what_would_come_again_is_not_asked_for_again(name: str) -> None:
    async with raw_stage(always(NO_RECORDS[name])) as on:
        with pytest.raises(DecodeError) as caught:
            await on.trainings.get(5)
        assert type(caught.value) is DecodeError
        assert not caught.value.transient
        assert len(on.server.requests) == 1


async def test_a_record_that_is_wrong_in_itself_costs_no_connection() -> None:
    async with raw_stage(always(NO_RECORDS["a wrong type"], keep=True)) as on:
        for _ in range(3):
            with pytest.raises(DecodeError):
                await on.trainings.get(5)
        assert (len(on.server.requests), on.server.connections) == (3, 1)
