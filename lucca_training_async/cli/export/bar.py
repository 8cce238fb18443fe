"""The bar of an export on a terminal, and the only module of it that needs rich."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .progress import Standing


class Bar:
    """A bar on stderr, with some lines below it; what else is written there goes above."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, standing: Standing) -> None:
        """Show how it stands."""
        lines = [f"{standing.counts}, {standing.end}", standing.cost]
        if standing.waits_for is not None:
            lines.append(f"waits for {standing.waits_for}")
        bar = ProgressBar(total=standing.total, completed=standing.done)
        shown = Table.grid(expand=True)
        shown.add_row(bar)
        for line in lines:
            shown.add_row(Text(line))
        self._live.update(shown, refresh=True)
