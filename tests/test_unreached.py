"""What certainly never reached Lucca costs nothing of its budget."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import aiohttp.abc
import pytest

from lucca_training_async import (
    LuccaConnectionError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    RateLimit,
    RetryPolicy,
    Timeouts,
)

from .raw_server import RawServer
from .raw_stage import KEY, always, answer

TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.01, backoff_max=0.02)
LUCCA = "acme.ilucca.net"
IDS = [1, 2, 3, 4, 5, 6]


class NoNames(aiohttp.abc.AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        raise OSError(f"no such name: {host}")

    async def close(self) -> None: ...


@pytest.fixture
def nobody() -> str:
    """Where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


Kept = AsyncExitStack
Way = tuple[str, "aiohttp.ClientSession | None"]
Make = Callable[[Kept, str, "Certificate", bool], Any]
Certificate = ssl.SSLContext


def where(server: asyncio.Server) -> str:
    return "{}:{}".format(*server.sockets[0].getsockname())


async def session(kept: Kept, **options: Any) -> aiohttp.ClientSession:
    return await kept.enter_async_context(aiohttp.ClientSession(**options))


async def running(
    kept: Kept, data: bytes, *, keep: bool = False, tls: ssl.SSLContext | None = None
) -> str:
    server = RawServer(always(data, keep=keep))
    await kept.enter_async_context(server.running(tls))
    return server.url


async def proxied(kept: Kept, proxy: str) -> Way:
    return LUCCA, await session(kept, proxy=proxy)


async def own_or_given(kept: Kept, url: str, given: bool) -> Way:
    return url, await session(kept) if given else None


async def name_not_found(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    connector = aiohttp.TCPConnector(resolver=NoNames())
    return LUCCA, await session(kept, connector=connector)


async def refused(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await own_or_given(kept, f"http://{nobody}", given)


async def refused_over_tls(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await own_or_given(kept, f"https://{nobody}", given)


async def no_tls_there(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"speak plainly", "400 Bad Request"))
        kept.callback(writer.close)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    kept.callback(server.close)
    return await own_or_given(kept, f"https://{where(server)}", given)


async def no_certificate(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await own_or_given(kept, await running(kept, answer(), tls=tls), given)


async def proxy_refused(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await proxied(kept, f"http://user:hunter2@{nobody}")


def proxy_says(status: str) -> Make:
    async def make(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
        url = await running(kept, answer(b"<p>no</p>", status))
        return await proxied(kept, url.replace("//", "//user:hunter2@"))

    return make


async def proxy_hangs_up(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await proxied(kept, await running(kept, b""))


async def proxy_talks_nonsense(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await proxied(kept, await running(kept, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"))


async def proxy_has_no_tls(kept: Kept, nobody: str, tls: Certificate, given: bool) -> Way:
    return await proxied(kept, await running(kept, b"HTTP/1.1 200 OK\r\n\r\nplain text"))


LASTING: dict[str, tuple[Make, str]] = {
    "no certificate": (no_certificate, "certificate verify failed"),
    "a proxy's 401": (proxy_says("401 Unauthorized"), "proxy refused with status 401"),
    "a proxy's 403": (proxy_says("403 Forbidden"), "proxy refused with status 403"),
    "a proxy's 407": (
        proxy_says("407 Proxy Authentication Required"),
        "proxy refused with status 407",
    ),
}
PASSING: dict[str, tuple[Make, str]] = {
    "name not found": (name_not_found, "name 'acme.ilucca.net' can't be resolved"),
    "refused": (refused, "Cannot connect to 127.0.0.1:"),
    "refused over TLS": (refused_over_tls, "Cannot connect to 127.0.0.1:"),
    "no TLS there": (no_tls_there, "no TLS connection with 127.0.0.1:"),
    "proxy refused": (proxy_refused, "Cannot connect to the proxy"),
    "a proxy's 502": (proxy_says("502 Bad Gateway"), "proxy refused with status 502"),
    "a proxy's 503": (proxy_says("503 Unavailable"), "proxy refused with status 503"),
    "a proxy that hangs up": (proxy_hangs_up, "closed the connection"),
    "a proxy that talks nonsense": (proxy_talks_nonsense, "can't be parsed as HTTP"),
    "a proxy's tunnel without TLS": (proxy_has_no_tls, "Cannot connect to acme.ilucca.net:443"),
}
OWN = {"refused", "refused over TLS", "no TLS there", "no certificate"}
CASES = [
    pytest.param(kind, given, id=f"{kind}, {'given' if given else 'own'} session")
    for kind in LASTING | PASSING
    for given in ([False, True] if kind in OWN else [True])
]


@asynccontextmanager
async def client_of(way: Way, **settings: Any) -> AsyncGenerator[LuccaTrainingClient, None]:
    host, given = way
    settings = {"rate_limit": RateLimit(2, 60.0), "session": given} | settings
    async with LuccaTrainingClient(host, KEY, **settings) as client:
        yield client


@pytest.mark.parametrize(("kind", "given"), CASES)
async def test_it_costs_no_budget(
    kind: str, given: bool, nobody: str, self_signed: ssl.SSLContext
) -> None:
    make, told = (LASTING | PASSING)[kind]
    async with AsyncExitStack() as kept:
        way = await make(kept, nobody, self_signed, given)
        async with client_of(way, retry=TWICE) as client:
            result = await client.realized_trainings.get_many(IDS)
            assert list(result.failures) == IDS
            attempts = 1 if kind in LASTING else 2
            for error in result.failures.values():
                assert type(error) is LuccaConnectionError
                assert not error.sent
                assert error.transient == (kind in PASSING)
                assert error.attempts == attempts
                assert told in str(error)
                assert "hunter2" not in f"{error!r} {vars(error)}"
                assert str(error).isprintable()
            assert result.stats.requests == attempts * len(IDS)
            # Twelve of them would have taken five minutes.
            assert asyncio.get_running_loop().time() < 1
            budget = client.budget
            assert (budget.in_use, budget.next_slot_in, budget.in_flight) == (0, 0.0, 0)


async def test_a_connection_that_takes_too_long_is_not_counted_either() -> None:
    """A server that accepts and never says a word of TLS."""

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    for given in (False, True):
        async with AsyncExitStack() as kept:
            way = await own_or_given(kept, f"https://{where(server)}", given)
            limits = Timeouts(total=60.0, connect=4.0)
            began = asyncio.get_running_loop().time()
            async with client_of(way, retry=TWICE, timeouts=limits) as client:
                result = await client.realized_trainings.get_many(IDS)
                assert len(result.failures) == 6
                for error in result.failures.values():
                    assert type(error) is LuccaTimeoutError
                    assert (error.sent, error.attempts, error.transient) == (False, 2, True)
                    assert "no connection within 4 s" in str(error)
                assert client.budget.in_use == 0
            # Two at a time, twice each, four seconds each.
            assert 24 <= asyncio.get_running_loop().time() - began < 25
    assert len(accepted) == 24
    for writer in accepted:
        writer.close()
    server.close()


async def test_the_next_request_has_the_whole_budget(nobody: str) -> None:
    """After failures that cost nothing, as many may be sent at once as ever."""
    host, port = nobody.split(":")
    settings: dict[str, Any] = {"rate_limit": RateLimit(2, 60.0), "retry": TWICE}
    async with LuccaTrainingClient(f"http://{nobody}", KEY, **settings) as client:
        await client.realized_trainings.get_many(IDS)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(accept, host, int(port))
        calls = [asyncio.create_task(client.realized_trainings.get(id)) for id in IDS]
        await asyncio.sleep(1)
        assert len(writers) == client.budget.in_use == client.budget.in_flight == 2
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        for writer in writers:
            writer.close()
        server.close()
