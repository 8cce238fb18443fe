"""The lines of docs/export.md that make Parquet of an export, as they stand there."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
import pytest

from lucca_training_async import RealizedTraining
from lucca_training_async.cli import main
from lucca_training_async.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(rate_limit=None, size=300) as sandbox:
        monkeypatch.setenv("LUCCA_HOST", sandbox.url)
        monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
        assert main(["export", "--to", "out.jsonl", "--quiet"]) == 0


def rows() -> list[tuple[object, ...]]:
    read = "select count(*), min(id), max(id) from 'out.parquet'"
    found: list[tuple[object, ...]] = duckdb.execute(read).fetchall()
    return found


@pytest.mark.usefixtures("exported")
def test_duckdb() -> None:
    (statement,) = re.findall(r'^duckdb -c "(.+)"$', PAGE, re.MULTILINE)
    duckdb.execute(statement)
    assert rows() == [(300, 1, 300)]
    ((hours,),) = duckdb.execute("select sum(durationInHours) from 'out.parquet'").fetchall()
    lines = Path("out.jsonl").read_text("utf-8").splitlines()
    assert hours == sum(RealizedTraining.from_json(line).duration_in_hours for line in lines)
    assert isinstance(hours, Decimal)


@pytest.mark.usefixtures("exported")
def test_polars() -> None:
    (line,) = re.findall(r"^polars\.read_ndjson.+$", PAGE, re.MULTILINE)
    exec(line, {"polars": polars})
    assert rows() == [(300, 1, 300)]
