"""A record that brings the host down whenever it is asked for: it fails, and nobody else does."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection

import pytest

from lucca_training_async import BulkResult, RequestError

from .outages import Host, Outage, fetch_all, outage_stage
from .raw_server import Request

IDS = 60
# What answers 503, cuts its answers off, or drops all connections and each one that comes.
KINDS = ["503", "cut", "dropped"]


@pytest.fixture(autouse=True)
def always_the_same_jitter() -> None:
    random.seed(235)


class Poisoned(Host):
    """Whoever asks for one of its ids takes it down for a while."""

    def __init__(
        self, poison: Collection[int], seconds: float, kind: str = "503", latency: float = 0.5
    ) -> None:
        super().__init__(latency=latency)
        self.poison = poison
        self.seconds = seconds
        self.kind = kind
        self.falls = Counter[int]()

    async def _handle(self, request: Request) -> bool:
        is_dropped = self.kind == "dropped"
        kind = "refusing" if is_dropped else self.kind
        if request.id in self.poison and self.is_out is None:
            self.falls[request.id] += 1
            self.outages = (Outage(kind, self.now, self.seconds),)
            if is_dropped:
                self.hang_up(lambda writer: writer.transport.abort())
        if request.id in self.poison:
            await asyncio.sleep(self.latency)
            return await self._fail(request, kind)
        return await super()._handle(request)


async def fetch(host: Host, concurrency: int) -> BulkResult:
    """The result for all ids, of a host that is known to have answered."""
    async with outage_stage(host, max_concurrency=concurrency) as on:
        await on.trainings.get(IDS + 1)
        return await on.trainings.get_many(range(1, IDS + 1))


def assert_only_these_fail(result: BulkResult, host: Poisoned) -> None:
    assert result.stopped is None
    assert sorted(result.failures) == sorted(host.poison)
    assert len(result.items) == IDS - len(host.poison)
    for error in result.failures.values():
        assert isinstance(error, RequestError)
        assert error.attempts >= 5


@pytest.mark.parametrize("latency", [0.0, 0.5])
@pytest.mark.parametrize("concurrency", [2, 10])
@pytest.mark.parametrize("seconds", [4.0, 20.0])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_poison_record_takes_nobody_with_it(
    kind: str, seconds: float, concurrency: int, latency: float
) -> None:
    host = Poisoned({30}, seconds, kind, latency)
    assert_only_these_fail(await fetch(host, concurrency), host)
    assert host.falls[30] <= 30


@pytest.mark.parametrize("concurrency", [2, 10])
@pytest.mark.parametrize("poison", [{1, 2}, {10, 30, 33, 35}])
@pytest.mark.parametrize("kind", KINDS)
async def test_nor_do_several(kind: str, poison: set[int], concurrency: int) -> None:
    host = Poisoned(poison, 20.0, kind)
    assert_only_these_fail(await fetch(host, concurrency), host)
    assert max(host.falls.values()) <= 60


async def test_an_id_that_was_under_way_in_ten_outages_is_taken_for_their_cause() -> None:
    host = Poisoned({30}, 20.0)
    # Nobody else is under way with it.
    result = await fetch_all(host, IDS, max_concurrency=1)
    assert_only_these_fail(result, host)
    assert 10 <= host.falls[30] <= 30


@pytest.mark.parametrize("seconds", [4.0, 20.0])
async def test_a_poison_record_that_never_answers_while_all_others_are_refused(
    seconds: float,
) -> None:
    """What it comes to is known long after the outage is."""

    class Silent(Poisoned):
        async def _handle(self, request: Request) -> bool:
            if request.id in self.poison:
                if self.is_out is None:
                    self.falls[request.id] += 1
                    self.outages = (Outage("503", self.now, self.seconds),)
                return True
            return await super()._handle(request)

    host = Silent({30}, seconds)
    assert_only_these_fail(await fetch(host, 10), host)
    assert host.falls[30] <= 30
