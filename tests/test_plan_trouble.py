"""A list that goes wrong: nothing is lost, and nothing is asked for twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from lucca_training_async import BulkResult, OutageError, RetryPolicy
from lucca_training_async.sandbox import Fault, Sandbox

from .plans import LIST, Log, asked, edited, passes, singles, with_members, without
from .support import QUICK, stage

IDS = range(1, 301)
PLANS: list[Any] = ["list", "auto"]
ATTEMPTS = QUICK.max_attempts
MOST_PROBES = 4


def sandbox(**settings: Any) -> Sandbox:
    given: dict[str, Any] = {"rate_limit": None, "size": 300} | settings
    return Sandbox(**given)


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
# Within these a host that has never answered would be given up.
UNHURRIED: dict[str, Fault] = {
    "no answer": Fault.slow(100.0),
    "503 for 20 s": Fault.unavailable(20),
    "503 for a minute": Fault.unavailable(60),
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
@pytest.mark.parametrize("concurrency", [1, 2, 10])
@pytest.mark.parametrize("name", UNHURRIED)
async def test_a_list_that_takes_its_time_is_not_taken_for_a_host_that_never_answers(
    name: str, concurrency: int, plan: Any
) -> None:
    async with stage(sandbox(), max_concurrency=concurrency) as on:
        on.sandbox.inject_always(UNHURRIED[name], id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert_whole(result)
        counts, pages, _ = asked(on.sandbox)
        # The question is not to blame, and is not put in another style.
        assert counts + pages == ATTEMPTS
        assert result.stats.plan == "each"


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", UNHURRIED)
async def test_a_list_that_took_its_time_is_read_all_the_same(name: str, plan: Any) -> None:
    async with stage(sandbox(), max_concurrency=1) as on:
        on.sandbox.inject(*[UNHURRIED[name]] * (ATTEMPTS - 1), id=LIST)
        result = await on.trainings.get_many(IDS, plan=plan)
        assert_whole(result)
        # What has shown that the host answers, and is its witness.
        assert set(singles(on.sandbox)) == {1}
        assert result.stats.pages == 3


@pytest.mark.parametrize("plan", PLANS)
async def test_a_host_that_was_given_up_is_not_asked_for_its_list_again(plan: Any) -> None:
    async with stage(sandbox()) as on:
        on.sandbox.arrivals = Log(lambda _: on.sandbox.inject(Fault.drop()))
        result = await on.trainings.get_many(IDS, plan=plan)
        assert isinstance(result.stopped, OutageError)
        counts, pages, _ = asked(on.sandbox)
        assert counts + pages == 1


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
        assert sorted(singles(on.sandbox)) == list(IDS)
