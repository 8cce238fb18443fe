"""The command line: which commands there are."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from . import check, demo, export, get, sandbox
from .connection import exit_codes
from .options import Command, Parser
from .terminal import forgive, tell

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
    forgive(sys.stdout, sys.stderr)
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
        # Python would try to write the rest once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> Parser:
    parser = Parser(_PROG, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"{_PROG} {__version__}")
    parser.set_defaults(run=None, parser=parser)
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
