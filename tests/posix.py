"""What Windows does not have, and the tests that need it are left out there."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FULL = Path("/dev/full")

posix = pytest.mark.skipif(
    sys.platform == "win32",
    reason="Windows has no such signals, terminals, limits, rights or special files",
)
"""Marks a test that sends signals, opens a terminal, or takes room or rights away."""

with_full = pytest.mark.skipif(
    not FULL.exists(), reason="only Linux has a disk that is always full"
)


def _heed() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# A test run in the background of a shell ignores SIGINT, and its children inherit that.
HEEDS_CTRL_C: Callable[[], None] | None = None if sys.platform == "win32" else _heed
"""To be the ``preexec_fn`` of a process that Ctrl-C is to reach."""
