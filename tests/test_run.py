"""What the requests of one call share: the stop signal and the time waited."""

from __future__ import annotations

import asyncio

import pytest
from lucca_training_async.run import Run

from lucca_training_async import LuccaError


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_stop_counts() -> None:
    run, first = Run(), LuccaError("first")
    run.stop(first)
    run.stop(LuccaError("second"))
    assert run.stopped is first


async def test_a_stop_ends_the_waits_there_are_and_those_to_come() -> None:
    run = Run()
    waiting = asyncio.create_task(run.wait_for(asyncio.sleep(60)))
    await asyncio.sleep(1)
    run.stop(LuccaError())
    for wait in (waiting, run.wait_for(asyncio.sleep(60)), run.wait_for(asyncio.sleep(60), 99.0)):
        with pytest.raises(TimeoutError):
            await wait
    assert now() == 1


async def test_a_stop_at_the_moment_of_a_deadline() -> None:
    run = Run()
    asyncio.get_running_loop().call_at(5.0, run.stop, LuccaError())
    waits = [asyncio.create_task(run.wait_for(asyncio.sleep(60), 5.0)) for _ in range(3)]
    asyncio.get_running_loop().call_at(5.0, run.stop, LuccaError())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(5.0, run.stop, LuccaError())
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 3


async def test_waits_at_the_same_time_are_counted_once() -> None:
    run = Run()

    async def wait(start: float, seconds: float) -> None:
        await asyncio.sleep(start)
        await run.await_admission(asyncio.sleep(seconds), None)

    await asyncio.gather(wait(0, 5), wait(2, 6), wait(20, 1))
    assert run.waited == 9
