"""What every command is made of: its options, their values, its help."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import attrs

from ..errors import ConfigurationError
from ..settings import ApiKey, RateLimit
from .terminal import tell, tells_json

_LONGEST_REPEATED = 12
# argparse's words, of which there is but the text.
_LONG = re.compile(rf"'[^']{{{_LONGEST_REPEATED + 1},}}'|\"[^\"]{{{_LONGEST_REPEATED + 1},}}\"")
_NO_COMMAND = re.compile(r"argument COMMAND: invalid choice: .* \(choose from (.*)\)", re.DOTALL)


@attrs.frozen
class Command:
    """One command of the command line.

    Attributes:
        name: How it is called.
        summary: What it does, in one line.
        epilog: What follows the options in its help, in lines of 58 characters at most.
        add_options: Adds its options.
        run: Runs it; the exit code.
        arguments: What it wants besides its options.
    """

    name: str
    summary: str = attrs.field(kw_only=True)
    epilog: str = attrs.field(kw_only=True)
    add_options: Callable[[argparse.ArgumentParser], None] = attrs.field(kw_only=True)
    run: Callable[[argparse.Namespace], int] = attrs.field(kw_only=True)
    arguments: str = attrs.field(default="", kw_only=True)


class Parser(argparse.ArgumentParser):
    """One that keeps line breaks, takes no abbreviations and never repeats what may be a key."""

    def __init__(self, prog: str, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        # "--api-key" is no abbreviation of "--api-key-file".
        options.setdefault("allow_abbrev", False)
        super().__init__(prog, **options)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and how it is used, unless that is told to a program."""
        # What is no command, or no value, may be the key, at the wrong place.
        told = re.sub(_NO_COMMAND, r"there is no such command: choose from \1", message)
        told = re.sub(_LONG, "'...'", told)
        if tells_json():
            tell(f"error: {told}")
            self.exit(2)
        super().error(told)

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Name the options among what can't be understood, and only count the rest."""
        names = [found[0] for text in unknown if (found := re.match("--[a-z-]+|-[a-z]", text))]
        others = len(unknown) - len(names)
        told = [*names, *([f"{others} more"] if others else [])]
        self.error(f"unrecognized arguments: {' and '.join(told)}")


def number(kind: type[int | float], lowest: float, highest: float) -> Callable[[str], float]:
    """A parser of numbers within bounds, infinities and NaN excluded."""
    name = "a whole number" if kind is int else "a number"

    def parse(text: str) -> float:
        # NaN is neither inside nor outside of any bounds: only this comparison refuses it.
        with contextlib.suppress(ValueError):
            if lowest <= (given := kind(text)) <= highest:
                return given
        # What is no number may be the key, at the wrong place.
        instead = f", not {text!r}" if len(text) <= _LONGEST_REPEATED else ""
        raise argparse.ArgumentTypeError(f"must be {name} from {lowest} to {highest}{instead}")

    return parse


def api_key(text: str) -> str:
    """A key that a sandbox can accept."""
    try:
        ApiKey(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_budget(
    parser: argparse.ArgumentParser, default: RateLimit, *, optional: bool = False
) -> None:
    """The options of an embedded Lucca's budget."""
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--limit",
        type=number(int, 1, 1_000_000),
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
        type=number(float, 0.01, 86_400),
        default=default.period,
        metavar="SECONDS",
        help="in how many seconds (default: %(default)g)",
    )
