"""Status and headers count; the body of an error only explains, if it can be read."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from lucca_training_async import (
    AuthenticationError,
    LuccaConnectionError,
    LuccaTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    RetryPolicy,
    ServerError,
    Timeouts,
)

from .raw_server import Request
from .raw_stage import always, answer, chunked, raw_stage, record

ONCE = RetryPolicy(max_attempts=1)
PROBLEM = b'{"title": "Told", "status": 400}'
LIMITS = Timeouts(total=5.0)

Given = dict[str, Any] | None
Broken = Callable[[Request, str, tuple[str, ...]], Awaitable[object]]


def written(make: Callable[[str, tuple[str, ...]], bytes], *, keep: bool = False) -> Broken:
    async def write(request: Request, status: str, headers: tuple[str, ...]) -> bool:
        await request.send(make(status, headers))
        return keep

    return write


def encoded(body: bytes, encoding: str) -> Broken:
    named = f"Content-Encoding: {encoding}"
    return written(lambda status, headers: answer(body, status, *headers, named), keep=True)


async def endless_chunks(request: Request, status: str, headers: tuple[str, ...]) -> None:
    await request.send(chunked(b" ", status=status, headers=headers)[:-5])
    while True:
        await request.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def one_byte_a_second(request: Request, status: str, headers: tuple[str, ...]) -> None:
    await request.send(answer(b"{", status, *headers, length=1000))
    while True:
        await asyncio.sleep(1)
        await request.send(b" ")


async def broken_chunk(request: Request, status: str, headers: tuple[str, ...]) -> None:
    await request.send(chunked(PROBLEM, status=status, headers=headers)[:-5])
    await asyncio.sleep(0.5)
    await request.send(b"zz\r\n{}\r\n")


async def reset_within(request: Request, status: str, headers: tuple[str, ...]) -> None:
    await request.send(answer(PROBLEM[:9], status, *headers, length=1000))
    await asyncio.sleep(0.5)
    request.reset()


UNREADABLE: dict[str, Broken] = {
    "cut off": written(lambda status, headers: answer(PROBLEM, status, *headers, length=1000)),
    "cut off at once": written(lambda status, headers: answer(b"", status, *headers, length=9)),
    "chunks cut off": written(
        lambda status, headers: chunked(PROBLEM, status=status, headers=headers)[:-5]
    ),
    "broken chunk": broken_chunk,
    "broken chunk at once": written(
        lambda status, headers: answer(
            b"zz\r\n{}\r\n", status, "Transfer-Encoding: chunked", *headers, length=None
        )
    ),
    "stalled": written(
        lambda status, headers: answer(PROBLEM[:9], status, *headers, length=1000), keep=True
    ),
    "stalled at once": written(
        lambda status, headers: answer(b"", status, *headers, length=1000), keep=True
    ),
    "reset": reset_within,
    "wrong gzip": encoded(PROBLEM, "gzip"),
    "gzip cut off": encoded(gzip.compress(PROBLEM)[:-12], "gzip"),
    "wrong deflate": encoded(b"\xff" + PROBLEM, "deflate"),
    "unknown encoding": encoded(PROBLEM, "br"),
    "known and unknown encoding": encoded(gzip.compress(PROBLEM), "zstd9, gzip"),
    "endless chunks": endless_chunks,
    "one byte a second": one_byte_a_second,
}
# An explanation is waited for no longer; what the answer says must have its effect.
SECONDS = {
    "stalled": 2.0,
    "stalled at once": 2.0,
    "one byte a second": 2.0,
    # aiohttp tells nobody of it.
    "broken chunk": 2.0,
    "reset": 0.5,
}
ENDLESS = {"stalled", "stalled at once", "endless chunks", "one byte a second"}
CLASSES: dict[str, type[ResponseError]] = {
    "401 Unauthorized": AuthenticationError,
    "404 Not Found": NotFoundError,
    "429 Too Many Requests": RateLimitedError,
    "500 Internal Server Error": ServerError,
    "503 Service Unavailable": ServerError,
    "418 Teapot": ResponseError,
}
KINDS = pytest.mark.parametrize("kind", UNREADABLE)
KINDS_AND_SESSIONS = pytest.mark.parametrize(
    ("kind", "given"),
    [(kind, None) for kind in UNREADABLE] + [(kind, cast(Given, {})) for kind in UNREADABLE],
)
SESSIONS = pytest.mark.parametrize("given", [None, {}], ids=["own session", "given session"])


@KINDS_AND_SESSIONS
@pytest.mark.parametrize("status", CLASSES)
async def test_the_class_and_the_headers_are_kept(status: str, kind: str, given: Given) -> None:
    async def handle(request: Request) -> object:
        headers = ("Retry-After: 200", "X-Request-Id: 4711")
        return await UNREADABLE[kind](request, status, headers)

    async with raw_stage(handle, given=given, retry=ONCE, timeouts=LIMITS) as on:
        with pytest.raises(ResponseError) as caught:
            await on.trainings.get(5)
        error = caught.value
        assert type(error) is CLASSES[status]
        assert (error.status, error.retry_after) == (int(status[:3]), 200.0)
        assert (error.request_id, error.attempts) == ("4711", 1)
        assert status[:3] in str(error)
        assert len(on.server.requests) == 1
        await asyncio.sleep(5)  # what can't be read to its end is not used again
        if kind in ENDLESS:
            assert on.server.given_up == 1


@KINDS_AND_SESSIONS
async def test_a_429_pauses_everybody_for_as_long_as_it_says(kind: str, given: Given) -> None:
    async def handle(request: Request) -> object:
        if request.number == 1:
            return await UNREADABLE[kind](request, "429 Too Many Requests", ("Retry-After: 70",))
        await request.send(answer(record(request.id)))
        return True

    settings: dict[str, Any] = {"max_concurrency": 1, "timeouts": LIMITS}
    async with raw_stage(handle, given=given, **settings) as on:
        result = await on.trainings.get_many([5, 6, 7])
        assert list(result.items) == [5, 6, 7]
        first, second, *_ = times = on.server.times
        assert len(times) == 4
        assert second - first == pytest.approx(70 + SECONDS.get(kind, 0.0))


@KINDS
async def test_a_503_is_tried_again_when_it_says(kind: str) -> None:
    async def handle(request: Request) -> object:
        if request.number == 1:
            return await UNREADABLE[kind](request, "503 Service Unavailable", ("Retry-After: 40",))
        await request.send(answer(record(request.id)))
        return True

    async with raw_stage(handle, timeouts=LIMITS) as on:
        assert (await on.trainings.get(5)).id == 5
        first, second = on.server.times
        assert second - first == pytest.approx(40 + SECONDS.get(kind, 0.0))


@KINDS_AND_SESSIONS
async def test_a_401_stops_a_bulk_run(kind: str, given: Given) -> None:
    async def handle(request: Request) -> object:
        return await UNREADABLE[kind](request, "401 Unauthorized", ())

    settings: dict[str, Any] = {"max_concurrency": 4, "timeouts": LIMITS}
    async with raw_stage(handle, given=given, **settings) as on:
        result = await on.trainings.get_many(range(1, 101))
        assert len(on.server.requests) <= 4
        assert type(result.stopped) is AuthenticationError
        assert len(result.failures) == 100
        assert {type(error) for error in result.failures.values()} == {AuthenticationError}


@KINDS_AND_SESSIONS
async def test_an_answer_before_it_over_the_same_connection_is_not_confused_with_it(
    kind: str, given: Given
) -> None:
    async def handle(request: Request) -> object:
        if request.number == 1:
            await request.send(answer(record(request.id)))
            return True
        return await UNREADABLE[kind](request, "403 Forbidden", ("X-Request-Id: 4711",))

    async with raw_stage(handle, given=given, retry=ONCE, timeouts=LIMITS) as on:
        assert (await on.trainings.get(5)).id == 5
        with pytest.raises(PermissionDeniedError) as caught:
            await on.trainings.get(6)
        assert caught.value.request_id == "4711"
        assert on.server.connections == 1


@KINDS
async def test_a_404_is_missing(kind: str) -> None:
    async def handle(request: Request) -> object:
        return await UNREADABLE[kind](request, "404 Not Found", ())

    async with raw_stage(handle, timeouts=LIMITS) as on:
        result = await on.trainings.get_many([5, 6])
        assert (result.missing, result.failures) == ([5, 6], {})
        assert len(on.server.requests) == 2


@SESSIONS
@pytest.mark.parametrize("head", [b"X\0: y\r\n", b"X: y\r\nno colon here\r\n"])
async def test_half_a_head_is_no_answer(head: bytes, given: Given) -> None:
    data = b"HTTP/1.1 401 Unauthorized\r\n" + head
    async with raw_stage(always(data), given=given) as on:
        with pytest.raises(LuccaConnectionError, match="can't be parsed as HTTP") as caught:
            await on.trainings.get(5)
        assert (caught.value.attempts, caught.value.transient) == (5, True)


async def test_a_success_that_trickles_in_is_a_timeout() -> None:
    async def handle(request: Request) -> object:
        await one_byte_a_second(request, "200 OK", ())
        return False

    async with raw_stage(handle, retry=ONCE, timeouts=LIMITS) as on:
        with pytest.raises(LuccaTimeoutError, match="within 5 s"):
            await on.trainings.get(5)
        assert asyncio.get_running_loop().time() == 5


@SESSIONS
@pytest.mark.parametrize("more", [b"", b"\x81\x05hello", b"HTTP/1.1 200 OK\r\n\r\n{}"])
async def test_a_101_is_a_response_error_and_leaves_nothing_open(more: bytes, given: Given) -> None:
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    async with raw_stage(always(head + more, keep=True), given=given) as on:
        with pytest.raises(ResponseError) as caught:
            await on.trainings.get(5)
        assert (type(caught.value), caught.value.status) == (ResponseError, 101)
        assert not caught.value.transient
        del caught
        gc.collect()  # warnings fail
        await asyncio.sleep(1)
        assert on.server.given_up == 1


@pytest.mark.parametrize("early", ["100 Continue", "102 Processing", "103 Early Hints"])
async def test_an_answer_that_announces_another_is_passed_over(early: str) -> None:
    async def handle(request: Request) -> bool:
        await request.send(f"HTTP/1.1 {early}\r\nLink: </x>\r\n\r\n".encode())
        await request.send(answer(record(request.id)))
        return True

    async with raw_stage(handle) as on:
        assert (await on.trainings.get(5)).id == 5
        assert (await on.trainings.get(6)).id == 6
        assert len(on.server.requests) == 2


NOON = "Wed, 25 Nov 2026 12:00:00 GMT"
ONE_PAST = "Wed, 25 Nov 2026 12:01:00 GMT"
OLD_DATES = "Wednesday, 25-Nov-26 12:01:30 GMT"
ASCTIME = "Wed Nov 25 12:00:45 2026"
PAST = "Wed, 25 Nov 2026 11:00:00 GMT"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["2"], 2),
        (["2,3"], 3),
        (["3,2"], 3),
        (["2 , 3 ,"], 3),
        ([",,3"], 3),
        (["2", "0"], 2),
        (["0", "2"], 2),
        (["1", "2, 5", "3"], 5),
        (["1.5, 1"], 1.5),
        ([ONE_PAST], 60),
        ([ASCTIME], 45),
        ([OLD_DATES], 90),
        ([ONE_PAST, "5"], 60),
        (["5", ONE_PAST], 60),
        ([f"5, {ONE_PAST}"], 60),
        ([f"{ONE_PAST}, 5"], 60),
        ([f"{ONE_PAST}, 70"], 70),
        ([f"{PAST}, {ONE_PAST}"], 60),
        ([f"{ONE_PAST},{PAST}"], 60),
        ([f"{PAST}, 4"], 4),
        ([PAST, "4"], 4),
        ([f"{OLD_DATES}, 4"], 90),
        ([f"4,{ASCTIME}"], 45),
        (["4", "soon"], 4),
        (["soon, 4"], 4),
        (["soon", "4"], 4),
        (["-1, 4"], 4),
        (["4, 1e9"], 4),
        (["4, inf, nan, 0x10, ٣, 5s"], 4),
        (["", "4"], 4),
        (["junk", "Wed, junk", "Wed, 99 Nov 2026 12:00:00 GMT, 4"], 4),
    ],
)
async def test_of_several_retry_after_the_longest_counts(lines: list[str], seconds: float) -> None:
    headers = [f"Retry-After: {line}" for line in lines]

    async def handle(request: Request) -> bool:
        head = answer(b"", "429 Too Many Requests", f"Date: {NOON}")[:-4]
        told = "\r\n".join(["", *headers, "", ""]).encode()
        await request.send(head + told if request.number == 1 else answer(record(request.id)))
        return True

    async with raw_stage(handle) as on:
        assert (await on.trainings.get(5)).id == 5
        first, second = on.server.times
        assert second - first == pytest.approx(seconds)
