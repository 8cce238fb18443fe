"""The simulated clock that the other tests stand on."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import connector, web

from . import virtual_time
from .virtual_time import assert_nothing_is_left, run

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def now() -> float:
    return asyncio.get_running_loop().time()


def pool_clock() -> float:
    clock: Callable[[], float] = vars(connector)["monotonic"]
    return clock()


@asynccontextmanager
async def connection(**server_settings: Any) -> AsyncGenerator[tuple[Streams, Streams]]:
    """Both ends, in this loop."""
    accepted: asyncio.Queue[Streams] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **server_settings)
    async with server:
        client = await asyncio.open_connection(*server.sockets[0].getsockname())
        served = await accepted.get()
        try:
            yield client, served
        finally:
            for _, writer in (client, served):
                writer.close()
                await writer.wait_closed()


def after(seconds: float, action: Callable[[], object]) -> threading.Thread:
    """Let a thread of no executor do it, some real time later."""

    def work() -> None:
        time.sleep(seconds)
        action()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> float:
        before = now()
        await asyncio.sleep(3600)
        return now() - before

    started = time.monotonic()
    assert run(main()) == 3600
    assert time.monotonic() - started < 60


class TestPool:
    """aiohttp's connection pool doesn't ask the loop for the time."""

    @pytest.mark.parametrize(("idle", "connections"), [(14, 1), (16, 2)])
    async def test_an_idle_connection_ages(self, idle: float, connections: int) -> None:
        seen: set[object] = set()

        async def answer(request: web.Request) -> web.Response:
            seen.add(request.transport)
            return web.Response()

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.get("http://{}:{}/".format(*runner.addresses[0])) as response:
                    await response.read()
                # aiohttp's own cleanup, set for 15 s later, spares what is 15 s old.
                await asyncio.sleep(idle)
        await runner.cleanup()
        assert len(seen) == connections

    def test_every_thread_has_the_time_of_its_loop(self) -> None:
        turns = threading.Barrier(3)

        async def simulated(seconds: float) -> float:
            await asyncio.sleep(seconds)
            turns.wait(10)
            at = pool_clock()
            turns.wait(10)
            return at

        async def real() -> float:
            turns.wait(10)
            difference = pool_clock() - time.monotonic()
            turns.wait(10)
            return difference

        found: dict[str, float] = {}
        threads = [
            threading.Thread(target=lambda: found.update(day=run(simulated(86_400)))),
            threading.Thread(target=lambda: found.update(week=run(simulated(604_800)))),
            threading.Thread(target=lambda: found.update(real=asyncio.run(real()))),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (found["day"], found["week"]) == (86_400, 604_800)
        assert found["real"] == pytest.approx(0, abs=5)
        assert vars(connector)["monotonic"] is time.monotonic

    def test_the_clock_stays_as_long_as_any_loop_needs_it(self) -> None:
        async def main() -> float:
            await asyncio.sleep(100)
            async_thread = threading.Thread(target=lambda: run(asyncio.sleep(1)))
            async_thread.start()
            async_thread.join()
            return pool_clock()

        assert run(main()) == 100


class TestThreads:
    async def test_the_clock_waits_for_a_call(self) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.2)
        assert now() == 0

    async def test_the_clock_waits_for_a_call_that_nobody_awaits_any_more(self) -> None:
        done = threading.Event()

        def work() -> None:
            time.sleep(0.2)
            done.set()

        call = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(1)
        assert done.is_set()

    async def test_the_clock_waits_for_a_host_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def slowly(*_: object) -> list[object]:
            time.sleep(0.2)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        async with asyncio.timeout(0.001):
            await asyncio.get_running_loop().getaddrinfo("example.invalid", 80)

    async def test_a_call_that_waits_for_a_timer_does_not_hang(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_time, "_THREAD_LIMIT", 0.05)
        loop = asyncio.get_running_loop()

        def call_back() -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result()

        await asyncio.to_thread(call_back)
        assert now() == 0.1

    async def test_a_thread_started_by_hand_is_heard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(virtual_time, "_GRACE", 5.0)
        loop = asyncio.get_running_loop()
        called = asyncio.Event()
        thread = after(0.2, lambda: loop.call_soon_threadsafe(called.set))
        async with asyncio.timeout(60):
            await called.wait()
        thread.join()
        assert now() == 0

    async def test_an_idle_thread_of_the_executor_costs_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_time, "_GRACE", 60.0)
        started = time.monotonic()
        await asyncio.to_thread(time.sleep, 0)
        with ThreadPoolExecutor() as executor:
            await asyncio.get_running_loop().run_in_executor(executor, time.sleep, 0)
            await asyncio.sleep(3600)
        assert time.monotonic() - started < 30


class TestLeftovers:
    @staticmethod
    async def check(match: str) -> None:
        with pytest.raises(AssertionError, match=match):
            await assert_nothing_is_left()

    async def test_a_task(self) -> None:
        forgotten = asyncio.create_task(asyncio.sleep(1), name="forgotten")
        await asyncio.sleep(0)
        await self.check("tasks left running.*forgotten")
        forgotten.cancel()

    async def test_a_timer(self) -> None:
        def forgotten() -> None: ...

        timer = asyncio.get_running_loop().call_later(60, forgotten)
        await self.check(r"timers left set.*when=60.*forgotten\(\)")
        timer.cancel()

    async def test_a_future(self) -> None:
        def forget() -> asyncio.Future[None]:
            return asyncio.get_running_loop().create_future()

        future = forget()
        await self.check(r"futures left pending.*forget \(test_virtual_time.py:\d+\)")
        future.cancel()

    async def test_a_future_is_named_by_who_waits_and_not_by_asyncio(self) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()

        async def wait_in_vain() -> None:
            await queue.get()

        waiting = asyncio.create_task(wait_in_vain())
        await self.check(r"futures left pending.*wait_in_vain \(test_virtual_time.py:\d+\)")
        waiting.cancel()

    async def test_what_is_over_or_garbage_is_not_counted(self) -> None:
        loop = asyncio.get_running_loop()
        done, cancelled, garbage = (loop.create_future() for _ in range(3))
        done.set_result(None)
        cancelled.cancel()
        garbage.add_done_callback(partial(print, garbage))
        gc.disable()
        try:
            del garbage
            loop.call_later(1, print).cancel()
            await asyncio.sleep(2)
            await assert_nothing_is_left()
        finally:
            gc.enable()

    def test_run_counts_them_too(self) -> None:
        async def main() -> asyncio.Future[None]:
            return asyncio.get_running_loop().create_future()

        with pytest.raises(AssertionError, match="futures left pending"):
            run(main())

    @pytest.mark.real_time
    async def test_timers_and_tasks_of_an_ordinary_loop(self) -> None:
        timer = asyncio.get_running_loop().call_later(60, print)
        await self.check("timers left set")
        timer.cancel()


class TestSockets:
    """Late is what isn't there at the first look. All of this passes at the time 0."""

    async def test_time_stands_still_while_sockets_are_served(self) -> None:
        async with connection() as ((reader, writer), (served, serving)):
            async with asyncio.timeout(0.001):
                for _ in range(100):
                    writer.write(b"hello")
                    serving.write(await served.readexactly(5))
                    assert await reader.readexactly(5) == b"hello"
                serving.close()
                assert await reader.read() == b""
        assert now() == 0

    @on_linux
    async def test_bytes_that_the_kernel_holds_back(self) -> None:
        async with connection() as ((reader, _), (_, serving)):
            late = serving.get_extra_info("socket")
            # The kernel keeps what doesn't fill a packet, for 0.2 s.
            late.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            serving.write(b"late")
            async with asyncio.timeout(0.001):
                assert await reader.readexactly(4) == b"late"

    @on_linux
    async def test_a_connect_that_the_kernel_drops_and_repeats(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as stack:
            first, second = (stack.enter_context(socket.socket()) for _ in range(2))
            first.connect(listening.getsockname())
            second.setblocking(False)
            # Only one may wait to be accepted, so that the second must try again after a second.
            async with asyncio.timeout(0.001):
                connecting = loop.create_task(loop.sock_connect(second, listening.getsockname()))
                await asyncio.sleep(0)
                stack.enter_context(listening.accept()[0])
                await connecting

    @on_linux
    async def test_a_fin_that_comes_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with connection() as ((reader, _), (_, serving)):
            holding = serving.get_extra_info("socket").dup()
            serving.close()
            monkeypatch.setattr(virtual_time, "_GRACE", 0.0)  # this isn't about the thread
            thread = after(0.2, holding.close)
            async with asyncio.timeout(0.001):
                assert await reader.read() == b""
            thread.join()

    async def test_an_answer_of_somebody_outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody can know that it will come, so that there is a limit to this."""
        for grace in ("_GRACE", "_BLIND_GRACE"):
            monkeypatch.setattr(virtual_time, grace, 5.0)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            with listening.accept()[0] as outside:
                thread = after(0.2, lambda: outside.send(b"late"))
                # As if it were another process: only the socket tells of it.
                monkeypatch.setattr(threading, "enumerate", list[threading.Thread])
                async with asyncio.timeout(0.001):
                    assert await reader.readexactly(4) == b"late"
                thread.join()
            writer.close()
            await writer.wait_closed()

    @on_linux
    async def test_idle_connections_cost_no_real_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_time, "_GRACE", 60.0)
        monkeypatch.setattr(virtual_time, "_IN_FLIGHT_LIMIT", 60.0)
        started = time.monotonic()
        async with connection(limit=16) as ((reader, writer), (served, serving)):
            serving.write(b"once")
            assert await reader.readexactly(4) == b"once"
            await asyncio.sleep(1)
            # Neither does a connection over which nothing more can come as nobody reads.
            serving.write(bytes(10_000_000))
            await asyncio.sleep(3600)
            # Nor one that is closed in one direction only.
            writer.write_eof()
            assert await served.read() == b""
            await asyncio.sleep(3600)
            serving.transport.abort()
        assert time.monotonic() - started < 30
