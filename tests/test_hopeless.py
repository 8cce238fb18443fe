"""What will never work is told within a minute, for a few dozen requests, whatever is asked for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import aiohttp
import aiohttp.abc
import pytest

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    LuccaError,
    LuccaTrainingClient,
    OutageError,
    PermissionDeniedError,
    ResponseError,
)

from .outages import (
    ANSWERS,
    FORBIDDEN,
    KINDS,
    Host,
    Outage,
    fetch_all,
    outage_stage,
    page,
    timed,
)
from .raw_stage import KEY, answer

IDS = 10_000
A_MINUTE = 60.0
A_FEW_DOZEN = 60


class NoNames(aiohttp.abc.AbstractResolver):
    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        raise OSError(f"no such name: {host}")

    async def close(self) -> None: ...


def assert_told_at_once(result: BulkResult, kind: type[LuccaError]) -> None:
    assert type(result.stopped) is kind
    assert result.stats.elapsed <= A_MINUTE
    assert result.stats.requests <= A_FEW_DOZEN
    assert list(result.failures) == list(range(1, IDS + 1))
    # Those that were sent may have an error of their own, all others have that of the run.
    others = [error for error in result.failures.values() if error is not result.stopped]
    assert len(others) <= A_FEW_DOZEN


@pytest.mark.parametrize("latency", [0.0, 0.2, 4.0])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "503 later"])
async def test_a_host_that_never_gives_a_sign_of_life(kind: str, latency: float) -> None:
    host = Host(Outage(kind), latency=latency)
    result = await fetch_all(host, IDS)
    assert_told_at_once(result, OutageError)
    assert max(len(host.requests), host.connections) <= A_FEW_DOZEN
    assert isinstance(result.stopped, OutageError)
    assert result.stopped.last_seen is not None
    assert "sign of life" in str(result.stopped)


@pytest.mark.parametrize("kind", ["503", "502 page", "cut"])
async def test_with_more_workers_than_the_budget_has_room_for_it_is_asked_once_more(
    kind: str,
) -> None:
    """A short outage at the start that has used up the budget is not the end of the run."""
    result = await fetch_all(Host(Outage(kind)), IDS, max_concurrency=20)
    assert type(result.stopped) is OutageError
    # What was cut off is counted for two periods.
    assert result.stats.elapsed <= 2 * 60 + 15
    assert len(result.failures) == IDS
    result = await fetch_all(Host(Outage(kind, 0.0, 20)), 200, max_concurrency=20)
    assert len(result.items) == 200


async def test_a_strange_host_that_asks_to_wait_is_asked_again_after_that() -> None:
    host = Host(Outage("503 later"))
    result = await fetch_all(host, IDS)
    assert type(result.stopped) is OutageError
    assert result.stats.elapsed <= 121 + A_MINUTE
    assert len(host.requests) <= A_FEW_DOZEN
    assert len(result.failures) == IDS


@pytest.mark.parametrize("ids", [1, 4, IDS])
@pytest.mark.parametrize("gets", [3, 5, 12])
@pytest.mark.parametrize("after", [0.0, 30.0, 70.0])
@pytest.mark.parametrize("kind", ["503", "refusing", "hanging", "cut"])
async def test_a_host_that_gets_have_found_dead_before(
    kind: str, after: float, gets: int, ids: int
) -> None:
    """The pauses between the probes of their outage give a run no minute more."""
    async with outage_stage(Host(Outage(kind))) as on:
        asking = [asyncio.create_task(timed(on.trainings.get(IDS + n))) for n in range(gets)]
        await asyncio.sleep(after)
        result = await on.trainings.get_many(range(1, ids + 1))
        await asyncio.wait(asking)
    assert result.stats.elapsed <= A_MINUTE
    assert list(result.failures) == list(range(1, ids + 1))
    assert type(result.stopped) is OutageError


async def test_a_name_that_nobody_knows() -> None:
    names = NoNames()
    connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with LuccaTrainingClient("acmee.ilucca.net", KEY, session=session) as client:
            result = await client.realized_trainings.get_many(range(1, IDS + 1))
    assert_told_at_once(result, OutageError)
    assert 0 < names.asked <= A_FEW_DOZEN


async def test_a_certificate_that_nobody_trusts(self_signed: ssl.SSLContext) -> None:
    host = Host()
    async with outage_stage(host, tls=self_signed) as on:
        result = await on.trainings.get_many(range(1, IDS + 1))
    assert_told_at_once(result, OutageError)
    assert host.connections <= A_FEW_DOZEN
    assert isinstance(result.stopped, OutageError)
    assert "certificate verify failed" in str(result.stopped.last_seen)


@pytest.mark.parametrize(
    ("instead", "kind"),
    [
        (answer(b'{"title": "Unauthorized"}', "401 Unauthorized"), AuthenticationError),
        (FORBIDDEN, PermissionDeniedError),
    ],
)
async def test_a_key_that_is_wrong_and_one_that_may_read_nothing(
    instead: bytes, kind: type[LuccaError]
) -> None:
    host = Host(instead=instead)
    result = await fetch_all(host, IDS)
    assert_told_at_once(result, kind)
    assert len(host.requests) <= 30


async def test_a_key_that_may_read_some_of_them_reads_on() -> None:
    host = Host(forbidden=range(2, 121))
    result = await fetch_all(host, 120)
    assert result.stopped is None
    assert list(result.items) == [1]
    assert {type(error) for error in result.failures.values()} == {PermissionDeniedError}
    assert len(host.requests) == 120


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_page_says_nothing_of_the_key(status: str) -> None:
    result = await fetch_all(Host(instead=page(status)), IDS)
    assert type(result.stopped) is OutageError
    last_seen = result.stopped.last_seen
    assert type(last_seen) is ResponseError
    assert last_seen.status == int(status[:3])


@pytest.mark.parametrize("kind", ["refusing", "hanging", *ANSWERS])
async def test_an_endless_source_of_ids_is_read_no_further(kind: str) -> None:
    read: list[int] = []

    def ids() -> Any:
        for id in range(1, IDS):
            read.append(id)
            yield id

    async with outage_stage(Host(Outage(kind))) as on:
        result = await on.trainings.get_many(ids())
    assert type(result.stopped) is OutageError
    assert len(read) <= A_FEW_DOZEN
    assert list(result.failures) == read
