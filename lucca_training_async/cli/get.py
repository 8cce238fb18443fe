"""The ``get`` command: some realized trainings by their ids, for people or as Lucca writes them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .._bulk import BulkResult, Progress
from ..client import LuccaTrainingClient
from ..errors import LuccaError
from ..models import MAX_ID, RealizedTraining
from ..settings import RetryPolicy, Settings
from .advice import advice
from .connection import (
    Exit,
    add_connection,
    exit_code,
    exit_codes,
    in_options,
    run_to_its_end,
    set_up_log,
    settings_of,
)
from .options import Command, number
from .terminal import json_line, plain_number, table, tell

# A person waits: what a bulk run would wait a quarter of an hour for is told after two minutes.
_RETRY = RetryPolicy(max_attempts=3, patience=120.0)

_EPILOG = f"""\
Records go to stdout; what is missing or has failed goes
to stderr, with the reason.

{exit_codes()}

examples:
  lucca-training-async get 235
  lucca-training-async get 235 236 237 --json > some.jsonl
"""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids",
        nargs="+",
        type=number(int, 1, MAX_ID),
        metavar="ID",
        help="the id of a realized training",
    )
    parser.add_argument(
        "--json", action="store_true", help="as Lucca writes them, one on a line (JSON lines)"
    )
    add_connection(parser)


def _run(args: argparse.Namespace) -> int:
    set_up_log(args)
    return run_to_its_end(
        lambda: _get(
            settings_of(args, retry=_RETRY), args.ids, as_json=args.json, is_quiet=args.quiet
        )
    )


async def _get(settings: Settings, ids: Sequence[int], *, as_json: bool, is_quiet: bool) -> Exit:
    told = False

    def on_progress(progress: Progress) -> None:
        nonlocal told
        if progress.waiting_for == "budget" and not told and not is_quiet:
            told = True
            # Of pauses and outages the log tells.
            tell(
                f"{progress.done} of {progress.total}; the rest waits for the request budget",
                level="INFO",
            )

    async with LuccaTrainingClient.from_settings(settings) as client:
        result = await client.realized_trainings.get_many(
            ids, plan="each", priority="interactive", on_progress=on_progress
        )
    for place, training in enumerate(result.items.values()):
        if as_json:
            print(json_line(training.to_json()))
        else:
            print("\n" * (place > 0) + table(rows_of(training)))
    for absent in result.missing:
        tell(f"{absent} is missing: Lucca has none with this id, or the key's role may not see it")
    for error, failed in _by_error(result):
        tell(f"{failed} failed: {in_options(str(error))}", f"to do: {advice(error).todo}")
    return code_of(result)


def rows_of(training: RealizedTraining) -> list[tuple[str, str]]:
    """A record in rows; what Lucca leaves out is a dash."""
    course = training.training
    title = None if course is None else course.title
    values: list[tuple[str, object]] = [
        ("id", training.id),
        ("employee", training.owner_id),
        ("training", title),
        ("training id", None if course is None else course.id),
        ("category", None if course is None else course.category_id),
        ("level", None if course is None else course.level),
        ("provider", None if course is None else course.provider_url),
        ("demand", training.training_demand_id),
        ("session", training.session_id),
        ("first day", training.session_starts_on),
        ("last day", training.session_ends_on),
        ("attended", "yes" if training.has_attended else "no"),
        ("hours", plain_number(training.duration_in_hours)),
    ]
    return [(name, "-" if value is None else str(value)) for name, value in values]


def _by_error(result: BulkResult) -> list[tuple[LuccaError, str]]:
    """Each error once: one can be that of all ids that were not sent."""
    failed: dict[int, tuple[LuccaError, list[int]]] = {}
    for key, error in result.failures.items():
        failed.setdefault(id(error), (error, []))[1].append(key)
    return [(error, ", ".join(map(str, ids))) for error, ids in failed.values()]


def code_of(result: BulkResult) -> Exit:
    """How it went: where nothing was answered at all, by why that is."""
    if not result.failures:
        return Exit.FAILURES if result.missing else Exit.OK
    if result.items or result.missing:
        return Exit.FAILURES
    return max(exit_code(error) for error in result.failures.values())


COMMAND = Command(
    "get",
    arguments="ID...",
    summary="Show realized trainings by their ids",
    epilog=_EPILOG,
    add_options=_add_options,
    run=_run,
)
