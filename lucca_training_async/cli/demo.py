"""The ``demo`` command: the real client fetches many ids from a sandbox on a bad day."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from ..client import LuccaTrainingClient
from ..sandbox import Sandbox
from ..settings import RateLimit, RetryPolicy
from .scenario import Scenario, unaccounted_for

if TYPE_CHECKING:
    from .report import Report

_RETRY = RetryPolicy(backoff_initial=0.1, backoff_max=0.5)
_NEEDS_RICH = """the demo needs the 'cli' extra: pip install "lucca-training-async[cli]\""""


def run(*, ids: int, limit: RateLimit) -> int:
    """Run the demo; the exit code."""
    try:
        from .report import Report
    except ModuleNotFoundError:
        print(_NEEDS_RICH, file=sys.stderr)
        return 2
    try:
        return asyncio.run(_demonstrate(Scenario.of(ids, limit), limit, Report()))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
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
