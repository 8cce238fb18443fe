"""A sync with what is known: what it costs, what it can't tell, and what it never claims."""

from __future__ import annotations

import gc
import json
from typing import cast

import pytest

from lucca_training_async import (
    Added,
    AuthenticationError,
    Changed,
    DecodeError,
    Failed,
    LuccaError,
    OutageError,
    RealizedTraining,
    Removed,
    RetryPolicy,
    ServerError,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .list_server import BROKEN, OLD, REFUSED, Asked, Wire, list_stage, mark, told, wire, wires
from .raw_stage import answer
from .support import stage


def alive() -> int:
    """How many records there are in memory."""
    return sum(isinstance(it, RealizedTraining) for it in gc.get_objects())


# -- what it costs


async def test_12000_records_take_120_requests_and_no_memory() -> None:
    async with stage(Sandbox(rate_limit=None, size=12_000)) as on:
        count = most = 0
        async for change in on.trainings.sync({}):
            assert isinstance(change, Added)
            count += 1
            if change.id % 2500 == 50:
                most = max(most, alive())
        assert (count, len(on.sandbox.arrivals)) == (12_000, 120)
        # One page that is read, and one that has come meanwhile.
        assert 0 < most <= 201


async def test_changes_take_a_request_for_a_page_and_for_each_that_is_gone() -> None:
    async with stage(Sandbox(rate_limit=None, size=1000)) as on:
        known = {it.id: it.fingerprint async for it in on.trainings.list()}
        on.sandbox.arrivals.clear()
        on.sandbox.remove(77)
        on.sandbox.put(wire(1001))
        on.sandbox.put(wire(5))
        assert [(type(it), it.id) async for it in on.trainings.sync(known)] == [
            (Changed, 5),
            (Added, 1001),
            (Removed, 77),
        ]
        assert on.ids == [""] * 10 + ["77"]


async def test_nothing_known_and_nothing_there() -> None:
    async with list_stage([]) as on:
        assert await told(on, {}) == []
        assert len(on.server.asked) == 1


async def test_nothing_runs_before_the_first_change_is_asked_for() -> None:
    async with list_stage(wires(1)) as on:
        changes = on.realized.sync({1: OLD})
        assert on.server.asked == []
        await changes.aclose()
        assert on.server.asked == []


async def test_the_size_of_a_page_is_ones_own() -> None:
    async with list_stage(wires(*range(1, 8))) as on:
        assert await told(on, on.known, page_size=2) == []
        assert len(on.server.asked) == 4


# -- what it never claims


@pytest.mark.parametrize("page_size", [2, 100])
async def test_what_the_list_has_skipped_is_not_removed(page_size: int) -> None:
    """A record of the first page goes, and those after it move up, one of them past the cursor."""

    def remove_the_first(asked: Asked) -> None:
        if asked.page == 2:
            on.server.records.pop(1, None)

    async with list_stage(wires(*range(1, 7)), interfere=remove_the_first) as on:
        known = on.known
        assert await told(on, known, page_size=page_size) == []
        assert on.server.singles == ([3] if page_size == 2 else [])
        assert await told(on, known, page_size=page_size) == (
            [("Removed", 1)] if page_size == 2 else []
        )


async def test_what_was_skipped_and_has_changed_is_changed() -> None:
    def shift(asked: Asked) -> None:
        if asked.page == 2:
            on.server.records.pop(1, None)
            on.server.records[3] = wire(3, 1)

    async with list_stage(wires(*range(1, 7)), interfere=shift) as on:
        known = on.known
        changes = [it async for it in on.realized.sync(known, page_size=2)]
        (change,) = changes
        assert isinstance(change, Changed)
        assert change.training.fingerprint == mark(wire(3, 1))


ENDS: dict[str, bytes] = {
    "a page short of the count": answer(
        json.dumps({"items": [], "next": None, "prev": None, "count": 6}).encode()
    ),
    "a cursor that came before": answer(
        json.dumps({"items": wires(3), "next": 2, "prev": None, "count": 6}).encode()
    ),
    "no page": answer(b"[]"),
    "half a page": answer(b'{"items": [{"id": '),
    "500": BROKEN,
    **{str(status): refusal for status, refusal in REFUSED.items()},
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_list_that_is_not_read_to_its_end_removes_nothing(name: str) -> None:
    def end(asked: Asked) -> bytes | None:
        return ENDS[name] if asked.page == 2 else None

    async with list_stage(wires(*range(1, 7)), interfere=end) as on:
        found: list[object] = []
        with pytest.raises(LuccaError):
            async for change in on.realized.sync(on.known | {1: OLD, 99: OLD}, page_size=2):
                found.append(change)
        assert [type(it) for it in found] == [Changed]
        assert on.server.singles == []


async def test_a_list_without_a_count_that_ends_early_removes_nothing() -> None:
    """Nobody can tell that it has: so each that it has not shown is asked for."""

    def end(asked: Asked) -> bytes | None:
        body = {"items": wires(1), "next": None}
        return None if asked.id else answer(json.dumps(body).encode())

    async with list_stage(wires(1, 2, 3), interfere=end) as on:
        assert await told(on, on.known | {9: OLD}) == [("Removed", 9)]
        assert sorted(on.server.singles) == [2, 3, 9]


FAILURES: dict[str, tuple[bytes, type[LuccaError]]] = {
    "500": (BROKEN, ServerError),
    "403": (REFUSED[403], LuccaError),
    "401": (REFUSED[401], AuthenticationError),
    "a page in place of a 404": (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        LuccaError,
    ),
    "no record": (answer(b"{}"), DecodeError),
    "another record": (answer(json.dumps(wire(8)).encode()), DecodeError),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_who_can_not_be_asked_for_has_failed_and_is_not_removed(name: str) -> None:
    given, kind = FAILURES[name]

    def fail(asked: Asked) -> bytes | None:
        return given if asked.id == 9 else None

    async with list_stage(wires(1, 2), interfere=fail) as on:
        changes = [it async for it in on.realized.sync(on.known | {9: OLD})]
        (change,) = changes
        assert isinstance(change, Failed)
        assert change.id == 9
        assert isinstance(change.error, kind)


# -- items that are no records


async def test_a_bad_item_is_raised_and_removes_nothing() -> None:
    async with list_stage(wires(1, 2, 3)) as on:
        known = on.known | {9: OLD}
        on.server.records[2]["durationInHours"] = "many"
        with pytest.raises(DecodeError) as caught:
            await told(on, known)
        assert isinstance(caught.value.item, dict)
        assert on.server.singles == []


async def test_a_bad_item_is_given_to_a_function_and_asked_for_if_it_is_known() -> None:
    errors: list[DecodeError] = []
    async with list_stage(wires(1, 2, 3, 4)) as on:
        known = on.known
        for id in (2, 3):
            on.server.records[id]["durationInHours"] = "many"
        del known[3]
        assert await told(on, known, on_error=errors.append) == [("Failed", 2)]
        assert on.server.singles == [2]
        assert [cast(Wire, error.item)["id"] for error in errors] == [2, 3]


async def test_an_item_that_is_bad_in_the_list_alone_is_compared_as_it_is_by_itself() -> None:
    def spoil(asked: Asked) -> None:
        on.server.records[2] = wire(2) | ({} if asked.id else {"ownerId": None})

    async with list_stage(wires(1, 2, 3), interfere=spoil) as on:
        known = on.known
        assert await told(on, known, on_error=print) == []
        assert await told(on, known | {2: OLD}, on_error=print) == [("Changed", 2)]


async def test_what_the_function_raises_ends_the_sync() -> None:
    def refuse(_: DecodeError) -> None:
        raise LookupError("enough")

    async with list_stage(wires(1, 2, 3)) as on:
        on.server.records[2] = None
        with pytest.raises(LookupError, match="enough"):
            await told(on, {}, on_error=refuse)


# -- a reader that keeps its own books


async def test_known_may_be_brought_up_to_date_while_the_changes_are_read() -> None:
    async with list_stage(wires(*range(1, 8))) as on:
        known = {2: on.known[2], 3: OLD} | dict.fromkeys(range(50, 70), OLD)
        async for change in on.realized.sync(known, page_size=2):
            match change:
                case Added() | Changed():
                    known[change.id] = change.training.fingerprint
                case Removed(id):
                    del known[id]
                case Failed():
                    raise AssertionError(change.error)
        assert known == on.known
        assert sorted(on.server.singles) == list(range(50, 70))


async def test_known_may_be_emptied_in_the_middle() -> None:
    async with list_stage(wires(1, 2)) as on:
        known = {1: OLD, 50: OLD, 51: OLD}
        async for _ in on.realized.sync(known):
            known.clear()
        assert on.server.singles == []


# -- outages


async def test_an_outage_is_waited_out() -> None:
    async with stage(Sandbox(rate_limit=None, size=350)) as on:
        await on.trainings.get(1)  # a host that has never answered is not waited for
        on.sandbox.inject(*[Fault.unavailable()] * 9)
        changes = [it async for it in on.trainings.sync({400: OLD})]
        assert [type(it) for it in changes] == [Added] * 350 + [Removed]


@pytest.mark.parametrize("last_page", [1, 3])
async def test_an_outage_beyond_patience_removes_nothing(last_page: int) -> None:
    def fail(asked: Asked) -> bytes | None:
        return BROKEN if asked.number > last_page else None

    async with list_stage(
        wires(*range(1, 7)), interfere=fail, retry=RetryPolicy(patience=60)
    ) as on:
        known = on.known | {90: OLD, 91: OLD}
        if last_page == 1:
            with pytest.raises((OutageError, ServerError)):
                await told(on, known, page_size=2)
        else:
            failures = await told(on, known, page_size=2)
            assert sorted(failures) == [("Failed", 90), ("Failed", 91)]
