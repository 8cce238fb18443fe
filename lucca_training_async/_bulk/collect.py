"""The outcomes of a bulk run, all together."""

from __future__ import annotations

from .._callbacks import call_plain, check_plain_function
from .engine import BulkRun
from .outcomes import BulkResult, OnOutcome, Outcome


async def collect(run: BulkRun, on_outcome: OnOutcome | None) -> BulkResult:
    """Run to the end and sort the outcomes."""
    check_plain_function("on_outcome", on_outcome)
    delivered: dict[int, Outcome] = {}

    async def deliver(position: int, outcome: Outcome) -> None:
        delivered[position] = outcome
        if on_outcome is not None:
            call_plain("on_outcome", on_outcome, outcome)

    run.start(deliver)
    try:
        await run.join()
    finally:
        await run.aclose()
    in_order = (delivered[position] for position in sorted(delivered))
    return BulkResult.of(in_order, run.stats, run.stopped)
