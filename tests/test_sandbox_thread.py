"""The sandbox in a thread of its own, used from synchronous code and from other loops."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from lucca_training_async import LuccaTrainingClient, RateLimit
from lucca_training_async.sandbox import Fault, Sandbox

REALIZED = "/talent-training/api/v2/realized-trainings"


def ask(sandbox: Sandbox, path: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{sandbox.url}{path}",
        headers={"Authorization": f"lucca application={sandbox.api_key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.status or 0, json.load(error)


async def until_it_arrives(sandbox: Sandbox, count: int = 1) -> None:
    for _ in range(10_000):
        if len(sandbox.arrivals) >= count:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it has not arrived")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "sandbox" in thread.name]


def test_synchronous_code_uses_it() -> None:
    with Sandbox(rate_limit=RateLimit(50, 60.0), size=20) as sandbox:
        assert threads() == ["lucca-sandbox"]
        assert ask(sandbox, f"{REALIZED}/7")[1]["id"] == 7
        sandbox.put({"id": 99})
        sandbox.remove(7)
        sandbox.answer("/mine", [1])
        assert ask(sandbox, f"{REALIZED}?fields.root=count&limit=0")[1]["count"] == 20
        assert ask(sandbox, f"{REALIZED}/7")[0] == 404
        assert ask(sandbox, "/mine") == (200, [1])
        sandbox.inject(Fault.internal_error())
        assert ask(sandbox, f"{REALIZED}/8")[0] == 500
        assert [arrival.id for arrival in sandbox.arrivals] == ["7", "", "7", "", "8"]
        assert sandbox.busiest_window() == 5
    assert threads() == []
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url


def test_it_may_be_entered_again_but_not_twice_at_a_time() -> None:
    sandbox = Sandbox(rate_limit=None)
    for _ in range(2):
        with sandbox:
            with pytest.raises(RuntimeError, match="is running already"):
                with sandbox:
                    pass
            with pytest.raises(RuntimeError, match="is running already"):
                asyncio.run(sandbox.__aenter__())
            assert ask(sandbox, f"{REALIZED}/1")[0] == 200
    assert len(sandbox.arrivals) == 2
    assert threads() == []


async def test_async_with_is_not_entered_twice_either() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(RuntimeError, match="is running already"):
            await sandbox.__aenter__()
        with pytest.raises(RuntimeError, match="is running already"):
            with sandbox:
                pass
        assert sandbox.url


def test_a_port_in_use_is_raised_where_it_is_entered() -> None:
    with Sandbox() as first:
        port = int(first.url.rpartition(":")[2])
        second = Sandbox(port=port)
        with pytest.raises(OSError, match=str(port)):
            with second:
                pass
        assert threads() == ["lucca-sandbox"]
    with second:
        assert second.url.endswith(f":{port}")


def test_leaving_it_before_it_was_entered_does_nothing() -> None:
    Sandbox().__exit__(None, None, None)


def test_what_is_raised_inside_is_raised() -> None:
    sandbox = Sandbox()
    with pytest.raises(ZeroDivisionError):
        with sandbox:
            raise ZeroDivisionError
    assert threads() == []
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url


def test_leaving_waits_for_no_answer_and_leaves_no_connection_open() -> None:
    with Sandbox(rate_limit=None) as sandbox:
        sandbox.inject(Fault.slow(600))

        async def main(url: str, key: str) -> None:
            async with LuccaTrainingClient(url, key) as client:
                waiting = asyncio.create_task(client.realized_trainings.get(1))
                await until_it_arrives(sandbox)
                waiting.cancel()
                await asyncio.wait([waiting])

        asyncio.run(main(sandbox.url, sandbox.api_key))
    # What was not closed would warn here, and warnings are errors.
    gc.collect()
    assert threads() == []


async def test_async_with_waits_for_no_answer_either() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Sandbox(rate_limit=None) as sandbox:
        sandbox.inject(Fault.slow(600), Fault.slow(600))
        async with LuccaTrainingClient(sandbox.url, sandbox.api_key) as client:
            gone, there = (asyncio.create_task(client.realized_trainings.get(id)) for id in (1, 2))
            await until_it_arrives(sandbox, 2)
            gone.cancel()
            await asyncio.wait([gone])
            await sandbox.__aexit__()
            there.cancel()
            await asyncio.wait([there])
    # The time is simulated: waiting would be told by it.
    assert loop.time() - began < 600


def test_one_sandbox_serves_several_loops() -> None:
    with Sandbox(rate_limit=None, size=50) as sandbox:

        async def main() -> int:
            async with LuccaTrainingClient(sandbox.url, sandbox.api_key, rate_limit=None) as client:
                return len((await client.realized_trainings.get_many(range(1, 61))).items)

        assert [asyncio.run(main()) for _ in range(3)] == [50] * 3


@pytest.mark.real_time
async def test_an_async_test_may_use_it_too() -> None:
    with Sandbox(rate_limit=None) as sandbox:
        async with LuccaTrainingClient(sandbox.url, sandbox.api_key) as client:
            assert (await client.realized_trainings.get(235)).owner_id == 416


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_keep_alive(keep_alive: bool) -> None:
    async with Sandbox(keep_alive=keep_alive) as sandbox:
        reader, writer = await asyncio.open_connection(*sandbox.url[7:].split(":"))
        writer.write(f"GET {REALIZED}/1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b"Connection: close" in head) is not keep_alive
        if not keep_alive:
            await reader.read()  # to its end
        writer.close()
        await writer.wait_closed()
