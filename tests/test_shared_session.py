"""A session shared with others: their connections are waited for, their middlewares watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest

from lucca_training_async import (
    AuthenticationError,
    LuccaConnectionError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    RateLimit,
    ResponseError,
    RetryPolicy,
    ServerError,
    Timeouts,
)

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer, record

ONCE = RetryPolicy(max_attempts=1)
SMALL = pytest.mark.parametrize(
    "connector",
    [{"limit": 2}, {"limit": 0, "limit_per_host": 2}],
    ids=["limit", "limit per host"],
)


class Shared(NamedTuple):
    server: RawServer
    client: LuccaTrainingClient
    others: list[aiohttp.ClientResponse]


@asynccontextmanager
async def shared(connector: dict[str, Any], **settings: Any) -> AsyncGenerator[Shared, None]:
    """A session whose two connections somebody else holds."""

    async def handle(request: Request) -> bool:
        if request.id == 0:
            await request.send(answer(b"{", length=1000))
            return True
        if request.id >= 900:
            await asyncio.sleep(3600)
        await request.send(answer(record(request.id)))
        return True

    settings.setdefault("rate_limit", RateLimit(50, 60.0))
    settings.setdefault("retry", ONCE)
    async with (
        RawServer(handle).running() as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(**connector)) as session,
    ):
        others = [await session.get(f"{server.url}/elsewhere") for _ in range(2)]
        async with LuccaTrainingClient(server.url, KEY, session=session, **settings) as client:
            yield Shared(server, client, others)
        for other in others:
            other.close()


@SMALL
@pytest.mark.parametrize("seconds", [3, 59])
async def test_waiting_for_a_connection_is_neither_attempt_nor_timeout(
    connector: dict[str, Any], seconds: int
) -> None:
    async with shared(connector, timeouts=Timeouts(total=1.0)) as on:
        bulk = asyncio.create_task(on.client.realized_trainings.get_many([1, 2, 3]))
        await asyncio.sleep(seconds)
        assert not bulk.done()
        assert len(on.server.requests) == 2
        on.others[0].close()
        result = await bulk
        # At once, with no second more.
        assert asyncio.get_running_loop().time() == seconds
        assert list(result.items) == [1, 2, 3]
        assert (result.stats.requests, result.stats.retries) == (3, 0)
        assert len(on.server.requests) == 5


@SMALL
@pytest.mark.parametrize("pool", [0.5, 10.0, None])
async def test_the_wait_has_a_limit_of_its_own(
    connector: dict[str, Any], pool: float | None
) -> None:
    limits = {} if pool is None else {"pool": pool}
    limit = pool or 60.0  # which is the default
    retry = RetryPolicy(max_attempts=4, backoff_initial=0.01)
    settings: dict[str, Any] = {"timeouts": Timeouts(total=1.0, **limits), "retry": retry}
    async with shared(connector, **settings) as on:
        with pytest.raises(LuccaConnectionError) as caught:
            await on.client.realized_trainings.get(1)
        error = caught.value
        assert asyncio.get_running_loop().time() == limit
        assert not isinstance(error, LuccaTimeoutError)
        assert "pool of the given session had no free connection" in str(error)
        assert f"within {limit:g} s (Timeouts.pool)" in str(error)
        assert (error.sent, error.attempts) == (False, 0)
        assert on.client.budget.in_use == 0
        result = await on.client.realized_trainings.get_many([1, 2, 3, 4])
        assert len(result.failures) == 4
        assert (result.stats.requests, result.stats.retries) == (0, 0)
        assert on.client.budget.in_use == 0
        assert len(on.server.requests) == 2
        for other in on.others:
            other.close()
        assert (await on.client.realized_trainings.get(1)).id == 1


async def test_without_a_limit_it_waits_for_ever() -> None:
    async with shared({"limit": 2}, timeouts=Timeouts(total=1.0, pool=None)) as on:
        call = asyncio.create_task(on.client.realized_trainings.get(1))
        await asyncio.sleep(100_000)
        on.others[0].close()
        assert (await call).id == 1


@pytest.mark.parametrize("waited", [0, 7])
async def test_the_limits_of_the_attempt_begin_when_it_is_sent(waited: int) -> None:
    async with shared({"limit": 2}, timeouts=Timeouts(total=5.0, pool=10.0)) as on:
        call = asyncio.create_task(on.client.realized_trainings.get(999))
        await asyncio.sleep(waited)
        on.others[0].close()
        with pytest.raises(LuccaTimeoutError, match="no complete answer within 5 s") as caught:
            await call
        assert asyncio.get_running_loop().time() == waited + 5
        assert caught.value.sent
        assert on.client.budget.in_use == 1


async def test_no_limit_of_the_attempt_leaves_none_of_the_pools() -> None:
    async with shared({"limit": 2}, timeouts=Timeouts(total=None, pool=10.0)) as on:
        on.others[0].close()
        call = asyncio.create_task(on.client.realized_trainings.get(999))
        await asyncio.sleep(3000)
        assert not call.done()
        call.cancel()
        await asyncio.wait([call])


async def test_cancelling_the_wait_leaves_the_budget_whole() -> None:
    async with shared({"limit": 2}) as on:
        call = asyncio.create_task(on.client.realized_trainings.get(1))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert on.client.budget.in_flight == 0
        on.others[0].close()
        assert (await on.client.realized_trainings.get(2)).id == 2


Handler = aiohttp.ClientHandlerType
Middleware = Callable[[aiohttp.ClientRequest, Handler], Awaitable[aiohttp.ClientResponse]]


async def retry_on_500(request: aiohttp.ClientRequest, send: Handler) -> aiohttp.ClientResponse:
    response = await send(request)
    for _ in range(3):
        if response.status != 500:
            break
        response.close()
        response = await send(request)
    return response


async def digest(request: aiohttp.ClientRequest, send: Handler) -> aiohttp.ClientResponse:
    response = await send(request)
    if response.status == 401:
        response.release()
        request.headers["Authorization"] = "Digest opaque"
        response = await send(request)
    return response


async def always_twice(request: aiohttp.ClientRequest, send: Handler) -> aiohttp.ClientResponse:
    (await send(request)).release()
    return await send(request)


async def read_then_again(request: aiohttp.ClientRequest, send: Handler) -> aiohttp.ClientResponse:
    first = await send(request)
    await first.read()
    return await send(request)


async def both_at_once(request: aiohttp.ClientRequest, send: Handler) -> aiohttp.ClientResponse:
    first, second = await asyncio.gather(send(request), send(request), return_exceptions=True)
    if isinstance(first, BaseException) or isinstance(second, BaseException):
        for answered in (first, second):
            if isinstance(answered, aiohttp.ClientResponse):
                answered.close()
        raise next(error for error in (second, first) if isinstance(error, BaseException))
    second.close()
    return first


TWICE: dict[str, tuple[Middleware, str]] = {
    "retry": (retry_on_500, "500 Internal Server Error"),
    "digest": (digest, "401 Unauthorized"),
    "always twice": (always_twice, "200 OK"),
    "always twice, of errors": (always_twice, "500 Internal Server Error"),
    "read, then again": (read_then_again, "200 OK"),
    "both at once": (both_at_once, "200 OK"),
}


@pytest.mark.parametrize("kind", TWICE)
async def test_a_middleware_that_sends_twice_is_refused(kind: str) -> None:
    middleware, status = TWICE[kind]

    async def handle(request: Request) -> bool:
        await request.send(answer(record(request.id), status, "X-Request-Id: 4711"))
        return True

    async with (
        RawServer(handle).running() as server,
        aiohttp.ClientSession(middlewares=(middleware,)) as session,
        LuccaTrainingClient(
            server.url, KEY, session=session, rate_limit=RateLimit(5, 60.0)
        ) as client,
    ):
        result = await client.realized_trainings.get_many(range(1, 6))
        assert len(result.failures) == 5
        for error in result.failures.values():
            assert type(error) is LuccaConnectionError
            assert "a middleware of the given session sent more than one request" in str(error)
            assert (error.sent, error.transient, error.attempts) == (True, False, 1)
        assert client.budget.in_use == result.stats.requests == 5
        # Of two at once both are refused.
        assert len(server.requests) == (0 if kind == "both at once" else 5)
        assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize(
    ("middleware", "status", "cls"),
    [
        (retry_on_500, "503 Service Unavailable", ServerError),
        (digest, "500 Internal Server Error", ServerError),
        (retry_on_500, "401 Unauthorized", AuthenticationError),
        (digest, "302 Found", ResponseError),
    ],
)
async def test_a_middleware_that_has_nothing_to_do_changes_nothing(
    middleware: Middleware, status: str, cls: type[ResponseError]
) -> None:
    async def handle(request: Request) -> bool:
        good = request.id == 7
        await request.send(answer(record(7) if good else b"", "200 OK" if good else status))
        return True

    async with (
        RawServer(handle).running() as server,
        aiohttp.ClientSession(middlewares=(middleware,)) as session,
        LuccaTrainingClient(server.url, KEY, session=session, retry=ONCE) as client,
    ):
        assert (await client.realized_trainings.get(7)).id == 7
        with pytest.raises(cls) as caught:
            await client.realized_trainings.get(5)
        assert type(caught.value) is cls
        assert len(server.requests) == 2
