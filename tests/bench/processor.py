"""Which processor a process runs on, so that client and server don't share or swap theirs."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def processor(number: int) -> Generator[None, None, None]:
    """Stay on one processor, so that client and server don't share or swap theirs."""
    if sys.platform != "linux" or len(available := sorted(os.sched_getaffinity(0))) < 2:
        yield
        return
    os.sched_setaffinity(0, {available[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, available)
