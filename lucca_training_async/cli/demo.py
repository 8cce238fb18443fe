"""The ``demo`` command: the real client fetches many ids from a sandbox on a bad day."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from ..client import LuccaTrainingClient
from ..sandbox import Sandbox
from ..settings import RateLimit, RetryPolicy
from .connection import exit_codes
from .options import Command, add_budget, number
from .scenario import FEWEST_IDS, MOST_IDS, Scenario, unaccounted_for
from .terminal import tell

if TYPE_CHECKING:
    from .report import Report

_RETRY = RetryPolicy(backoff_initial=0.1, backoff_max=0.5)
_NEEDS_RICH = """the demo needs the 'cli' extra: pip install "lucca-training-async[cli]\""""


_CODES = {
    0: "every id has exactly one outcome",
    1: "one has none, or two",
    2: "an option can't work, or rich is not installed",
    130: "interrupted",
}
_EPILOG = f"""\
Nothing leaves this machine, and no account is needed.

{exit_codes(_CODES)}

examples:
  lucca-training-async demo
  lucca-training-async demo --ids 2000 --limit 100
"""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ids",
        type=number(int, FEWEST_IDS, MOST_IDS),
        default=400,
        metavar="N",
        help="how many distinct ids to fetch (default: %(default)s)",
    )
    # Lucca's own budget, sixty times as fast.
    add_budget(parser, RateLimit(period=1.0))


def _run(args: argparse.Namespace) -> int:
    """Run the demo; the exit code."""
    try:
        from .report import Report
    except ModuleNotFoundError:
        tell(_NEEDS_RICH)
        return 2
    limit = RateLimit(args.limit, args.period)
    try:
        return asyncio.run(_demonstrate(Scenario.of(args.ids, limit), limit, Report()))
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


async def _demonstrate(scenario: Scenario, limit: RateLimit, report: Report) -> int:
    async with Sandbox(rate_limit=limit, missing=scenario.missing) as sandbox:
        for unlucky, fault in scenario.faults.items():
            sandbox.inject(fault, id=unlucky)
        report.announce(scenario, limit, sandbox)
        async with LuccaTrainingClient(
            sandbox.url, sandbox.api_key, rate_limit=limit, retry=_RETRY
        ) as client:
            with report.progress() as on_progress:
                result = await client.realized_trainings.get_many(
                    scenario.ids, on_progress=on_progress
                )
    lost = unaccounted_for(scenario.ids, result)
    report.conclude(scenario, limit, sandbox, result, lost)
    return 1 if lost else 0


COMMAND = Command(
    "demo",
    summary="Fetch many ids from an embedded Lucca on a bad day",
    epilog=_EPILOG,
    add_options=_add_options,
    run=_run,
)
