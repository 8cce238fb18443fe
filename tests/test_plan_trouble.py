"""A list that goes wrong, or a run that ends while it is read: nothing is lost or asked for twice,
and nothing is left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    ClientClosedError,
    Outcome,
    RateLimitedError,
    RetryPolicy,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .plans import LIST, asked, edited, in_short, passes, singles, with_members, without
from .streams import some_turns
from .support import QUICK, Stage, stage
from .test_bulk import workers
from .test_bulk_ends import assert_nothing_is_kept

IDS = range(1, 301)
PLANS: list[Any] = ["list", "auto"]
ATTEMPTS = QUICK.max_attempts
MOST_PROBES = 4


def sandbox(**settings: Any) -> Sandbox:
    return Sandbox(**({"rate_limit": None, "size": 300} | settings))


def assert_whole(result: BulkResult) -> None:
    assert list(result.items) == list(IDS)
    assert (result.missing, result.failures, result.refused) == ([], {}, [])
    assert result.stopped is None


# -- a list that is no use

REFUSALS: dict[str, Fault] = {
    "400": Fault.error(400),
    "401": Fault.error(401),
    "403": Fault.error(403),
    "404": Fault.error(404),
    "410": Fault.error(410),
    "redirect": Fault.answer(302, headers={"Location": "/login"}),
    "bad JSON": Fault.bad_json(),
    "no object": Fault.answer(body="[]"),
    "items missing": without("items"),
    "items odd": with_members(items={"1": 2}),
    "bad count": with_members(count="many"),
    "negative count": with_members(count=-5),
    "bad cursor": with_members(next={"page": 2}),
}
LASTING: dict[str, Fault] = {
    "500": Fault.internal_error(),
    "503": Fault.unavailable(),
    "HTML page": Fault.html(),
    "HTML 404": Fault.answer(404, "<html>", content_type="text/html"),
    "dropped": Fault.drop(),
    "truncated": Fault.truncate(),
}


@pytest.mark.parametrize("before", [0, 1, 3], ids=["at once", "first page", "later page"])
@pytest.mark.parametrize("name", [*REFUSALS, *LASTING])
async def test_what_a_useless_list_has_not_shown_is_asked_for_by_id_and_once(
    name: str, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At the count, at the first page, and at the third."""
    caplog.set_level(logging.INFO, "lucca_training_async")
    if not before and name in ("items missing", "bad cursor"):
        pytest.skip("a count has neither")
    fault = (REFUSALS | LASTING)[name]
    async with stage(sandbox()) as on:
        on.sandbox.inject(*[passes()] * before, *[fault] * 1000, id=LIST)
        result = await on.trainings.get_many(IDS)
        assert_whole(result)
        shown = max(0, before - 1)
        by_id = singles(on.sandbox)
        expected = set(range(100 * shown + 1, 301))
        # In doubt, a single record is asked for, to see whether anybody answers.
        assert set(by_id) - {1} == expected - {1}
        counts, pages, _ = asked(on.sandbox)
        if name in REFUSALS:
            assert len(by_id) == len(expected)
            # A first page that can't be read is asked for in another style.
            again = before == 1 and name == "400"
            assert (counts, pages) == (1, shown + again + bool(before))
        else:
            assert len(by_id) - len(expected) <= MOST_PROBES
            assert counts + pages <= 1 + shown + 2 * (ATTEMPTS + 1)
        assert result.stats.plan == ("list" if before > 1 else "each")
        assert result.stats.pages == max(0, before - 1)
    lines = [one.message for one in caplog.records if one.message.startswith("plan ")]
    assert lines[-1].startswith("plan each for what is left: the list is no use: ")


@pytest.mark.parametrize("name", [*REFUSALS, *LASTING])
async def test_a_useless_list_that_was_asked_for_costs_nothing_either(name: str) -> None:
    async with stage(sandbox()) as on:
        on.sandbox.inject_always((REFUSALS | LASTING)[name], id=LIST)
        result = await on.trainings.get_many(IDS, plan="list")
        assert_whole(result)
        assert set(singles(on.sandbox)) == set(IDS)
        assert len(singles(on.sandbox)) <= 300 + MOST_PROBES * (name in LASTING)
        assert result.stats.plan == ("list" if result.stats.pages else "each")


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_list_that_is_refused_at_its_second_try_ends_no_run(status: int, plan: Any) -> None:
    async with stage(sandbox()) as on:
        on.sandbox.inject(Fault.internal_error(), *[Fault.error(status)] * 30, id=LIST)
        assert_whole(await on.trainings.get_many(IDS, plan=plan))
        assert sorted(singles(on.sandbox)) == list(IDS)


@pytest.mark.parametrize("plan", PLANS)
async def test_what_the_list_shows_proves_that_the_key_may_read(plan: Any) -> None:
    """Else the 403 of the twenty that it does not show would end the run."""
    async with stage(sandbox(missing=range(1, 51))) as on:
        for id in range(1, 51):
            on.sandbox.inject_always(Fault.error(403), id=id)
        result = await on.trainings.get_many(range(300, 0, -1), plan=plan)
        assert result.stopped is None
        assert sorted(result.items) == list(range(51, 301))
        assert list(result.failures) == list(range(50, 0, -1))


@pytest.mark.parametrize("plan", PLANS)
async def test_a_failure_that_passes_costs_nothing(plan: Any) -> None:
    async with stage(sandbox()) as on:
        on.sandbox.inject(Fault.internal_error(), passes(), Fault.html(), Fault.drop(), id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert_whole(result)
        assert result.stats.pages == 3


@pytest.mark.parametrize("plan", PLANS)
async def test_one_attempt_is_one_attempt(plan: Any) -> None:
    async with stage(sandbox(), retry=RetryPolicy(max_attempts=1)) as on:
        on.sandbox.inject(*[Fault.html()] * 5, id=LIST)
        assert_whole(await on.trainings.get_many(IDS, plan=plan))
        assert asked(on.sandbox) == (plan == "auto", plan == "list", 300)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_any_concurrency(concurrency: int, plan: Any) -> None:
    for faults in ([], [Fault.internal_error()] * 1000, [Fault.error(403)] * 30):
        async with stage(sandbox(missing={7}), max_concurrency=concurrency) as on:
            on.sandbox.inject(*faults, id=LIST)
            result = await on.trainings.get_many(IDS, plan=plan)
            assert (len(result.items), result.missing, result.failures) == (299, [7], {})
            assert len(singles(on.sandbox)) <= len(set(singles(on.sandbox))) + MOST_PROBES


def repeats(members: dict[str, Any]) -> None:
    members["next"] = "1"


def grows(members: dict[str, Any]) -> None:
    members["count"] = 250


def ends(members: dict[str, Any]) -> None:
    members["next"] = None


def is_empty(members: dict[str, Any]) -> None:
    members["items"] = []


def has_odd_items(members: dict[str, Any]) -> None:
    if items := members["items"]:
        items[::2] = [None, 5, "x", [], {"id": "five"}] * 10


@pytest.mark.parametrize("edit", [repeats, grows, ends, is_empty, has_odd_items])
@pytest.mark.parametrize("plan", PLANS)
async def test_a_list_that_is_not_what_it_says(plan: Any, edit: Callable[..., None]) -> None:
    async with stage(sandbox()) as on:
        on.sandbox.inject_always(edited(edit), id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert_whole(result)
        by_id = singles(on.sandbox)
        assert len(set(by_id)) == len(by_id)
        assert result.stats.requests == len(on.sandbox.arrivals)


async def test_a_list_longer_than_its_count_is_left() -> None:
    async with stage(sandbox(size=2000)) as on:
        on.sandbox.inject_always(edited(grows), id=LIST)
        result = await on.trainings.get_many(range(1501, 2001))
        assert list(result.items) == list(range(1501, 2001))
        assert asked(on.sandbox) == (1, 3, 500)


async def test_pages_beyond_the_largest_body() -> None:
    async with stage(sandbox(), max_body_bytes=4000) as on:
        assert_whole(await on.trainings.get_many(IDS))
        assert singles(on.sandbox) == list(IDS)


# -- a run that ends


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 2.5])
async def test_a_run_cancelled_while_it_lists_leaves_nothing(seconds: float, plan: Any) -> None:
    async with stage(sandbox(downlink=lambda: 1.0), rate_limit=None) as on:
        got: list[Outcome] = []
        bulk = asyncio.create_task(on.trainings.get_many(IDS, plan=plan, on_outcome=got.append))
        await asyncio.sleep(seconds)
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
        assert len(got) % 100 == 0
        await assert_nothing_is_left(on)
        assert_whole(await on.trainings.get_many(IDS, plan=plan))


async def assert_nothing_is_left(on: Stage) -> None:
    assert workers() == []
    assert on.client.budget.in_flight == 0
    await some_turns()
    await assert_nothing_is_kept(on)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("after", [1, 99, 100, 101, 250])
async def test_a_stream_left_early_leaves_nothing(after: int, plan: Any) -> None:
    async with stage(sandbox()) as on:
        async with on.trainings.stream(IDS, plan=plan) as stream:
            seen = 0
            async for _ in stream:
                seen += 1
                if seen == after:
                    break
        arrived = len(on.sandbox.arrivals)
        del stream, _
        await assert_nothing_is_left(on)
        assert len(on.sandbox.arrivals) == arrived <= 5
        assert singles(on.sandbox) == []


async def test_a_slow_consumer_holds_the_list_back() -> None:
    async with stage(sandbox()) as on:
        async with on.trainings.stream(IDS, plan="list") as stream:
            for pages in (2, 2, 2):
                await anext(stream)
                await asyncio.sleep(100)
                assert asked(on.sandbox) == (0, pages, 0)


@pytest.mark.parametrize("plan", PLANS)
async def test_what_a_callback_raises_ends_the_run(plan: Any) -> None:
    for number in (1, 100, 101, 250):
        for name in ("on_outcome", "on_progress"):
            calls = iter(range(1, 1000))

            def callback(_: object, number: int = number, calls: Iterator[int] = calls) -> None:
                if next(calls) == number:
                    raise LookupError("no room")

            callbacks: dict[str, Any] = {name: callback}
            async with stage(sandbox()) as on:
                with pytest.raises(LookupError, match="no room"):
                    await on.trainings.get_many(IDS, plan=plan, **callbacks)
                await assert_nothing_is_left(on)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_client_closed_while_it_lists(plan: Any) -> None:
    async with stage(sandbox(downlink=lambda: 1.0)) as on:
        bulk = asyncio.create_task(on.trainings.get_many(IDS, plan=plan))
        await asyncio.sleep(2.5 if plan == "list" else 3.5)
        await on.client.aclose()
        result = await bulk
        assert list(result.items) == list(range(1, 201))
        assert list(result.failures) == list(range(201, 301))
        assert {type(error) for error in result.failures.values()} == {ClientClosedError}
        assert singles(on.sandbox) == []


@pytest.mark.parametrize("plan", PLANS)
async def test_patience_that_ends_while_it_lists(
    plan: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    retry = RetryPolicy(patience=60)
    async with stage(sandbox(), retry=retry) as on:
        before = [passes()] * (2 if plan == "list" else 3)
        on.sandbox.inject(*before, *[Fault.too_many_requests(25)] * 100, id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert list(result.items) == list(range(1, 201))
        assert isinstance(result.stopped, RateLimitedError)
        assert {type(error) for error in result.failures.values()} == {RateLimitedError}
        assert singles(on.sandbox) == []
    assert not any("no use" in one.message for one in caplog.records)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_refused_key_is_told_of_every_id(plan: Any) -> None:
    async with stage(sandbox(), api_key="wrong") as on:
        result = await on.trainings.get_many(IDS, plan=plan)
        assert isinstance(result.stopped, AuthenticationError)
        assert list(result.failures) == list(IDS)
        # One beside those that were under way when the first answer came.
        assert len(on.sandbox.arrivals) == 11


@pytest.mark.parametrize("plan", PLANS)
async def test_two_runs_at_a_time_and_what_the_source_raises(plan: Any) -> None:
    async def broken() -> AsyncGenerator[int, None]:
        for id in IDS:
            yield id
        raise LookupError("no more rows")

    async with stage(sandbox()) as on:
        first, second, third = await asyncio.gather(
            on.trainings.get_many(IDS, plan=plan),
            on.trainings.get_many(IDS, plan="each"),
            on.trainings.get_many(broken(), plan=plan),
            return_exceptions=True,
        )
        assert isinstance(first, BulkResult)
        assert isinstance(second, BulkResult)
        assert in_short(first) == in_short(second)
        assert isinstance(third, LookupError)
        got: list[int] = []
        with pytest.raises(LookupError):
            async for outcome in on.trainings.stream(broken(), plan=plan):
                assert outcome.training is not None
                got.append(outcome.training.id)
        assert sorted(got) == list(IDS)
