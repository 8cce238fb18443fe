"""Collected where its packages are; what comes from them touches nothing outside of the test."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

ABSENT = [name for name in ("dlt", "duckdb", "pandas", "polars") if find_spec(name) is None]

if ABSENT:
    if os.environ.get("LUCCA_INTEGRATIONS"):
        # Nobody would notice that a session without tests checks nothing.
        raise pytest.UsageError(f"not installed: {', '.join(ABSENT)}")
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files go into the test's own folder, and no usage is reported to anybody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
