"""The ledger on a server: the same rules as in memory, and whatever may happen to a server."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import ConfigurationError, LuccaTrainingClient, RateLimit
from lucca_training_async._budget import Cause, Wait
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
from lucca_training_async.sandbox import Sandbox

from .redis_server import HAS_REDIS, PASSWORD, redis_server, redis_url
from .virtual_time import run

pytestmark = pytest.mark.skipif(not HAS_REDIS, reason="redis, or a server for it, is missing")
redis: Any = pytest.importorskip("redis.asyncio")

ASK = Ask("one", "one:1", 10, 60.0, 15.0, 135.0)
START = 1.7e9


# -- the same rules

tokens = st.integers(1, 5)
clients = st.sampled_from(["one", "two", "three"])
causes = st.sampled_from(list(Cause))
seconds = st.integers(1, 200).map(lambda eighths: eighths / 8)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    client = draw(clients)
    requests = draw(st.sampled_from([1, 2, 3, None]))
    return Ask(
        client, f"{client}:{draw(tokens)}", requests, draw(st.sampled_from([4.0, 8.0])), 3, 19
    )


def token_of(client: str, number: int) -> str:
    return f"{client}:{number}"


@st.composite
def steps(draw: st.DrawFn) -> Step:
    client, kept = draw(clients), st.builds(Kept, seconds, st.integers(0, 2), st.none() | seconds)
    names = tokens.map(partial(token_of, client))
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

        memory, server = MemoryStore(clock), RedisStore(redis_url(), clock, clock)
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


async def applied(store: RedisStore, *told: Step) -> tuple[Tenant, Wait | None]:
    return await store.apply("acme", told)


@pytest.mark.real_time
async def test_scripts_that_are_forgotten_are_told_again() -> None:
    with redis_server() as server:
        store, other = RedisStore(server.url), redis.Redis.from_url(server.url)
        await applied(store, Take(ASK))
        await other.script_flush()
        tenant, _ = await applied(store, Meet(ASK))
        assert list(tenant.slots) == ["one:1"]
        await other.aclose()
        await store.aclose()


@pytest.mark.real_time
async def test_every_key_ends_some_day_and_is_in_one_hash_slot() -> None:
    with redis_server() as server:
        store, other = RedisStore(server.url), redis.Redis.from_url(server.url)
        await applied(store, Take(ASK))
        keys = sorted(await other.keys("*"))
        assert keys == [b"lucca:{acme}:slots", b"lucca:{acme}:state"]
        for key in keys:
            assert 3600_000 < await other.pttl(key) <= 86_400_000
        await other.aclose()
        await store.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("key", ["slots", "state"])
async def test_half_of_it_is_nothing(key: str) -> None:
    with redis_server() as server:
        store, other = RedisStore(server.url), redis.Redis.from_url(server.url)
        before, _ = await applied(store, Take(ASK))
        await other.delete(f"lucca:{{acme}}:{key}")
        after, _ = await applied(store)
        assert after.born != before.born
        await other.aclose()
        await store.aclose()


@pytest.mark.real_time
async def test_another_server_that_has_the_data_is_waited_for() -> None:
    """A replica, or one that has read its file again: it may lack what was written last."""
    with redis_server() as server:
        store, other = RedisStore(server.url), redis.Redis.from_url(server.url)
        await applied(store, Take(ASK))
        await other.hset("lucca:{acme}:state", "run", "another")
        tenant, answer = await applied(store, Take(attrs.evolve(ASK, token="one:2")))
        assert answer is not None
        assert answer.closed is Cause.DOUBT
        assert answer.seconds == pytest.approx(60, abs=0.1)
        assert list(tenant.slots) == ["one:1"]
        _, again = await applied(store, Take(attrs.evolve(ASK, token="one:3")))
        assert again is not None
        assert again.seconds < 60
        await other.aclose()
        await store.aclose()


@pytest.mark.real_time
async def test_a_server_that_restarts_is_reached_again_and_knows_nothing() -> None:
    with redis_server() as server:
        store = RedisStore(server.url)
        before, _ = await applied(store, Take(ASK))
        server.stop()
        with pytest.raises(UnreachableError):
            await applied(store)
        server.start()
        after, _ = await applied(store)
        assert after.born != before.born
        assert after.slots == {}
        server.stop()
        server.start()
        await applied(store)  # the connection has died in silence
        await store.aclose()


@pytest.mark.real_time
async def test_a_server_that_stands_still_is_not_waited_for() -> None:
    with redis_server() as server:
        store = RedisStore(server.url)
        await applied(store)
        server.send(signal.SIGSTOP)
        async with asyncio.timeout(10):
            with pytest.raises(UnreachableError):
                await applied(store)
        server.send(signal.SIGCONT)
        await applied(store)
        await store.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("url", ["", "?password=not-the-password"])
async def test_a_wrong_password_is_told_without_it(url: str) -> None:
    with redis_server("--requirepass", PASSWORD) as server:
        store = RedisStore(server.url + url)
        with pytest.raises(ConfigurationError) as caught:
            await applied(store)
        assert "not-the-password" not in f"{caught.value!r} {caught.value} {store!r} {store.name}"
        await store.aclose()
        right = RedisStore(f"{server.url}?password={PASSWORD}")
        await applied(right)
        assert PASSWORD not in repr(right)
        await right.aclose()


async def answering(reply: Sequence[bytes], reader: Any, writer: Any) -> None:
    """As a server of long ago: it knows INFO, and nothing of what came later."""
    try:
        while line := await reader.readline():
            words = [await reader.readline() for _ in range(2 * int(line[1:]))][1::2]
            writer.write(reply[0] if words[0].upper().startswith(b"INFO") else reply[1])
    finally:
        writer.close()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("info", "told"),
    [(b"redis_version:3.2.1", "is Redis 3.2.1"), (b"a:1", "unknown command")],
)
async def test_a_server_that_is_too_old_is_told(info: bytes, told: str) -> None:
    reply = [b"$%d\r\n%s\r\n" % (len(info), info), b"-ERR unknown command\r\n"]
    server = await asyncio.start_server(
        lambda reader, writer: answering(reply, reader, writer), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    with pytest.raises(ConfigurationError, match=told):
        await applied(store)
    await store.aclose()
    server.close()
    await server.wait_closed()


# -- a client


@pytest.mark.real_time
async def test_clients_share_it() -> None:
    limit: Any = {"rate_limit": RateLimit(10, 0.5)}
    with redis_server() as server:
        async with Sandbox(**limit) as sandbox:
            options: Any = {**limit, "shared_budget": server.url}
            async with (
                LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as one,
                LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as other,
            ):
                for client in (one, other):
                    result = await client.realized_trainings.get_many(range(1, 16), plan="each")
                    assert len(result.items) == 15
                assert other.budget.clients == 2
            assert {arrival.status for arrival in sandbox.arrivals} == {200}


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
