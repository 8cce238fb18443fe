"""The API key reaches Lucca, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lucca_training_async import LuccaError, LuccaTrainingClient
from lucca_training_async.sandbox import Fault, Sandbox

from .support import QUICK, stage

KEY = "1f2e3d4c-0000-1111-2222-333344445555"


def everything_told(error: BaseException) -> str:
    """All that a log, a crash report or a debugger's first look shows of an error."""
    with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
    linked = [error.__cause__, error.__context__, vars(error), error.args]
    pickled = pickle.dumps(error) if isinstance(error, LuccaError) else b""
    return f"{error} {error!r} {linked!r} {pickled!r} {''.join(with_locals.format())}"


async def echo(request: web.Request, _: web.Response) -> web.StreamResponse:
    """A misconfigured proxy: whatever it is sent, it sends back."""
    told = request.headers["Authorization"]
    return web.Response(
        status=int(request.headers.get("X-Status", "500")),
        text=f'{{"title": "{told}", "detail": "{told}", "errors": {{"{told}": ["{told}"]}}}}',
        headers={"X-Request-Id": told, "Location": f"/?{told}", "Sunset": told},
    )


async def echo_ok(request: web.Request, normal: web.Response) -> web.StreamResponse:
    answer = await echo(request, normal)
    answer.set_status(200)
    return answer


async def echo_redirect(request: web.Request, normal: web.Response) -> web.StreamResponse:
    answer = await echo(request, normal)
    answer.set_status(302)
    return answer


FAULTS = {
    "echo in an error": Fault("echo", echo),
    "echo in a 200": Fault("echo", echo_ok),
    "echo in a redirect": Fault("echo", echo_redirect),
    "401": Fault.error(401),
    "429 for long": Fault.too_many_requests(3600),
    "slow": Fault.slow(60),
    "drop": Fault.drop(),
    "truncate": Fault.truncate(),
    "html": Fault.html(),
    "404": Fault.error(404),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_no_error_and_no_log_line_holds_the_key(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    async with stage(Sandbox(rate_limit=None, api_key=KEY)) as on:
        on.sandbox.inject_always(FAULTS[name], id=5)
        with pytest.raises(LuccaError) as caught:
            await on.trainings.get(5)
        assert KEY not in everything_told(caught.value)
        result = await on.trainings.get_many([5, 6])
        assert KEY not in repr(result)
        for error in result.failures.values():
            assert KEY not in everything_told(error)
    assert "realized-trainings/5" in caplog.text
    assert KEY not in caplog.text
    for record in caplog.records:
        assert KEY not in repr(vars(record))


async def test_a_dead_server_is_told_of_without_the_key() -> None:
    async with LuccaTrainingClient("http://127.0.0.1:9", KEY, retry=QUICK) as client:
        with pytest.raises(LuccaError) as caught:
            await client.realized_trainings.get(5)
        assert KEY not in everything_told(caught.value)


async def test_a_key_in_somebody_elses_exception_is_not_repeated() -> None:
    async def leaky(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        raise LookupError(f"could not send {KEY}")

    session = aiohttp.ClientSession(middlewares=(leaky,))
    async with session, stage(Sandbox(api_key=KEY), session=session) as on:
        with pytest.raises(LuccaError, match=r"could not send \[api key\]") as caught:
            await on.trainings.get(5)
        assert KEY not in everything_told(caught.value)


async def test_the_key_is_sent_as_lucca_documents_it() -> None:
    async with stage(Sandbox(rate_limit=None, api_key=KEY)) as on:
        seen: list[Any] = []

        async def look(request: web.Request, normal: web.Response) -> web.StreamResponse:
            seen.append(dict(request.headers))
            return normal

        on.sandbox.inject(Fault("look", look))
        await on.trainings.get(5)
        assert seen[0]["Authorization"] == f"lucca application={KEY}"
        assert seen[0]["Accept"] == "application/json"
        assert seen[0]["User-Agent"].startswith("lucca-training-async/")


async def test_no_repr_of_the_client_or_its_parts_holds_the_key() -> None:
    async with stage(Sandbox(rate_limit=None, api_key=KEY)) as on:
        await on.trainings.get(5)
        parts: list[Any] = [on.client, on.trainings]
        for _ in range(4):
            parts += [
                value
                for part in parts
                for value in getattr(part, "__dict__", {}).values()
                if type(value).__module__.startswith("lucca")
            ]
        assert len(parts) > 5
        for part in parts:
            assert KEY not in f"{part!r} {part} {getattr(part, '__dict__', '')!r}"


async def test_a_cancelled_call_shows_no_key_in_any_frame() -> None:
    async with stage(Sandbox(rate_limit=None, api_key=KEY)) as on:
        on.sandbox.inject(Fault.slow(60))
        call = asyncio.create_task(on.trainings.get(5))
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        with_locals = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        told = "".join(with_locals.format())
        assert "aiohttp" in told
        assert KEY not in told
