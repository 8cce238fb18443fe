"""The lines of docs/export.md that make Parquet of an export, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from lucca_training_async import RealizedTraining
from lucca_training_async.cli import main
from lucca_training_async.sandbox import Sandbox
from lucca_training_async.sandbox.data import realized_training

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
# Of no float is any of them but the last.
HOURS = ["0.1", "7.35", "2.675", "0.000001", "8388608.000001", "999999999.999999", "14"]
(PROGRAM,) = re.findall(r"^```py\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(rate_limit=None, size=300) as running:
        for id, hours in enumerate(HOURS, start=301):
            running.put(realized_training(id) | {"id": id, "durationInHours": Decimal(hours)})
        monkeypatch.setenv("LUCCA_HOST", running.url)
        monkeypatch.setenv("LUCCA_API_KEY", running.api_key)
        yield running


@pytest.fixture
def exported(sandbox: Sandbox) -> list[RealizedTraining]:
    assert main(["export", "--to", "out.jsonl", "--quiet"]) == 0
    lines = Path("out.jsonl").read_text("utf-8").splitlines()
    return [RealizedTraining.from_json(line) for line in lines]


def the_parquet_is_of(records: list[RealizedTraining]) -> None:
    read = "select id, sessionStartsOn, sessionEndsOn, durationInHours from 'out.parquet'"
    rows = duckdb.execute(f"{read} order by id").fetchall()
    assert len(rows) == 300 + len(HOURS)
    assert rows == [
        (it.id, it.session_starts_on, it.session_ends_on, it.duration_in_hours) for it in records
    ]
    assert {tuple(map(type, row)) for row in rows} == {(int, date, date, Decimal)}


def test_duckdb(exported: list[RealizedTraining]) -> None:
    (statement,) = re.findall(r'^duckdb -c "(.+)"$', PAGE, re.MULTILINE)
    duckdb.execute(statement)
    the_parquet_is_of(exported)


def test_polars(exported: list[RealizedTraining]) -> None:
    exec(PROGRAM, {})
    the_parquet_is_of(exported)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
@pytest.mark.parametrize("failing", [0, 1])
def test_the_script_for_each_night(sandbox: Sandbox, tmp_path: Path, failing: int) -> None:
    if failing:
        sandbox.put({"id": 400, "ownerId": None})
    (script,) = re.findall(r"^```sh\n(#!.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    there = {
        "/srv/app/.venv/bin": str(Path(sys.executable).parent),
        "/srv/app/parquet.py": str(tmp_path / "parquet.py"),
        "/srv/data": str(tmp_path),
        "/etc/app/lucca.env": str(tmp_path / "lucca.env"),
    }
    for path, here in there.items():
        assert path in script
        script = script.replace(path, here)
    (tmp_path / "parquet.py").write_text(PROGRAM)
    told = (f"{name}={os.environ[name]}\n" for name in ("LUCCA_HOST", "LUCCA_API_KEY"))
    (tmp_path / "lucca.env").write_text("".join(told))
    # As bare as cron's.
    done = subprocess.run(["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, cwd="/", check=False)
    assert done.returncode == failing
    lines = Path("out.jsonl").read_text("utf-8").splitlines()
    the_parquet_is_of([RealizedTraining.from_json(line) for line in lines])
