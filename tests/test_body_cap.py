"""A body is read to the cap and no further, however it is framed and encoded."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lucca_training_async import DecodeError, LuccaError, ResponseError, RetryPolicy

from .raw_server import Request
from .raw_stage import always, answer, chunked, raw_stage, record

ONCE = RetryPolicy(max_attempts=1)
CAP = 3000
MEGABYTE = 1 << 20


def raw_deflate(body: bytes) -> bytes:
    press = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return press.compress(body) + press.flush()


def members(body: bytes) -> bytes:
    return b"".join(gzip.compress(body[at : at + 700]) for at in range(0, len(body), 700))


def encoded(*encodings: str, by: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    lines = tuple(f"Content-Encoding: {encoding}" for encoding in encodings)
    return lambda body: answer(by(body), "200 OK", *lines)


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "Content-Length": answer,
    "chunks": lambda body: chunked(body[:100], body[100:]),
    "one chunk": lambda body: chunked(body),
    "chunks of one byte": lambda body: chunked(*(body[at : at + 1] for at in range(len(body)))),
    "close": lambda body: answer(body, length=None),
    "identity": encoded("identity", by=bytes),
    "identity, twice": encoded("identity", "Identity", by=bytes),
    "gzip": encoded("gzip", by=gzip.compress),
    "x-gzip, in capitals": encoded("X-GZIP", by=gzip.compress),
    "gzip in members": encoded("gzip", by=members),
    "gzip with an empty member": encoded("gzip", by=lambda body: members(body) + members(b" ")),
    "gzip in chunks": lambda body: chunked(
        gzip.compress(body)[:9], gzip.compress(body)[9:], headers=("Content-Encoding: gzip",)
    ),
    "gzip, close": lambda body: answer(
        gzip.compress(body), "200 OK", "Content-Encoding: gzip", length=None
    ),
    "deflate as zlib": encoded("deflate", by=zlib.compress),
    "deflate, raw": encoded("deflate", by=raw_deflate),
    "gzip, gzip": encoded("gzip, gzip", by=twice),
    "gzip, gzip in two lines": encoded("gzip", "gzip", by=twice),
    "deflate, gzip": encoded("deflate, gzip", by=lambda body: gzip.compress(zlib.compress(body))),
    "gzip, deflate": encoded("gzip,deflate", by=lambda body: raw_deflate(gzip.compress(body))),
    "gzip, identity": encoded("gzip, identity", by=gzip.compress),
}
NAMES = pytest.mark.parametrize("name", FRAMINGS)
SESSIONS = pytest.mark.parametrize(
    "given",
    [None, {"auto_decompress": True}, {"auto_decompress": False}],
    ids=["own session", "given session", "given session that does not decompress"],
)
Given = dict[str, Any] | None


def padded(size: int) -> bytes:
    """A record of just so many bytes."""
    body = record(5)
    return body + b" " * (size - len(body))


@SESSIONS
@NAMES
@pytest.mark.parametrize("size", [CAP - 1, CAP])
async def test_up_to_the_cap_it_is_read(size: int, name: str, given: Given) -> None:
    if "empty member" in name:
        size -= 1
    data = FRAMINGS[name](padded(size))
    async with raw_stage(always(data), given=given, max_body_bytes=CAP, retry=ONCE) as on:
        assert (await on.trainings.get(5)).id == 5


@SESSIONS
@NAMES
@pytest.mark.parametrize("size", [CAP + 1, CAP + 2, 10 * CAP])
async def test_one_byte_more_is_refused(size: int, name: str, given: Given) -> None:
    data = FRAMINGS[name](padded(size))
    async with raw_stage(always(data, keep=True), given=given, max_body_bytes=CAP) as on:
        with pytest.raises(DecodeError) as caught:
            await on.trainings.get(5)
        error = caught.value
        assert "3,000 bytes" in str(error)
        assert "max_body_bytes" in str(error)
        assert not error.transient
        assert error.path == "$"
        assert len(error.excerpt) <= 120
        result = await on.trainings.get_many([5])
        assert [type(error) for error in result.failures.values()] == [DecodeError]
        assert len(on.server.requests) == 2


BOMBS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda body: body),
    "gzip of gzip": ("gzip, gzip", gzip.compress),
    "gzip of gzip of gzip": ("gzip, gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "members of gzip": ("gzip", lambda body: body * 3),
}


def bomb(megabytes: int) -> bytes:
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [press.compress(b" " * MEGABYTE) for _ in range(megabytes)]
    return b"".join(pieces) + press.compress(record(5)) + press.flush()


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Gives the most bytes that Python has held since the test began."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@SESSIONS
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
@pytest.mark.parametrize("name", BOMBS)
async def test_what_unpacks_a_thousandfold_stays_flat(
    name: str, status: str, given: Given, peak: Callable[[], int]
) -> None:
    encoding, wrapped = BOMBS[name]
    data = answer(wrapped(bomb(200)), status, f"Content-Encoding: {encoding}")
    assert len(data) < MEGABYTE
    settings: dict[str, Any] = {"max_body_bytes": MEGABYTE, "retry": ONCE}
    async with raw_stage(always(data, keep=True), given=given, **settings) as on:
        tracemalloc.reset_peak()
        with pytest.raises((DecodeError, ResponseError), match="was not read further"):
            await on.trainings.get(5)
        assert peak() < 20 * MEGABYTE
        await asyncio.sleep(1)
        # A bomb so small that it has arrived as a whole leaves nothing to be hung up on.
        assert on.server.given_up == (len(data) > 100_000)


ENDLESS = {
    "200 OK": (DecodeError, MEGABYTE),
    "200 Fine": (DecodeError, 10_000),
    "404 Not Found": (ResponseError, 256 * 1024),
    "500 Internal Server Error": (ResponseError, 256 * 1024),
}
# What the kernel and the two event loops hold between the server and who reads no more.
IN_BETWEEN = 16 * MEGABYTE


@SESSIONS
@pytest.mark.parametrize("framing", ["Content-Length", "chunks", "close"])
@pytest.mark.parametrize("status", ENDLESS)
async def test_a_body_without_end_is_left_soon(
    status: str, framing: str, given: Given, peak: Callable[[], int]
) -> None:
    written = 0

    async def handle(request: Request) -> None:
        nonlocal written
        piece = b'"' + b"x" * (1 << 16)
        head = answer(b'{"detail":', status, length=43_000_000 if framing[0] == "C" else None)
        if framing == "chunks":
            head = chunked(b"{", status=status)[:-5]
            piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        await request.send(head)
        while True:
            await request.send(piece)
            written += len(piece)

    cls, cap = ENDLESS[status]
    most = cap if cls is DecodeError else 10_000_000
    settings: dict[str, Any] = {"max_body_bytes": most, "retry": ONCE}
    async with raw_stage(handle, given=given, **settings) as on:
        tracemalloc.reset_peak()
        with pytest.raises(cls, match=f"{cap:,} bytes.*not read further") as caught:
            await on.trainings.get(5)
        assert isinstance(caught.value, LuccaError)
        assert len(str(caught.value)) < 1000
        await asyncio.sleep(1)
        assert on.server.given_up == 1
        assert written < IN_BETWEEN
        assert peak() < 20 * MEGABYTE
        assert asyncio.get_running_loop().time() == 1


async def test_an_error_is_read_to_its_own_cap_or_to_a_smaller_one() -> None:
    problem = b'{"title": "Told", "detail": "' + b"x" * 5000 + b'"}'
    data = answer(problem, "400 Bad Request")
    async with raw_stage(always(data), max_body_bytes=1000) as on:
        with pytest.raises(ResponseError, match="1,000 bytes") as caught:
            await on.trainings.get(5)
        assert caught.value.problem is None
    async with raw_stage(always(data)) as on:
        with pytest.raises(ResponseError, match="Told") as caught:
            await on.trainings.get(5)
        assert caught.value.problem is not None


async def test_a_body_of_ten_million_bytes_is_the_most_by_default() -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(padded(10_000_000 + (request.number > 1))))
        return True

    async with raw_stage(handle) as on:
        assert (await on.trainings.get(5)).id == 5
        with pytest.raises(DecodeError, match="10,000,000 bytes"):
            await on.trainings.get(5)


@SESSIONS
@pytest.mark.parametrize("name", [name for name in FRAMINGS if "close" not in name])
async def test_after_it_the_connection_serves_the_next(name: str, given: Given) -> None:
    async with raw_stage(always(FRAMINGS[name](padded(CAP)), keep=True), given=given) as on:
        for _ in range(3):
            assert (await on.trainings.get(5)).id == 5
        assert on.server.connections == 1


@pytest.mark.parametrize(
    "given",
    [None, {}, {"headers": {"Accept-Encoding": "gzip"}}, {"auto_decompress": False}],
)
async def test_nothing_encoded_is_asked_for(given: Given) -> None:
    async with raw_stage(always(answer(record(5))), given=given) as on:
        await on.trainings.get(5)
        (request,) = on.server.requests
        lines = request.head.lower().split("\r\n")
        assert [line for line in lines if "accept-encoding" in line] == [
            "accept-encoding: identity"
        ]


@pytest.mark.parametrize("by", [gzip.compress, zlib.compress, raw_deflate])
@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_what_is_encoded_may_arrive_in_drops(size: int, by: Callable[[bytes], bytes]) -> None:
    body = by(record(5))
    encoding = "gzip" if by is gzip.compress else "deflate"

    async def handle(request: Request) -> bool:
        await request.send(answer(body, "200 OK", f"Content-Encoding: {encoding}")[: -len(body)])
        for at in range(0, len(body), size):
            await asyncio.sleep(0.001)
            await request.send(body[at : at + size])
        return True

    async with raw_stage(handle, retry=ONCE) as on:
        assert (await on.trainings.get(5)).id == 5


async def test_a_body_that_decodes_into_nothing_has_an_end_too() -> None:
    async def handle(request: Request) -> None:
        await request.send(answer(b"", "200 OK", "Content-Encoding: gzip", length=None))
        while True:
            await request.send(gzip.compress(b"") * 1000)

    async with raw_stage(handle, max_body_bytes=MEGABYTE) as on:
        with pytest.raises(DecodeError, match="max_body_bytes"):
            await on.trainings.get(5)
        assert len(on.server.requests) == 1


async def test_what_lies_between_two_encodings_is_within_the_cap_too() -> None:
    comment = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + b"x" * 100_000 + b"\0"
    inner = comment + gzip.compress(record(5))[10:]
    assert gzip.decompress(inner) == record(5)
    data = answer(gzip.compress(inner), "200 OK", "Content-Encoding: gzip, gzip")
    async with raw_stage(always(data), max_body_bytes=CAP) as on:
        with pytest.raises(DecodeError, match="max_body_bytes"):
            await on.trainings.get(5)
    async with raw_stage(always(data)) as on:
        assert (await on.trainings.get(5)).id == 5


@pytest.mark.parametrize("more", [0, 1])
async def test_the_byte_too_many_may_come_later(more: int) -> None:
    press = zlib.compressobj(wbits=31)
    first = press.compress(padded(CAP)) + press.flush(zlib.Z_FULL_FLUSH)
    last = press.compress(b" " * more) + press.flush()
    whole = len(first) + len(last)

    async def handle(request: Request) -> bool:
        await request.send(answer(first, "200 OK", "Content-Encoding: gzip", length=whole))
        await asyncio.sleep(1)
        await request.send(last)
        return True

    async with raw_stage(handle, max_body_bytes=CAP) as on:
        if more:
            with pytest.raises(DecodeError, match="max_body_bytes"):
                await on.trainings.get(5)
        else:
            assert (await on.trainings.get(5)).id == 5
        assert len(on.server.requests) == 1


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "*", "gzip;q=1"])
async def test_an_encoding_that_nobody_knows_is_named(encoding: str) -> None:
    data = answer(record(5), "200 OK", f"Content-Encoding: {encoding}")
    async with raw_stage(always(data), retry=ONCE) as on:
        with pytest.raises(LuccaError, match="in a way that was not asked for") as caught:
            await on.trainings.get(5)
        assert str(caught.value).isprintable()
