"""The pages about the command line: commands run, and print what is written below them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lucca_training_async.cli.advice import TABLE
from lucca_training_async.cli.connection import EXIT_CODES, add_connection
from lucca_training_async.cli.export.options import add_to
from lucca_training_async.cli.export.rows import COLUMNS
from lucca_training_async.cli.options import Parser

from .command_line import CLI, Told, call, lines_until, python, run, url_in

pytestmark = pytest.mark.processes

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "cli.md").read_text("utf-8")
EXPORT = (DOCS / "export.md").read_text("utf-8")
PROG = "lucca-training-async"
# It is written into the page as if it listened there.
SHOWN = "http://127.0.0.1:8080"


def blocks() -> list[list[tuple[str, str]]]:
    """The commands of each block, and what is written below each."""
    found: list[list[tuple[str, str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
        found.append(list(zip(parts[::2], parts[1::2], strict=True)))
    return found


SERVING = [block for block in blocks() if block[0][0].startswith(f"{PROG} sandbox")]
ASKING = [block for block in blocks() if block not in SERVING]


def test_there_are_examples() -> None:
    assert (len(SERVING), len(ASKING)) == (1, 4)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    (command,) = re.findall(rf"`{PROG} (sandbox [^`]*)`\.\)", PAGE)
    options = shlex.split(command.replace("--port 8080", "--quiet"))
    with python(*CLI, *options) as process:
        yield url_in(lines_until(process, "export LUCCA_API_KEY="))


@pytest.mark.parametrize("block", ASKING, ids=lambda block: str(block[0][0]))
def test_what_is_printed(
    block: list[tuple[str, str]], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old-key.txt").write_text("an-old-key\n")
    variables = {"LUCCA_HOST": url, "LUCCA_API_KEY": "sandbox-api-key", "COLUMNS": "80"}
    code = 0
    for command, written in block:
        words, _, target = command.partition(" > ")
        if words == "echo $?":
            assert written == f"{code}\n"
        elif words.startswith("cat "):
            assert Path(words[4:]).read_text("utf-8") == written
        else:
            told = call(*shlex.split(words)[1:], **variables)
            code = told.code
            if target:
                Path(target).write_text(told.out, "utf-8")
            assert printed(told, url, is_redirected=bool(target)) == written


def printed(told: Told, url: str, *, is_redirected: bool) -> str:
    text = told.err if is_redirected else told.out + told.err
    text = text.replace(url, SHOWN)
    return re.sub(r"\(less than [\d.]+ s\)", "(less than 1.0 s)", text)


def test_the_log_of_the_sandbox() -> None:
    ((command, written),) = SERVING[0]
    options = shlex.split(command.replace("--port 8080", ""))[1:]
    with python(*CLI, *options) as process:
        served = url_in(lines_until(process, "export LUCCA_API_KEY="))
        for id in ("235", "5000"):
            run("get", id, LUCCA_HOST=served, LUCCA_API_KEY="sandbox-api-key")
        process.terminate()
        err = process.communicate(timeout=60)[1]
    assert _without_times(err) == _without_times(written.removeprefix("...\n"))


def _without_times(log: str) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in log.splitlines()]


def test_the_exit_codes_are_those_of_the_help() -> None:
    section = PAGE.partition("## Exit codes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)
    assert [int(code) for code, _ in rows] == list(EXIT_CODES)
    assert all(told.startswith(EXIT_CODES[int(code)]) for code, told in rows)


def test_every_failure_that_check_can_name_is_on_the_page() -> None:
    section = PAGE.partition("| It says |")[2].partition("\n\n")[0]
    # Those are told of the library's own faults, or of another process.
    others = {"failed", "refused", "outage", "shared budget can't be reached"}
    assert {row.name for row in TABLE} - others <= set(re.findall(r"`([^`]+)`", section))


def first_cells(heading: str) -> list[str]:
    """Of a table of the page about exports, without the marks of code."""
    lines = EXPORT.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [line.split(" | ")[0].removeprefix("| ").strip("`") for line in lines]


def options_in(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]+", text))


def test_the_page_about_exports_has_every_column_exit_code_and_option() -> None:
    assert first_cells("Column") == list(COLUMNS)
    assert first_cells("`outcome`") == ["missing", "failed", "refused"]
    assert [int(code) for code in first_cells("Code")] == list(EXIT_CODES)
    parser, connection = Parser("export", description=""), Parser("any", description="")
    add_to(parser)
    add_connection(connection)
    known = options_in(parser.format_help())
    assert known - options_in(connection.format_help()) <= options_in(EXPORT)
    assert options_in(EXPORT) <= known
