"""What holds of a bulk run whatever happens to the host: N ids in, N outcomes out."""

from __future__ import annotations

import asyncio
import math

import attrs
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from lucca_training_async import (
    BulkResult,
    Failed,
    Found,
    OutageError,
    Outcome,
    RequestError,
    ServerError,
)

from .outages import KINDS, Host, Outage, outage_stage
from .virtual_time import run

MAX_ATTEMPTS = 5
A_DAY = 86_400.0
# After the first answers: they make the host known to the client.
SOON = 3.0
# A smaller example would say less than a failing one costs to shrink.
unshrunk = (Phase.explicit, Phase.reuse, Phase.generate)


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    """Up to three, one after the other, the shortest far below a second."""
    drawn: list[Outage] = []
    start = SOON
    for _ in range(draw(st.integers(0, 3))):
        start += draw(st.sampled_from([0.0, 0.3, 1.0, 20.0, 57.0, 58.4, 130.0]))
        seconds = draw(st.sampled_from([0.4, 1.0, 3.0, 8.0, 30.0, 120.0, 600.0]))
        drawn.append(Outage(draw(st.sampled_from(KINDS)), start, seconds))
        # Two without a pause are one outage, which may be longer than the patience.
        start += seconds + 260
    return drawn


@attrs.define
class Witnessed:
    """A run, and when each of its outcomes came."""

    host: Host
    outcomes: dict[int, Outcome] = attrs.field(factory=dict[int, Outcome])

    async def fetch(self, ids: int) -> BulkResult:
        async with outage_stage(self.host) as on:
            async with asyncio.timeout(A_DAY):
                result = await on.trainings.get_many(range(1, ids + 1), on_outcome=self._note)
        assert sorted(self.outcomes) == list(range(1, ids + 1))
        assert result.items.keys() | result.failures.keys() == self.outcomes.keys()
        return result

    def _note(self, outcome: Outcome) -> None:
        assert isinstance(outcome, Found | Failed)
        assert outcome.id not in self.outcomes, "told twice"
        self.outcomes[outcome.id] = outcome


@settings(max_examples=150, phases=unshrunk)
@given(
    ids=st.integers(1, 60),
    outages=outages(),
    latency=st.sampled_from([0.0, 0.2, 2.0]),
    # It leaves a little: whoever takes all, and heeds no Retry-After, may do so for any time.
    another_every=st.sampled_from([None, None, 1.3, 7.0]),
    # Fewer than an id's attempts, of which they might all hit the same one.
    faults=st.dictionaries(st.integers(1, 80), st.sampled_from(KINDS), max_size=2),
    bad=st.sets(st.integers(2, 60), max_size=8),
)
def test_no_failure_that_waiting_would_have_healed(
    ids: int,
    outages: list[Outage],
    latency: float,
    another_every: float | None,
    faults: dict[int, str],
    bad: set[int],
) -> None:
    # Before an outage, there is a sign of life: without any, nobody could tell it from a dead host.
    assume(set(range(1, ids + 1)) - bad - faults.keys())
    host = Host(*outages, latency=latency, bad=bad, faults=faults, another_every=another_every)
    result = run(Witnessed(host).fetch(ids))
    assert {id: repr(one) for id, one in result.failures.items() if id not in bad} == {}
    assert result.stopped is None
    assert result.failures.keys() == {id for id in bad if id <= ids}
    for error in result.failures.values():
        # Whatever the last of its attempts met, an outage too short to be one included.
        assert isinstance(error, ServerError) or outages
        assert isinstance(error, RequestError)
        assert error.attempts >= MAX_ATTEMPTS


@settings(max_examples=60, phases=unshrunk)
@given(
    ids=st.integers(1, 60),
    kind=st.sampled_from(KINDS),
    seconds=st.sampled_from([0.4, 3.0, 8.0, 30.0, 120.0, math.inf]),
    latency=st.sampled_from([0.0, 0.2, 2.0]),
)
def test_a_host_that_is_out_from_the_start_may_be_given_up(
    ids: int, kind: str, seconds: float, latency: float
) -> None:
    host = Host(Outage(kind, 0.0, seconds), latency=latency)
    result = run(Witnessed(host).fetch(ids))
    met = min(host.signs_of_life, default=math.inf)
    strangers = {request.id for request in host.requests if request.at <= met}
    for id, error in result.failures.items():
        assert error is result.stopped or kind == "refusing" or id in strangers
    if result.stopped is not None:
        assert isinstance(result.stopped, OutageError)


@settings(max_examples=60, phases=unshrunk)
@given(
    ids=st.integers(1, 60),
    bad=st.sets(st.integers(2, 60), min_size=1, max_size=20),
    latency=st.sampled_from([0.0, 0.2]),
)
def test_ids_that_always_fail_do_so_with_all_their_attempts_and_no_other_does(
    ids: int, bad: set[int], latency: float
) -> None:
    result = run(Witnessed(Host(bad=bad, latency=latency)).fetch(ids))
    assert result.stopped is None
    assert result.failures.keys() == {id for id in bad if id <= ids}
    for error in result.failures.values():
        assert isinstance(error, ServerError)
        # One more where the sign of life beside the last had to wait for the budget.
        assert MAX_ATTEMPTS <= error.attempts <= MAX_ATTEMPTS + 1
