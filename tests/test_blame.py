"""What a failure does to the id that met it, and to everybody else."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from typing import Any

import aiohttp
import aiohttp.abc
import pytest

from lucca_training_async import (
    LuccaConnectionError,
    LuccaTrainingClient,
    OutageError,
    RateLimit,
    RequestError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from lucca_training_async.sandbox import Fault

from .outages import Host, Outage, OutageStage, assert_none_is_lost, fetch_all, outage_stage, timed
from .raw_stage import KEY, answer
from .support import QUICK, stage

MAX_ATTEMPTS = RetryPolicy().max_attempts


# -- what may be the cause of an outage


async def test_an_id_that_was_under_way_in_fewer_outages_is_not() -> None:
    outages = [Outage("503", 3.0 + 40 * n, 20.0) for n in range(9)]
    host = Host(*outages, latency=12.0)
    result = await fetch_all(host, 8, max_concurrency=1)
    assert_none_is_lost(result, 8)


# -- the ids' own failures, where slots are far apart


@pytest.mark.parametrize("ids", [2, 5, 40])
async def test_a_bad_id_is_sent_hardly_more_often_where_slots_come_far_apart(ids: int) -> None:
    """A sign of life beside its last attempt has to wait for the budget."""
    host = Host(bad={2}, latency=0.1)
    result = await fetch_all(host, ids, rate_limit=RateLimit(1, 2.0))
    assert list(result.failures) == [2]
    asked = [request.id for request in host.requests].count(2)
    assert MAX_ATTEMPTS <= asked <= MAX_ATTEMPTS + 2
    assert len(host.requests) <= ids + 2 * MAX_ATTEMPTS


async def test_a_bad_id_is_sent_no_more_often_where_they_do_not() -> None:
    host = Host(bad={2})
    result = await fetch_all(host, 40)
    error = result.failures[2]
    assert type(error) is ServerError
    assert error.attempts == MAX_ATTEMPTS
    assert [request.id for request in host.requests].count(2) == MAX_ATTEMPTS


async def test_an_id_that_used_up_its_attempts_before_any_answer_is_told_with_the_first() -> None:
    """While nothing has been answered it waits for the others; and no longer than that."""
    told: list[int] = []
    host = Host(bad={1}, faults={2: "hanging"})
    async with outage_stage(host, max_concurrency=2, retry=QUICK) as on:
        result = await on.trainings.get_many(
            range(1, 41), on_outcome=lambda outcome: told.append(getattr(outcome, "id", 0))
        )
    assert list(result.failures) == [1]
    assert 1 <= told.index(1) <= 5


# -- suspicions


async def test_a_suspicion_refuses_no_get() -> None:
    """Three bad ids in a row look like an outage, until the witness has answered."""
    policy = RetryPolicy(retry_after_max=0)
    async with outage_stage(Host(bad={2, 3, 4}), retry=policy) as on:
        await on.trainings.get(1)
        run = asyncio.create_task(on.trainings.get_many([2, 3, 4]))
        await asyncio.sleep(on.host.latency + 0.01)
        assert on.client.budget.closed_by == "pause"
        assert (await on.trainings.get(5)).id == 5
        assert sorted((await run).failures) == [2, 3, 4]
        assert (await on.trainings.get(6)).id == 6


# -- what tells of the host


async def test_a_host_all_of_whose_answers_are_404_is_alive_all_the_same() -> None:
    not_found = answer(b'{"title": "Not Found", "status": 404}', "404 Not Found")
    result = await fetch_all(Host(Outage("503", 62.0, 120), instead=not_found), 150)
    assert (result.stopped, result.failures) == (None, {})
    assert result.missing == list(range(1, 151))
    assert 119 <= result.stats.lost_to_outages <= 150


async def test_a_record_that_has_died_since_it_was_answered_does_not_stop_a_run() -> None:
    """It was the witness; so the one that was answered last is asked for."""
    bad: set[int] = set()
    async with outage_stage(Host(bad=bad)) as on:
        await on.trainings.get_many(range(1, 40))
        bad |= {*range(1, 20), *range(40, 50)}
        result = await on.trainings.get_many(range(40, 80))
    assert result.stopped is None
    assert result.failures.keys() == set(range(40, 50))


async def test_the_want_of_a_free_connection_says_nothing_of_the_host() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        settings: dict[str, Any] = {"session": session, "timeouts": Timeouts(pool=1.0)}
        async with outage_stage(Host(latency=12.0), **settings) as on:
            # Somebody else has the only one.
            other = asyncio.create_task(session.get(f"{on.host.url}/trainings/99"))
            await asyncio.sleep(0.1)
            result = await on.trainings.get_many(range(1, 16))
            (await other).close()
    assert result.stopped is None
    assert 8 <= len(result.failures) <= 12
    assert list(result.items) == list(range(len(result.failures) + 1, 16))
    for error in result.failures.values():
        assert isinstance(error, LuccaConnectionError)
        assert "no free connection" in str(error)


# -- what never reached Lucca


class NeverResolves(aiohttp.abc.AbstractResolver):
    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None: ...


async def test_a_get_that_is_cancelled_while_it_connects_costs_nothing_of_the_budget() -> None:
    names = NeverResolves()
    connector = aiohttp.TCPConnector(resolver=names)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with LuccaTrainingClient(
            "acme.ilucca.net", KEY, session=session, rate_limit=RateLimit(1, 3600.0)
        ) as client:
            call = asyncio.create_task(client.realized_trainings.get(5))
            await asyncio.sleep(1)
            assert (names.asked, client.budget.in_use) == (1, 1)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert (client.budget.in_use, client.budget.next_slot_in) == (0, 0)


async def test_a_get_that_is_cancelled_while_it_is_answered_costs_a_slot() -> None:
    async with stage(rate_limit=RateLimit(1, 3600.0)) as on:
        on.sandbox.inject(Fault.slow(10))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await on.trainings.get(5)
        assert on.client.budget.in_use == len(on.sandbox.arrivals) == 1


# -- nothing is kept


class Kept:
    """What a caller has, and expects to be let go of."""


async def ask(on: OutageStage, id: int, kept: list[weakref.ref[Kept]]) -> RequestError:
    """The error of a get, and what only this frame holds."""
    mine = Kept()
    kept.append(weakref.ref(mine))
    try:
        await on.trainings.get(id)
    except RequestError as error:
        return error.with_traceback(None)
    raise AssertionError(mine)


@pytest.mark.parametrize("kind", ["503", "hanging", "502 page"])
async def test_an_outage_keeps_nothing_of_those_who_met_it(kind: str) -> None:
    """The last failure is told to everybody, and its traceback leads to its caller's frames."""
    kept: list[weakref.ref[Kept]] = []
    async with outage_stage(Host(Outage(kind, 1.0))) as on:
        await on.trainings.get(1)
        await asyncio.sleep(1)
        errors = await asyncio.gather(*(ask(on, id, kept) for id in (2, 3, 4, 5)))
        assert on.client.budget.closed_by == "outage"
        later = await ask(on, 6, kept)
        assert type(later) is OutageError
        assert later.last_seen is not None
        assert later.last_seen.__traceback__ is None
        del errors, later
        gc.collect()
        assert [one() for one in kept] == [None] * 5


async def test_a_pause_keeps_nothing_of_whoever_met_it() -> None:
    kept: list[weakref.ref[Kept]] = []
    async with outage_stage(Host(refusals={0.0: 3600})) as on:
        error = (await timed(ask(on, 1, kept)))[0]
        assert isinstance(error, RequestError)
        assert on.client.budget.closed_for > 3500
        del error
        gc.collect()
        assert [one() for one in kept] == [None]
