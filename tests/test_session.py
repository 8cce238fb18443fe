"""The client's life: sessions made and borrowed, loops, closing."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import pickle
import socket
import threading
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.abc
import pytest
from aiohttp import web

from lucca_training_async import (
    ClientClosedError,
    LuccaConnectionError,
    LuccaTrainingClient,
    PermissionDeniedError,
    RateLimit,
    UsageError,
    __version__,
)
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training

from .support import QUICK, stage
from .virtual_time import run


async def test_a_client_made_outside_of_any_loop_belongs_to_the_first_that_uses_it() -> None:
    async with Sandbox() as sandbox:
        client = await asyncio.to_thread(LuccaTrainingClient, sandbox.url, sandbox.api_key)
        async with client:
            assert (await client.realized_trainings.get(235)).id == 235


def test_use_from_another_loop_says_so() -> None:
    client = LuccaTrainingClient("http://127.0.0.1:9", "key", retry=QUICK)

    async def use() -> None:
        with pytest.raises(LuccaConnectionError):
            await client.realized_trainings.get(1)

    async def misuse() -> None:
        for call in (
            client.realized_trainings.get(1),
            client.realized_trainings.get_many([1]),
            anext(client.realized_trainings.stream([1])),
            client.__aenter__(),
        ):
            with pytest.raises(UsageError, match="another event loop"):
                await call
        with pytest.raises(UsageError, match="close the client in the event loop that used it"):
            await client.aclose()

    with asyncio.Runner() as runner:
        runner.run(use())
        run_in_another_loop = asyncio.new_event_loop()
        try:
            run_in_another_loop.run_until_complete(misuse())
        finally:
            run_in_another_loop.close()
        runner.run(client.aclose())


async def test_a_session_of_another_loop_is_refused() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    other = asyncio.new_event_loop()
    session = await asyncio.to_thread(other.run_until_complete, make())
    try:
        client = LuccaTrainingClient("http://127.0.0.1:9", "key", session=session)
        with pytest.raises(UsageError, match="another event loop"):
            await client.realized_trainings.get(1)
    finally:
        await asyncio.to_thread(other.run_until_complete, session.close())
        other.close()


async def test_closing_is_idempotent_and_final() -> None:
    async with stage() as on:
        await on.trainings.get(1)
        await asyncio.gather(on.client.aclose(), on.client.aclose())
        await on.client.aclose()
        assert repr(on.client).endswith(" closed>")
        for call in (on.trainings.get(1), on.trainings.get_many([1]), on.client.__aenter__()):
            with pytest.raises(ClientClosedError, match="this client is closed"):
                await call


async def test_a_client_never_used_closes_too() -> None:
    client = LuccaTrainingClient("acme.ilucca.net", "key")
    await client.aclose()
    with pytest.raises(ClientClosedError, match="closed"):
        await client.realized_trainings.get(1)


async def test_closing_fails_the_calls_that_wait() -> None:
    async with stage(rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(1)
        waiting = asyncio.create_task(on.trainings.get(2))
        await asyncio.sleep(1)
        await on.client.aclose()
        with pytest.raises(ClientClosedError, match="closed"):
            await waiting


async def test_closing_ends_the_calls_under_way() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.slow(60))
        call = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        await on.client.aclose()
        with pytest.raises((ClientClosedError, LuccaConnectionError)):
            await call


async def test_closing_ends_a_wait_for_a_retry_at_once() -> None:
    async with stage() as on:
        on.sandbox.inject_always(Fault.unavailable(100), id=1)
        call = asyncio.create_task(on.trainings.get(1))
        bulk = asyncio.create_task(on.trainings.get_many([1, 2]))
        await asyncio.sleep(5)
        await on.client.aclose()
        with pytest.raises(ClientClosedError, match="closed"):
            await call
        assert isinstance((await bulk).failures[1], ClientClosedError)
        assert asyncio.get_running_loop().time() == 5


async def test_closing_from_another_loop_harms_nobody() -> None:
    async with stage(rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(1)
        waiting = asyncio.create_task(on.trainings.get(2))
        await asyncio.sleep(1)

        def close_elsewhere() -> None:
            with pytest.raises(UsageError, match="event loop that used it"):
                asyncio.run(on.client.aclose())

        thread = threading.Thread(target=close_elsewhere)
        thread.start()
        thread.join()
        assert (await waiting).id == 2


class NeverResolved(aiohttp.abc.AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        await asyncio.sleep(3600)
        raise OSError(host)

    async def close(self) -> None: ...


async def test_a_session_closed_while_a_host_name_resolves_cancels_nobody() -> None:
    connector = aiohttp.TCPConnector(resolver=NeverResolved())
    session = aiohttp.ClientSession(connector=connector)
    client = LuccaTrainingClient("http://localhost:9", "key", session=session, retry=QUICK)

    async def streamed() -> list[object]:
        return [outcome.error async for outcome in client.realized_trainings.stream(range(1, 30))]

    bulk = asyncio.create_task(client.realized_trainings.get_many(range(1, 30)))
    stream = asyncio.create_task(streamed())
    call = asyncio.create_task(client.realized_trainings.get(1))
    await asyncio.sleep(1)
    await session.close()
    errors = [*(await bulk).failures.values(), *(await stream)]
    assert len(errors) == 58
    assert {type(error) for error in errors} <= {LuccaConnectionError, UsageError}
    with pytest.raises((LuccaConnectionError, UsageError)):
        await call


async def test_a_given_session_is_used_and_left_open() -> None:
    async with aiohttp.ClientSession() as session, Sandbox() as sandbox:
        for _ in range(2):
            async with LuccaTrainingClient(sandbox.url, sandbox.api_key, session=session) as client:
                assert (await client.realized_trainings.get(235)).id == 235
            assert not session.closed


async def test_a_given_session_that_is_closed_says_so() -> None:
    async with Sandbox() as sandbox:
        session = aiohttp.ClientSession()
        client = LuccaTrainingClient(sandbox.url, sandbox.api_key, session=session)
        await session.close()
        with pytest.raises(UsageError, match="aiohttp session given to this client is closed"):
            await client.realized_trainings.get(1)
        with pytest.raises(UsageError, match="aiohttp session given to this client is closed"):
            await client.realized_trainings.get_many([1])


async def test_the_settings_of_a_given_session_change_nothing() -> None:
    seen: list[str] = []

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        seen.append(request.url.path)
        return await handler(request)

    session = aiohttp.ClientSession(
        base_url="https://elsewhere.example/",
        headers={"Authorization": "Bearer other", "X-Mine": "kept"},
        raise_for_status=True,
        timeout=aiohttp.ClientTimeout(total=0.001),
        middlewares=(middleware,),
    )
    async with session, stage(session=session) as on:
        on.sandbox.inject(Fault.slow(3), Fault.internal_error())
        assert (await on.trainings.get(235)).id == 235
        assert (await on.trainings.get(236)).id == 236
        assert len(seen) == 3
        on.sandbox.inject(Fault.error(403))
        with pytest.raises(PermissionDeniedError):
            await on.trainings.get(237)


@pytest.mark.parametrize(("limit", "limit_per_host"), [(2, 0), (0, 2)])
async def test_waiting_for_a_connection_of_a_small_pool_is_no_timeout(
    limit: int, limit_per_host: int
) -> None:
    connector = aiohttp.TCPConnector(limit=limit, limit_per_host=limit_per_host)
    session = aiohttp.ClientSession(connector=connector)
    unhurried = Sandbox(rate_limit=None, downlink=lambda: 10.0)
    async with session, stage(unhurried, session=session) as on:
        result = await on.trainings.get_many(range(1, 9))
        assert (len(result.items), result.stats.retries) == (8, 0)


async def test_a_session_that_does_not_decompress_gets_plain_answers() -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request, _: web.Response) -> web.StreamResponse:
        asked.append(request.headers.get("Accept-Encoding"))
        body = json.dumps(realized_training(5)).encode()
        if asked[-1] == "identity":
            return web.Response(body=body)
        return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    for decompress in (True, False):
        session = aiohttp.ClientSession(auto_decompress=decompress)
        async with session, stage(session=session) as on:
            on.sandbox.inject(Fault("compressed", answer))
            assert (await on.trainings.get(5)).id == 5
    assert asked == ["identity", "identity"]


async def test_luccas_authorization_beats_that_of_a_given_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2")
    monkeypatch.setenv("NETRC", str(netrc))
    with warnings.catch_warnings(action="ignore"):  # newer aiohttp deprecates ``auth``
        sessions = [
            aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "hunter2")),
            aiohttp.ClientSession(trust_env=True),
        ]
    for session in sessions:
        async with session, Sandbox() as sandbox:
            client = LuccaTrainingClient(sandbox.url, sandbox.api_key, session=session)
            assert (await client.realized_trainings.get(235)).id == 235


async def test_a_middleware_that_raises_fails_its_own_id_only() -> None:
    async def broken(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.name == "3":
            raise LookupError("a bug in somebody's middleware")
        return await handler(request)

    session = aiohttp.ClientSession(middlewares=(broken,))
    async with session, stage(session=session) as on:
        result = await on.trainings.get_many(range(1, 6))
        assert list(result.items) == [1, 2, 4, 5]
        (error,) = result.failures.values()
        assert isinstance(error, LuccaConnectionError)
        assert "LookupError: a bug in somebody's middleware" in str(error)
        assert (error.attempts, error.transient) == (1, False)


def test_a_plain_with_says_what_to_write() -> None:
    client = LuccaTrainingClient("acme.ilucca.net", "key")
    with pytest.raises(UsageError, match="async with"), client:
        pass


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_not_pickled_or_copied(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(LuccaTrainingClient("acme.ilucca.net", "key"))


@pytest.mark.real_time
async def test_everything_works_on_an_ordinary_loop_too() -> None:
    limit = RateLimit(20, 0.2)
    async with Sandbox(rate_limit=limit) as sandbox:
        sandbox.inject(Fault.drop(), Fault.internal_error(), Fault.truncate())
        settings: dict[str, Any] = {"rate_limit": limit, "retry": QUICK}
        async with LuccaTrainingClient(sandbox.url, sandbox.api_key, **settings) as client:
            result = await client.realized_trainings.get_many(range(1, 101))
        assert len(result.items) == 100
        assert sandbox.busiest_window() <= 20


def test_two_clients_in_two_loops_one_after_the_other() -> None:
    async def main() -> int:
        async with stage() as on:
            return len((await on.trainings.get_many(range(1, 21))).items)

    assert [run(main()), run(main())] == [20, 20]


async def test_the_clients_own_session_keeps_no_cookies() -> None:
    """A cookie would tie the client to one of Lucca's machines, or to somebody's session."""
    sent: list[str | None] = []

    async def set_cookie(request: web.Request, normal: web.Response) -> web.StreamResponse:
        sent.append(request.headers.get("Cookie"))
        normal.set_cookie("sticky", "node-7")
        return normal

    async with stage() as on:
        on.sandbox.inject(*[Fault("cookie", set_cookie)] * 3)
        await on.trainings.get_many([1, 2, 3])
        await on.trainings.get(4)
    assert sent == [None] * 3


async def test_a_given_session_closed_while_a_call_waits_sends_nothing_more() -> None:
    session = aiohttp.ClientSession()
    async with stage(session=session, rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(1)
        waiting = asyncio.create_task(on.trainings.get(2))
        bulk = asyncio.create_task(on.trainings.get_many([3, 4]))
        await asyncio.sleep(1)
        await session.close()
        with pytest.raises(UsageError, match="aiohttp session given to this client is closed"):
            await waiting
        assert {type(error) for error in (await bulk).failures.values()} == {UsageError}
        assert on.ids == ["1"]
        # What was never sent has taken nothing of the budget.
        assert on.client.budget.in_use <= 1
        assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.1)


async def test_the_user_agent_names_both_versions() -> None:
    async with stage() as on:
        seen: list[str] = []

        async def look(request: web.Request, normal: web.Response) -> web.StreamResponse:
            seen.append(request.headers["User-Agent"])
            return normal

        on.sandbox.inject(Fault("look", look))
        await on.trainings.get(5)
    assert seen == [f"lucca-training-async/{__version__} aiohttp/{aiohttp.__version__}"]
