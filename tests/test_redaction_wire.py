"""The key, sent back in any place and any disguise, is in nothing that the client tells."""

from __future__ import annotations

import html
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lucca_training_async import LuccaError, RetryPolicy

from .raw_server import Request
from .raw_stage import KEY, answer, chunked, raw_stage, record
from .test_redaction import left_of

TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.01, backoff_max=0.02)
HEADER = f"lucca application={KEY}"

DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "\\u": lambda text: "".join(f"\\u{ord(c):04X}" for c in text),
    "percent": lambda text: quote(text, safe=""),
    "percent, all": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "HTML": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, named": lambda text: html.escape(text).replace("-", "&#x2d;"),
    "spaced": " ".join,
}
DISGUISED = pytest.mark.parametrize("disguise", DISGUISES)


def problem(text: str, status: str = "500 Internal Server Error") -> bytes:
    # Its JSON is made by hand, so that the escapes of a disguise stay as they are.
    members = ", ".join(f'"{name}": "{text}"' for name in ("title", "detail", "type", "instance"))
    more = (
        f'"traceId": "{text}", "errors": {{"{text}": ["{text}"], "x": "{text}"}}, '
        f'"{text}": 1, "nested": {{"{text}": [{{"deep": "{text}"}}]}}, "Message": "{text}"'
    )
    return answer(f"{{{members}, {more}}}".encode(), status)


def told_in_list(text: str) -> bytes:
    errors = f'[{{"field": "{text}", "message": "{text}"}}, "{text}"]'
    return answer(f'{{"errors": {errors}}}'.encode(), "400 Bad Request")


def field(name: str) -> Callable[[str], bytes]:
    def make(text: str) -> bytes:
        members = json.loads(record(5)) | {name: "@"}
        return answer(json.dumps(members).replace("@", text).encode())

    return make


def header(name: str, status: str) -> Callable[[str], bytes]:
    return lambda text: answer(b"", status, f"{name}: {text}")


PLACES: dict[str, Callable[[str], bytes]] = {
    "a problem": problem,
    "a problem of a 401": lambda text: problem(text, "401 Unauthorized"),
    "a problem of a 404": lambda text: problem(text, "404 Not Found"),
    "a problem of a long 429": lambda text: problem(text, "429 Wait").replace(
        b"\r\n", b"\r\nRetry-After: 999\r\n", 1
    ),
    "errors in a list": told_in_list,
    "older JSON": lambda text: answer(f'{{"Message": "{text}"}}'.encode(), "403 Forbidden"),
    "text": lambda text: answer(f"no: {text}!".encode(), "500 Oops"),
    "a page": lambda text: answer(f"<html><p>{text}</p></html>".encode()),
    "a list": lambda text: answer(f'["{text}"]'.encode()),
    "an object": lambda text: answer(f'{{"{text}": "{text}"}}'.encode()),
    "JSON cut off": lambda text: answer(f'{{"x": "{text}'.encode()),
    "JSON cut off, unknown length": lambda text: answer(f'{{"x": "{text}'.encode(), length=None),
    "an error cut off": lambda text: answer(f'{{"x": "{text}'.encode(), "500 Oops", length=999),
    "a number": field("durationInHours"),
    "a date": field("sessionStartsOn"),
    "an integer": field("ownerId"),
    "an id": field("id"),
    "an object's place": field("training"),
    "true or false": field("hasAttended"),
    "X-Request-Id": header("X-Request-Id", "500 Oops"),
    "X-Correlation-Id": header("X-Correlation-Id", "401 Unauthorized"),
    "CF-RAY": header("CF-RAY", "404 Not Found"),
    "CF-RAY of a 200": header("CF-RAY", "200 OK"),
    "Location": header("Location", "302 Found"),
    "Retry-After": header("Retry-After", "503 Unavailable"),
    "Content-Encoding": header("Content-Encoding", "200 OK"),
    "Content-Encoding of an error": header("Content-Encoding", "500 Oops"),
    "Content-Length": header("Content-Length", "200 OK"),
    "Transfer-Encoding": header("Transfer-Encoding", "200 OK"),
    "Deprecation": header("Deprecation", "500 Oops"),
    "Sunset": header("Sunset", "403 Forbidden"),
    "the reason": lambda text: answer(b"", f"500 {text}"),
    "the reason of a 200": lambda text: answer(b"[]", f"200 {text}"),
    "the status": lambda text: answer(b"", text),
    "the version": lambda text: f"{text} 200 OK\r\n\r\n".encode(),
    "a header cut off": lambda text: f"HTTP/1.1 200 OK\r\nX-Echo: {text}".encode(),
    "a header cut off within": lambda text: f"HTTP/1.1 200 OK\r\nX: {text[:-1]}".encode(),
    "a header's name": lambda text: f"HTTP/1.1 200 OK\r\n{text}: x\r\n\r\n[]".encode(),
    "a header without a colon": lambda text: f"HTTP/1.1 200 OK\r\n{text}\r\n\r\n".encode(),
    "a header with a null": lambda text: f"HTTP/1.1 200 OK\r\nX: \0{text}\r\n\r\n".encode(),
    "a folded header": lambda text: answer(
        b"", "500 Oops", f"X-Request-Id: {text[:7]}\r\n {text[7:20]}\r\n\t{text[20:]}"
    ),
    "a chunk": lambda text: chunked(f'{{"x": "{text}"}}'.encode(), status="500 Oops"),
    "a chunk's size": lambda text: chunked(b"{}")[:-5] + f"{text}\r\n".encode(),
    "a chunk's extension": lambda text: chunked(b"{}")[:-5] + f"2;{text}\r\n".encode(),
    "a trailer": lambda text: chunked(b"{}")[:-2] + f"{text}\r\n\r\n".encode(),
    "an answer nobody asked for": lambda text: answer(b"[]") + text.encode(),
}


def variables(error: BaseException | None) -> Iterator[str]:
    """What a crash reporter sends of the frames; those of the tests hold the key by design."""
    while error is not None:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in report.stack:
            if Path(frame.filename).parent != Path(__file__).parent:
                yield f"{frame.filename} {frame.name} {frame.line} {frame.locals}"
        yield from report.format_exception_only()
        error = error.__cause__ or error.__context__


def everything_told(error: BaseException) -> str:
    """All that a log, a crash report or a debugger's first look shows of an error."""
    linked = [error.__cause__, error.__context__, vars(error), error.args]
    pickled = pickle.dumps(error, protocol=0).decode("latin-1")
    return "\n".join([str(error), repr(error), repr(linked), pickled, *variables(error)])


def check(key: str, told: str) -> None:
    assert left_of(key, told) is None, left_of(key, told)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("disguise", [*DISGUISES, "the whole header"])
async def test_nothing_that_is_told_holds_eight_characters_of_the_key(
    disguise: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    text = HEADER if disguise == "the whole header" else DISGUISES[disguise](KEY)
    data = PLACES[place](text)

    async def handle(request: Request) -> bool:
        await request.send(data)
        return False

    async with raw_stage(handle, retry=TWICE) as on:
        result = await on.trainings.get_many([5, 6])
        assert not result.items
        with pytest.raises(LuccaError) as caught:
            await on.trainings.get(5)
        told = everything_told(caught.value)
        assert "_http/call.py" in told
        check(KEY, told)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000
        for error in result.failures.values():
            check(KEY, everything_told(error))
        check(KEY, repr(result))
    assert "realized-trainings/5" in caplog.text
    for log in caplog.records:
        check(KEY, f"{log.getMessage()} {vars(log)!r}")
    check(KEY, caplog.text)


@pytest.mark.parametrize("cut", range(8, 37))
async def test_a_connection_that_dies_inside_an_echoed_header(cut: int) -> None:
    async def handle(request: Request) -> bool:
        await request.send(f"HTTP/1.1 401 No\r\nAuthorization: {HEADER[: 18 + cut]}".encode())
        return False

    async with raw_stage(handle, retry=TWICE) as on:
        with pytest.raises(LuccaError) as caught:
            await on.trainings.get(5)
        check(KEY, everything_told(caught.value))


@pytest.mark.parametrize(
    "key", ["aB3+/x9Zq7==Kk0+Lm", "p@ss&word<with>html;entities", "a\"b'c/d+e=f"]
)
@DISGUISED
@pytest.mark.parametrize(
    "place", ["a problem", "text", "an integer", "Location", "X-Request-Id", "a page"]
)
async def test_no_other_key_is_told_either(place: str, disguise: str, key: str) -> None:
    text = DISGUISES[disguise](key)
    if disguise in ("as it is", "upper case"):
        text = json.dumps(text)[1:-1]
    data = PLACES[place](text)

    async def handle(request: Request) -> bool:
        await request.send(data)
        return False

    async with raw_stage(handle, retry=TWICE, key=key) as on:
        with pytest.raises(LuccaError) as caught:
            await on.trainings.get(5)
        check(key, everything_told(caught.value))


@pytest.mark.parametrize("name", ["Deprecation", "Sunset"])
@DISGUISED
async def test_a_notice_of_a_success_is_logged_without_the_key(
    disguise: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = DISGUISES[disguise](KEY)

    async def handle(request: Request) -> bool:
        await request.send(answer(record(5), "200 OK", f"{name}: {text}"))
        return True

    async with raw_stage(handle) as on:
        assert (await on.trainings.get(5)).id == 5
    assert "announces the end" in caplog.text
    assert "[api key]" in caplog.text
    check(KEY, caplog.text)


async def test_what_is_no_part_of_the_key_is_told() -> None:
    """A redactor that cut everything would pass all of the above."""
    async with raw_stage(
        lambda request: request.send(problem("The training is locked", "409 Conflict"))
    ) as on:
        with pytest.raises(LuccaError, match="409 Conflict: The training is locked") as caught:
            await on.trainings.get(5)
        assert "[api key]" not in everything_told(caught.value)
        assert "request id The training is locked" in str(caught.value)
