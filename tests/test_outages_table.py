"""What a long run meets, line by line: no id is lost, and hardly any time.

In the ordinary suite with few ids; with ten thousand where ``LUCCA_ENDURANCE`` is set.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from .outages import KINDS, Host, Outage, assert_none_is_lost, fetch_all
from .virtual_time import run

FEW, MANY = 150, 10_000
# In the midst of the second minute's requests, and of the eleventh's.
BEGINS_AT = {FEW: 62.0, MANY: 606.0}
TWO_MINUTES = 120.0
endurance = pytest.mark.skipif(
    not os.environ.get("LUCCA_ENDURANCE"), reason="takes minutes; set LUCCA_ENDURANCE"
)
few_and_many = pytest.mark.parametrize("ids", [FEW, pytest.param(MANY, marks=endurance)])


@cache
def usual(ids: int) -> float:
    """Seconds that so many ids take where nothing happens."""
    result = run(fetch_all(Host(), ids, plan="each"))
    assert_none_is_lost(result, ids)
    assert result.stats.requests == ids
    return result.stats.elapsed


def assert_survives(ids: int, outage: Outage) -> None:
    host = Host(outage)
    result = run(fetch_all(host, ids, plan="each"))
    assert_none_is_lost(result, ids)
    assert result.stats.retries > 0
    assert result.stats.elapsed <= usual(ids) + outage.costs + TWO_MINUTES
    assert host.refused == 0


@few_and_many
@pytest.mark.parametrize("seconds", [1, 120, 840])
@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_costs_no_id_and_hardly_more_than_its_time(
    kind: str, seconds: float, ids: int
) -> None:
    assert_survives(ids, Outage(kind, BEGINS_AT[ids], seconds))


@few_and_many
@pytest.mark.parametrize("seconds", [5, 30, 600])
def test_maintenance_of_any_length_costs_no_id(seconds: float, ids: int) -> None:
    assert_survives(ids, Outage("503", BEGINS_AT[ids], seconds))


@few_and_many
@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_that_begins_while_the_budget_is_spent(kind: str, ids: int) -> None:
    assert_survives(ids, Outage(kind, BEGINS_AT[ids] - 20, 120))


@pytest.mark.parametrize("left", [1, 2])
@pytest.mark.parametrize("seconds", [5, 120, 840])
@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_that_only_the_last_ids_meet(kind: str, seconds: float, left: int) -> None:
    # They are too few for it to be told by them alone.
    assert_survives(50 + left, Outage(kind, 58.0, seconds))


@few_and_many
def test_one_429_with_a_retry_after_beyond_that_of_a_get(ids: int) -> None:
    host = Host(refusals={BEGINS_AT[ids]: 121})
    result = run(fetch_all(host, ids, plan="each"))
    assert_none_is_lost(result, ids)
    assert (host.refused, result.stats.requests) == (1, ids + 1)
    assert result.stats.elapsed <= usual(ids) + 121 + TWO_MINUTES


@few_and_many
def test_another_integration_that_takes_all_it_can_costs_no_id(ids: int) -> None:
    host = Host(another_every=0.2)
    result = run(fetch_all(host, ids, plan="each"))
    assert_none_is_lost(result, ids)
    assert host.refused > 0


@few_and_many
def test_one_outage_after_the_other(ids: int) -> None:
    begins_at = BEGINS_AT[ids]
    outages = [Outage(kind, begins_at + 100 * n, 40) for n, kind in enumerate(KINDS)]
    result = run(fetch_all(Host(*outages), ids, plan="each"))
    assert_none_is_lost(result, ids)
