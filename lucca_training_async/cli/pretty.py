"""Tables drawn by rich, as text for any stream."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def drawn(rows: Sequence[tuple[str, str]], columns: int) -> str:
    """A table of two columns, in so many of the terminal's, with a frame that stdout can show."""
    table = Table(box=frame(), show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    # Whether there is colour is decided by stdout, and by NO_COLOR.
    real = Console()
    text = Console(
        file=io.StringIO(),
        width=columns,
        height=len(rows),  # without one, rich has its own width for a terminal that is dumb
        force_terminal=real.is_terminal,
        no_color=real.no_color,
        color_system="auto" if real.is_terminal else None,
    )
    text.print(table)
    written = text.file
    assert isinstance(written, io.StringIO)
    return written.getvalue().rstrip("\n")


def frame() -> box.Box:
    """Round corners, or ASCII where stdout has nothing else."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    return box.ROUNDED if encoding.startswith("utf") else box.ASCII
