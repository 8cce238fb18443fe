"""A shared budget in a file: whose it is, who may use it, and what is told otherwise."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lucca_training_async import (
    ConfigurationError,
    LuccaTrainingClient,
    MemoryLedger,
    RetryPolicy,
    Settings,
)
from lucca_training_async._budget.lease import TIME_TO_BEGIN
from lucca_training_async._budget.sqlite import SqliteStore
from lucca_training_async._budget.steps import Meet, Take, UnreachableError

from .redis_server import ASK

HOST, KEY = "acme.ilucca.net", "your-api-key"
PAGE = Path(__file__).parent.parent / "docs" / "processes.md"


def run_sql(path: Path, *statements: str) -> list[Any]:
    """What the last of them gives."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


async def open_it(path: Path) -> None:
    store = SqliteStore(str(path))
    try:
        await store.apply("acme", [Meet(ASK)])
    finally:
        await store.aclose()


# -- whose file


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE users (id)"],
        ["CREATE TABLE users (id)", "PRAGMA user_version = 1"],
        ["CREATE TABLE users (id)", "PRAGMA user_version = 7"],
        ["PRAGMA journal_mode = WAL", "CREATE TABLE users (id)"],
        ["CREATE TABLE tenant (id)", "PRAGMA user_version = 1"],
        ["PRAGMA application_id = 1"],
    ],
)
async def test_a_database_of_another_application_is_refused_and_left_as_it_is(
    tmp_path: Path, statements: Sequence[str]
) -> None:
    path = tmp_path / "app.db"
    run_sql(path, *statements)
    before = files(tmp_path)
    with pytest.raises(ConfigurationError, match="of another application: give"):
        await open_it(path)
    assert files(tmp_path) == before


async def test_a_format_of_another_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lucca.db"
    await open_it(path)
    run_sql(path, "PRAGMA user_version = 2")
    before = files(tmp_path)
    with pytest.raises(ConfigurationError, match="its format is 2, ours 1"):
        await open_it(path)
    assert files(tmp_path) == before


async def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lucca.db"
    path.touch()  # somebody may have made it, to give it its rights
    await open_it(path)
    await open_it(path)
    assert run_sql(path, "PRAGMA application_id") == [(int.from_bytes(b"Lucc"),)]
    assert run_sql(path, "SELECT host FROM tenant") == [("acme",)]


def test_many_that_make_it_at_once_have_one(tmp_path: Path) -> None:
    path, together, errors = tmp_path / "lucca.db", threading.Barrier(8), list[Exception]()

    def use(number: int) -> None:
        async def take() -> None:
            store = SqliteStore(str(path))
            together.wait()
            try:
                await store.apply(f"acme-{number}", [Take(ASK)])
            except (ConfigurationError, UnreachableError) as error:
                errors.append(error)
            await store.aclose()

        asyncio.run(take())

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert run_sql(path, "SELECT count(*) FROM tenant") == [(8,)]


async def test_a_file_that_stays_locked_is_out_of_reach_and_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lucca_training_async._budget.sqlite.PATIENCE", 0.05)
    path = tmp_path / "lucca.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError, match="locked"):
            await open_it(path)
    await open_it(path)


# -- who may use it


@pytest.mark.parametrize("asked", ["is_dir", "exists", "resolve"])
def test_a_folder_that_cannot_be_entered_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, asked, refuse)
    with pytest.raises(ConfigurationError, match=r"\(Permission denied\): let this") as caught:
        LuccaTrainingClient(HOST, KEY, shared_budget=f"sqlite://{tmp_path}/lucca.db")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "told"), [("", "let this process write into"), ("lucca.db", "read and write")]
)
def test_what_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    """As for any user but root."""
    (tmp_path / "lucca.db").touch()

    def may(path: Path, mode: int) -> bool:
        return path != tmp_path / name

    monkeypatch.setattr("os.access", may)
    with pytest.raises(ConfigurationError, match=f"{told} {tmp_path / name}$"):
        LuccaTrainingClient(HOST, KEY, shared_budget=f"sqlite://{tmp_path}/lucca.db")


def test_a_network_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nfs(path: Path) -> str:
        return "nfs4"

    monkeypatch.setattr("lucca_training_async._budget_url.network_of", nfs)
    with pytest.raises(ConfigurationError, match=r"\(nfs4\).*take a local file"):
        LuccaTrainingClient(HOST, KEY, shared_budget=f"sqlite://{tmp_path}/lucca.db")


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="File name too long"):
        LuccaTrainingClient(HOST, KEY, shared_budget=f"sqlite://{tmp_path}/{'x' * 300}/lucca.db")


# -- where it is required, or comes from the environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LUCCA_HOST", HOST)
    monkeypatch.setenv("LUCCA_API_KEY", KEY)
    monkeypatch.delenv("LUCCA_SHARED_BUDGET", raising=False)
    return monkeypatch


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_required_needs_one(environment: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        environment.setenv("LUCCA_SHARED_BUDGET", value)
    told = "needs a shared_budget: pass one, or set LUCCA_SHARED_BUDGET"
    with pytest.raises(ConfigurationError, match=told):
        LuccaTrainingClient.from_env(shared_budget_required=True)
    with pytest.raises(ConfigurationError, match=told):
        Settings(HOST, KEY, shared_budget_required=True)


def test_required_is_kept_by_a_view_and_by_other_settings() -> None:
    settings = Settings(HOST, KEY, shared_budget=MemoryLedger(), shared_budget_required=True)
    view = LuccaTrainingClient.from_settings(settings).with_options(retry=RetryPolicy(1))
    assert view.settings.shared_budget_required
    assert settings.replace(max_concurrency=1).shared_budget_required
    with pytest.raises(ConfigurationError, match="needs a shared_budget"):
        settings.replace(shared_budget=None)
    settings.replace(shared_budget=None, shared_budget_required=False)


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n"])
def test_white_space_around_the_variable_is_no_part_of_it(
    environment: pytest.MonkeyPatch, tmp_path: Path, around: str
) -> None:
    url = f"sqlite://{tmp_path}/lucca.db"
    environment.setenv("LUCCA_SHARED_BUDGET", around.format(url))
    assert LuccaTrainingClient.from_env().settings.shared_budget == url


def test_the_documentation_tells_what_a_killed_process_costs() -> None:
    settings = Settings(HOST, KEY)
    assert settings.rate_limit is not None
    seconds = TIME_TO_BEGIN + settings.longest_attempt + 2 * settings.rate_limit.period
    assert f"up to\n{seconds:.0f} s: {TIME_TO_BEGIN:.0f} s to begin" in PAGE.read_text()
