"""A page is a request like any other, and a list that ends leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, cast

import pytest
from aiohttp import web

from lucca_training_async import (
    AuthenticationError,
    ClientClosedError,
    DecodeError,
    OutageError,
    RateLimit,
    RetryPolicy,
    ServerError,
    UsageError,
)

from .listed import Lists, all_of, ids_of, lists, realized, some, told
from .other_lucca import Item, Reading
from .streams import some_turns
from .support import QUICK
from .virtual_time import assert_nothing_is_left, run

SMALL = Reading(arrays="commas", cap=10)


def now() -> float:
    return asyncio.get_running_loop().time()


def failing(status: int, *numbers: int, **headers: str) -> Callable[..., Any]:
    async def twist(asked: Any, page: Item) -> Any:
        if asked.number in numbers:
            return web.json_response({"status": status}, status=status, headers=headers)
        return page

    return twist


# -- the whole path of a request


async def test_a_page_is_tried_again() -> None:
    async with lists(some(35), SMALL, failing(500, 2, 3, 5)) as on:
        assert len(await ids_of(on.realized.list())) == 35
        assert on.pages_asked_for.count("1") == 1
        assert len(on.server.asked) == 4 + 3


async def test_a_page_that_fails_at_every_attempt_ends_it_after_what_came_before() -> None:
    async def twist(asked: Any, page: Item) -> Any:
        return web.Response(status=500) if page["items"][0]["id"] == 21 else page

    async with lists(some(35), SMALL, twist) as on:
        got: list[int] = []
        with pytest.raises(ServerError) as caught:
            async for record in on.realized.list():
                got.append(record.id)
        assert got == list(range(1, 21))
        assert caught.value.attempts == QUICK.max_attempts
        assert "realized-trainings?" in str(caught.value)


async def test_a_429_is_a_pause_and_no_failure() -> None:
    twist = failing(429, 2, **{"Retry-After": "30"})
    async with lists(some(35), SMALL, twist, retry=RetryPolicy(max_attempts=1)) as on:
        assert len(await ids_of(on.realized.list())) == 35
        assert on.server.asked[2].at - on.server.asked[1].at >= 30


@pytest.mark.parametrize("status", [503, 502, 500])
async def test_an_outage_in_mid_list_is_survived(status: int) -> None:
    async def twist(asked: Any, page: Item) -> Any:
        is_out = asked.number > 1 and asked.at < began + 300
        return web.Response(status=status) if is_out else page

    retry = RetryPolicy(backoff_max=20)
    async with lists(some(35), SMALL, twist, retry=retry) as on:
        began = now()
        assert await ids_of(on.realized.list()) == list(range(1, 36))
        assert now() >= began + 300


async def test_an_outage_beyond_its_patience_ends_it() -> None:
    async def twist(asked: Any, page: Item) -> Any:
        return page if asked.number == 1 else web.Response(status=503)

    retry = RetryPolicy(backoff_max=20, patience=100)
    async with lists(some(35), SMALL, twist, retry=retry) as on:
        got: list[int] = []
        with pytest.raises(OutageError):
            async for record in on.realized.list():
                got.append(record.id)
        assert got == list(range(1, 11))


async def test_a_page_beyond_the_cap_is_an_error_and_not_tried_again() -> None:
    async with lists(some(100), Reading(arrays="commas"), max_body_bytes=2_000) as on:
        with pytest.raises(DecodeError, match="max_body_bytes"):
            await all_of(on.realized.list())
        assert len(on.server.asked) == 1
        assert len(await ids_of(on.realized.list(page_size=5))) == 100


async def test_a_refused_key_ends_it() -> None:
    async with lists(some(25), SMALL, failing(401, 2)) as on:
        with pytest.raises(AuthenticationError):
            await all_of(on.realized.list())
        assert len(await all_of(on.realized.list())) == 25


async def test_every_page_takes_a_slot_of_the_budget() -> None:
    async with lists(some(100), SMALL, rate_limit=RateLimit(3, 60.0)) as on:
        await all_of(on.realized.list())
        times = [asked.at for asked in on.server.asked]
        assert len(times) == 10
        assert all(later - first >= 60 for first, later in zip(times, times[3:], strict=False))


# -- one page ahead


async def test_the_next_page_is_fetched_while_the_last_is_used_and_no_more() -> None:
    async with lists(some(60), SMALL) as on:
        found = cast("AsyncGenerator[Any]", aiter(on.realized.list()))
        async with aclosing(found):
            for page in range(5):
                for item in range(10):
                    assert (await anext(found)).id == page * 10 + item + 1
                    await asyncio.sleep(1)
                    assert len(on.server.asked) == min(6, page + 2)


async def test_the_next_page_is_under_way_before_the_first_is_used_up() -> None:
    async def twist(asked: Any, page: Item) -> Item:
        await asyncio.sleep(5)
        return page

    async with lists(some(30), SMALL, twist) as on:
        started = now()
        async for _ in on.realized.list():
            await asyncio.sleep(0.5)
        # Three pages of 5 s each, one after the other, and the use of the last: not 15 + 15.
        assert now() - started == pytest.approx(20)


# -- left early


async def left_nothing(on: Lists) -> None:
    await asyncio.sleep(0)
    await on.client.aclose()
    assert (on.client.budget.in_flight, on.client.budget.waiting) == (0, 0)


@pytest.mark.parametrize("used", [1, 9, 10, 11, 29])
@pytest.mark.parametrize("turns", [0, 1, 3, 20])
@pytest.mark.parametrize("way", ["break", "aclose", "raise"])
async def test_a_loop_that_is_left_leaves_nothing(used: int, turns: int, way: str) -> None:
    async with lists(some(30), SMALL) as on:
        found = cast("AsyncGenerator[Any]", aiter(on.realized.list()))
        with suppress(LookupError):
            async for record in found:
                if record.id == used:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    if way == "raise":
                        raise LookupError
                    if way == "aclose":
                        await found.aclose()
                    break
        del found
        await some_turns()
        assert on.client.budget.in_flight == 0
        assert len(asyncio.all_tasks()) - on.server.open <= 3
        # And it is as good as ever.
        assert len(await ids_of(on.realized.list())) == 30


async def test_a_page_by_page_loop_that_is_left_leaves_nothing() -> None:
    async with lists(some(30), SMALL) as on:
        async for page in on.realized.list().pages():
            assert page.next
            break
        gc.collect()
        await some_turns()
        assert on.client.budget.in_flight == 0


@pytest.mark.parametrize("after", [x / 4 for x in range(1, 17)])
async def test_cancelled_at_any_point_it_leaves_nothing(after: float) -> None:
    async def twist(asked: Any, page: Item) -> Item:
        await asyncio.sleep(1)
        return page

    async def use() -> None:
        async for _ in on.realized.list():
            await asyncio.sleep(0.05)

    async with lists(some(30), SMALL, twist) as on:
        task = asyncio.create_task(use())
        await asyncio.sleep(after)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await some_turns()
        assert (on.client.budget.in_flight, on.client.budget.waiting) == (0, 0)


async def test_a_list_that_is_never_read_asks_for_nothing() -> None:
    async with lists(some(30)) as on:
        on.realized.list()
        on.realized.list().pages()
        aiter(on.realized.list())
        assert on.server.asked == []


@pytest.mark.parametrize("when", ["before", "between", "under way"])
async def test_a_client_closed_in_mid_list_ends_it(when: str) -> None:
    async def twist(asked: Any, page: Item) -> Item:
        if asked.number > 1:
            await asyncio.sleep(5)
        return page

    closing: list[asyncio.Future[None]] = []
    async with lists(some(30), SMALL, twist) as on:
        got: list[int] = []
        if when == "before":
            await on.client.aclose()
        with pytest.raises(ClientClosedError):
            async for record in on.realized.list():
                got.append(record.id)
                if record.id == 5 and when == "between":
                    await on.client.aclose()
                if record.id == 10 and when == "under way":
                    asyncio.get_running_loop().call_later(
                        1, lambda: closing.append(asyncio.ensure_future(on.client.aclose()))
                    )
        await asyncio.gather(*closing)
        assert len(got) == (0 if when == "before" else 10)
        assert on.client.budget.in_flight == 0


def test_another_loop_is_refused() -> None:
    async def main() -> None:
        async with lists(some(30)) as on:
            found = on.realized.list()
            await all_of(found)

            async def elsewhere() -> None:
                with pytest.raises(UsageError):
                    await all_of(found)

            await asyncio.to_thread(asyncio.run, elsewhere())
            assert len(await all_of(found)) == 30

    run(main())


async def test_several_lists_at_once_and_gets_beside_them() -> None:
    async with lists(some(45), SMALL, rate_limit=RateLimit(5, 1.0)) as on:
        found = await asyncio.gather(*(ids_of(on.realized.list()) for _ in range(5)))
        assert all(sorted(ids) == list(range(1, 46)) for ids in found)
        assert on.client.budget.in_flight == 0


async def test_the_end_of_the_test_is_the_end_of_all() -> None:
    async with lists(some(30), SMALL) as on:
        async for _ in on.realized.list():
            break
        await left_nothing(on)
    await assert_nothing_is_left()


async def test_memory_is_bounded_whatever_comes() -> None:
    """Of the pages that were used nothing is kept."""
    alive: list[int] = []

    def endless(number: int, page: Item) -> Item:
        first = 50 * number
        items = [realized(first + n + 1) for n in range(50)]
        return page | {"items": items, "next": number + 1 if number < 60 else None}

    async with lists([], Reading(arrays="commas", next="int", counts=False), told(endless)) as on:
        number = 0
        async for _ in on.realized.list(page_size=50):
            number += 1
            if number % 500 == 0:
                gc.collect()
                kind = type(_)
                alive.append(sum(type(each) is kind for each in gc.get_objects()))
        assert number == 3000
    assert max(alive) <= 3 * 50
