"""What the demo shows, drawn by rich."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from .._bulk import BulkResult, OnProgress, Progress
from ..errors import LuccaError
from ..models import RealizedTraining
from ..sandbox import Sandbox
from ..settings import RateLimit
from .pretty import frame
from .scenario import Scenario, ideal_seconds
from .terminal import plain_number, shown, width, wrapped

_MOST_LOST_TOLD = 20
_RECORDS_SHOWN = 5
# Nothing looks at it; without it rich takes no width for a terminal that is dumb.
_HEIGHT = 25


class Report:
    """Tells on the terminal, or in a file, how the demo goes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=width(), height=_HEIGHT)

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
        self._show_some(list(result.items.values()))
        summary = Table("", "", box=frame(), show_header=False)
        for name, value in _rows(scenario, limit, sandbox, result):
            summary.add_row(f"[cyan]{name}", value)
        self._console.print(summary)
        self._console.print(_about_ideal(scenario, limit, result), style="dim")
        self._console.print()
        if result.missing:
            self._console.print(f"missing: {_listed(result.missing)}")
        failed: list[tuple[object, LuccaError]] = [
            *result.failures.items(),
            *((refused.value, refused.error) for refused in result.refused),
        ]
        for given, error in failed:
            for line in failure_lines(given, error, self._console.width):
                self._console.print(line, style="red", markup=False, soft_wrap=True)
        self._console.print()
        if lost:
            self._console.print(f"unaccounted for: {_listed(lost)}", style="bold red")
        else:
            self._console.print("Every id has exactly one outcome.", style="bold green")

    def _show_some(self, found: Sequence[RealizedTraining]) -> None:
        records = Table("id", "employee", "training", "last day", box=frame())
        records.add_column("hours", justify="right")
        for training in found[:_RECORDS_SHOWN]:
            title = None if training.training is None else training.training.title
            records.add_row(
                str(training.id),
                str(training.owner_id),
                Text(shown(title or "-")),
                str(training.session_ends_on),
                plain_number(training.duration_in_hours),
            )
        if found:
            self._console.print(records)
            self._console.print(
                f"{min(len(found), _RECORDS_SHOWN)} of the {len(found)} records found", style="dim"
            )
            self._console.print()


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


def failure_lines(value: object, error: LuccaError, width: int) -> Sequence[str]:
    """What was given as an id, and its error, whole, in lines of at most ``width`` characters."""
    message = str(error)
    if url := getattr(error, "url", ""):
        # It says no more than the id.
        message = message.replace(f" [{url}]", "").replace(url, "...")
    line = shown(f"{type(error).__name__}: {message}")
    first, *others = wrapped(line, width - 8)
    return [f"{value!s:>6}  {first}", *(f"{'':8}{other}" for other in others)]


def _listed(lost: Sequence[int]) -> str:
    more = len(lost) - _MOST_LOST_TOLD
    told = ", ".join(map(str, lost[:_MOST_LOST_TOLD]))
    return f"{told} and {more} more" if more > 0 else told


def _budget(limit: RateLimit) -> str:
    return f"{limit.requests} requests per {limit.period:g} s"
