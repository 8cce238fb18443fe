"""Whatever a tenant holds and whatever happens meanwhile, all plans come to the same outcomes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lucca_training_async import BulkResult, LuccaTrainingClient, OutageError, RetryPolicy
from lucca_training_async._lists import Plan
from lucca_training_async.models import RealizedTraining, reader
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.sandbox.render import render

from .plans import LIST, Log, edited, in_short, passes, told, with_members, without
from .support import QUICK
from .virtual_time import run

PLANS: tuple[Plan, ...] = ("each", "list", "auto")
A_DAY = 86_400.0
# A smaller example would say less than a failing one costs to shrink.
unshrunk = (Phase.explicit, Phase.reuse, Phase.generate)


def has_no_cursor(members: dict[str, Any]) -> None:
    members["next"] = None


def has_its_cursor_again(members: dict[str, Any]) -> None:
    members["next"] = "1"


def is_counted_short(members: dict[str, Any]) -> None:
    members["count"] = 7


def has_items_odd(members: dict[str, Any]) -> None:
    if members.get("items"):
        members["items"][::3] = [None for _ in members["items"][::3]]


def comes_twice(members: dict[str, Any]) -> None:
    members["items"] = [*members.get("items", []), *members.get("items", [])[:5]]


REFUSED = Fault.too_many_requests(2)
# What may come of a request for a page or for the count.
PAGE_FAULTS = [
    passes(),
    Fault.error(400),
    Fault.error(401),
    Fault.error(403),
    Fault.error(404),
    Fault.internal_error(),
    Fault.unavailable(3),
    Fault.unavailable(60),
    REFUSED,
    Fault.html(),
    Fault.bad_json(),
    Fault.drop(),
    Fault.truncate(),
    Fault.slow(20.0),
    Fault.slow(100.0),
    with_members(count="x"),
    with_members(count=10**9),
    without("count"),
    without("next"),
    without("items"),
    *map(edited, (has_no_cursor, has_its_cursor_again, is_counted_short)),
    *map(edited, (has_items_odd, comes_twice)),
]
# Of all of them. Not a 429, which is the tenant's: without an end it is the end of the run.
LASTING_PAGE_FAULTS = [fault for fault in PAGE_FAULTS if fault is not REFUSED]
# Of a request for one id: what passes, and what lasts.
PASSING = [Fault.internal_error(), Fault.drop(), Fault.html(), Fault.too_many_requests(1)]
LASTING = [Fault.error(400), Fault.error(403), Fault.error(410), Fault.bad_json()]
BAD_ITEMS: list[dict[str, Any]] = [
    {},
    {"ownerId": "four"},
    {"durationInHours": None},
    {"training": 5},
    {"sessionEndsOn": "soon"},
    {"sessionStartsOn": 5},
]


@attrs.frozen
class Tenant:
    """What it holds, and what goes wrong with it, the same for every plan.

    Attributes:
        size: How many records are generated.
        missing: Those that are not there.
        bad: Those that are none, as objects that differ from a record by these members.
        pages: What comes of the requests for the list, in turn, and of all after that.
        passing: What the first requests for some ids meet.
        lasting: What all requests for some ids meet.
    """

    size: int
    missing: frozenset[int]
    bad: Mapping[int, dict[str, Any]]
    pages: list[Fault]
    always: Fault | None
    passing: Mapping[int, Fault]
    lasting: Mapping[int, Fault]

    def sandbox(self) -> Sandbox:
        sandbox = Sandbox(rate_limit=None, size=self.size, missing=self.missing)
        for id, members in self.bad.items():
            # No record of the tenant stands in the place of another.
            broken = {**realized_training(id), **members} if members else {"id": id}
            sandbox.put(broken, id=id)
        sandbox.inject(*self.pages, id=LIST)
        if self.always is not None:
            sandbox.inject_always(self.always, id=LIST)
        for id, fault in self.passing.items():
            sandbox.inject(fault, id=id)
        for id, fault in self.lasting.items():
            sandbox.inject_always(fault, id=id)
        return sandbox


def ids_of(draw: st.DrawFn, size: int) -> list[Any]:
    """Enough of them, mostly, for the plan to make a difference; some of them none."""
    number = draw(st.sampled_from([1, 5, 199, 201, 230, 290]))
    start = draw(st.integers(1, max(1, size)))
    ids: list[Any] = list(range(start, start + number))
    draw(st.randoms(use_true_random=False)).shuffle(ids)
    odd: list[Any] = draw(st.lists(st.sampled_from(["7", 0, -1, 2**31, True, None, 2.5, 10**6])))
    return [*ids[: number // 2], *odd, *ids[number // 2 :], *ids[: draw(st.integers(0, 3))]]


@st.composite
def tenants(draw: st.DrawFn, *, faults: bool = True) -> Tenant:
    size = draw(st.sampled_from([0, 1, 99, 100, 101, 210, 300, 450]))
    some = st.integers(1, size + 20)
    missing = draw(st.frozensets(some, max_size=30))
    bad = draw(st.dictionaries(some, st.sampled_from(BAD_ITEMS), max_size=8))
    tenant = Tenant(size, missing, bad, [], None, {}, {})
    if not faults:
        return tenant
    # What the list shows is found, even if it would be refused by its id. And no more than so
    # many: else the key is taken for one that may read nothing.
    unshown = st.sampled_from([size + 1, *missing, *bad])
    return attrs.evolve(
        tenant,
        pages=draw(st.lists(st.sampled_from(PAGE_FAULTS), max_size=8)),
        always=draw(st.none() | st.sampled_from(LASTING_PAGE_FAULTS)),
        passing=draw(st.dictionaries(some, st.sampled_from(PASSING), max_size=3)),
        lasting=draw(st.dictionaries(unshown, st.sampled_from(LASTING), max_size=5)),
    )


async def fetch(
    sandbox: Sandbox, ids: list[Any], plan: Plan, retry: RetryPolicy = QUICK, concurrency: int = 10
) -> BulkResult:
    async with sandbox:
        async with LuccaTrainingClient(
            sandbox.url,
            sandbox.api_key,
            rate_limit=None,
            retry=retry,
            max_concurrency=concurrency,
        ) as client:
            async with asyncio.timeout(A_DAY):
                result = await client.realized_trainings.get_many(ids, plan=plan)
            assert result.stats.requests == len(sandbox.arrivals)
            return result


def assert_the_same(shorts: list[dict[str, object]]) -> None:
    for short in shorts[1:]:
        for part, value in shorts[0].items():
            assert short[part] == value, part


@settings(max_examples=15, phases=unshrunk)
@given(
    st.data(),
    tenants(),
    st.sampled_from([1, 2, 10]),
    st.sampled_from([QUICK, attrs.evolve(QUICK, max_attempts=1)]),
)
def test_all_plans_agree(
    data: st.DataObject, tenant: Tenant, concurrency: int, retry: RetryPolicy
) -> None:
    if retry.max_attempts == 1:
        tenant = attrs.evolve(tenant, passing={})
    ids = data.draw(st.composite(ids_of)(tenant.size))
    shorts = [
        in_short(run(fetch(tenant.sandbox(), ids, plan, retry, concurrency))) for plan in PLANS
    ]
    assert_the_same(shorts)


Change = tuple[int, int, bool]
"""At which request, which id, and whether it is put or removed."""


def outcome_of(result: BulkResult, id: int) -> object:
    if id in result.items:
        return result.items[id]
    return "missing" if id in result.missing else told(result.failures[id])


@settings(max_examples=15, phases=unshrunk)
@given(
    st.data(),
    tenants(faults=False),
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 500), st.booleans()), max_size=60),
)
def test_what_changes_meanwhile_has_either_outcome_and_all_else_its_own(
    data: st.DataObject, tenant: Tenant, changes: list[Change]
) -> None:
    ids = data.draw(st.composite(ids_of)(tenant.size))

    before = run(fetch(tenant.sandbox(), ids, "each"))
    for plan in PLANS:
        sandbox = tenant.sandbox()
        sandbox.arrivals = Log(partial(change, sandbox, changes))
        after = run(fetch(sandbox, ids, plan))
        assert_every_id_has_its_place(after, ids)
        for id in filter(is_id, ids):
            allowed = [outcome_of(before, id)]
            if id in {id for _, id, _ in changes}:
                allowed += ["missing", as_generated(id)]
            assert outcome_of(after, id) in allowed


def change(sandbox: Sandbox, changes: list[Change], number: int) -> None:
    for at, id, is_put in changes:
        if at == number:
            if is_put:
                sandbox.put(realized_training(id))
            else:
                with suppress(LookupError):
                    sandbox.remove(id)


def assert_every_id_has_its_place(result: BulkResult, ids: list[Any]) -> None:
    assert result.stopped is None
    distinct = list(dict.fromkeys(filter(is_id, ids)))
    parts = (list(result.items), result.missing, list(result.failures))
    assert sorted(itertools.chain(*parts)) == sorted(distinct)
    places = {id: place for place, id in enumerate(distinct)}
    for part in parts:
        assert part == sorted(part, key=places.__getitem__)


def is_id(value: object) -> bool:
    return type(value) is int and 1 <= value < 2**31


def as_generated(id: int) -> RealizedTraining:
    return reader(RealizedTraining)(render(realized_training(id)).encode(), asked_for=id)


@settings(max_examples=10, phases=unshrunk)
@given(
    st.data(),
    tenants(faults=False),
    st.sampled_from([Fault.unavailable(), Fault.internal_error(), Fault.html(), Fault.drop()]),
    st.integers(2, 12),
    st.sampled_from([3.0, 30.0, 300.0]),
    st.sampled_from([1, 10]),
)
def test_an_outage_costs_no_plan_an_id(
    data: st.DataObject,
    tenant: Tenant,
    kind: Fault,
    begins: int,
    seconds: float,
    concurrency: int,
) -> None:
    """From some request on, everything fails for a while."""
    ids = data.draw(st.composite(ids_of)(tenant.size))

    async def main(plan: Plan) -> BulkResult:
        sandbox = tenant.sandbox()
        ends_at: list[float] = []

        def happens(number: int) -> None:
            now = asyncio.get_running_loop().time()
            if number == begins:
                ends_at.append(now + seconds)
            if ends_at and now < ends_at[0]:
                # The fault is met by the very request whose arrival this is.
                sandbox.inject(kind)

        sandbox.arrivals = Log(happens)
        return await fetch(sandbox, ids, plan, RetryPolicy(), concurrency)

    shorts = [in_short(run(main(plan))) for plan in PLANS]
    assert_the_same(shorts)


@pytest.mark.parametrize("kind", [Fault.drop(), Fault.unavailable(), Fault.slow(1000.0)])
@pytest.mark.parametrize("concurrency", [1, 10])
def test_a_host_that_never_answers_is_told_as_early_by_any_plan(
    kind: Fault, concurrency: int
) -> None:
    async def main(plan: Plan) -> BulkResult:
        sandbox = Sandbox(rate_limit=None)
        sandbox.arrivals = Log(lambda _: sandbox.inject(kind))
        return await fetch(sandbox, list(range(1, 301)), plan, RetryPolicy(), concurrency)

    results = [run(main(plan)) for plan in PLANS]
    for result in results:
        assert isinstance(result.stopped, OutageError)
        assert list(result.failures) == list(range(1, 301))
        # In simulated time: one id at a time takes longer, whatever the plan.
        assert result.stats.elapsed <= max(60.0, results[0].stats.elapsed)
