"""The sandbox in a terminal: what it is given, what it logs, how it ends."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from lucca_training_async import RateLimit
from lucca_training_async.cli import main
from lucca_training_async.cli.sandbox import greeting, log_line
from lucca_training_async.sandbox import Arrival

from .command_line import CLI, CLI_WITHOUT_RICH, SECONDS, lines_until, python, run, url_in
from .posix import posix


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


Running = tuple[Any, str]


@contextmanager
def serving(*options: str, cli: list[str] = CLI) -> Generator[Running, None, None]:
    """A sandbox in a process of its own, and its URL."""
    with python(*cli, "sandbox", *options) as process:
        yield process, url_in(lines_until(process, "export LUCCA_API_KEY="))


def asked(url: str, path: object, key: str = "sandbox-api-key") -> Any:
    """The answer's JSON, or its status where it is an error."""
    request = urllib.request.Request(
        f"{url}/talent-training/api/v2/realized-trainings{path}",
        headers={"Authorization": f"lucca application={key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.load(response)
    except HTTPError as error:
        return error.code


def count(url: str) -> int:
    counted: int = asked(url, "?limit=0&fields.root=count")["count"]
    return counted


class TestSandbox:
    @posix
    @pytest.mark.parametrize(
        ("command", "ending"), [(CLI, signal.SIGINT), (CLI_WITHOUT_RICH, signal.SIGTERM)]
    )
    def test_serves_and_logs_until_told_to_stop(
        self, command: list[str], ending: signal.Signals
    ) -> None:
        options = ["--api-key", "other-api-key", "--no-limit", "--size", "300"]
        with serving(*options, cli=command) as (process, url):
            assert asked(url, "/235", "other-api-key")["id"] == 235
            assert asked(url, "?limit=0&fields.root=count", "other-api-key")["count"] == 300
            assert asked(url, "/1") == 401
            process.send_signal(ending)
            out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out.strip()) == (0, "")
        path = "/talent-training/api/v2/realized-trainings"
        assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in err.splitlines()] == [
            f"GET {path}/235 200",
            f"GET {path}?limit=0&fields.root=count 200",
            f"GET {path}/1 401",
        ]
        assert "other-api-key" not in err

    def test_quiet(self) -> None:
        with serving("--quiet") as (process, url):
            assert asked(url, "/1")["id"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=SECONDS)[1] == ""

    def test_it_goes_on_when_nobody_reads_its_log(self) -> None:
        with serving() as (process, url):
            process.stderr.close()
            assert [asked(url, f"/{id}")["id"] for id in (1, 2, 3)] == [1, 2, 3]

    def test_missing(self) -> None:
        with serving("--missing", "3,7,10-1000", "--size", "1010") as (_, url):
            assert [asked(url, f"/{id}") for id in (3, 7, 10, 1000)] == [404] * 4
            assert [asked(url, f"/{id}")["id"] for id in (2, 9, 1001)] == [2, 9, 1001]
            assert count(url) == 1010 - 2 - 991

    def test_its_budget_is_as_given(self) -> None:
        with python(*CLI, "sandbox", "--limit", "5", "--period", "0.25") as process:
            greeting = lines_until(process, "export LUCCA_API_KEY=")
        assert "budget   5 requests per 0.25 s" in greeting
        assert (
            "Let LuccaTrainingClient.from_env(rate_limit=RateLimit(5, 0.25)) find it:" in greeting
        )

    def test_faults(self) -> None:
        with serving("--fault", "error=418:100%") as (process, url):
            assert asked(url, "/1") == 418
            process.send_signal(signal.SIGTERM)
            err = process.communicate(timeout=SECONDS)[1]
        assert err.endswith("/1 418 (error 418)\n")

    def test_the_same_seed_draws_the_same_faults(self) -> None:
        options = ["--fault", "internal_error:0.3", "--fault", "drop:0.2", "--no-limit"]
        seen: list[list[str]] = []
        for _ in range(2):
            with serving(*options, "--seed", "7") as (process, url):
                for id in range(1, 31):
                    with suppress(OSError):
                        asked(url, f"/{id}")
                process.send_signal(signal.SIGTERM)
                err = process.communicate(timeout=SECONDS)[1]
            seen.append([line.split(" ", 1)[1] for line in err.splitlines()])
        assert seen[0] == seen[1]
        told = " ".join(seen[0])
        assert "500 (error 500)" in told
        assert "cut off (dropped connection)" in told

    def test_data(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.jsonl"
        mine = {"id": 5000, "ownerId": 7, "durationInHours": 1.10}
        file.write_bytes(b"\xef\xbb\xbf" + json.dumps(mine).encode() + b"\r\n\n" + b'{"id": 1}')
        with serving("--data", str(file), "--size", "0") as (_, url):
            assert asked(url, "/5000") == mine
            assert count(url) == 2

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"{", "line 1: "),
            (b'{"id": 1}\n[]', "line 2: must be a JSON object"),
            (b'{"id": 1}\n\n{"id": "1"}', "line 3: needs an id, a whole number from 1 to"),
            (b'{"id": true}', "line 1: needs an id"),
            (b'{"id": 1, "x": NaN}', "line 1: "),
            (b"\xff\xfe", "line 1: "),
            (None, "can't be read: No such file or directory"),
        ],
    )
    def test_wrong_data_is_refused(
        self,
        data: bytes | None,
        reason: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)
        file = tmp_path / "mine.jsonl"
        if data is not None:
            file.write_bytes(data)
        assert main(["sandbox", "--data", str(file)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --data: {file}")
        assert reason in error
        assert error.count("\n") == 1

    def test_rates_of_more_than_all(self) -> None:
        told = run("sandbox", "--fault", "drop:0.6", "--fault", "html:50%")
        assert told == (2, "", "error: the rates of --fault are more than 1 together\n")

    def test_port_in_use(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert main(["sandbox", "--port", str(port)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"can't listen on port {port}: ")
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arrival", "line"),
    [
        (Arrival(0, "", 200, path="/a", query="b=%20"), "GET /a?b=%20 200"),
        (Arrival(0, "", None, "dropped connection", "/a", method="POST"), None),
        (Arrival(0, "", 404, path="/\x1b[31m\nGET /b 200"), "GET /\ufffd[31m\ufffdGET /b 200 404"),
    ],
)
def test_a_line_of_the_log(arrival: Arrival, line: str | None) -> None:
    assert log_line(arrival) == (line or "POST /a cut off (dropped connection)")
