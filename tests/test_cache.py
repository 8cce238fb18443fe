"""Records that need no request: what is looked up and kept, and what a mapping may do wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import attrs
import pytest
from cachetools import TTLCache

from lucca_training_async import Found, Missing, NotFoundError, RealizedTraining
from lucca_training_async.sandbox import Sandbox

from .support import stage


def for_a_minute() -> TTLCache[int, RealizedTraining]:
    return TTLCache(100, 60)


@pytest.mark.parametrize("make", [dict[int, RealizedTraining], for_a_minute])
async def test_what_was_read_once_costs_no_request_again(
    make: Callable[[], MutableMapping[int, RealizedTraining]],
) -> None:
    cache = make()
    async with stage(cache=cache) as on:
        first = await on.trainings.get(1)
        assert await on.trainings.get(1) is first
        result = await on.trainings.get_many([1, 2, 3], plan="each")
        assert list(result.items) == [1, 2, 3]
        assert result.items[1] is first
        assert (result.stats.cached, result.stats.requests) == (1, 2)
        async with on.trainings.stream([3, 2, 1]) as outcomes:
            assert [outcome.id async for outcome in outcomes if isinstance(outcome, Found)] == [
                3,
                2,
                1,
            ]
            assert (outcomes.stats.cached, outcomes.stats.requests) == (3, 0)
        assert sorted(on.ids) == ["1", "2", "3"]
        assert sorted(cache) == [1, 2, 3]


async def test_without_one_nothing_is_kept() -> None:
    async with stage() as on:
        await on.trainings.get(1)
        result = await on.trainings.get_many([1])
        assert (result.stats.cached, result.stats.requests) == (0, 1)


async def test_fresh_passes_it_by_and_fills_it() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(cache=cache) as on:
        old = cache[1] = attrs.evolve(await on.trainings.get(1), owner_id=7)
        assert await on.trainings.get(1) is old
        new = await on.trainings.get(1, fresh=True)
        assert new.owner_id != 7
        assert cache[1] is new


async def test_lists_fill_it_and_never_read_it() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(Sandbox(rate_limit=None, size=150), cache=cache) as on:
        assert len([it async for it in on.trainings.list()]) == 150
        assert sorted(cache) == list(range(1, 151))
        cache[1] = attrs.evolve(cache[1], owner_id=7)
        listed = {it.id: it async for it in on.trainings.list()}
        assert listed[1].owner_id != 7
        assert cache[1] is listed[1]


async def test_a_run_by_the_list_asks_for_what_is_not_there_and_keeps_all_that_it_sees() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(Sandbox(rate_limit=None, size=400), cache=cache) as on:
        await on.trainings.get_many(range(1, 11), plan="each")
        result = await on.trainings.get_many(range(1, 301))
        assert list(result.items) == list(range(1, 301))
        assert (result.stats.plan, result.stats.cached) == ("list", 10)
        assert set(cache) >= set(range(1, 301))
        requests = len(on.sandbox.arrivals)
        again = await on.trainings.get_many(range(1, 301))
        assert (again.stats.cached, again.stats.requests) == (300, 0)
        assert len(on.sandbox.arrivals) == requests


async def test_only_what_is_found_is_kept() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(Sandbox(rate_limit=None, missing=[5]), cache=cache) as on:
        for _ in range(2):
            result = await on.trainings.get_many([5, 0])
            assert result.missing == [5]
        assert on.ids == ["5", "5"]
        assert cache == {}


async def test_what_is_gone_is_kept_no_longer() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(Sandbox(rate_limit=None, size=5), cache=cache) as on:
        await on.trainings.get(3)
        on.sandbox.remove(3)
        with pytest.raises(NotFoundError):
            await on.trainings.get(3, fresh=True)
        assert cache == {}
        with pytest.raises(NotFoundError):
            await on.trainings.get(3)


async def test_what_is_gone_is_seen_to_be_gone_by_sync() -> None:
    cache: dict[int, RealizedTraining] = {}
    async with stage(Sandbox(rate_limit=None, size=5), cache=cache) as on:
        known = {it.id: it.fingerprint async for it in on.trainings.list()}
        on.sandbox.remove(3)
        changes = [change async for change in on.trainings.sync(known)]
        assert [change.id for change in changes] == [3]
        assert type(changes[0]).__name__ == "Removed"


class Moody(MutableMapping[int, RealizedTraining]):
    """A mapping that fails: a file that is locked, a server that is away."""

    def __init__(self, *, reads: bool, writes: bool) -> None:
        self._fails_to_read, self._fails_to_write = not reads, not writes
        self.kept: dict[int, RealizedTraining] = {}

    def __getitem__(self, id: int) -> RealizedTraining:
        if self._fails_to_read:
            raise OSError("hidden\nline")
        return self.kept[id]

    def __setitem__(self, id: int, record: RealizedTraining) -> None:
        if self._fails_to_write:
            raise ValueError("too large")
        self.kept[id] = record

    def __delitem__(self, id: int) -> None:
        del self.kept[id]

    def __iter__(self) -> Iterator[int]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


@pytest.mark.parametrize(("reads", "writes"), [(False, True), (True, False), (False, False)])
async def test_one_that_fails_costs_no_record_and_is_told_of_once(
    reads: bool, writes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(cache=Moody(reads=reads, writes=writes)) as on:
        for _ in range(2):
            assert (await on.trainings.get(1)).id == 1
            result = await on.trainings.get_many([1, 2, 3])
            assert list(result.items) == [1, 2, 3]
    told = [record for record in caplog.records if "cache" in record.message]
    assert len(told) == 1
    assert told[0].levelname == "WARNING"
    assert "Moody" in told[0].getMessage()


@pytest.mark.parametrize("wrong", [None, "a record", {"id": 1}, 5])
async def test_what_is_no_record_of_that_id_is_asked_for(wrong: Any) -> None:
    cache: dict[int, Any] = {1: wrong}
    async with stage(cache=cache) as on:
        assert (await on.trainings.get(1)).id == 1
        cache[2] = cache[1]  # another's
        result = await on.trainings.get_many([2])
        assert (result.items[2].id, result.stats.cached) == (2, 0)


async def test_an_id_that_is_none_is_looked_up_nowhere() -> None:
    cache: dict[Any, Any] = {}
    async with stage(cache=cache) as on:
        record = await on.trainings.get(1)
        cache[True] = cache["1"] = record
        ids: list[Any] = ["1", 2_000_000]
        outcomes = [it async for it in on.trainings.stream(ids)]
        assert not any(isinstance(it, Found) for it in outcomes)
        assert isinstance(outcomes[-1], Missing)


async def test_it_is_shown_by_its_name_and_not_by_what_is_in_it() -> None:
    async with stage(cache={}) as on:
        await on.trainings.get(235)
        assert "French" not in repr(on.client.settings)
        assert "builtins.dict" in repr(on.client.settings)
        # Another of the same content is another.
        assert on.client.settings == on.client.settings.replace()
        assert on.client.settings != on.client.settings.replace(cache={})
