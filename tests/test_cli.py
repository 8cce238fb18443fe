"""The command line, its pure decisions by table and its commands as users run them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
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
    __version__,
)
from lucca_training_async.cli import main
from lucca_training_async.cli.report import failure_line
from lucca_training_async.cli.sandbox import greeting
from lucca_training_async.cli.scenario import (
    FEWEST_IDS,
    Scenario,
    ideal_seconds,
    unaccounted_for,
)
from lucca_training_async.resources import RealizedTrainings

SECONDS = 60
CLI = ["-m", "lucca_training_async"]
CLI_WITHOUT_RICH = [
    "-c",
    "import sys; sys.modules['rich'] = None\n"
    "from lucca_training_async.cli import main\n"
    "sys.exit(main())",
]
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


@contextmanager
def python(*args: str) -> Generator[subprocess.Popen[str], None, None]:
    """A Python process that doesn't outlive the test."""
    with subprocess.Popen(
        [sys.executable, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # A test run in the background of a shell ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], start: str) -> list[str]:
    """What the process prints, up to the line that starts so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1].startswith(start):
            return lines
    raise AssertionError(f"no line starts with {start!r}: {lines}")


class TestArguments:
    def test_without_a_command_the_help_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 2
        assert "sandbox" in capsys.readouterr().err

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as exited:
            main(["--version"])
        assert exited.value.code == 0
        assert capsys.readouterr().out == f"lucca-training-async {__version__}\n"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("sandbox --limit 0", "--limit: must be a whole number from 1 to"),
            ("sandbox --limit 1.5", "--limit: must be a whole number"),
            ("sandbox --limit 5 --no-limit", "not allowed with"),
            ("sandbox --port 99999", "--port: must be a whole number from 0 to 65535"),
            ("sandbox --port http", "--port: must be a whole number"),
            ("sandbox --size -1", "--size: must be a whole number from 0 to"),
            ("sandbox --period 0", "--period: must be a number"),
            ("sandbox --period nan", "--period: must be a number"),
            ("sandbox --api-key 'a b'", "--api-key: the API key holds a space"),
            ("sandbox --api-key ''", "--api-key: the API key is empty"),
            ("demo --ids 19", "--ids: must be a whole number from 20"),
            ("demo --limit 0", "--limit: must be"),
            ("demo --period inf", "--period: must be a number"),
            ("demo --no-limit", "unrecognized arguments"),
            ("nonsense", "invalid choice"),
        ],
    )
    def test_what_can_not_work_is_refused(
        self, line: str, reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as exited:
            main(shlex.split(line))
        assert exited.value.code == 2
        assert reason in capsys.readouterr().err


class TestImports:
    @pytest.mark.parametrize(
        ("module", "absent"),
        [
            ("lucca_training_async", ["rich", "lucca_training_async.cli"]),
            ("lucca_training_async.cli", ["rich"]),
        ],
    )
    def test_nothing_is_imported_before_it_is_needed(self, module: str, absent: list[str]) -> None:
        code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {absent}))"
        with python("-c", code) as process:
            assert process.communicate(timeout=SECONDS) == ("", "")
        assert process.returncode == 0


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
    ("error", "width", "line"),
    [
        (InvalidIdError("no id"), 80, "     7  InvalidIdError: no id"),
        (InvalidIdError("no id"), 29, "     7  InvalidIdError: no id"),
        (InvalidIdError("no id"), 28, "     7  InvalidIdError: n..."),
        (
            DecodeError(
                "the answer of http://a/7 is wrong", path="$", excerpt="", url="http://a/7"
            ),
            80,
            "     7  DecodeError: the answer of ... is wrong",
        ),
    ],
)
def test_failure_line(error: LuccaError, width: int, line: str) -> None:
    assert failure_line(7, error, width) == line


@pytest.mark.parametrize(
    ("limit", "budget"), [(None, "none"), (RateLimit(5, 0.5), "5 requests per 0.5 s")]
)
def test_greeting_can_be_pasted_into_a_shell(limit: RateLimit | None, budget: str) -> None:
    url, key = "http://127.0.0.1:8080", "it's-$a-key"
    text = greeting(url, key, limit)
    assert f"budget   {budget}\n" in text
    commands = [
        shlex.split(line) for line in text.splitlines() if re.match("  (curl|export) ", line)
    ]
    assert commands == [
        [
            "curl",
            "-H",
            f"Authorization: lucca application={key}",
            f"{url}/talent-training/api/v2/realized-trainings/235",
        ],
        ["export", f"LUCCA_HOST={url}"],
        ["export", f"LUCCA_API_KEY={key}"],
    ]


class TestSandbox:
    @pytest.mark.parametrize(
        ("command", "ending"), [(CLI, signal.SIGINT), (CLI_WITHOUT_RICH, signal.SIGTERM)]
    )
    def test_serves_until_told_to_stop(self, command: list[str], ending: signal.Signals) -> None:
        options = ["--api-key", "other-api-key", "--no-limit", "--size", "300"]
        with python(*command, "sandbox", *options) as process:
            printed = lines_until(process, "export LUCCA_API_KEY=")
            url = next(line.split()[1] for line in printed if line.startswith("url "))
            request = urllib.request.Request(
                f"{url}/talent-training/api/v2/realized-trainings/235",
                headers={"Authorization": "lucca application=other-api-key"},
            )
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                assert json.load(response)["id"] == 235
            request.full_url = request.full_url.replace("/235", "?limit=0&fields.root=count")
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                assert json.load(response)["count"] == 300
            process.send_signal(ending)
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out.strip(), err) == (0, "", "")

    def test_port_in_use(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert main(["sandbox", "--port", str(port)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"can't listen on port {port}: ")
        assert error.count("\n") == 1


class TestDemo:
    def test_accounts_for_every_id(self) -> None:
        with python(*CLI, "demo", "--ids", "60", "--period", "0.2") as process:
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (0, "")
        rows = dict(re.findall(r"^[│|] ([\w ]+?) +[│|] (.+?) +[│|]$", out, re.MULTILINE))
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
        assert len(re.findall(r"^ +-?\d+  (?:InvalidId|Decode)Error: ", out, re.MULTILINE)) == 2
        assert out.endswith("Every id has exactly one outcome.\n")
        assert "\x1b" not in out
        assert all(len(line) <= 80 for line in out.splitlines())

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

    def test_ctrl_c(self) -> None:
        with python(*CLI, "demo", "--ids", "5000") as process:
            lines_until(process, "faults")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (130, "interrupted\n")

    def test_without_rich(self) -> None:
        with python(*CLI_WITHOUT_RICH, "demo") as process:
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out) == (2, "")
        assert (
            err == """the demo needs the 'cli' extra: pip install "lucca-training-async[cli]"\n"""
        )
