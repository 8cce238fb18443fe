"""Closing and stopping: whatever a request waits for or goes over, nothing comes after it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from lucca_training_async import (
    AuthenticationError,
    ClientClosedError,
    LuccaConnectionError,
    LuccaTrainingClient,
    RateLimit,
    RetryPolicy,
)

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer, raw_stage, record
from .support import stage


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_closing_ends_any_number_of_waiting_gets_in_one_pass() -> None:
    """Each has an error of its own; twenty thousand passes over the queue would take minutes."""
    async with stage(rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(1)
        gets = [asyncio.ensure_future(on.trainings.get(number)) for number in range(2, 20_002)]
        await asyncio.sleep(1)
        assert on.client.budget.waiting == 20_000
        await on.client.aclose()
        errors = await asyncio.gather(*gets, return_exceptions=True)
        assert {type(error) for error in errors} == {ClientClosedError}
        assert len({id(error) for error in errors}) == 20_000
        assert (now(), on.client.budget.waiting) == (1, 0)


async def test_closing_ends_what_goes_over_connections_that_are_used_no_more() -> None:
    """A wrong record retires the pool while another request is under way over it."""

    async def handle(request: Request) -> bool:
        if request.id == 1:
            await asyncio.sleep(10)
        await request.send(answer(record(request.id if request.number != 2 else 999)))
        return True

    async with raw_stage(handle) as on:
        slow = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        assert (await on.trainings.get(2)).id == 2
        assert on.server.connections == 3
        await on.client.aclose()
        with pytest.raises((ClientClosedError, LuccaConnectionError)):
            await slow
        assert now() < 2


@pytest.mark.parametrize("way", ["closed", "a 401"])
async def test_a_wait_for_a_connection_of_a_given_session_ends_too(way: str) -> None:
    async def handle(request: Request) -> bool:
        if request.id >= 1000:
            await asyncio.sleep(50)
        if request.id == 1:
            await asyncio.sleep(5)
            await request.send(answer(b"{}", "401 Unauthorized"))
        else:
            await request.send(answer(record(request.id)))
        return True

    async with RawServer(handle).running() as server:
        connector = aiohttp.TCPConnector(limit=3)
        async with aiohttp.ClientSession(connector=connector) as session:
            path = f"{server.url}/talent-training/api/v2/realized-trainings"
            others = [asyncio.create_task(session.get(f"{path}/{n}")) for n in (1000, 1001)]
            await asyncio.sleep(1)
            client = LuccaTrainingClient(server.url, KEY, session=session)
            bulk = asyncio.create_task(client.realized_trainings.get_many(range(1, 21)))
            await asyncio.sleep(1)
            if way == "closed":
                await client.aclose()
            result = await bulk
            expected = {"closed": ClientClosedError, "a 401": AuthenticationError}[way]
            assert type(result.stopped) is expected
            assert len(result.failures) == 20
            assert now() <= 7
            await asyncio.sleep(60)
            assert [request.id for request in server.requests if request.id < 1000] == [1]
            for other in others:
                (await other).close()


async def test_a_connection_made_after_the_401_carries_nothing(self_signed: Any) -> None:
    """Admitted, and still shaking hands when another request of the run meets a 401."""

    async def handle(request: Request) -> bool:
        await request.send(answer(b"{}", "401 Unauthorized"))
        return False

    async with RawServer(handle).running() as inner:
        port = int(inner.url.rpartition(":")[2])
        connections = 0

        async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            if connections > 1:
                await asyncio.sleep(0.5)
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pump(reader, their_writer), pump(their_reader, writer))

        front = await asyncio.start_server(late, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}"
        async with LuccaTrainingClient(url, KEY, max_concurrency=5) as client:
            result = await client.realized_trainings.get_many(range(1, 101))
        assert isinstance(result.stopped, AuthenticationError)
        assert len(result.failures) == 100
        front.close()
        await asyncio.sleep(5)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_a_middleware_that_fails_after_the_answer_frees_no_slot() -> None:
    async def metrics(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        response.close()
        async with aiohttp.ClientSession() as other, other.get("http://127.0.0.1:1/"):
            return response

    async with aiohttp.ClientSession(middlewares=(metrics,)) as session:
        retry = RetryPolicy(max_attempts=1)
        limit = RateLimit(3, 60.0)
        async with stage(session=session, rate_limit=limit, retry=retry) as on:
            result = await on.trainings.get_many(range(1, 5))
            assert [error.sent for error in result.failures.values()] == [True] * 4  # type: ignore[attr-defined]
            assert on.sandbox.arrivals[3].at >= 60


@pytest.mark.parametrize("interim", ["100 Continue", "103 Early Hints"])
@pytest.mark.parametrize("given", [None, {}], ids=["own session", "given session"])
async def test_the_head_that_counts_survives_a_body_that_breaks_the_parser(
    interim: str, given: dict[str, Any] | None
) -> None:
    """Interim answer, head and a broken chunk in one segment."""
    head = answer(b"", "401 Unauthorized", "Transfer-Encoding: chunked", length=None)
    data = f"HTTP/1.1 {interim}\r\n\r\n".encode() + head + b"ZZZ\r\nno chunk\r\n"

    async def handle(request: Request) -> bool:
        await request.send(data)
        return False

    async with raw_stage(handle, given=given) as on:
        result = await on.trainings.get_many(range(1, 101))
        assert type(result.stopped) is AuthenticationError
        assert len(on.server.requests) <= 10


@pytest.mark.parametrize("who", ["another user", "a second client"])
async def test_dead_connections_of_another_user_of_a_given_session_cost_no_id(who: str) -> None:
    async def handle(request: Request) -> bool:
        await request.send(answer(record(request.id)))
        return True

    async with RawServer(handle).running() as server, aiohttp.ClientSession() as session:
        path = f"{server.url}/talent-training/api/v2/realized-trainings/7"
        settings: dict[str, Any] = {"session": session, "rate_limit": None}
        if who == "another user":
            responses = await asyncio.gather(*(session.get(path) for _ in range(5)))
            for response in responses:
                await response.read()
        else:
            other = LuccaTrainingClient(server.url, KEY, **settings)
            await other.realized_trainings.get_many(range(1, 6))
        # At once, so that the FINs are in the kernel and unseen by the loop.
        server.hang_up(lambda w: w.get_extra_info("socket").shutdown(socket.SHUT_RDWR))
        client = LuccaTrainingClient(server.url, KEY, retry=RetryPolicy(max_attempts=1), **settings)
        assert (await client.realized_trainings.get(5)).id == 5


async def test_a_client_of_a_dead_loop_that_was_closing_connections_can_be_closed() -> None:
    def elsewhere() -> LuccaTrainingClient:
        async def use() -> LuccaTrainingClient:
            async def handle(request: Request) -> bool:
                await request.send(answer(record(request.id if request.number > 1 else 999)))
                return True

            async with RawServer(handle).running() as server:
                client = LuccaTrainingClient(server.url, KEY, rate_limit=None)
                await client.realized_trainings.get(1)
            return client

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(use())
        finally:
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    client = await asyncio.to_thread(elsewhere)
    async with asyncio.timeout(5):
        await client.aclose()
