"""The command line: which commands there are."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from .. import __version__
from . import check, demo, export, get, sandbox
from .connection import Exit, exit_codes, refuse_key
from .options import Command, Parser
from .terminal import forgive, give_up_stdout, tell, telling_json

__all__ = ["main"]

_PROG = "lucca-training-async"
_COMMANDS: Sequence[Command] = (
    check.COMMAND,
    get.COMMAND,
    export.COMMAND,
    sandbox.COMMAND,
    demo.COMMAND,
)
_DESCRIPTION = """\
Reads Lucca's Training API from a terminal, inside the
request budget; "sandbox" and "demo" need no account."""
_EPILOG = f"""\
LUCCA_HOST and LUCCA_API_KEY say where and with which key.
COMMAND --help tells the options of a command.

{exit_codes()}

examples:
  {_PROG} check --host acme.ilucca.net
  {_PROG} get 235
  {_PROG} export --to trainings.csv
  {_PROG} sandbox --port 8080
  {_PROG} demo
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code.

    Args:
        argv: The arguments, without the program's name; those of the process by default.

    Raises:
        SystemExit: The arguments are wrong (2), or ask for the help or the version (0).
    """
    given = sys.argv[1:] if argv is None else argv
    _open_what_is_closed()
    forgive(sys.stdout, sys.stderr)
    # Also what is wrong with the arguments themselves is told to who reads JSON.
    with telling_json("--log-json" in given), _terminated_as_by_ctrl_c(is_all=argv is None):
        try:
            return _run(given)
        except KeyboardInterrupt:
            tell("interrupted")
            return Exit.INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    parser = _parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.refuse(unknown)
    run: Callable[[argparse.Namespace], int] | None = args.run
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = int(run(args))
        sys.stdout.flush()
    except OSError as error:
        # Whoever read it has had enough, as "head" does, or the disk is full.
        if not isinstance(error, BrokenPipeError):
            tell(f"error: {error.strerror or type(error).__name__}")
        give_up_stdout()
        return 1
    return code


def _open_what_is_closed() -> None:
    # Python has None for a stream that whoever started it has closed.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays)


@contextmanager
def _terminated_as_by_ctrl_c(*, is_all: bool) -> Generator[None, None, None]:
    """Also while stdin is read, or a key is asked for, SIGTERM is what Ctrl-C is.

    Args:
        is_all: Whether the process does nothing else, and so has its exit code once this is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are none of its business
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if is_all else before or signal.SIG_DFL)


def _parser() -> Parser:
    parser = Parser(_PROG, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"{_PROG} {__version__}")
    parser.set_defaults(run=None, parser=parser)
    refuse_key(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for command in _COMMANDS:
        its = commands.add_parser(
            command.name,
            usage=" ".join([_PROG, command.name, "[options]", command.arguments]).strip(),
            help=command.summary,
            description=f"{command.summary}.",
            epilog=command.epilog,
        )
        command.add_options(its)
        its.set_defaults(run=command.run, parser=its)
    return parser
