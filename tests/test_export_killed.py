"""An export that is killed at any moment ends with the file of one that nobody has disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from lucca_training_async.cli.export import files as files_module
from lucca_training_async.cli.export.files import Journal
from lucca_training_async.models import RealizedTraining
from lucca_training_async.sandbox import Fault

from .exports import CLI, NO_BUDGET, SECONDS, Exports, exports
from .posix import posix

pytestmark = pytest.mark.processes

__all__ = ["exports"]
RECORD = RealizedTraining(
    id=1,
    owner_id=416,
    session_starts_on=date(2025, 1, 4),
    session_ends_on=date(2025, 1, 4),
    duration_in_hours=Decimal("2.50"),
)
# What one that is killed may have asked for in vain: pages come one ahead, ids ten at a time, and
# as many may stand in the queue of outcomes.
PAGES, IDS = 3, 20


class Killed(BaseException):
    """Stands for a SIGKILL in this process: nothing handles it."""


def start(args: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*CLI, "export", *NO_BUDGET, "--quiet", *args], stdout=subprocess.PIPE)


def wait_for(arrivals: int, exports: Exports, process: subprocess.Popen[bytes]) -> None:
    while len(exports.sandbox.arrivals) < arrivals and process.poll() is None:
        time.sleep(0.002)


@posix
@pytest.mark.parametrize(
    ("name", "options", "kills", "in_flight"),
    [
        ("all.jsonl", [], 13, PAGES),
        ("some.csv", ["--attended", "yes"], 13, PAGES),
        ("few.jsonl", ["--ids", "few.txt"], 12, IDS),
        ("many.csv", ["--ids", "many.csv.txt", "--ids-column", "training"], 12, PAGES),
    ],
)
def test_killed_at_random_moments(
    exports: Exports, name: str, options: list[str], kills: int, in_flight: int
) -> None:
    chance = random.Random(name)
    few = chance.sample(range(1, 1_001), 150)
    exports.write("few.txt", [*few, "none", few[0], 2_000_000])
    exports.write("many.csv.txt", ["training;x", *(f"{id};y" for id in range(980, 300, -1))])
    exports.sandbox.inject_always(Fault.error(404), id=few[3])
    args = ["--to", name, *options]
    code = exports.run(*args)[0]
    failed = f"{Path(name).stem}.failed.jsonl"
    expected = {it: exports.files[it] for it in (name, failed) if it in exports.files}
    least = exports.requests()
    exports.path(name).unlink()
    exports.sandbox._downlink = lambda: chance.random() * 0.01  # pyright: ignore

    killed = resumed = 0
    asked: list[str] = []
    may_come_again: set[str] = set()
    while killed < kills:
        if not exports.path(f"{name}.part").exists():
            exports.requests()
            asked, may_come_again = [], set()
        else:
            resumed += 1
        with start(args) as process:
            wait_for(len(asked) + chance.randint(0, max(3, least // kills)), exports, process)
            time.sleep(chance.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            killed += process.wait(SECONDS) == -signal.SIGKILL
        time.sleep(0.02)  # what it has sent may be on its way
        asked = [f"{it.path}?{it.query}" for it in exports.sandbox.arrivals]
        may_come_again.update(asked[-in_flight:])
    with start(args) as process:
        assert process.wait(SECONDS) == code

    assert {it: exports.files[it] for it in expected} == expected
    assert resumed >= kills // 2
    asked = [f"{it.path}?{it.query}" for it in exports.sandbox.arrivals]
    again = {one for one in asked if asked.count(one) > 1}
    assert again <= may_come_again
    assert not [it for it in exports.files if it.endswith((".part", ".new"))]


def dying_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Die at this step of all that changes what is on the disk; gives how many were done."""
    done = 0

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal done
            if done >= step:
                raise Killed
            done += 1
            return function(*args, **kwargs)

        return call

    for function in (Path.replace, Path.unlink):
        monkeypatch.setattr(Path, function.__name__, dying(function))
    monkeypatch.setattr(os, "fsync", dying(os.fsync))
    monkeypatch.setattr(files_module, "new", dying(files_module.new))

    def close(journal: Journal) -> None:
        journal._file.close()  # pyright: ignore[reportPrivateUsage]

    # All that the end of a process does.
    monkeypatch.setattr(Journal, "close", close)
    return lambda: done


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
@pytest.mark.parametrize("is_first", [False, True])
def test_killed_at_each_step_of_an_update(
    exports: Exports, name: str, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["--to", name, "--update", "--owner", "416"]
    exports.sandbox.put(attrs.evolve(RECORD, id=2_001))
    exports.sandbox.put(attrs.evolve(RECORD, id=2_002))
    if not is_first:
        exports.run(*args)
    before = exports.files
    exports.sandbox.remove(2_001)
    exports.sandbox.put(attrs.evolve(RECORD, id=2_002, has_attended=False))
    exports.run(*args)
    expected = exports.files

    for step in range(1_000):
        for path in exports.folder.iterdir():
            path.unlink()
        for it, data in before.items():
            exports.path(it).write_bytes(data)
        with monkeypatch.context() as patched:
            done = dying_at(step, patched)
            try:
                exports.run(*args)
            except Killed:
                has_begun = exports.files != before
                had_ended = has_begun and not exports.path(f"{name}.part").exists()
            else:
                assert exports.files == expected
                assert done() == step
                break
        if had_ended:  # the same command would be the next update
            assert exports.files == expected
        else:
            assert exports.run(*args)[0] == 0
            assert exports.files == expected
    else:
        pytest.fail("it never ended")
    assert step > 10


@pytest.fixture
def done(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to which file, of all that a loss of power may undo; a folder is ``.``."""
    told: list[tuple[str, str]] = []
    fsync = os.fsync

    def synced(fd: int) -> None:
        paths = [exports.folder, *exports.folder.iterdir()]
        (path,) = [it for it in paths if os.path.samestat(it.stat(), os.fstat(fd))]
        told.append(("sync", "." if path == exports.folder else path.name))
        fsync(fd)

    def noted(function: Callable[..., object]) -> Callable[..., object]:
        def call(path: Path, *args: object, **options: object) -> object:
            if path.exists():
                told.append((function.__name__, path.name))
            return function(path, *args, **options)

        return call

    monkeypatch.setattr(os, "fsync", synced)
    for function in (Path.replace, Path.unlink):
        monkeypatch.setattr(Path, function.__name__, noted(function))
    return told


@posix
def test_no_file_is_put_into_place_before_the_disk_has_what_it_needs(
    exports: Exports, done: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "monotonic", lambda: 0.0)
    assert exports.run("--to", "out.jsonl", "--ids", exports.write("ids.txt", [1, 7]))[0] == 1
    assert done == [
        ("sync", "."),  # there is a journal
        ("sync", "out.jsonl.new"),
        ("sync", "out.failed.jsonl.new"),
        ("sync", "out.jsonl.part"),  # both are whole
        ("replace", "out.failed.jsonl.new"),
        ("replace", "out.jsonl.new"),
        ("sync", "out.jsonl.state.json.new"),
        ("replace", "out.jsonl.state.json.new"),
        ("sync", "."),  # all stand in their places
        ("sync", "out.jsonl.part"),
        ("unlink", "out.jsonl.part"),
    ]


@posix
def test_what_has_come_is_on_the_disk_after_a_second(
    exports: Exports, done: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(1_000))
    monkeypatch.setattr(files_module, "monotonic", lambda: float(next(seconds)))
    assert exports.run("--to", "out.jsonl")[0] == 0
    assert done.count(("sync", "out.jsonl.part")) >= 10  # with each page
