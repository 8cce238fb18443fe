"""The simulated clock that the other tests stand on."""

from __future__ import annotations

import asyncio
import time

import pytest

from .virtual_time import assert_no_task_is_left, run


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - before

    started = time.monotonic()
    assert run(main()) == 3600
    assert time.monotonic() - started < 60


def test_time_stands_still_while_code_runs_and_sockets_are_served() -> None:
    async def main() -> tuple[bytes, float]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(5))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer, asyncio.get_running_loop().time()

    assert run(main()) == (b"hello", 0.0)


def test_a_task_left_over_is_noticed() -> None:
    async def main() -> None:
        forgotten = asyncio.create_task(asyncio.sleep(1))
        await asyncio.sleep(0)
        with pytest.raises(AssertionError, match="tasks left running"):
            await assert_no_task_is_left()
        forgotten.cancel()

    run(main())
