"""Makes the picture of the demo, an SVG that needs nothing from elsewhere: ``nox -s picture``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100
SHOWN = "python -m lucca_training_async demo"
TO = Path(__file__).parent / "demo.svg"


def run_demo() -> str:
    """What the demo shows in a terminal, colours included."""
    # In colour, but without a bar that is drawn again and again.
    terminal = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS)}
    done = subprocess.run(
        [sys.executable, "-m", "lucca_training_async", "demo"],
        env={**os.environ, **terminal},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def as_svg(shown: str) -> str:
    """The picture of what a terminal shows."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text(f"$ {SHOWN}\n", style="bold"))
    console.print(Text.from_ansi(shown.rstrip()))
    svg = console.export_svg(title="lucca-training-async", unique_id="demo")
    # A browser shows no font of another host in a picture, and should not ask for it.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    TO.write_text(as_svg(run_demo()), encoding="utf-8")
