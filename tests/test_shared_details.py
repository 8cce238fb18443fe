"""What a shared budget promises at its edges: while it is closed, in doubt, alone or just back."""

from __future__ import annotations

import asyncio

import pytest

from lucca_training_async._budget import Cause, Sent

from .fragile import client, fragile
from .fragile import everybody_leaves as everybody_leaves
from .gates import leased, refused

# -- its end


async def test_what_is_given_back_while_it_is_closed_is_free_for_others() -> None:
    store = fragile()
    store.delay = 0.1
    ledger, other = client(store), client(store)
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0.05)
    asking.cancel()
    await ledger.aclose()
    await other.open()
    assert other.standing().in_use == 0


async def test_what_is_settled_while_it_is_closed_is_told() -> None:
    store = fragile()
    store.delay = 0.1
    ledger, other = client(store), client(store)
    lease = await leased(ledger)
    asking = asyncio.create_task(ledger.take())
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(ledger.aclose())
    await asyncio.sleep(0.01)
    ledger.settle(lease, Sent.NEVER)
    await closing
    await asking
    await other.open()
    assert other.standing().in_use == 1


# -- lost, or not


async def test_a_host_that_others_are_in_doubt_about_is_no_lost_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = fragile()
    one, other = client(store), client(store)
    await other.open()
    lease = await leased(one)
    one.close_for(2.0, lease, Cause.DOUBT)
    one.settle(lease, Sent.CUT_OFF)
    await asyncio.sleep(0.1)
    assert (await refused(other)).closed is Cause.DOUBT
    assert not caplog.records
