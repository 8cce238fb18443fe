"""An event loop whose clock jumps: real sockets, but no second is ever waited for.

When no socket is ready and a timer is due in 60 s, the clock is set 60 s ahead. Everything
that goes by the loop's clock (sleeps, aiohttp's timeouts and keep-alive, the throttle, the
sandbox's window) thus sees one consistent time, which doesn't move while code runs.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Bytes sent over loopback are readable at once; this is for the kernel's odd hesitation.
_GRACE = 0.002


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets only as long as nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        only_the_loops_own_pipe = len(self.get_map()) == 1
        ready = super().select(0 if only_the_loops_own_pipe else min(timeout, _GRACE))
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of its own, and fail if a task is left over."""

    async def checked() -> T:
        result = await main
        await assert_no_task_is_left()
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(checked())


async def assert_no_task_is_left() -> None:
    # Cancelled tasks need some turns of the loop to end.
    for _ in range(20):
        if len(asyncio.all_tasks()) == 1:
            return
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    raise AssertionError(f"tasks left running: {left}")
