"""The clients that are generated, from openapi.json beside this file: they are never kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SPEC = Path(__file__).with_name("openapi.json")
ASYNCIO, HTTPX = "generated_asyncio", "generated_httpx"
LONGEST = 300.0


def generate(folder: Path) -> dict[str, str]:
    """Make both, importable from the folder.

    Returns:
        Why one is not there, by the name of its package.
    """
    commands = {
        ASYNCIO: [
            *("openapi-generator-cli", "generate", "-g", "python", "--library", "asyncio"),
            *("--package-name", ASYNCIO, "-i", str(SPEC), "-o", str(folder / "all")),
        ],
        HTTPX: [
            *("openapi-python-client", "generate", "--meta", "none", "--overwrite"),
            *("--path", str(SPEC), "--output-path", str(folder / HTTPX)),
        ],
    }
    missing: dict[str, str] = {}
    for package, command in commands.items():
        reason = _run(command)
        if reason is not None:
            missing[package] = reason
    if ASYNCIO not in missing:
        # It comes with documentation, tests and a project around it.
        (folder / "all" / ASYNCIO).rename(folder / ASYNCIO)
    return missing


def _run(command: list[str]) -> str | None:
    """Why it did not work, in one line, or None."""
    tool = Path(sys.executable).with_name(command[0])
    if not tool.exists():
        return f"{command[0]} is not installed"
    try:
        done = subprocess.run(
            [str(tool), *command[1:]], capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode == 0:
        return None
    told = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
    return f"{command[0]} ended with {done.returncode}: {told[-1]}"
