"""What the commands that ask Lucca share: where the settings come from, and the key."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lucca_training_async import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
    SharedBudgetError,
)
from lucca_training_async.cli.connection import (
    EXIT_CODES,
    Exit,
    WrongUseError,
    add_connection,
    exit_code,
    run_to_its_end,
    set_up_log,
    settings_of,
)
from lucca_training_async.cli.options import Parser
from lucca_training_async.sandbox import Sandbox

from .command_line import CLI, KEY, SECONDS, Told, call, environment, lines_until, python, run
from .posix import HEEDS_CTRL_C, posix

HOST = "acme.ilucca.net"


def check(*arguments: str, **variables: str) -> Told:
    return call("check", *arguments, **variables)


class TestSettings:
    @pytest.mark.parametrize(
        ("options", "variables", "reason"),
        [
            ([], {}, "no host: pass --host, or set LUCCA_HOST (such as acme.ilucca.net)"),
            ([], {"LUCCA_HOST": " "}, "no host: "),
            ([], {"LUCCA_HOST": HOST}, "no API key: set LUCCA_API_KEY, or pass --api-key-file"),
            (["--host", HOST], {"LUCCA_API_KEY": "\n"}, "no API key: "),
            (["--host", "acme.lucca.fr"], {"LUCCA_API_KEY": KEY}, "this is not a host that Lucca"),
            (["--host", HOST], {"LUCCA_API_KEY": "a b"}, "the API key holds a space"),
            (
                ["--host", HOST],
                {"LUCCA_API_KEY": f"lucca application={KEY}"},
                "pass the API key alone",
            ),
            (["--host", "http://acme.ilucca.net"], {"LUCCA_API_KEY": KEY}, "http:// is refused"),
            (["--host", KEY], {"LUCCA_API_KEY": KEY}, "this is not a host that Lucca documents"),
            (
                ["--host", HOST, "--shared-budget", "x"],
                {"LUCCA_API_KEY": KEY},
                "shared_budget must begin with sqlite://",
            ),
        ],
    )
    def test_what_can_not_work(
        self, options: list[str], variables: dict[str, str], reason: str
    ) -> None:
        told = check(*options, **variables)
        assert (told.code, told.out) == (2, "")
        assert told.err.startswith(f"error: {reason}")
        assert KEY not in told.err
        assert "=True" not in told.err

    def test_what_they_become(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        parser = Parser("test", description="")
        add_connection(parser)
        shared = f"sqlite://{tmp_path}/lucca.db"
        for name, value in environment(
            LUCCA_HOST=f" {HOST}\n", LUCCA_API_KEY=f"{KEY}\n", LUCCA_SHARED_BUDGET=f"{shared}\n"
        ).items():
            monkeypatch.setenv(name, value)
        settings = settings_of(parser.parse_args(["--limit", "20"]), max_concurrency=3)
        assert settings.base_url.host == HOST
        assert settings.api_key.header().endswith(KEY)
        assert settings.rate_limit is not None
        assert settings.rate_limit.requests == 20
        assert (settings.shared_budget, settings.max_concurrency) == (shared, 3)
        assert (settings.trust_env, settings.allow_any_host) == (False, False)
        given = parser.parse_args(
            [
                "--host",
                "x.example",
                "--allow-any-host",
                "--trust-env",
                "--shared-budget",
                f"{shared}x",
            ]
        )
        settings = settings_of(given)
        assert (settings.base_url.host, settings.trust_env) == ("x.example", True)
        assert settings.shared_budget == f"{shared}x"


class TestTheKey:
    @pytest.mark.parametrize(
        ("before", "after"), [(b"", b""), (b"", b"\r\n"), (b"\xef\xbb\xbf", b"\n")]
    )
    def test_from_a_file(self, before: bytes, after: bytes, tmp_path: Path) -> None:
        file = tmp_path / "key.txt"
        file.write_bytes(before + KEY.encode() + after)
        with Sandbox(api_key=KEY) as sandbox:
            options = ["--host", sandbox.url, "--api-key-file", str(file)]
            assert check(*options, LUCCA_API_KEY="wrong").code == 0

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (None, "the file of --api-key-file can't be read: No such file or directory"),
            (b"\xff\x00", "the file of --api-key-file can't be read: it is no text"),
            (b"", "the API key is empty"),
            (KEY.encode() + b"\n" + KEY.encode(), "the API key holds a line break"),
        ],
    )
    def test_from_a_file_without_one(self, data: bytes | None, reason: str, tmp_path: Path) -> None:
        file = tmp_path / KEY  # perhaps somebody has mistaken the option
        if data is not None:
            file.write_bytes(data)
        told = check("--host", HOST, "--api-key-file", str(file))
        assert (told.code, told.out) == (2, "")
        assert told.err.startswith(f"error: {reason}")
        assert KEY not in told.err

    @pytest.mark.parametrize("command", [["check"], ["get", "1"]])
    @pytest.mark.parametrize(
        "argument", [[f"--api-key={KEY}"], ["--api-key", KEY], [f"--api={KEY}"], [f"--key={KEY}"]]
    )
    def test_it_is_no_argument(
        self, command: list[str], argument: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as exited:
            call(*command, *argument)
        assert exited.value.code == 2
        assert KEY not in "".join(capsys.readouterr())

    @posix
    def test_from_a_prompt_that_shows_nothing(self) -> None:
        with Sandbox(api_key=KEY) as sandbox:
            code, screen = at_a_terminal(sandbox.url, f"{KEY}\n".encode())
        assert code == 0
        assert "Lucca API key: " in screen
        assert KEY not in screen

    @posix
    @pytest.mark.parametrize(("typed", "code"), [(b"\x04", 2), (b"\n", 2), (None, 130)])
    def test_a_prompt_without_an_answer(self, typed: bytes | None, code: int) -> None:
        assert at_a_terminal(HOST, typed)[0] == code


def at_a_terminal(host: str, typed: bytes | None) -> tuple[int, str]:
    """A command with a terminal of its own, what is typed there, or Ctrl-C; what it shows."""
    import pty

    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, *CLI, "check"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(LUCCA_HOST=host),
            start_new_session=True,  # without the terminal that the tests are run in
            preexec_fn=HEEDS_CTRL_C,
        ) as process:
            os.close(theirs)
            screen = b""
            while b"API key: " not in screen:
                screen += os.read(ours, 1000)
            if typed is None:
                process.send_signal(signal.SIGINT)
            else:
                os.write(ours, typed)
            try:
                while data := os.read(ours, 1000):
                    screen += data
            except OSError:  # Linux's word for the end of a terminal
                pass
            code = process.wait(timeout=SECONDS)
    finally:
        os.close(ours)
    return code, screen.decode()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AuthenticationError("", url="", status=401), 3),
        (PermissionDeniedError("", url="", status=403), 3),
        (NotFoundError("", url="", status=404), 3),
        (ResponseError("", url="", status=302), 4),
        (LuccaConnectionError("", url="", transient=False), 4),
        (OutageError("", url=""), 4),
        (RateLimitedError("", url="", status=429), 4),
        (ServerError("", url="", status=500), 4),
        (ResponseError("", url="", status=404, transient=True), 4),
        (SharedBudgetError(""), 4),
        (ConfigurationError(""), 2),
        (ResponseError("", url="", status=400), 1),
        (DecodeError("", url="", path="$", excerpt=""), 1),
        (InvalidIdError(""), 1),
    ],
)
def test_exit_codes(error: LuccaError, code: int) -> None:
    assert exit_code(error) == code
    assert code in EXIT_CODES


class TestTheEnd:
    @pytest.mark.parametrize(
        ("error", "code", "told"),
        [
            (WrongUseError("no"), 2, "error: no\n"),
            (WrongUseError("no", "Say yes."), 2, "error: no\nto do: Say yes.\n"),
            (asyncio.CancelledError(), 130, "interrupted\n"),
            (KeyboardInterrupt(), 130, "interrupted\n"),
            (
                ConfigurationError("odd"),
                2,
                "error: odd\nto do: Correct the option or the variable that it names.\n",
            ),
        ],
    )
    @pytest.mark.parametrize("is_early", [True, False])
    def test_what_ends_it(
        self,
        error: BaseException,
        code: int,
        told: str,
        is_early: bool,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)

        async def work() -> Exit:
            raise error

        def early() -> object:
            raise error

        assert run_to_its_end(early if is_early else work) == code  # type: ignore[arg-type]
        assert capsys.readouterr().err == told

    @posix
    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
    def test_signals(self, ending: signal.Signals) -> None:
        code = (
            "import asyncio, sys\n"
            "from lucca_training_async.cli.connection import run_to_its_end\n"
            "async def work():\n"
            "    print('ready', flush=True)\n"
            "    await asyncio.sleep(600)\n"
            "sys.exit(run_to_its_end(work))"
        )
        with python("-c", code) as process:
            lines_until(process, "ready")
            process.send_signal(ending)
            _, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (130, "interrupted\n")


def test_what_is_done_is_not_undone_by_a_signal() -> None:
    code = (
        "import signal, sys\n"
        "from lucca_training_async.cli import main\n"
        "sys.argv = ['x', 'get', '1', '--host', 'http://127.0.0.1:1', '--quiet']\n"
        "code = main()\n"
        "signal.raise_signal(signal.SIGTERM)\n"
        "sys.exit(code)"
    )
    assert run(cli=["-c", code], LUCCA_API_KEY=KEY).code == 4


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ([], ["WARNING", "ERROR"]),
        (["--quiet"], ["ERROR"]),
        (["--verbose"], ["DEBUG", "INFO", "WARNING", "ERROR"]),
    ],
)
def test_the_log(
    options: list[str],
    levels: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger("lucca_training_async")
    monkeypatch.setattr(logger, "handlers", list[logging.Handler]())
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    parser = Parser("test", description="")
    add_connection(parser)
    set_up_log(parser.parse_args([*options, "--log-json"]))
    logging.getLogger("lucca_training_async.x").debug("é")
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "é %s", 1)
    lines = capsys.readouterr().err
    assert lines.isascii()
    told = [json.loads(line) for line in lines.splitlines()]
    assert [line["level"] for line in told] == levels
    assert told[-1]["message"] == "é 1"
    assert set(told[-1]) == {"time", "level", "message"}
