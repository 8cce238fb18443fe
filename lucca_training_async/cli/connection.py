"""What each command that asks Lucca needs: its options, a client's settings, the log, an exit code.

The key comes from the environment, a file or a prompt, never from an argument, which every process
of the machine can read.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn, Unpack

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    ResponseError,
    ServerError,
    SharedBudgetError,
)
from ..settings import ClientOptions, RateLimit, Settings
from .advice import advice
from .options import number
from .terminal import in_lines, log_line, tell

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


EXIT_CODES: Mapping[int, str] = {
    Exit.OK: "all is well",
    Exit.FAILURES: "done, but some of it has failed or is missing",
    Exit.USAGE: "an option, a variable or a file can't work",
    Exit.REFUSED: "the key is refused, or its role lacks the right",
    Exit.UNREACHABLE: "Lucca can't be reached, fails, or wants us to wait",
    Exit.INTERRUPTED: "interrupted",
}


def exit_codes(told: Mapping[int, str] = EXIT_CODES) -> str:
    """The part of a command's help that tells its exit codes."""
    return "\n".join(["exit codes:", *(f"  {code:<3}  {text}" for code, text in told.items())])


class WrongUseError(Exception):
    """What the caller has written can't work; told in one line, with exit code 2.

    Args:
        told: What is wrong.
        todo: What to do next, if that is not said yet.
    """

    def __init__(self, told: str, todo: str = "") -> None:
        super().__init__(told)
        self.todo: str = todo


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
    refuse_key(parser)
    group.add_argument(
        "--shared-budget",
        metavar="URL",
        help=f"where the budget is shared with other processes (default: ${_SHARED_BUDGET})",
    )
    group.add_argument(
        "--limit",
        type=number(int, 1, 1_000_000),
        default=_DEFAULT.requests,
        metavar="REQUESTS",
        help="this command's part of the budget (default: %(default)s a minute)",
    )
    group.add_argument(
        "--trust-env", action="store_true", help="use the proxy that HTTPS_PROXY names"
    )
    group.add_argument(
        "--allow-any-host",
        action="store_true",
        help="accept a host that Lucca doesn't document, such as a gateway",
    )
    told = parser.add_argument_group("what is told")
    much = told.add_mutually_exclusive_group()
    much.add_argument("--quiet", action="store_true", help="errors only")
    much.add_argument("--verbose", action="store_true", help="each request as well")
    told.add_argument("--log-json", action="store_true", help="the log as JSON, a line each")


def refuse_key(parser: argparse.ArgumentParser) -> None:
    """Say why ``--api-key`` is no option, wherever it stands."""
    parser.add_argument("--api-key", action=_NoKey, nargs="?", help=argparse.SUPPRESS)


class _NoKey(argparse.Action):
    """Refuses a key as an argument, without repeating it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(
            "the API key is no argument, since every process of this machine could read it: "
            f"set {_KEY}, or pass --api-key-file"
        )


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
        all_options: ClientOptions = {
            "rate_limit": RateLimit(args.limit),
            "shared_budget": shared,
            "trust_env": args.trust_env,
            "allow_any_host": args.allow_any_host,
            **options,
        }
        return Settings(host, _key(args.api_key_file), **all_options)
    except ConfigurationError as error:
        fault = WrongUseError(in_options(str(error)), advice(error).todo)
    raise fault


def in_options(told: str) -> str:
    """What is said of the library's arguments, said of the command line's options."""
    told = re.sub(r"pass (allow_any_host|trust_env)=True", r"pass --\1", told)
    return told.replace("--allow_any_host", "--allow-any-host").replace(
        "--trust_env", "--trust-env"
    )


def _key(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8-sig").strip()
        except (OSError, ValueError) as error:
            fault = error.strerror if isinstance(error, OSError) else "it is no text"
        # Its name isn't repeated: if somebody has mistaken the option, it is the key.
        raise WrongUseError(f"the file of --api-key-file can't be read: {fault}")
    if key := os.environ.get(_KEY, "").strip():
        return key
    if not sys.stdin.isatty():
        raise WrongUseError(f"no API key: set {_KEY}, or pass --api-key-file")
    with suppress(EOFError):
        return getpass.getpass("Lucca API key: ").strip()
    raise WrongUseError("no API key was given")


def exit_code(error: LuccaError) -> Exit:
    """What an error that ends a command is told as."""
    match error:
        case AuthenticationError() | PermissionDeniedError() | NotFoundError():
            # What a key may not read is a 404, too, to some.
            return Exit.REFUSED
        case (
            LuccaConnectionError()
            | LuccaTimeoutError()
            | OutageError()
            | RateLimitedError()
            | ServerError()
            | SharedBudgetError()
            | RequestError(transient=True)  # a page of something in front of Lucca
            | ResponseError(status=300 | 301 | 302 | 303 | 307 | 308)  # a login, another host
        ):
            return Exit.UNREACHABLE
        case ConfigurationError():
            return Exit.USAGE
        case _:
            return Exit.FAILURES


def run_to_its_end(command: Callable[[], Coroutine[Any, Any, Exit]]) -> Exit:
    """Run a command in a loop of its own; SIGTERM ends it as Ctrl-C does.

    What it can't do is told on stderr, and what to do next.

    Args:
        command: Gives the coroutine. It is called before there is a loop, so that Ctrl-C ends a
            prompt: let it make the settings, as in ``lambda: work(settings_of(args))``.
    """

    async def run(work: Coroutine[Any, Any, Exit]) -> Exit:
        task = asyncio.current_task()
        assert task is not None
        with suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(run(command()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("interrupted")
        return Exit.INTERRUPTED
    except WrongUseError as fault:
        tell(f"error: {fault}", *_todo(fault.todo))
        return Exit.USAGE
    except LuccaError as error:
        tell(f"error: {in_options(str(error))}", *_todo(advice(error).todo))
        return exit_code(error)
    finally:
        # The end of the loop leaves what kills, whatever there was before.
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _todo(text: str) -> Sequence[str]:
    return [f"to do: {text}"] if text else []


def set_up_log(args: argparse.Namespace, usual: int = logging.WARNING) -> None:
    """The package's log on stderr, as much of it as was asked for, or as is usual."""
    handler = _ToStderr()
    handler.setFormatter(_JsonLines() if args.log_json else _Lines())
    logger = logging.getLogger("lucca_training_async")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.ERROR if args.quiet else logging.DEBUG if args.verbose else usual)


class _ToStderr(logging.StreamHandler[Any]):
    """To what is stderr at the moment: while a bar is shown, that is what writes above it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Lines(logging.Formatter):
    """The log for people."""

    def format(self, record: logging.LogRecord) -> str:
        return in_lines(super().format(record))


class _JsonLines(logging.Formatter):
    """The log as JSON; what a record has as ``told`` is in it."""

    def format(self, record: logging.LogRecord) -> str:
        return log_line(record.levelname, record.getMessage(), getattr(record, "told", {}))
