"""What goes wrong on a server, or in a URL: told as what it is, and without harm to the budget."""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import pytest

from lucca_training_async import ConfigurationError
from lucca_training_async._budget import Cause, Lease, Wait
from lucca_training_async._budget.redis import RedisStore
from lucca_training_async._budget.shared import SharedLedger
from lucca_training_async._budget.steps import (
    Close,
    Kept,
    Meet,
    Restore,
    Settle,
    Step,
    Take,
    UnreachableError,
)

from .redis_server import ASK, HAS_REDIS, PASSWORD, Stage, answering, assert_is_hidden
from .redis_server import stage as stage

pytestmark = [
    pytest.mark.skipif(not HAS_REDIS, reason="redis, or a server for it, is missing"),
    pytest.mark.real_time,
]
pytest.importorskip("redis")


# -- what was written last may be missing


async def test_doubt_lasts_a_period_though_the_first_to_tell_names_none(stage: Stage) -> None:
    """It has only a request to settle."""
    await stage.apply(Take(ASK), Meet(attrs.evolve(ASK, client="two", period=90.0)))
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    tenant, _ = await stage.apply(Settle("one", "one:1", 0, 60.0, answered=True))
    assert tenant.opens_at - tenant.touched_at == pytest.approx(90.0, abs=0.1)
    assert (tenant.closed_by, tenant.allowed) == (Cause.DOUBT, 1)


async def test_doubt_lasts_no_longer_than_the_period_that_is_known(stage: Stage) -> None:
    await stage.apply(Take(attrs.evolve(ASK, period=2.0)))
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    tenant, _ = await stage.apply(Settle("one", "one:1", 0, 2.0, answered=True))
    assert tenant.opens_at - tenant.touched_at == pytest.approx(2.0, abs=0.1)


async def test_doubt_lasts_a_minute_where_nobody_has_named_a_period(stage: Stage) -> None:
    await stage.apply(Close(1.0, Cause.PAUSE))
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    tenant, _ = await stage.apply(Close(1.0, Cause.PAUSE))
    assert tenant.opens_at - tenant.touched_at == pytest.approx(60.0, abs=0.1)


async def test_every_client_tells_once_that_something_may_be_missing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    ledgers = [SharedLedger(RedisStore(stage.server.url), "acme", 10, 60.0, 15.0) for _ in range(2)]
    for ledger in ledgers:
        assert isinstance(await ledger.take(), Lease)
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    for ledger in [*ledgers, *ledgers]:
        answer = await ledger.take()
        assert isinstance(answer, Wait)
        assert answer.closed is Cause.DOUBT
    assert caplog.text.count("may have been lost") == 2
    for ledger in ledgers:
        assert ledger.standing().in_use == 2
        await ledger.aclose()


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_on_another_server_no_time_has_passed(stage: Stage, ahead: float) -> None:
    """Its clock tells nothing of when the slots of the one before are free."""
    moment = 1e9
    store = RedisStore(stage.server.url, server_clock=lambda: moment)
    await store.apply("acme", [Take(ASK), Settle("one", "one:0", 0, 100.0, answered=False)])
    await stage.other.hset("lucca:{acme}:state", "run", "another")
    moment += ahead
    tenant, _ = await store.apply("acme", [Meet(ASK)])
    free_in = {token: slot.free_at - tenant.touched_at for token, slot in tenant.slots.items()}
    assert free_in == pytest.approx({"one:0": 100.0, "one:1": ASK.ends_in}, abs=0.01)
    assert tenant.opens_at - tenant.touched_at == pytest.approx(60.0, abs=0.1)
    await store.aclose()


# -- a script that fails, or has much to write


async def test_a_script_that_fails_changes_nothing(stage: Stage) -> None:
    before, _ = await stage.apply(Take(ASK))
    with pytest.raises(UnreachableError):
        await stage.apply(Close(math.inf, Cause.PAUSE))
    after, _ = await stage.apply()
    assert (after.born, after.round, list(after.slots)) == (before.born, 0, ["one:1"])


async def test_thousands_of_requests_may_be_under_way(stage: Stage) -> None:
    await stage.apply(Restore("one", {f"one:{each}": Kept(135.0, 0, 15.0) for each in range(5000)}))
    tenant, _ = await stage.apply()
    assert len(tenant.slots) == 5000
    assert all(slot.held_until is not None for slot in tenant.slots.values())


A_DAY = 86_400.0
LONG_ASK = attrs.evolve(ASK, token="one:2", held_for=50 * A_DAY, ends_in=50 * A_DAY)


@pytest.mark.parametrize(
    "step",
    [Take(LONG_ASK), Close(50 * A_DAY, Cause.PAUSE), Meet(attrs.evolve(ASK, period=5 * A_DAY))],
    ids=["a lease", "a closure", "a client"],
)
async def test_keys_are_kept_as_long_as_anything_in_them_counts(stage: Stage, step: Step) -> None:
    await stage.apply(Take(ASK), step)
    for key in ("slots", "state"):
        kept = await stage.other.pttl(f"lucca:{{acme}}:{key}")
        assert kept > (50 * A_DAY - 60) * 1000


# -- what will never do


@pytest.mark.parametrize(
    "rules",
    [
        ["~*", "+@all", "-evalsha", "-eval"],
        ["~other:*", "+@all"],
        ["~lucca:*", "+evalsha", "+eval", "+script"],
    ],
    ids=["no scripts", "other keys", "no commands in scripts"],
)
async def test_a_user_who_may_not_is_told(stage: Stage, rules: list[str]) -> None:
    await stage.other.execute_command("ACL", "SETUSER", "me", "on", f">{PASSWORD}", *rules)
    store = RedisStore(f"{stage.server.url}?username=me&password={PASSWORD}")
    with pytest.raises(ConfigurationError, match="lets this user run scripts") as caught:
        await store.apply("acme", [Meet(ASK)])
    assert_is_hidden(caught.value)
    await store.aclose()


async def test_what_has_worked_is_not_called_wrong(stage: Stage) -> None:
    """Somebody is just changing the rights, perhaps."""
    await stage.other.execute_command("ACL", "SETUSER", "me", "on", f">{PASSWORD}", "~*", "+@all")
    store = RedisStore(f"{stage.server.url}?username=me&password={PASSWORD}")
    await store.apply("acme", [Meet(ASK)])
    await stage.other.execute_command("ACL", "SETUSER", "me", "-evalsha", "-eval")
    with pytest.raises(UnreachableError) as caught:
        await store.apply("acme", [Meet(ASK)])
    assert_is_hidden(caught.value)
    await store.aclose()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("MOVED 3999 127.0.0.1:6381", ConfigurationError),
        ("CROSSSLOT Keys in request don't hash to the same slot", ConfigurationError),
        ("ERR DB index is out of range", ConfigurationError),
        ("CLUSTERDOWN Hash slot not served", UnreachableError),
        ("LOADING Redis is loading the dataset in memory", UnreachableError),
        ("READONLY You can't write against a read only replica.", UnreachableError),
        ("OOM command not allowed when used memory > 'maxmemory'.", UnreachableError),
        ("MISCONF Redis is configured to save RDB snapshots", UnreachableError),
        ("BUSY Redis is busy running a script.", UnreachableError),
    ],
)
async def test_what_a_server_says_is_taken_for_what_it_is(
    reply: str, kind: type[Exception]
) -> None:
    async with answering(b"a:1", f"-{reply}\r\n".encode()) as store:
        with pytest.raises(kind):
            await store.apply("acme", [Meet(ASK)])


async def test_an_answer_that_is_garbled_later_is_no_wrong_url(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.apply(Meet(ASK))

    async def garbled(**_: object) -> str:
        return "{"

    monkeypatch.setattr(stage.store, "_script", garbled)
    with pytest.raises(UnreachableError, match="not as a Redis server does"):
        await stage.apply(Meet(ASK))


@pytest.mark.parametrize("key", ["slots", "state"])
async def test_keys_of_somebody_else_are_told(stage: Stage, key: str) -> None:
    await stage.other.set(f"lucca:{{acme}}:{key}", "not ours")
    with pytest.raises(ConfigurationError, match="database of its own"):
        await stage.apply(Meet(ASK))
    assert await stage.other.get(f"lucca:{{acme}}:{key}") == b"not ours"


async def test_the_format_of_another_version_is_told(stage: Stage) -> None:
    await stage.apply(Meet(ASK))
    await stage.other.hset("lucca:{acme}:state", "format", "99")
    newcomer = RedisStore(stage.server.url)
    with pytest.raises(ConfigurationError, match=r"FORMAT 99 is not 1.*another version"):
        await newcomer.apply("acme", [Meet(ASK)])
    await newcomer.aclose()


@pytest.mark.parametrize(
    "option",
    [
        *("db=x", "nonsense=1", "socket_timeout=soon", "encoding=nope", "retry=x", "protocol=9"),
        *("credential_provider=x", "retry_on_error=x", "ssl_cert_reqs=bogus"),
    ],
)
async def test_an_option_that_there_is_not_is_told(stage: Stage, option: str) -> None:
    url = f"{stage.server.url}?password={PASSWORD}&{option}"
    if option.startswith("ssl"):
        url = f"rediss://me:{PASSWORD}@127.0.0.1:1/0?{option}"
    store = RedisStore(url)
    with pytest.raises(ConfigurationError, match="does not take this URL") as caught:
        await store.apply("acme", [])
    assert_is_hidden(caught.value)
    await store.aclose()


@pytest.mark.parametrize(
    "option", [f"password={PASSWORD}", "db=99", f"username=x&password={PASSWORD}"]
)
async def test_what_the_server_refuses_of_a_url_is_told(stage: Stage, option: str) -> None:
    store = RedisStore(f"{stage.server.url}?{option}")
    with pytest.raises(ConfigurationError) as caught:
        await store.apply("acme", [])
    assert_is_hidden(caught.value)
    await store.aclose()


async def test_a_path_is_no_answer(tmp_path: Path) -> None:
    store = RedisStore(f"unix://{tmp_path}/AUTH")
    with pytest.raises(UnreachableError):
        await store.apply("acme", [])
    await store.aclose()


async def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    store = RedisStore(f"redis://me:{PASSWORD}@127.0.0.1:1/0?password={PASSWORD}")
    with pytest.raises(UnreachableError, match="redis://127.0.0.1:1/0") as caught:
        await store.apply("acme", [])
    assert_is_hidden(caught.value)
    assert PASSWORD not in store.name + repr(store)
    await store.aclose()
    await store.aclose()  # twice is no error
