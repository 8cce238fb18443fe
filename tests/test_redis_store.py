"""The ledger on a server: the same rules as in memory, and whatever may happen to a server."""

from __future__ import annotations

import asyncio
import math
import signal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import ConfigurationError, LuccaTrainingClient
from lucca_training_async._budget import Cause, Lane
from lucca_training_async._budget.memory import MemoryStore
from lucca_training_async._budget.redis import RedisStore
from lucca_training_async._budget.steps import (
    Close,
    Kept,
    Leave,
    Meet,
    Restore,
    Settle,
    Step,
    Take,
    UnreachableError,
)
from lucca_training_async._budget.tenant import Ask, Tenant
from lucca_training_async._budget.tokens import token_of

from .gates import RedisStoreOfSimulatedTime
from .redis_server import ASK, HAS_REDIS, PASSWORD, Stage, answering, redis_server, redis_url
from .redis_server import stage as stage
from .virtual_time import run

pytestmark = pytest.mark.skipif(not HAS_REDIS, reason="redis, or a server for it, is missing")
pytest.importorskip("redis")

START = 1.7e9


# -- the same rules

tokens = st.integers(1, 5)
clients = st.sampled_from(["one", "two", "three"])
causes = st.sampled_from(list(Cause))
seconds = st.integers(1, 200).map(lambda eighths: eighths / 8)


lanes = st.sampled_from(list(Lane))


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    client, lane = draw(clients), draw(lanes)
    requests = draw(st.sampled_from([1, 2, 3, None]))
    token = token_of(client, draw(tokens), lane)
    period = draw(st.sampled_from([4.0, 8.0]))
    return Ask(client, token, requests, period, 3, 19, lane, draw(st.integers(0, 2)))


@st.composite
def steps(draw: st.DrawFn) -> Step:
    client, kept = draw(clients), st.builds(Kept, seconds, st.integers(0, 2), st.none() | seconds)
    names = st.builds(token_of, st.just(client), tokens, lanes)
    return draw(
        asks().map(Take)
        | asks().map(Take)
        | asks().map(Meet)
        | st.builds(
            Settle,
            st.just(client),
            names,
            st.integers(0, 2),
            st.just(0.0) | seconds,
            st.booleans(),
        )
        | st.builds(Close, seconds, causes)
        | st.builds(Restore, st.just(client), st.dictionaries(names, kept, max_size=3))
        | st.builds(Leave, st.just(client))
    )


def rounded(tenant: Tenant) -> Any:
    def near(value: object) -> object:
        return round(value, 3) if isinstance(value, float) and math.isfinite(value) else value

    members = attrs.asdict(tenant, value_serializer=lambda _, __, value: near(value))
    # What is over is over: when it was differs, as one forgets it and the other never knew it.
    members["opens_at"] = max(members["opens_at"], tenant.touched_at)
    pace = members["pace"]
    pace["due_at"] = max(pace["due_at"], tenant.touched_at)
    for name in ("people_at", "taken_at"):
        pace[name] = max(pace[name], tenant.touched_at - 200)
    for slot in members["slots"].values():
        if slot["held_until"] is None:
            slot["round"] = None  # of what is over, nobody asks
    return {name: value for name, value in members.items() if name != "born"}


_numbers = iter(range(10**9))


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.125, 1.0, 3.0, 30.0, -5.0]), st.lists(steps(), max_size=3)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_server_does_what_memory_does(events: list[tuple[float, list[Step]]]) -> None:
    host = f"same-{next(_numbers)}"

    async def main() -> None:
        moment = [START]

        def clock() -> float:
            return moment[0]

        memory, server = MemoryStore(clock), RedisStoreOfSimulatedTime(redis_url(), clock, clock)
        try:
            for later, told in events:
                moment[0] += later
                here, answer = await memory.apply(host, told)
                there, same = await server.apply(host, told)
                assert rounded(there) == rounded(here)
                assert (answer is None) == (same is None)
                if answer is not None and same is not None:
                    assert same.seconds == pytest.approx(answer.seconds, abs=1e-3)
                    assert same.closed == answer.closed
        finally:
            await server.aclose()

    run(main())


# -- what may happen to a server


@pytest.mark.real_time
async def test_scripts_that_are_forgotten_are_told_again(stage: Stage) -> None:
    await stage.apply(Take(ASK))
    await stage.other.script_flush()
    tenant, _ = await stage.apply(Meet(ASK))
    assert list(tenant.slots) == ["one:1"]


@pytest.mark.real_time
async def test_every_key_ends_some_day_and_is_in_one_hash_slot(stage: Stage) -> None:
    await stage.apply(Take(ASK))
    keys = sorted(await stage.other.keys("*"))
    assert keys == [b"lucca:{acme}:slots", b"lucca:{acme}:state"]
    for key in keys:
        assert 3600_000 < await stage.other.pttl(key) <= 40 * 86_400_000


@pytest.mark.real_time
@pytest.mark.parametrize("key", ["slots", "state"])
async def test_half_of_it_is_nothing(stage: Stage, key: str) -> None:
    before, _ = await stage.apply(Take(ASK))
    await stage.other.delete(f"lucca:{{acme}}:{key}")
    after, _ = await stage.apply()
    assert after.born != before.born


@pytest.mark.real_time
async def test_another_server_that_has_the_data_is_waited_for(stage: Stage) -> None:
    """A replica, or one that has read its file again: it may lack what was written last."""
    before, _ = await stage.apply(Take(ASK))
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    tenant, answer = await stage.apply(Take(attrs.evolve(ASK, token="one:2")))
    assert answer is not None
    assert answer.closed is Cause.DOUBT
    assert answer.seconds == pytest.approx(60, abs=0.1)
    assert list(tenant.slots) == ["one:1"]
    # By which all who share it learn of it.
    assert tenant.born != before.born
    assert tenant.born_at == pytest.approx(tenant.touched_at, abs=0.1)
    _, again = await stage.apply(Take(attrs.evolve(ASK, token="one:3")))
    assert again is not None
    assert again.seconds < 60


@pytest.mark.real_time
async def test_a_server_that_restarts_is_reached_again_and_knows_nothing(stage: Stage) -> None:
    before, _ = await stage.apply(Take(ASK))
    stage.server.stop()
    with pytest.raises(UnreachableError):
        await stage.apply()
    stage.server.start()
    after, _ = await stage.apply()
    assert after.born != before.born
    assert after.slots == {}
    stage.server.stop()
    stage.server.start()
    await stage.apply()  # the connection has died in silence


@pytest.mark.real_time
async def test_a_server_that_stands_still_is_not_waited_for(stage: Stage) -> None:
    await stage.apply()
    stage.server.send(signal.SIGSTOP)
    async with asyncio.timeout(10):
        with pytest.raises(UnreachableError):
            await stage.apply()
    stage.server.send(signal.SIGCONT)
    await stage.apply()


@pytest.mark.real_time
@pytest.mark.parametrize("url", ["", "?password=not-the-password"])
async def test_a_wrong_password_is_told_without_it(url: str) -> None:
    with redis_server("--requirepass", PASSWORD) as server:
        store = RedisStore(server.url + url)
        with pytest.raises(ConfigurationError) as caught:
            await store.apply("acme", [])
        assert "not-the-password" not in f"{caught.value!r} {caught.value} {store!r} {store.name}"
        await store.aclose()
        right = RedisStore(f"{server.url}?password={PASSWORD}")
        await right.apply("acme", [])
        assert PASSWORD not in repr(right)
        await right.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("info", "told"),
    [
        (b"redis_version:3.2.1", "is Redis 3.2.1"),
        (b"redis_version:unstable", "unknown command"),
        (b"a:1", "unknown command"),
    ],
)
async def test_a_server_that_is_too_old_is_told(info: bytes, told: str) -> None:
    """It knows INFO, and nothing of what came later."""
    async with answering(info, b"-ERR unknown command\r\n") as store:
        with pytest.raises(ConfigurationError, match=told):
            await store.apply("acme", [])


# -- a client


@pytest.mark.parametrize(
    "url", ["redis://", "redis:///0", "rediss://:x@", "unix://", "redis://h:port/0"]
)
def test_a_url_without_a_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no URL of a Redis server"):
        LuccaTrainingClient("acme.ilucca.net", "your-api-key", shared_budget=url)


def test_the_password_shows_in_no_settings() -> None:
    url = f"redis://me:{PASSWORD}@127.0.0.1:1/0?password={PASSWORD}"
    client = LuccaTrainingClient("acme.ilucca.net", "your-api-key", shared_budget=url)
    assert PASSWORD not in f"{client.settings!r} {client!r} {client.budget}"
    assert "redis://127.0.0.1:1/0" in repr(client.settings)
