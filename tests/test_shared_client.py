"""A client of a shared budget, as its user meets it: settings, errors, what can be seen of it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lucca_training_async import (
    ConfigurationError,
    LuccaTrainingClient,
    MemoryLedger,
    RateLimit,
    Settings,
    SharedBudgetError,
    Timeouts,
)
from lucca_training_async._budget import Lane, Lease, Sent, Standing, Wait
from lucca_training_async._budget_url import network_of, sqlite_path
from lucca_training_async.ledger import Cause
from lucca_training_async.sandbox import Sandbox

from .posix import posix
from .redis_server import HAS_REDIS, redis_url

HOST, KEY = "acme.ilucca.net", "your-api-key"


def client(**options: Any) -> LuccaTrainingClient:
    return LuccaTrainingClient(HOST, KEY, **options)


# -- what names one


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/lucca.db", "/var/lib/lucca.db"),
        ("sqlite:////var/lib/lucca.db", "/var/lib/lucca.db"),
        ("sqlite://lucca.db", "lucca.db"),
        ("sqlite://a b/lücca.db", "a b/lücca.db"),
    ],
)
def test_what_follows_the_scheme_is_the_path(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path).absolute()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("sqlite://", "path of a file"),
        ("sqlite:///", "path of a file"),
        ("sqlite://:memory:", "MemoryLedger"),
        pytest.param("sqlite:///no/such/folder/lucca.db", "no folder /no/such/folder", marks=posix),
        pytest.param("sqlite:///etc", "which /etc is not", marks=posix),
        ("sqlite://a\0b", "control character"),
        ("sqlite:///tmp/lucca.db\n", "control character"),
        (" redis://127.0.0.1:6379/0", "white space"),
        ("redis://:secret@127.0.0.1:6379/0\n", "take it out"),
        ("sqlite:///tmp/lucca.db?mode=rw", "no options"),
        ("sqlite://~/lucca.db", "stand for themselves"),
        ("sqlite://$HOME/lucca.db", "stand for themselves"),
        ("sqlite://var/lib/app/lucca.db", "third slash"),
        ("redis://me:secret@127.0.0.1:6379/prod", "number of a database"),
        ("redis://me:1/secret@127.0.0.1/0", "as %2F"),
        ("redis://me#secret@127.0.0.1/0", "as %23"),
        ("redis://:secret@127.0.0.1:port/0", "no URL of a Redis server"),
        (MemoryLedger, r"not its class: MemoryLedger\(\)"),
        ("", "must begin with"),
        ("lucca.db", "sqlite:// and its path"),
        ("postgres://secret@host/1", "must begin with"),
        (5, "not a int"),
        (True, "not a bool"),
        (Path("lucca.db"), "not a (Posix|Windows)Path"),
    ],
)
def test_what_names_none_is_refused_where_it_is_written(value: object, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        client(shared_budget=value)
    assert "secret" not in str(caught.value)


@posix
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="let this process write"):
        client(shared_budget=f"sqlite://{tmp_path}/lucca.db")
    tmp_path.chmod(0o700)


@posix
@pytest.mark.parametrize(
    ("mounts", "network"),
    [
        ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:50 / {} rw - nfs4 server:/x rw\n", "nfs4"),
        ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:50 / {} rw - cifs //server/x rw\n", "cifs"),
        (
            "22 1 8:1 / / rw - nfs server:/ rw\n30 22 0:50 / {} rw shared:1 - ext4 /dev/sdb rw\n",
            None,
        ),
        ("22 1 8:1 / / rw - fuse.sshfs server:/ rw\n", "fuse.sshfs"),
        ("22 1 8:1 / / rw - overlay overlay rw\n", None),
        ("22 1 8:1 / / rw - fuseblk /dev/sda1 rw\n", None),
    ],
)
def test_a_network_file_system_is_recognised(
    tmp_path: Path, mounts: str, network: str | None
) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    told = tmp_path / "mountinfo"
    told.write_text(mounts.format(str(folder.resolve()).replace(" ", "\\040")))
    assert network_of(folder / "lucca.db", told) == network
    assert network_of(folder / "lucca.db", tmp_path / "none") is None


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_required_is_a_bool(value: object) -> None:
    with pytest.raises(ConfigurationError, match="shared_budget_required"):
        client(shared_budget_required=value)


def test_a_slot_must_end_some_time() -> None:
    shared = MemoryLedger()
    client(timeouts=Timeouts(total=None))
    with pytest.raises(ConfigurationError, match=r"finite Timeouts\.total"):
        client(timeouts=Timeouts(total=None), shared_budget=shared)
    with pytest.raises(ConfigurationError, match=r"finite Timeouts\.total"):
        client(shared_budget=shared).with_options(timeouts=Timeouts(total=None))


def test_it_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCCA_HOST", HOST)
    monkeypatch.setenv("LUCCA_API_KEY", KEY)
    assert LuccaTrainingClient.from_env().settings.shared_budget is None
    url = f"sqlite://{tmp_path}/lucca.db"
    monkeypatch.setenv("LUCCA_SHARED_BUDGET", url)
    assert LuccaTrainingClient.from_env().settings.shared_budget == url
    assert LuccaTrainingClient.from_env(shared_budget=None).settings.shared_budget is None
    monkeypatch.setenv("LUCCA_SHARED_BUDGET", "nothing")
    with pytest.raises(ConfigurationError, match="must begin with"):
        LuccaTrainingClient.from_env()


# -- what it does

Shared = Callable[[], Any]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        return MemoryLedger()
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/lucca.db"
    if not HAS_REDIS:
        pytest.skip("redis, or a server for it, is missing")
    return redis_url()


@pytest.mark.real_time
async def test_two_clients_are_one_to_the_server(shared: Any) -> None:
    limit = RateLimit(10, 0.5)
    async with Sandbox(rate_limit=limit) as sandbox:
        options: Any = {"rate_limit": limit, "shared_budget": shared}
        async with (
            LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as one,
            LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as other,
        ):
            for client in (one, other):
                result = await client.realized_trainings.get_many(range(1, 16), plan="each")
                assert len(result.items) == 15
            budget = other.budget
            assert (budget.clients, budget.limit, budget.alone) == (2, 10, False)
            assert budget.ledger in ("memory", shared)
            assert "by 2 clients" in str(budget)
        assert {arrival.status for arrival in sandbox.arrivals} == {200}


async def test_a_file_that_is_no_ledger_is_told_when_the_client_is_entered(tmp_path: Path) -> None:
    path = tmp_path / "lucca.db"
    path.write_text("This is a letter to my aunt. " * 50)
    with pytest.raises(ConfigurationError, match="a file of its own"):
        async with client(shared_budget=f"sqlite://{path}"):
            pass
    assert path.read_text().startswith("This is a letter")


async def test_a_file_of_another_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lucca.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(ConfigurationError, match="another version"):
        async with client(shared_budget=f"sqlite://{path}"):
            pass


async def test_a_run_stops_and_a_get_fails_where_it_can_never_be(tmp_path: Path) -> None:
    path = tmp_path / "lucca.db"
    path.write_text("no database " * 100)
    async with Sandbox() as sandbox:
        unentered = LuccaTrainingClient(
            sandbox.url, sandbox.api_key, shared_budget=f"sqlite://{path}"
        )
        with pytest.raises(ConfigurationError):
            await unentered.realized_trainings.get(1)
        result = await unentered.realized_trainings.get_many([1, 2, 3], plan="each")
        assert isinstance(result.stopped, ConfigurationError)
        assert list(result.failures) == [1, 2, 3]
        assert sandbox.arrivals == []
        await unentered.aclose()


async def test_required_and_out_of_reach_stops_a_run(tmp_path: Path) -> None:
    """A folder in the way, where SQLite has to write beside its file."""
    path = tmp_path / "lucca.db"
    options: Any = {"shared_budget": f"sqlite://{path}", "shared_budget_required": True}
    async with (
        Sandbox() as sandbox,
        LuccaTrainingClient(sandbox.url, sandbox.api_key, **options) as client,
    ):
        await client.realized_trainings.get(1)
        path.unlink()
        path.mkdir()
        with pytest.raises(SharedBudgetError, match=r"lucca\.db"):
            await client.realized_trainings.get(1)
        result = await client.realized_trainings.get_many([1, 2], plan="each")
        assert isinstance(result.stopped, SharedBudgetError)
        assert len(sandbox.arrivals) == 1


class OwnLedger:
    """A ledger as a user may write one."""

    def __init__(self) -> None:
        self.taken = 0
        self.settled: list[Sent] = []
        self.closed = False

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        self.taken += 1
        return Lease(0)

    def settle(self, lease: Lease, sent: Sent) -> None:
        self.settled.append(sent)

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None: ...

    def standing(self) -> Standing:
        return Standing(self.taken - len(self.settled))

    async def aclose(self) -> None:
        self.closed = True


async def test_a_ledger_of_ones_own_is_asked_and_not_closed() -> None:
    ledger = OwnLedger()
    async with (
        Sandbox() as sandbox,
        LuccaTrainingClient(sandbox.url, sandbox.api_key, shared_budget=ledger) as client,
    ):
        await client.realized_trainings.get(1)
    assert ledger.settled == [Sent.ANSWERED]
    assert not ledger.closed


class ExpiringLease(Lease):
    """One whose process stands still just after it was admitted, the first time."""

    def __init__(self, ledger: ExpiringLedger, valid: int) -> None:
        super().__init__(0)
        self._ledger, self._valid = ledger, valid

    def is_fresh(self) -> bool:
        return self.is_valid()

    def is_valid(self) -> bool:
        self._valid -= 1
        return self._valid >= 0


class ExpiringLedger(OwnLedger):
    """Its first lease is good for so many looks only."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        await super().take(lane)
        return ExpiringLease(self, self._looks if self.taken == 1 else 10)


@pytest.mark.parametrize("looks", [0, 1])
@pytest.mark.parametrize("given", [False, True])
async def test_nothing_is_sent_on_a_lease_that_has_ended(looks: int, given: bool) -> None:
    """Whether that shows before aiohttp has it or when it is written: it acquires anew."""
    import aiohttp

    ledger = ExpiringLedger(looks)
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        options: Any = {"session": session} if given else {}
        async with LuccaTrainingClient(
            sandbox.url, sandbox.api_key, shared_budget=ledger, **options
        ) as client:
            training = await client.realized_trainings.get(1)
            result = await client.realized_trainings.get_many([2, 3], plan="each")
        assert training.id == 1
        assert result.stats.requests == 2
        assert len(sandbox.arrivals) == 3
    assert ledger.settled == [Sent.NEVER, Sent.ANSWERED, Sent.ANSWERED, Sent.ANSWERED]


def test_settings_show_which() -> None:
    assert "MemoryLedger" in repr(Settings(HOST, KEY, shared_budget=MemoryLedger()))
