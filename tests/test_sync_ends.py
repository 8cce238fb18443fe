"""How a sync ends early, and what it is not begun with."""

from __future__ import annotations

import asyncio
import enum
import gc
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from lucca_training_async import ClientClosedError, InvalidIdError

from .list_server import OLD, Asked, list_stage, told, wires


@pytest.mark.parametrize("known", [{}, dict.fromkeys(range(500, 530), OLD)], ids=["list", "ids"])
@pytest.mark.parametrize("how", ["closed", "forgotten"])
async def test_who_leaves_early_leaves_nothing(known: dict[int, str], how: str) -> None:
    """What is under way, a page or many ids, ends with the loop; the stage looks at the budget."""
    async with list_stage(wires(*range(1, 20)) if not known else []) as on:
        changes = on.realized.sync(known, page_size=3)
        if how == "closed":
            async with aclosing(changes):
                await anext(changes)
        else:
            async for _ in changes:
                break
        del changes
        gc.collect()
        await asyncio.sleep(1)
        asked = len(on.server.asked)
        await asyncio.sleep(5)
        assert len(on.server.asked) == asked


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_cancelled_or_with_a_closed_client_it_ends(by_id: bool, how: str) -> None:
    reached = asyncio.Event()

    def stall(asked: Asked) -> bytes | None:
        if asked.page == 2 or asked.id:
            reached.set()
            return b""
        return None

    async with list_stage(wires(*range(1, 5)), interfere=stall) as on:
        size = 100 if by_id else 3
        task = asyncio.create_task(told(on, on.known | {90: OLD}, page_size=size))
        await reached.wait()
        if how == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return
        await on.client.aclose()
        if by_id:
            assert await task == [("Failed", 90)]
        else:
            with pytest.raises(ClientClosedError):
                await task


# -- what is no ``known``


class Id(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint64, Id])
async def test_other_integers_are_keys_as_well(kind: Any) -> None:
    """An IdSet of numpy's own integers overflows from the 63rd bit of a page on."""
    size = 1 if kind is Id else 120
    async with list_stage(wires(*range(1, size + 1))) as on:
        known: Any = {kind(id): fingerprint for id, fingerprint in on.known.items()}
        assert await told(on, known) == []
        assert len(on.server.asked) == -(-size // 100)
        del on.server.records[1]
        assert await told(on, known) == [("Removed", 1)]


@pytest.mark.parametrize("known", [None, 5, "1", [1, 2], [(1, OLD)], {1, 2}, iter([1])])
async def test_what_is_no_mapping_is_refused_before_a_request(known: Any) -> None:
    async with list_stage([]) as on:
        with pytest.raises(TypeError, match="mapping"):
            on.realized.sync(known)
        assert on.server.asked == []


@pytest.mark.parametrize("key", ["1", 0, -1, 2**31, 1.0, True, None, (1,)])
async def test_a_key_that_is_no_id_is_refused_before_a_request(key: Any) -> None:
    async with list_stage([]) as on:
        with pytest.raises(InvalidIdError):
            on.realized.sync({5: OLD, key: OLD})
        assert on.server.asked == []
