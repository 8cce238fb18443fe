"""The command line: which commands there are, and what each of their options may be."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..errors import ConfigurationError
from ..models import MAX_ID
from ..settings import ApiKey, RateLimit
from . import demo, export, sandbox
from .scenario import FEWEST_IDS, MOST_IDS

# What is printed in README and docs is from one of this size.
_SMALL_TENANT = 1_200

__all__ = ["main"]

_PROG = "lucca-training-async"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code.

    Args:
        argv: The arguments, without the program's name; those of the process by default.

    Raises:
        SystemExit: The arguments are wrong (2), or ask for the help or the version (0).
    """
    parser = _parser()
    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] | None = args.run
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        _PROG, description="Try the async client of Lucca's Training API without a Lucca account."
    )
    parser.add_argument("--version", action="version", version=f"{_PROG} {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary, add_options in (
        ("sandbox", "Serve an embedded Lucca on a local port until Ctrl-C", _add_sandbox_options),
        ("demo", "Fetch many ids from an embedded Lucca on a bad day", _add_demo_options),
        ("export", "Export realized trainings to a file, or go on with it", export.add_options),
    ):
        add_options(
            commands.add_parser(name, help=summary, description=f"{summary}.", allow_abbrev=False)
        )
    return parser


def _add_sandbox_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_number(int, 0, 65_535),
        default=0,
        metavar="N",
        help="where to listen (default: a free port)",
    )
    parser.add_argument(
        "--api-key",
        type=_api_key,
        default="sandbox-api-key",
        metavar="K",
        help="the key to accept (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=_number(int, 0, MAX_ID),
        default=_SMALL_TENANT,
        metavar="N",
        help="how many realized trainings there are (default: %(default)s)",
    )
    _add_budget(parser, RateLimit(), optional=True)
    parser.set_defaults(run=_run_sandbox)


def _run_sandbox(args: argparse.Namespace) -> int:
    limit = None if args.limit is None else RateLimit(args.limit, args.period)
    return sandbox.run(port=args.port, api_key=args.api_key, limit=limit, size=args.size)


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ids",
        type=_number(int, FEWEST_IDS, MOST_IDS),
        default=400,
        metavar="N",
        help="how many distinct ids to fetch (default: %(default)s)",
    )
    # Lucca's own budget, sixty times as fast.
    _add_budget(parser, RateLimit(period=1.0))
    parser.set_defaults(run=_run_demo)


def _run_demo(args: argparse.Namespace) -> int:
    return demo.run(ids=args.ids, limit=RateLimit(args.limit, args.period))


def _add_budget(
    parser: argparse.ArgumentParser, default: RateLimit, *, optional: bool = False
) -> None:
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--limit",
        type=_number(int, 1, 1_000_000),
        default=default.requests,
        metavar="REQUESTS",
        help="the budget: how many requests (default: %(default)s)",
    )
    if optional:
        limit.add_argument(
            "--no-limit", dest="limit", action="store_const", const=None, help="no budget at all"
        )
    parser.add_argument(
        "--period",
        type=_number(float, 0.01, 86_400),
        default=default.period,
        metavar="SECONDS",
        help="in how many seconds (default: %(default)g)",
    )


def _number(kind: type[int | float], lowest: float, highest: float) -> Callable[[str], float]:
    """A parser of numbers within bounds, infinities and NaN excluded."""
    name = "a whole number" if kind is int else "a number"

    def parse(text: str) -> float:
        # NaN is neither inside nor outside of any bounds: only this comparison refuses it.
        with contextlib.suppress(ValueError):
            if lowest <= (number := kind(text)) <= highest:
                return number
        raise argparse.ArgumentTypeError(f"must be {name} from {lowest} to {highest}, not {text!r}")

    return parse


def _api_key(text: str) -> str:
    try:
        ApiKey(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
