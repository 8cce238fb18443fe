"""Whose cancellation a CancelledError is: that of the task that meets it, or of what it awaits."""

from __future__ import annotations

import asyncio


def is_being_cancelled() -> bool:
    """Whether it is the current task that somebody wants to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
