"""What the demo shows, and the only module that needs rich."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.box import ROUNDED
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from .._bulk import BulkResult, OnProgress, Progress
from ..errors import LuccaError
from ..sandbox import Sandbox
from ..settings import RateLimit
from .scenario import Scenario, ideal_seconds

_MOST_LOST_TOLD = 20


class Report:
    """Tells on the terminal, or in a file, how the demo goes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def announce(self, scenario: Scenario, limit: RateLimit, sandbox: Sandbox) -> None:
        """What is about to happen."""
        faults = ", ".join(fault.name for fault in scenario.faults.values())
        told = Table.grid(padding=(0, 2))
        told.add_row("[bold]sandbox", sandbox.url)
        told.add_row("[bold]budget", _budget(limit))
        told.add_row("[bold]faults", faults)
        self._console.print(told)

    @contextmanager
    def progress(self) -> Generator[OnProgress, None, None]:
        """A bar, and the function that moves it."""
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("ids"), TimeElapsedColumn()
        self._console.print()
        with Bar(*columns, console=self._console) as bar:
            task = bar.add_task("")

            def on_progress(progress: Progress) -> None:
                bar.update(task, completed=progress.done, total=progress.total)

            yield on_progress
        self._console.print()

    def conclude(
        self,
        scenario: Scenario,
        limit: RateLimit,
        sandbox: Sandbox,
        result: BulkResult,
        lost: Sequence[int],
    ) -> None:
        """What has happened, and whether every id is accounted for."""
        summary = Table("", "", box=ROUNDED, show_header=False)
        for name, value in _rows(scenario, limit, sandbox, result):
            summary.add_row(f"[cyan]{name}", value)
        self._console.print(summary)
        self._console.print(_about_ideal(scenario, limit, result), style="dim")
        self._console.print()
        failed: list[tuple[object, LuccaError]] = [
            *result.failures.items(),
            *((refused.value, refused.error) for refused in result.refused),
        ]
        for given, error in failed:
            line = failure_line(given, error, self._console.width)
            self._console.print(line, style="red", markup=False)
        self._console.print()
        if lost:
            self._console.print(f"unaccounted for: {_listed(lost)}", style="bold red")
        else:
            self._console.print("Every id has exactly one outcome.", style="bold green")


def _rows(
    scenario: Scenario, limit: RateLimit, sandbox: Sandbox, result: BulkResult
) -> list[tuple[str, str]]:
    stats = result.stats
    refused = [arrival for arrival in sandbox.arrivals if arrival.status == 429]
    forced = sum(arrival.fault is not None for arrival in refused)
    ideal = ideal_seconds(stats.requests, limit)
    return [
        ("ids", f"{len(set(scenario.ids))} distinct, of {len(scenario.ids)} given"),
        ("found", str(len(result.items))),
        ("missing", str(len(result.missing))),
        ("failed", str(len(result.failures))),
        ("refused", str(len(result.refused))),
        ("requests", str(stats.requests)),
        ("retries", str(stats.retries)),
        ("429s", f"{forced} forced, {len(refused) - forced} for overspending"),
        ("busiest window", f"{sandbox.busiest_window()} of {_budget(limit)}"),
        ("waited for the budget", f"{stats.waited:.2f} s"),
        ("time", f"{stats.elapsed:.2f} s, ideal {ideal:.2f} s"),
    ]


def _about_ideal(scenario: Scenario, limit: RateLimit, result: BulkResult) -> str:
    return (
        f"Ideal: {result.stats.requests} requests at {_budget(limit)}, answered at once. "
        f"The faults can add to it: the forced 429 stops all requests for {scenario.pause:g} s, "
        "and a slow answer keeps its place in the budget for longer."
    )


def failure_line(value: object, error: LuccaError, width: int) -> str:
    """What was given as an id, and its error, in one line of at most ``width`` characters."""
    message = str(error)
    if url := getattr(error, "url", ""):
        # It says no more than the id, and would leave no room for what does.
        message = message.replace(url, "...")
    line = f"{value!s:>6}  {type(error).__name__}: {message}"
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _listed(lost: Sequence[int]) -> str:
    more = len(lost) - _MOST_LOST_TOLD
    told = ", ".join(map(str, lost[:_MOST_LOST_TOLD]))
    return f"{told} and {more} more" if more > 0 else told


def _budget(limit: RateLimit) -> str:
    return f"{limit.requests} requests per {limit.period:g} s"
