"""The options of ``export``, and what they come to: checked before a request is spent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import attrs

from ...settings import Settings
from ..connection import WrongUseError, add_connection, exit_codes, settings_of
from .files import Files, files_at
from .ids import Ids, checked, read_ids
from .progress import Tally
from .question import Question

_STDOUT = "-"
EPILOG = f"""\
Interrupted at any moment, it is gone on with by the same
command. Records go to FILE, what has failed or is missing
to NAME.failed.jsonl beside it, all else to stderr.

{exit_codes()}

examples:
  lucca-training-async export --to trainings.jsonl
  lucca-training-async export --to trainings.jsonl --update
  lucca-training-async export --to my.csv --owner 416
  lucca-training-async export --to some.csv --ids ids.txt
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--to",
        default=_STDOUT,
        metavar="FILE",
        help="where to: .jsonl or .csv by its suffix (default: JSON lines on stdout)",
    )
    which = parser.add_argument_group("which records (default: all)")
    which.add_argument(
        "--ids", metavar="FILE", help="those with these ids, one a line; - reads them from stdin"
    )
    which.add_argument(
        "--ids-column", metavar="NAME", help="the ids are in this column of a CSV file"
    )
    which.add_argument(
        "--owner",
        type=_numbers,
        action="extend",
        metavar="ID",
        help="those of this employee; may be repeated, or be several: 416,417",
    )
    which.add_argument(
        "--training",
        type=_numbers,
        action="extend",
        metavar="ID",
        help="those of this training; may be repeated, or be several",
    )
    which.add_argument(
        "--attended", choices=("yes", "no"), help="those (not) attended; both by default"
    )
    which.add_argument(
        "--ended-from", type=_day, metavar="DAY", help="those that ended on this day or later"
    )
    which.add_argument(
        "--ended-to", type=_day, metavar="DAY", help="those that ended on this day or earlier"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="bring the last complete export up to date; NAME.changes.jsonl has what has changed",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, whatever an unfinished export has"
    )
    add_connection(parser)


@attrs.frozen
class Job:
    """What is to be done.

    Attributes:
        settings: The client's.
        question: What is asked for.
        ids: The ids asked for; None if the list is.
        files: Where it goes; None for stdout.
        tally: What is counted.
    """

    settings: Settings
    question: Question
    ids: Ids | None
    files: Files | None
    tally: Tally


def job_of(args: argparse.Namespace, tally: Tally, note: Callable[..., None]) -> Job:
    """What the options come to.

    Raises:
        WrongUseError: They can't work.
    """
    has_filters = any(
        value is not None
        for value in (args.owner, args.training, args.attended, args.ended_from, args.ended_to)
    )
    if args.ids is not None and has_filters:
        raise WrongUseError("--ids and filters do not go together: ids are asked for as they are")
    if args.ids_column is not None and args.ids is None:
        raise WrongUseError("--ids-column needs --ids")
    if args.ended_from and args.ended_to and args.ended_from > args.ended_to:
        raise WrongUseError(f"--ended-from {args.ended_from} is after --ended-to {args.ended_to}")
    files = None if args.to == _STDOUT else files_at(Path(args.to))
    if files is None and (args.update or args.restart):
        raise WrongUseError("--update and --restart need a file: pass --to")
    if files is None and sys.__stdout__ is None:
        raise WrongUseError("stdout is closed: pass --to")
    settings = settings_of(args, on_attempt=note)
    ids = None if args.ids is None else read_ids(args.ids, args.ids_column)
    question = Question(
        host=str(settings.base_url.origin()),
        owner=None if args.owner is None else tuple(args.owner),
        training=None if args.training is None else tuple(args.training),
        attended=None if args.attended is None else args.attended == "yes",
        ended_from=args.ended_from,
        ended_to=args.ended_to,
        ids=None if ids is None else ids.fingerprint,
        update=args.update,
    )
    return Job(settings, question, ids, files, tally)


def _numbers(text: str) -> list[int]:
    read = checked(part.strip() for part in text.split(","))
    if read.refused:
        raise argparse.ArgumentTypeError(read.refused[0]["message"])
    return list(read.valid)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a day such as 2025-01-31, not {text!r}"
        ) from None
