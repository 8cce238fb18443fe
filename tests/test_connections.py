"""Dead connections cost at most one attempt, and no attempt ever sends two requests."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from lucca_training_async import (
    LuccaConnectionError,
    LuccaTimeoutError,
    RateLimit,
    RetryPolicy,
    Timeouts,
)

from .raw_server import Handle, RawServer, Request
from .raw_stage import RawStage, always, answer, raw_stage, record

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.01, backoff_max=0.02)
SESSIONS = pytest.mark.parametrize("given", [None, {}], ids=["own session", "given session"])
SIZES = pytest.mark.parametrize("size", [1, 3, 10, 50])
Given = dict[str, Any] | None


async def fill(on: RawStage, size: int) -> None:
    """Let the client have so many connections, all of them idle."""
    result = await on.trainings.get_many(range(1, size + 1))
    assert len(result.items) == size
    assert on.server.connections == size
    assert on.server.given_up == 0


async def after_a_second(request: Request) -> bool:
    await asyncio.sleep(1)
    await request.send(answer(record(request.id)))
    return True


def finish(server: RawServer) -> None:
    server.hang_up(lambda writer: writer.close())


def shut_down(server: RawServer) -> None:
    server.hang_up(lambda writer: writer.write_eof())


def reset(server: RawServer) -> None:
    for request in {request.connection: request for request in server.requests}.values():
        request.reset()


@SESSIONS
@SIZES
@pytest.mark.parametrize("pause", [0.0, 0.5, 14.0, 100.0])
@pytest.mark.parametrize("end", [finish, shut_down, reset])
async def test_a_get_survives_a_pool_that_the_server_has_closed(
    end: Callable[[RawServer], None], pause: float, size: int, given: Given
) -> None:
    settings: dict[str, Any] = {"max_concurrency": size, "retry": ONCE}
    async with raw_stage(after_a_second, given=given, **settings) as on:
        await fill(on, size)
        end(on.server)
        # After a pause of nothing the kernel knows of it, and the client's loop doesn't.
        await asyncio.sleep(pause)
        assert (await on.trainings.get(1000)).id == 1000
        assert len(on.server.requests) == size + 1
        assert on.server.connections == size + 1


def nothing(_: Request) -> None: ...


def dead_when_used(how: Callable[[Request], object]) -> tuple[Handle, Callable[[], None]]:
    """A server, and what lets all its present connections die when they are used again."""
    dead: set[int] = set()
    seen: set[int] = set()

    async def handle(request: Request) -> bool:
        if request.connection in dead:
            how(request)
            return False
        seen.add(request.connection)
        return await after_a_second(request)

    return handle, lambda: dead.update(seen)


@SIZES
@pytest.mark.parametrize("how", [Request.reset, nothing], ids=["reset", "closed"])
async def test_a_get_survives_a_pool_that_dies_when_it_is_used(
    how: Callable[[Request], object], size: int
) -> None:
    handle, let_die = dead_when_used(how)
    async with raw_stage(handle, max_concurrency=size, retry=TWICE) as on:
        await fill(on, size)
        let_die()
        assert (await on.trainings.get(1000)).id == 1000
        assert [request.id for request in on.server.requests[size:]] == [1000, 1000]
        assert on.server.connections == size + 1
        assert (await on.trainings.get(1001)).id == 1001
        assert len(on.server.requests) == size + 3
        await asyncio.sleep(1)
        # None of its age was kept.
        assert on.server.given_up == (size - 1)
        gc.collect()


@SIZES
async def test_a_pool_that_falls_silent_costs_one_attempt(size: int) -> None:
    """As a firewall does it that has forgotten its connections."""
    silent: set[int] = set()

    async def handle(request: Request) -> bool:
        if request.connection not in silent:
            await after_a_second(request)
        return True

    settings: dict[str, Any] = {"retry": TWICE, "timeouts": Timeouts(total=5.0)}
    async with raw_stage(handle, max_concurrency=size, **settings) as on:
        await fill(on, size)
        silent.update(range(1, size + 1))
        assert (await on.trainings.get(1000)).id == 1000
        assert len(on.server.requests) == size + 2


@SESSIONS
@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_a_server_that_closes_after_each_answer_costs_no_id(
    concurrency: int, given: Given
) -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(record(request.id)))
        return False

    settings: dict[str, Any] = {"max_concurrency": concurrency, "retry": ONCE}
    async with raw_stage(handle, given=given, **settings) as on:
        result = await on.trainings.get_many(range(1, 101))
        assert list(result.items) == list(range(1, 101))
        assert len(on.server.requests) == result.stats.requests == 100
        assert on.server.connections == 100


@SESSIONS
async def test_a_server_that_says_that_it_closes_costs_none_either(given: Given) -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(record(request.id), "200 OK", "Connection: close"))
        return False

    async with raw_stage(handle, given=given, retry=ONCE) as on:
        result = await on.trainings.get_many(range(1, 51))
        assert len(result.items) == len(on.server.requests) == 50


@SESSIONS
@pytest.mark.parametrize("how", ["reset", "closed", "half an answer"])
async def test_one_attempt_writes_one_request(how: str, given: Given) -> None:
    async def handle(request: Request) -> bool:
        if request.number % 2:
            await request.send(answer(record(request.id)))
            return True
        if how == "reset":
            request.reset()
        elif how == "half an answer":
            await request.send(b"HTTP/1.1 200")
        return False

    async with raw_stage(handle, given=given, retry=ONCE) as on:
        for number in range(1, 20, 2):
            assert (await on.trainings.get(number)).id == number
            with pytest.raises(LuccaConnectionError) as caught:
                await on.trainings.get(number + 1)
            assert (caught.value.sent, caught.value.attempts) == (True, 1)
            assert len(on.server.requests) == number + 1


async def silent(request: Request) -> bool:
    return True


async def resets(request: Request) -> None:
    request.reset()


CUTS: dict[str, Handle] = {
    "closed at once": always(b""),
    "reset": resets,
    "no answer": silent,
    "half a status line": always(b"HTTP/1.1 2"),
    "half a head": always(b"HTTP/1.1 200 OK\r\nServer: x\r\n"),
    "half a head and silence": always(b"HTTP/1.1 200 OK\r\nServer: x\r\n", keep=True),
    "half a body": always(answer(b"{", length=100)),
    "half a body and silence": always(answer(b"{", length=100), keep=True),
    "no HTTP": always(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a huge head": always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "a wrong gzip": always(answer(b"{}", "200 OK", "Content-Encoding: gzip")),
}
TIMED_OUT = {"no answer", "half a head and silence", "half a body and silence"}


@SESSIONS
@pytest.mark.parametrize("kind", CUTS)
async def test_what_was_sent_is_counted(kind: str, given: Given) -> None:
    settings: dict[str, Any] = {
        "timeouts": Timeouts(total=3.0),
        "rate_limit": RateLimit(4, 60.0),
        "retry": TWICE,
        "max_concurrency": 1,
    }
    async with raw_stage(CUTS[kind], given=given, **settings) as on:
        result = await on.trainings.get_many([1, 2])
        assert len(result.failures) == 2
        for error in result.failures.values():
            assert isinstance(error, LuccaConnectionError)
            assert isinstance(error, LuccaTimeoutError) == (kind in TIMED_OUT)
            assert (error.sent, error.attempts, error.transient) == (True, 2, True)
            assert "no answer: " in str(error)
        assert len(on.server.requests) == on.client.budget.in_use == 4
        slow = 3.0 * 4 if kind in TIMED_OUT else 0.0
        now = asyncio.get_running_loop().time()
        assert slow <= now < slow + 1
        await asyncio.sleep(50 - now)
        third = asyncio.create_task(on.trainings.get(3))
        await asyncio.sleep(2)
        assert len(on.server.requests) == 4  # the budget is spent until a minute has passed
        third.cancel()
        await asyncio.wait([third])


@SESSIONS
async def test_the_silence_between_two_reads_is_bounded(given: Given) -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(b"{", length=100))
        return True

    limits = Timeouts(total=60.0, read=2.0)
    async with raw_stage(handle, given=given, retry=ONCE, timeouts=limits) as on:
        with pytest.raises(LuccaTimeoutError, match="silence for 2 s"):
            await on.trainings.get(1)
        assert asyncio.get_running_loop().time() == 2


async def test_a_given_session_is_never_closed_whatever_happens() -> None:
    session = aiohttp.ClientSession()
    async with session, raw_stage(resets, session=session, retry=TWICE) as on:
        for _ in range(3):
            with pytest.raises(LuccaConnectionError):
                await on.trainings.get(1)
        await on.client.aclose()
        assert not session.closed
