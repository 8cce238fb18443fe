"""The demo: its scenario and its report by table, and as users run it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest

from lucca_training_async import (
    BulkResult,
    BulkStats,
    DecodeError,
    InvalidIdError,
    LuccaError,
    RateLimit,
    RealizedTraining,
    Refused,
)
from lucca_training_async.cli import main
from lucca_training_async.cli.report import failure_lines
from lucca_training_async.cli.scenario import (
    FEWEST_IDS,
    Scenario,
    ideal_seconds,
    unaccounted_for,
)
from lucca_training_async.resources import RealizedTrainings

from .command_line import CLI, CLI_WITHOUT_RICH, SECONDS, lines_until, python, run
from .posix import posix

pytestmark = pytest.mark.processes

LUCCA = RateLimit()


def training(id: int) -> RealizedTraining:
    return RealizedTraining(
        id=id,
        owner_id=416,
        session_starts_on=date(2025, 1, 4),
        session_ends_on=date(2025, 1, 4),
        duration_in_hours=Decimal(14),
    )


def result(items: Sequence[int], missing: Sequence[int], failed: Sequence[int]) -> BulkResult:
    return BulkResult(
        {key: training(key) for key in items},
        list(missing),
        {key: LuccaError("no") for key in failed if key > 0},
        [Refused(key, InvalidIdError("no id")) for key in failed if key <= 0],
        BulkStats(0, 0, 0.0, 0.0),
    )


class TestScenario:
    @pytest.mark.parametrize("distinct", [FEWEST_IDS, 21, 27, 60, 400, 5000])
    def test_every_misfortune_has_an_id_of_its_own(self, distinct: int) -> None:
        scenario = Scenario.of(distinct, LUCCA)
        assert len(set(scenario.ids)) == distinct
        assert len(scenario.ids) > distinct
        assert [key for key in scenario.ids if key < 1] == [-1]
        assert len(scenario.faults) == 8
        assert len(scenario.missing) == 3
        assert scenario.faults.keys() | scenario.missing <= set(scenario.ids)
        assert not scenario.faults.keys() & scenario.missing

    @pytest.mark.parametrize(("period", "pause"), [(0.2, 0.2), (1.0, 1.0), (60.0, 1.0)])
    def test_pauses_are_no_longer_than_the_period(self, period: float, pause: float) -> None:
        assert Scenario.of(60, RateLimit(50, period)).pause == pause


@pytest.mark.parametrize(
    ("ids", "items", "missing", "failed", "lost"),
    [
        ([], [], [], [], []),
        ([1, 2, -1, 1], [1], [2], [-1], []),
        ([1, 2, 3], [1], [2], [], [3]),
        ([1, 2], [1, 2], [2], [], [2]),
        ([1], [1], [1], [1], [1]),
        ([1, 2], [1], [2, 2], [], [2]),
        ([1], [1], [7], [], [7]),
        ([3, 1, 2], [], [], [], [1, 2, 3]),
    ],
)
def test_unaccounted_for(
    ids: list[int], items: list[int], missing: list[int], failed: list[int], lost: list[int]
) -> None:
    assert unaccounted_for(ids, result(items, missing, failed)) == lost


def test_another_ids_training_is_no_outcome() -> None:
    mixed_up = attrs.evolve(result([], [], []), items={1: training(2)})
    assert unaccounted_for([1], mixed_up) == [1]


@pytest.mark.parametrize(
    ("requests", "limit", "seconds"),
    [
        (0, LUCCA, 0.0),
        (1, LUCCA, 0.0),
        (50, LUCCA, 0.0),
        (51, LUCCA, 60.0),
        (100, LUCCA, 60.0),
        (404, RateLimit(50, 1.0), 8.0),
        (3, RateLimit(1, 0.5), 1.0),
    ],
)
def test_ideal_seconds(requests: int, limit: RateLimit, seconds: float) -> None:
    assert ideal_seconds(requests, limit) == seconds


@pytest.mark.parametrize(
    ("error", "width", "lines"),
    [
        (InvalidIdError("no id"), 80, ["     7  InvalidIdError: no id"]),
        (InvalidIdError("no id"), 29, ["     7  InvalidIdError: no id"]),
        (InvalidIdError("no id"), 28, ["     7  InvalidIdError: no", "        id"]),
        (
            DecodeError(
                "the answer is wrong [http://a/7]; it begins ''",
                path="$",
                excerpt="",
                url="http://a/7",
            ),
            80,
            ["     7  DecodeError: the answer is wrong; it begins ''"],
        ),
        (
            LuccaError("x" * 30),
            30,
            ["     7  LuccaError: " + "x" * 10, "        " + "x" * 20],
        ),
    ],
)
def test_a_failure_is_told_whole(error: LuccaError, width: int, lines: list[str]) -> None:
    assert failure_lines(7, error, width) == lines


class TestDemo:
    def test_accounts_for_every_id(self) -> None:
        with python(*CLI, "demo", "--ids", "60", "--period", "0.2") as process:
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (0, "")
        rows = dict(re.findall(r"^│ ([\w ]+?) +│ ([^│]+?) +│$", out, re.MULTILINE))
        waited, time = rows.pop("waited for the budget"), rows.pop("time")
        assert re.fullmatch(r"[0-9.]+ s", waited)
        assert re.fullmatch(r"[0-9.]+ s, ideal 0.20 s", time)
        busiest = rows.pop("busiest window")
        assert int(busiest.split()[0]) <= 50
        assert busiest.endswith("of 50 requests per 0.2 s")
        assert rows == {
            "ids": "60 distinct, of 66 given",
            "found": "55",
            "missing": "3",
            "failed": "1",
            "refused": "1",
            "requests": "65",
            "retries": "6",
            "429s": "1 forced, 0 for overspending",
        }
        assert "\nmissing: 7, 25, 43\n" in out
        failures = out.partition("missing: ")[2]
        assert re.findall(r"^ +(-?\d+)  (\w+): ", failures, re.MULTILINE) == [
            ("48", "DecodeError"),
            ("-1", "InvalidIdError"),
        ]
        whole = " ".join(failures.split())
        assert '(Expecting value at character 22); it begins \'{"id": 235, "ownerId":\'' in whole
        assert out.endswith("Every id has exactly one outcome.\n")
        assert "\x1b" not in out
        assert all(len(line) <= 80 for line in out.splitlines())

    def test_it_shows_some_records(self) -> None:
        out = run("demo", "--ids", "60", "--period", "0.1").out
        records = re.findall(r"^│ (\d+) +│ (\d+) +│ .+ │ (2\S+) │ +([\d.]+) │$", out, re.MULTILINE)
        assert records[0] == ("1", "634", "2025-05-15", "7")
        assert [record[0] for record in records] == ["1", "2", "3", "4", "5"]
        assert "5 of the 55 records found" in out

    @pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
    @pytest.mark.parametrize("term", ["xterm", "dumb"])
    def test_a_narrow_terminal(self, encoding: str, term: str) -> None:
        told = run(
            *("demo", "--ids", "60"),
            COLUMNS="60",
            PYTHONIOENCODING=encoding,
            NO_COLOR="1",
            TERM=term,
        )
        assert (told.code, told.err) == (0, "")
        assert all(len(line) <= 60 for line in told.out.splitlines())
        assert told.out.isascii() is (encoding == "ascii")
        assert ("Securite incendie" in " ".join(told.out.split())) is (encoding == "ascii")

    def test_a_lost_id_is_told(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        honest = RealizedTrainings.get_many

        async def losing(*args: Any, **callbacks: Any) -> BulkResult:
            bulk = await honest(*args, **callbacks)
            for lost in list(bulk.items)[:22]:
                del bulk.items[lost]
            return bulk

        monkeypatch.setattr(RealizedTrainings, "get_many", losing)
        assert main(["demo", "--ids", "60", "--period", "0.1"]) == 1
        assert re.search(r"unaccounted for: 1, [\d,\s]+ and 2 more\n$", capsys.readouterr().out)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @posix
    def test_ctrl_c(self, number: signal.Signals) -> None:
        with python(*CLI, "demo", "--ids", "5000") as process:
            lines_until(process, "faults")
            process.send_signal(number)
            _, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (130, "interrupted\n")

    def test_without_rich(self) -> None:
        with python(*CLI_WITHOUT_RICH, "demo") as process:
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out) == (2, "")
        assert (
            err == """the demo needs the 'cli' extra: pip install "lucca-training-async[cli]"\n"""
        )
