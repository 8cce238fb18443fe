"""``get``: records for people and as Lucca writes them, and what is told of the others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    BulkStats,
    DecodeError,
    LuccaError,
    LuccaTrainingClient,
    OutageError,
    PermissionDeniedError,
    Progress,
    RealizedTraining,
    Settings,
)
from lucca_training_async.cli.get import code_of, rows_of
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox import Fault, Sandbox

from .command_line import CLI, CLI_WITHOUT_RICH, KEY, Told, call, environment, python, run
from .posix import FULL, posix, with_full

MINE = {
    "id": 5000,
    "ownerId": 7,
    "sessionStartsOn": "2025-01-06",
    "sessionEndsOn": "2025-01-07",
    "durationInHours": 2.50,
}
MINIMAL = RealizedTraining.from_json(json.dumps(MINE))
DOCUMENTED = [
    ("id", "235"),
    ("employee", "416"),
    ("training", "Mastering French: From Basics to Fluency"),
    ("training id", "45"),
    ("category", "1"),
    ("level", "Beginner"),
    ("provider", "https://elan-francais.fr"),
    ("demand", "4356"),
    ("session", "12"),
    ("first day", "2025-01-04"),
    ("last day", "2025-01-04"),
    ("attended", "yes"),
    ("hours", "14"),
]


@pytest.fixture
def sandbox() -> Generator[Sandbox, None, None]:
    with Sandbox(api_key=KEY, size=1_200, missing={3, 7}) as running:
        yield running


def get(sandbox: Sandbox, *arguments: str, **variables: str) -> Told:
    given = {"LUCCA_HOST": sandbox.url, "LUCCA_API_KEY": sandbox.api_key} | variables
    return call("get", *arguments, **given)


def process(sandbox: Sandbox, *arguments: str, cli: list[str] = CLI, **variables: str) -> Told:
    given = {"LUCCA_HOST": sandbox.url, "LUCCA_API_KEY": sandbox.api_key} | variables
    return run("get", *arguments, cli=cli, **given)


class TestTables:
    def test_a_table_with_rich(self, sandbox: Sandbox) -> None:
        told = process(sandbox, "235")
        assert (told.code, told.err) == (0, "")
        assert re.findall(r"^│ ([\w ]+?) +│ (.+?) +│$", told.out, re.MULTILINE) == DOCUMENTED
        assert "\x1b" not in told.out

    def test_colours_are_for_terminals_that_want_them(self, sandbox: Sandbox) -> None:
        # So rich is told that a pipe is a terminal.
        told = process(sandbox, "235", FORCE_COLOR="1", TERM="xterm")
        assert "\x1b[36m" in told.out
        told = process(sandbox, "235", FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")
        assert "\x1b[36m" not in told.out

    def test_aligned_text_without_rich(self, sandbox: Sandbox) -> None:
        told = process(sandbox, "235", cli=CLI_WITHOUT_RICH)
        assert (told.code, told.err) == (0, "")
        assert [(line[:11].strip(), line[13:]) for line in told.out.splitlines()] == DOCUMENTED

    @pytest.mark.parametrize("cli", [CLI, CLI_WITHOUT_RICH])
    def test_sixty_ascii_columns(self, cli: list[str], sandbox: Sandbox) -> None:
        narrow = {"COLUMNS": "60", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
        sandbox.put({**MINE, "training": {"title": "Sécurité " + "très " * 20}})
        told = process(sandbox, "5000", "3", cli=cli, **narrow)
        assert told.code == 1
        assert (told.out + told.err).isascii()
        assert all(len(line) <= 60 for line in (told.out + told.err).splitlines())
        assert "Securite tres" in told.out
        assert told.out.count("tres") == 20

    def test_several_are_told_in_the_order_given(self, sandbox: Sandbox) -> None:
        out = get(sandbox, "12", "1", "12", "5").out
        assert re.findall(r"^\W*id +\W *(\d+)", out, re.MULTILINE) == ["12", "1", "5"]
        assert len(sandbox.arrivals) == 3

    def test_what_lucca_leaves_out_is_a_dash(self) -> None:
        told = dict(rows_of(MINIMAL))
        assert [name for name, value in told.items() if value == "-"] == [
            *("training", "training id", "category", "level", "provider", "demand", "session"),
        ]
        assert (told["hours"], told["attended"]) == ("2.5", "yes")

    def test_nothing_moves_the_cursor(self, sandbox: Sandbox) -> None:
        sandbox.put({**MINE, "training": {"title": "\x1b[2J\r[bold]x"}})
        out = get(sandbox, "5000").out
        assert "\x1b" not in out
        assert "[bold]x" in out


class TestJson:
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_as_lucca_writes_them(self, encoding: str, sandbox: Sandbox) -> None:
        told = process(sandbox, "2", "235", "--json", PYTHONIOENCODING=encoding)
        assert (told.code, told.err) == (0, "")
        records = [RealizedTraining.from_json(line) for line in told.out.splitlines()]
        assert [record.id for record in records] == [2, 235]
        assert records[0].training is not None
        assert records[0].training.title == "Sécurité incendie : cas réels (2023)"
        if encoding == "utf-8":
            assert told.out.splitlines() == [record.to_json() for record in records]

    @posix
    def test_a_reader_that_has_had_enough(self, sandbox: Sandbox) -> None:
        ids = [str(id) for id in range(1, 40)]
        env = environment(LUCCA_HOST=sandbox.url, LUCCA_API_KEY=sandbox.api_key)
        with subprocess.Popen(
            [sys.executable, *CLI, "get", *ids, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        ) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            running.stdout.close()
            assert running.stderr.read() == b""
        assert running.returncode == 1

    @with_full
    def test_a_full_disk(self, sandbox: Sandbox) -> None:
        env = environment(LUCCA_HOST=sandbox.url, LUCCA_API_KEY=sandbox.api_key)
        with FULL.open("wb") as full:
            told = subprocess.run(
                [sys.executable, *CLI, "get", "1", "--json"],
                stdout=full,
                stderr=subprocess.PIPE,
                env=env,
                check=False,
            )
        assert (told.returncode, told.stderr) == (1, b"error: No space left on device\n")


class TestTheOthers:
    def test_missing_and_failed_are_told_with_reasons(self, sandbox: Sandbox) -> None:
        sandbox.inject_always(Fault.bad_json(), id=5)
        told = get(sandbox, "1", "3", "5", "7", "--json")
        assert told.code == 1
        assert [json.loads(line)["id"] for line in told.out.splitlines()] == [1]
        lines = told.err.splitlines()
        assert [line.split(":")[0] for line in lines] == [
            "3 is missing",
            "7 is missing",
            "5 failed",
            "to do",
        ]
        assert "no JSON (Expecting value at character 22)" in lines[2]

    def test_a_refused_key_is_told_once(self, sandbox: Sandbox) -> None:
        told = get(sandbox, "1", "2", "3", LUCCA_API_KEY="wrong")
        assert (told.code, told.out) == (3, "")
        failures, todo = told.err.splitlines()[-2:]
        assert "failed: 401 Unauthorized: The API key is unknown." in failures
        assert todo.startswith("to do: Is the key whole")

    def test_nobody_listens(self) -> None:
        told = call("get", "1", LUCCA_HOST="http://127.0.0.1:1", LUCCA_API_KEY=KEY)
        assert (told.code, told.out) == (4, "")
        assert "1 failed: no answer: Cannot connect to 127.0.0.1:1" in told.err

    def test_what_fails_for_a_while_is_tried_again(self, sandbox: Sandbox) -> None:
        sandbox.inject(Fault.internal_error(), Fault.drop(), id=1)
        assert get(sandbox, "1", "--json", "--quiet").code == 0
        assert len(sandbox.arrivals) >= 3


class TestTheBudget:
    def test_what_waits_for_it_is_told_once(self) -> None:
        with Sandbox(api_key=KEY, rate_limit=None, uplink=lambda: 0.01) as sandbox:
            with started(sandbox, "get", *map(str, range(1, 60)), "--json") as running:
                assert running.stderr is not None
                line = running.stderr.readline()
        assert re.fullmatch(r"\d+ of 59; the rest waits for the request budget\n", line)

    def test_people_do_not_wait_for_long_nor_behind_others(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []
        made = LuccaTrainingClient.from_settings
        waiting = Progress(1, 3, 1, 0, 0, 0, 0.5, "budget", None)

        def from_settings(settings: Settings) -> LuccaTrainingClient:
            asked.append(settings.retry.patience)
            return made(settings)

        async def get_many(_: object, __: object, **options: Any) -> BulkResult:
            for _again in range(3):
                options["on_progress"](waiting)
            asked.append((options["plan"], options["priority"]))
            return BulkResult({}, [], {}, [], BulkStats())

        monkeypatch.setattr(LuccaTrainingClient, "from_settings", from_settings)
        monkeypatch.setattr(RealizedTrainings, "get_many", get_many)
        waits = "1 of 3; the rest waits for the request budget\n"
        assert get(sandbox, "1", "2", "3") == (0, "", waits)
        assert get(sandbox, "1", "2", "3", "--quiet") == (0, "", "")
        assert asked == [120.0, ("each", "interactive")] * 2


@contextmanager
def started(sandbox: Sandbox, *arguments: str) -> Generator[subprocess.Popen[str], None, None]:
    """A command that isn't waited for."""
    env = environment(LUCCA_HOST=sandbox.url, LUCCA_API_KEY=sandbox.api_key)
    with python(*CLI, *arguments, env=env) as process:
        yield process


REFUSED = AuthenticationError("401", url="u", status=401)
NO_RIGHT = PermissionDeniedError("403", url="u", status=403)
AWAY = OutageError("away", url="u")
WRONG = DecodeError("wrong", url="u", path="$", excerpt="")


@pytest.mark.parametrize(
    ("found", "missing", "failures", "code"),
    [
        ([1], [], [], 0),
        ([], [], [], 0),
        ([1], [2], [], 1),
        ([], [2], [], 1),
        ([1], [], [NO_RIGHT], 1),
        ([], [2], [AWAY], 1),
        ([], [], [REFUSED], 3),
        ([], [], [NO_RIGHT, WRONG], 3),
        ([], [], [AWAY, NO_RIGHT], 4),
        ([], [], [WRONG], 1),
    ],
)
def test_the_exit_code(
    found: list[int], missing: list[int], failures: list[LuccaError], code: int
) -> None:
    failed = dict(enumerate(failures, 100))
    result = BulkResult(dict.fromkeys(found, MINIMAL), missing, failed, [], BulkStats())
    assert code_of(result) == code
