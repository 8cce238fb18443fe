"""What may happen to a file that processes share, while it is in use or being made."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import attrs
import pytest

from lucca_training_async._budget.sqlite import SqliteStore
from lucca_training_async._budget.steps import Meet, Take, UnreachableError
from lucca_training_async._budget.tenant import Ask

pytestmark = pytest.mark.real_time

ASK = Ask("one", "one:1", 10, 60.0, 15.0, 135.0)
Open = Callable[[], SqliteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lucca.db"


@pytest.fixture
async def opened(path: Path) -> AsyncGenerator[Open, None]:
    """Stores on one file, closed in the end."""
    stores: list[SqliteStore] = []

    def open_one() -> SqliteStore:
        stores.append(SqliteStore(str(path)))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.aclose()


async def test_a_file_that_another_process_is_just_making_is_waited_for(
    path: Path, opened: Open
) -> None:
    """SQLite itself does not wait for the lock that it takes to change the mode of the journal."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        meeting = asyncio.create_task(opened().apply("acme", [Meet(ASK)]))
        done, _ = await asyncio.wait([meeting], timeout=0.2)
        assert not done
        other.execute("COMMIT")
        tenant, _ = await meeting
    finally:
        other.close()
    assert list(tenant.members) == ["one"]


async def test_a_file_that_somebody_keeps_to_himself_is_out_of_reach(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lucca_training_async._budget.sqlite.PATIENCE", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnreachableError, match="locked"):
            await opened().apply("acme", [Meet(ASK)])
        other.execute("COMMIT")
    finally:
        other.close()


@pytest.mark.parametrize("lost", ["", "-wal"], ids=["the file", "its log"])
async def test_whoever_comes_later_finds_what_was_written_or_nothing(
    path: Path, opened: Open, lost: str
) -> None:
    """Without its log a file is as it was some time ago, which must not pass for the present."""
    store = opened()
    before, _ = await store.apply("acme", [Take(ASK)])
    os.unlink(f"{path}{lost}")
    after, _ = await store.apply("acme", [Meet(attrs.evolve(ASK, client="two"))])
    assert after.born != before.born
    later, _ = await opened().apply("acme", [Meet(attrs.evolve(ASK, client="three"))])
    again, _ = await store.apply("acme", [Meet(ASK)])
    assert later.born == again.born == after.born
