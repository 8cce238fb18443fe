"""The command line as a whole: its commands, their help, what is refused."""

from __future__ import annotations

import shlex

import pytest

from lucca_training_async import __version__
from lucca_training_async.cli import main

from .command_line import CLI, CLI_WITHOUT_RICH, KEY, SECONDS, python, run

COMMANDS = ["check", "get", "export", "sandbox", "demo"]


class TestArguments:
    def test_without_a_command_the_help_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 2
        told = capsys.readouterr().err
        assert all(command in told for command in COMMANDS)

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
            ("sandbox --missing 0", "--missing: must be ids from 1 to"),
            ("sandbox --fault nonsense:1", "--fault: there is no fault 'nonsense'"),
            ("sandbox --seed x", "--seed: must be a whole number"),
            ("demo --ids 19", "--ids: must be a whole number from 20"),
            ("demo --limit 0", "--limit: must be"),
            ("demo --period inf", "--period: must be a number"),
            ("demo --no-limit", "unrecognized arguments: --no-limit"),
            ("get", "required: ID"),
            ("get 0", "ID: must be a whole number from 1 to 2147483647, not '0'"),
            ("get 2147483648", "ID: must be a whole number"),
            ("get abc", "ID: must be a whole number"),
            ("get 1 --limit 0", "--limit: must be"),
            ("get 1 --quiet --verbose", "not allowed with"),
            ("check --hos x", "unrecognized arguments: --hos"),
            ("check 1 2", "unrecognized arguments: 2 more"),
            ("check --hosts=x y", "unrecognized arguments: --hosts and 1 more"),
            ("nonsense", "there is no such command: choose from "),
            ("--api-key x check", "the API key is no argument"),
        ],
    )
    def test_what_can_not_work_is_refused(
        self, line: str, reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as exited:
            main(shlex.split(line))
        assert exited.value.code == 2
        assert reason in capsys.readouterr().err


def test_what_may_be_the_key_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ([KEY], ["1", KEY[:3], KEY], ["1", "--limit", KEY], ["1", f"--wrong={KEY}"]):
        with pytest.raises(SystemExit):
            main(["get", *line])
        assert KEY not in capsys.readouterr().err
    for line in ([KEY], ["--api-key", KEY, "check"], [f"--api-key={KEY}"], [KEY, "--log-json"]):
        with pytest.raises(SystemExit):
            main(line)
        assert KEY not in capsys.readouterr().err
    for line in (
        ["check", f"-k{KEY}"],
        ["check", f"--quiet={KEY}"],
        ["--api-key-file", KEY, "check"],
        *(["export", option, KEY] for option in ("--attended", "--owner", "--ended-from")),
        ["sandbox", "--fault", f"{KEY}:1"],
        ["demo", KEY],
    ):
        with pytest.raises(SystemExit):
            main(line)
        assert KEY not in capsys.readouterr().err


class TestHelp:
    @pytest.mark.parametrize("command", ["", *COMMANDS])
    def test_it_fits_sixty_columns_and_has_examples_and_exit_codes(self, command: str) -> None:
        told = run(*command.split(), "--help", COLUMNS="60", PYTHONIOENCODING="ascii")
        assert (told.code, told.err) == (0, "")
        assert all(len(line) <= 60 for line in told.out.splitlines()), told.out
        examples = told.out.partition("\nexamples:\n")[2]
        assert f"lucca-training-async {command}" in examples
        assert "\nexit codes:\n  0  " in told.out

    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_examples_are_understood(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        text = capsys.readouterr().out.partition("\nexamples:\n")[2].replace("\\\n", " ")
        lines = [shlex.split(line.split(">")[0], comments=True) for line in text.splitlines()]
        examples = [words[1:] for words in lines if words and words[0] == "lucca-training-async"]
        assert examples
        for words in examples:
            # Whatever else they ask for, help comes first where all before it is understood.
            with pytest.raises(SystemExit) as exited:
                main([*words, "--help"])
            assert exited.value.code == 0


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

    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_help_needs_no_rich(self, command: str) -> None:
        assert run(command, "--help", cli=CLI_WITHOUT_RICH).code == 0

    def test_a_module_can_be_run(self) -> None:
        assert run("--version", cli=CLI).out == f"lucca-training-async {__version__}\n"
