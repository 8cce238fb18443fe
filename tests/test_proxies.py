"""The environment's proxy is used when that is asked for, and told of when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lucca_training_async import LuccaConnectionError, LuccaTrainingClient, RateLimit, RetryPolicy

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer, record

TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.01, backoff_max=0.02)
PASSWORD = "hunter2secret"
NOWHERE = "http://127.0.0.1:1"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names no proxy, nor any password."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    return monkeypatch


@asynccontextmanager
async def lucca_and_a_proxy() -> AsyncGenerator[tuple[RawServer, RawServer], None]:
    async def serve(request: Request) -> bool:
        await request.send(answer(record(request.id), "200 OK", "Connection: close"))
        return False

    async def forward(request: Request) -> bool:
        method, url, rest = request.head.split(" ", 2)
        host, _, path = url.removeprefix("http://").partition("/")
        name, port = host.split(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write(f"{method} /{path} {rest}".encode("latin-1"))
        await request.send(await reader.read())
        writer.close()
        return False

    async with RawServer(serve).running() as lucca, RawServer(forward).running() as proxy:
        yield lucca, proxy


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
async def test_the_proxy_is_used_when_that_is_asked_for(
    variable: str, environment: pytest.MonkeyPatch
) -> None:
    async with lucca_and_a_proxy() as (lucca, proxy):
        environment.setenv(variable, proxy.url.replace("//", f"//user:{PASSWORD}@"))
        async with LuccaTrainingClient(lucca.url, KEY, trust_env=True) as client:
            result = await client.realized_trainings.get_many([1, 2, 3])
            assert list(result.items) == [1, 2, 3]
        assert len(proxy.requests) == len(lucca.requests) == 3
        for request in proxy.requests:
            assert request.head.startswith(f"GET {lucca.url}/")
            assert "\r\nProxy-Authorization: Basic " in request.head


@pytest.mark.parametrize("options", [{}, {"trust_env": False}])
async def test_the_proxy_is_not_used_otherwise(
    options: dict[str, Any], environment: pytest.MonkeyPatch
) -> None:
    async with lucca_and_a_proxy() as (lucca, proxy):
        environment.setenv("HTTP_PROXY", proxy.url)
        async with LuccaTrainingClient(lucca.url, KEY, **options) as client:
            assert (await client.realized_trainings.get(1)).id == 1
        assert (len(proxy.requests), len(lucca.requests)) == (0, 1)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "example.org,127.0.0.1"])
async def test_a_host_without_proxy_is_reached_directly(
    exempt: str, environment: pytest.MonkeyPatch
) -> None:
    async with lucca_and_a_proxy() as (lucca, proxy):
        environment.setenv("HTTP_PROXY", proxy.url)
        environment.setenv("NO_PROXY", exempt)
        async with LuccaTrainingClient(lucca.url, KEY, trust_env=True) as client:
            assert (await client.realized_trainings.get(1)).id == 1
        assert (len(proxy.requests), len(lucca.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("host", "variables", "told"),
    [
        (NOWHERE, {"HTTP_PROXY": "x"}, "HTTP_PROXY"),
        (NOWHERE, {"http_proxy": "x"}, "HTTP_PROXY"),
        ("https://127.0.0.1:1", {"HTTPS_PROXY": "x"}, "HTTPS_PROXY"),
        (NOWHERE, {"HTTPS_PROXY": "x"}, None),
        ("https://127.0.0.1:1", {"HTTP_PROXY": "x"}, None),
        (NOWHERE, {}, None),
        (NOWHERE, {"HTTP_PROXY": "x", "NO_PROXY": "127.0.0.1"}, None),
        (NOWHERE, {"HTTP_PROXY": "x", "NO_PROXY": "*"}, None),
        (NOWHERE, {"HTTP_PROXY": "x", "NO_PROXY": "example.org"}, "HTTP_PROXY"),
        (NOWHERE, {"HTTP_PROXY": ""}, None),
    ],
)
async def test_an_unused_proxy_is_named_but_not_its_value(
    host: str,
    variables: dict[str, str],
    told: str | None,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    value = f"http://user:{PASSWORD}@127.0.0.1:2"
    for name, given in variables.items():
        environment.setenv(name, value if given == "x" else given)
    async with LuccaTrainingClient(host, KEY, retry=TWICE) as client:
        with pytest.raises(LuccaConnectionError) as caught:
            await client.realized_trainings.get(1)
    message = str(caught.value)
    assert ("is set and not used: pass trust_env=True" in message) == (told is not None)
    assert (f"; {told} is set" in message) == (told is not None)
    for text in (message, repr(vars(caught.value)), caplog.text):
        assert PASSWORD not in text
        assert "127.0.0.1:2" not in text


async def test_a_proxy_in_use_is_not_called_unused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:1")
    settings: dict[str, Any] = {"rate_limit": RateLimit(2, 60.0), "retry": TWICE}
    async with LuccaTrainingClient("http://127.0.0.1:9", KEY, trust_env=True, **settings) as client:
        result = await client.realized_trainings.get_many([1, 2, 3, 4])
        for error in result.failures.values():
            assert "Cannot connect to the proxy" in str(error)
            assert "is set and not used" not in str(error)
            assert PASSWORD not in f"{error!r} {vars(error)}"
            assert isinstance(error, LuccaConnectionError)
            assert not error.sent
        assert client.budget.in_use == 0


@pytest.mark.parametrize(
    ("status", "requests"), [("407 Proxy Authentication Required", 1), ("502 Bad Gateway", 2)]
)
async def test_a_proxy_that_refuses_a_tunnel_tells_nothing_of_the_key(
    status: str, requests: int, environment: pytest.MonkeyPatch
) -> None:
    async def refuse(request: Request) -> bool:
        await request.send(answer(request.head.encode("latin-1"), status))
        return False

    async with RawServer(refuse).running() as proxy:
        environment.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//user:{PASSWORD}@"))
        settings: dict[str, Any] = {"rate_limit": RateLimit(2, 60.0), "retry": TWICE}
        client = LuccaTrainingClient("acme.ilucca.net", KEY, trust_env=True, **settings)
        async with client:
            result = await client.realized_trainings.get_many([1, 2, 3, 4])
            assert client.budget.in_use == 0
        assert asyncio.get_running_loop().time() < 1
        assert {error.attempts for error in result.failures.values()} == {requests}  # type: ignore[attr-defined]
        assert len(proxy.requests) == 4 * requests
        for request in proxy.requests:
            assert request.head.startswith("CONNECT acme.ilucca.net:443 ")
            assert KEY not in request.head
