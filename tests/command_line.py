"""The command line in processes of its own, as users run it."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from lucca_training_async.cli import main

from .posix import HEEDS_CTRL_C

SECONDS = 60
CLI = ["-m", "lucca_training_async"]
CLI_WITHOUT_RICH = [
    "-c",
    "import sys; sys.modules['rich'] = None\n"
    "from lucca_training_async.cli import main\n"
    "sys.exit(main())",
]
KEY = "a-planted-key-7Qx2"
_LUCCA = re.compile(
    "LUCCA_|COLUMNS$|.*_PROXY$|PYTHONIOENCODING$|NO_COLOR$|FORCE_COLOR$", re.IGNORECASE
)


class Told(NamedTuple):
    """What a command has written, and its exit code."""

    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    """This process's own, without what the command line reads, but for these."""
    kept = {name: value for name, value in os.environ.items() if not _LUCCA.match(name)}
    return {**kept, "PYTHONIOENCODING": "utf-8", **variables}


@contextmanager
def python(
    *args: str, env: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[str], None, None]:
    """A Python process that doesn't outlive the test."""
    with subprocess.Popen(
        [sys.executable, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment() if env is None else env,
        preexec_fn=HEEDS_CTRL_C,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*args: str, cli: list[str] = CLI, **variables: str) -> Told:
    """A command that ends by itself."""
    with python(*cli, *args, env=environment(**variables)) as process:
        out, err = process.communicate(timeout=SECONDS)
    return Told(process.returncode, out, err)


def call(*args: str, **variables: str) -> Told:
    """The same in this process, which is quicker; nothing that it changes stays."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    logger = logging.getLogger("lucca_training_async")
    was = logger.handlers[:], logger.propagate, logger.level
    try:
        with (
            patch.dict(os.environ, environment(**variables), clear=True),
            patch.object(sys, "stdin", io.StringIO()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(args)
    finally:
        logger.handlers[:], logger.propagate, logger.level = was
    return Told(code, *(_written(stream) for stream in (out, err)))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def lines_until(process: subprocess.Popen[str], start: str) -> list[str]:
    """What the process prints, up to the line that starts so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1].startswith(start):
            return lines
    raise AssertionError(f"no line starts with {start!r}: {lines}")


def url_in(greeting: list[str]) -> str:
    """Where a sandbox says that it listens."""
    return next(line.split()[1] for line in greeting if line.startswith("url "))
