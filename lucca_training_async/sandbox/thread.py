"""A thread with an event loop of its own, in which the sandbox runs beside synchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future


class LoopThread:
    """Runs something that is started and stopped, in a thread of its own.

    Args:
        begin: Awaited first, in the thread's loop.
        end: Awaited last, if the beginning has worked.
    """

    def __init__(
        self, begin: Callable[[], Awaitable[object]], end: Callable[[], Awaitable[object]]
    ) -> None:
        self._begin = begin
        self._end = end
        self._begun: Future[asyncio.AbstractEventLoop] = Future()
        self._over: Future[None] = Future()
        self._stop = asyncio.Event()
        # A daemon, since an interpreter that ends in the middle must not wait for it for ever.
        self._thread = threading.Thread(target=self._run, name="lucca-sandbox", daemon=True)

    def start(self) -> None:
        """Return when it has begun; what beginning raises is raised here."""
        self._thread.start()
        try:
            self._begun.result()
        except BaseException:
            self._halt()
            raise

    def stop(self) -> None:
        """Return when it has ended, its thread and loop too; what ending raises is raised here."""
        self._halt()
        self._over.result()

    def _halt(self) -> None:
        # Where beginning has failed, there is nothing to stop.
        if self._begun.exception() is None:
            self._begun.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            # For those who wait, in their threads; nobody looks at this one.
            for waited_for in (self._begun, self._over):
                if not waited_for.done():
                    waited_for.set_exception(error)
        else:
            self._over.set_result(None)

    async def _main(self) -> None:
        await self._begin()
        try:
            self._begun.set_result(asyncio.get_running_loop())
            await self._stop.wait()
        finally:
            await self._end()
