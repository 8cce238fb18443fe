"""What each command that asks Lucca needs: its options, a client's settings, the log, an exit code.

The key comes from the environment, a file or a prompt, never from an argument, which every process
of the machine can read.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Unpack

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SharedBudgetError,
)
from ..settings import ClientOptions, RateLimit, Settings

_HOST, _KEY, _SHARED_BUDGET = "LUCCA_HOST", "LUCCA_API_KEY", "LUCCA_SHARED_BUDGET"
_DEFAULT = RateLimit()


class Exit(IntEnum):
    """What a command's exit code tells."""

    OK = 0
    FAILURES = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


class WrongUseError(Exception):
    """What the caller has written can't work; told in one line, with exit code 2."""


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The options of every command that asks Lucca."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--host", metavar="HOST", help=f"your account, such as acme.ilucca.net (default: ${_HOST})"
    )
    group.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help=f"a file that holds the API key (default: ${_KEY}, or a prompt)",
    )
    group.add_argument(
        "--shared-budget",
        metavar="URL",
        help=f"where the budget is shared with other processes (default: ${_SHARED_BUDGET})",
    )
    group.add_argument(
        "--limit",
        type=int,
        default=_DEFAULT.requests,
        metavar="REQUESTS",
        help="this command's part of the budget (default: %(default)s a minute)",
    )
    told = parser.add_argument_group("what is told").add_mutually_exclusive_group()
    told.add_argument("--quiet", action="store_true", help="errors only")
    told.add_argument("--verbose", action="store_true", help="each request as well")
    parser.add_argument("--log-json", action="store_true", help="the log as JSON, a line each")


def settings_of(args: argparse.Namespace, **options: Unpack[ClientOptions]) -> Settings:
    """The client's settings, by the options and the environment.

    Raises:
        WrongUseError: Something is missing, or can't work.
    """
    host = args.host or os.environ.get(_HOST, "").strip()
    if not host:
        raise WrongUseError(f"no host: pass --host, or set {_HOST} (such as acme.ilucca.net)")
    shared = args.shared_budget or os.environ.get(_SHARED_BUDGET, "").strip() or None
    try:
        options = {"rate_limit": RateLimit(args.limit), "shared_budget": shared, **options}
        return Settings(host, _key(args.api_key_file), **options)
    except ConfigurationError as error:
        fault = str(error)
    raise WrongUseError(fault)


def _key(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            fault = error.strerror if isinstance(error, OSError) else "it is no text"
        raise WrongUseError(f"the API key can't be read from {file}: {fault}")
    if key := os.environ.get(_KEY, "").strip():
        return key
    if not sys.stdin.isatty():
        raise WrongUseError(f"no API key: set {_KEY}, or pass --api-key-file")
    return getpass.getpass("Lucca API key: ").strip()


def exit_code(error: LuccaError) -> Exit:
    """What an error that ends a command is told as."""
    match error:
        case AuthenticationError() | PermissionDeniedError():
            return Exit.REFUSED
        case (
            LuccaConnectionError()
            | LuccaTimeoutError()
            | OutageError()
            | RateLimitedError()
            | ServerError()
            | SharedBudgetError()
        ):
            return Exit.UNREACHABLE
        case ConfigurationError():
            return Exit.USAGE
        case _:
            return Exit.FAILURES


def run_to_its_end(command: Callable[[], Coroutine[Any, Any, Exit]]) -> Exit:
    """Run a command in a loop of its own; SIGTERM ends it as Ctrl-C does.

    What it can't do is told in a line on stderr.
    """

    async def run() -> Exit:
        task = asyncio.current_task()
        assert task is not None
        with suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await command()

    try:
        return asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except WrongUseError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return Exit.USAGE
    except LuccaError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)


def set_up_log(args: argparse.Namespace) -> None:
    """The package's log on stderr, as much of it as was asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if args.log_json else logging.Formatter("%(message)s"))
    logger = logging.getLogger("lucca_training_async")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(
        logging.ERROR if args.quiet else logging.DEBUG if args.verbose else logging.WARNING
    )


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        return json.dumps(told, ensure_ascii=False)
