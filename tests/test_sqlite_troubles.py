"""What may happen to a file that is shared: a full disk, a lock that stays, another clock."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from lucca_training_async import LuccaTrainingClient, RateLimit
from lucca_training_async._budget import Cause, Sent, SharedLedger
from lucca_training_async._budget.sqlite import SqliteStore
from lucca_training_async.sandbox import Sandbox

from .gates import all_there_are, leased, refused, shared_by
from .processes import FOUND, LIMIT, LOST, PERIOD, Arrivals, Worker, all_tell, workers
from .processes import arrivals as arrivals
from .processes import sandbox as sandbox

pytestmark = pytest.mark.processes

resource: Any = pytest.importorskip("resource")
needs_prlimit = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="no limit can be set on another process"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lucca.db"


# -- a disk that is full


def fill_disk_of(worker: Worker, *, full: bool = True) -> None:
    """From now on no file of its takes another byte; or all do again."""
    _, most = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0 if full else most, most))


@needs_prlimit
def test_a_full_disk_is_done_without_until_there_is_room(
    sandbox: Sandbox, arrivals: Arrivals, file: Path
) -> None:
    with workers(sandbox, f"sqlite://{file}", 2) as both:
        arrivals.come(2 * LIMIT)
        for worker in both:
            fill_disk_of(worker)
        all_tell(both, LOST)
        arrivals.come(2 * LIMIT)
        for worker in both:
            fill_disk_of(worker, full=False)
        all_tell(both, FOUND)
        arrivals.come(2 * LIMIT)
        assert [worker.told("WARNING") for worker in both] == [1, 1]
    assert arrivals.most_at_once() <= LIMIT


@needs_prlimit
def test_a_disk_that_is_full_from_the_start_stops_nobody(
    sandbox: Sandbox, arrivals: Arrivals, file: Path
) -> None:
    with Worker(sandbox, f"sqlite://{file}") as worker:
        fill_disk_of(worker)
        worker.tells("ready")
        worker.tells(LOST)
        arrivals.come(2 * LIMIT)
        fill_disk_of(worker, full=False)
        worker.tells(FOUND)
        arrivals.come(2 * LIMIT)
        assert worker.told("WARNING") == 1
    assert arrivals.most_at_once() <= LIMIT


# -- a lock that stays

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
connection.close()
"""


@contextlib.contextmanager
def stopped_in_a_transaction(file: Path) -> Generator[Callable[[], None]]:
    """A process that holds the file's lock, and what makes it go on."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def go_on() -> None:
            process.send_signal(signal.SIGCONT)
            process.communicate("\n", timeout=30)

        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            process.send_signal(signal.SIGSTOP)
            yield go_on
        finally:
            process.kill()


def test_a_process_that_is_stopped_with_the_lock_stops_no_other(
    sandbox: Sandbox, arrivals: Arrivals, file: Path
) -> None:
    with workers(sandbox, f"sqlite://{file}", 2) as both:
        arrivals.come(2 * LIMIT)
        with stopped_in_a_transaction(file) as go_on:
            all_tell(both, LOST)
            arrivals.come(2 * LIMIT)
            go_on()
            all_tell(both, FOUND)
        arrivals.come(2 * LIMIT)
        assert [worker.told("WARNING") for worker in both] == [1, 1]
    assert arrivals.most_at_once() <= LIMIT


@pytest.mark.real_time
async def test_the_event_loop_goes_on_while_the_file_is_locked(file: Path) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async with (
        Sandbox(rate_limit=None) as sandbox,
        LuccaTrainingClient(
            sandbox.url,
            sandbox.api_key,
            shared_budget=f"sqlite://{file}",
            rate_limit=RateLimit(LIMIT, PERIOD),
        ) as client,
        asyncio.TaskGroup() as tasks,
    ):
        await client.realized_trainings.get(1)
        with stopped_in_a_transaction(file) as go_on:
            turning = tasks.create_task(turn())
            await client.realized_trainings.get(2)
            assert client.budget.alone
            # Of some two hundred; a blocked loop has one or two.
            assert turns > 20
            go_on()
            async with asyncio.timeout(30):
                while client.budget.alone:
                    await client.realized_trainings.get(3)
            turning.cancel()


# -- a machine that restarts: its clock begins anew, and the file has the times of the old one


def at(file: Path, ahead: float = 0.0) -> SharedLedger:
    """A client whose clock is so far ahead."""
    clock = asyncio.get_running_loop().time
    store = SqliteStore(str(file), lambda: clock() + ahead)
    return shared_by(store, RateLimit(10, 60.0), longest_attempt=15.0)


@pytest.mark.parametrize("ahead", [-1e8, -30.0, 0.0])
async def test_what_was_sent_before_a_restart_counts_once_more(file: Path, ahead: float) -> None:
    """No time may have passed since, as far as can be known."""
    old = at(file)
    for lease in await all_there_are(old):
        old.settle(lease, Sent.ANSWERED)
    await old.aclose()
    new = at(file, ahead)
    assert (await refused(new)).seconds == pytest.approx(60, abs=0.1)
    await asyncio.sleep(60.1)
    assert len(await all_there_are(new)) == 10
    await new.aclose()


@pytest.mark.parametrize("ahead", [-1e8, -30.0])
async def test_a_closure_from_before_a_restart_ends(file: Path, ahead: float) -> None:
    old = at(file)
    lease = await leased(old)
    old.close_for(45.0, lease, Cause.PAUSE)
    await old.aclose()
    new = at(file, ahead)
    assert (await refused(new)).seconds == pytest.approx(45, abs=0.1)
    await asyncio.sleep(45.1)
    await leased(new)
    await new.aclose()


async def test_a_file_from_long_ago_holds_nobody_back(file: Path) -> None:
    old = at(file)
    leases = await all_there_are(old)
    old.close_for(3600.0, leases[0], Cause.OUTAGE)
    await old.aclose()
    new = at(file, 1e8)
    await leased(new)
    assert new.standing().in_use == 1
    await new.aclose()
