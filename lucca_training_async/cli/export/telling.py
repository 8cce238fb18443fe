"""Tells on stderr how an export stands: by a bar on a terminal, else by a line now and then."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from .progress import Standing

logger: logging.Logger = logging.getLogger("lucca_training_async.export")

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 0.5
_HINT = 'for a bar: pip install "lucca-training-async[cli]"'
Look = Callable[[], Standing]


@asynccontextmanager
async def telling(
    look: Look, *, wants_bar: bool, every: float = _SECONDS_BETWEEN_LINES
) -> AsyncGenerator[None, None]:
    """Tell of it for as long as the block lasts.

    Args:
        look: Gives how it stands.
        wants_bar: Whether to show a bar, should stderr be a terminal.
        every: Seconds between two lines, where there is no bar.
    """
    is_terminal = wants_bar and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    task = asyncio.create_task(_bar(look, every) if is_terminal else _lines(look, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _lines(look: Look, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        standing = look()
        logger.info("%s", standing.line, extra={"told": {"progress": standing.plain}})


async def _bar(look: Look, every: float) -> None:
    try:
        from .bar import Bar
    except ModuleNotFoundError:
        logger.info(_HINT)
        await _lines(look, every)
        return
    with Bar() as bar:
        while True:
            bar.show(look())
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
