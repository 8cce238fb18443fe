"""How much memory this process has needed at most."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_megabytes() -> float:
    """The most memory this process ever had.

    Linux hands ru_maxrss down from the process that started this one, which would hide
    growth below that one's peak; VmHWM is this process's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
