"""What the tests of ``export`` share: a Lucca, the command in this process, the files."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from lucca_training_async.cli import main
from lucca_training_async.sandbox import Sandbox

SECONDS = 60
CLI = [sys.executable, "-m", "lucca_training_async"]
NO_BUDGET = ["--limit", "1000000"]


@attrs.define
class Exports:
    """Runs ``export`` against a sandbox, in a folder of its own.

    Attributes:
        sandbox: The sandbox.
        folder: The folder, which is the current one.
    """

    sandbox: Sandbox
    folder: Path
    _capsys: pytest.CaptureFixture[str]

    def run(self, *args: str) -> tuple[int, str]:
        """The exit code, and what was told on stderr."""
        self._capsys.readouterr()
        code = main(["export", *NO_BUDGET, *args])
        return code, self._capsys.readouterr().err

    def refused(self, *args: str) -> str:
        """Why it was wrong usage, which costs no request."""
        before = len(self.sandbox.arrivals)
        try:
            code, told = self.run(*args)
        except SystemExit as error:  # by argparse
            assert isinstance(error.code, int)
            code, told = error.code, self._capsys.readouterr().err
        assert (code, len(self.sandbox.arrivals)) == (2, before)
        return told

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, lines: Iterable[object]) -> str:
        self.path(name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return name

    def lines(self, name: str) -> list[Any]:
        """What stands in a file of JSON lines."""
        return [json.loads(line) for line in self.path(name).read_bytes().splitlines()]

    def ids(self, name: str) -> list[int]:
        return [record["id"] for record in self.lines(name)]

    @property
    def files(self) -> dict[str, bytes]:
        """All that is in the folder."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def requests(self) -> int:
        """How many have come since this was asked last."""
        many = len(self.sandbox.arrivals)
        self.sandbox.arrivals.clear()
        return many


@pytest.fixture
def exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Generator[Exports]:
    logger = logging.getLogger("lucca_training_async")
    before = logger.handlers[:], logger.propagate, logger.level
    with Sandbox(rate_limit=None, size=1_000, missing={7, 555}) as sandbox:
        # Those who run tests in parallel say how wide a terminal is, which is no business of ours.
        for name in [it for it in os.environ if it.startswith("LUCCA_") or it == "COLUMNS"]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("LUCCA_HOST", sandbox.url)
        monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
        monkeypatch.chdir(tmp_path)
        yield Exports(sandbox, tmp_path, capsys)
    logger.handlers[:], logger.propagate, level = before
    logger.setLevel(level)
