"""What is known of pauses and outages: until when, since when, what is told, and what it costs."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async._budget import Cause, Closure, Owner
from lucca_training_async._budget.closures import Closures

from .gates import A_429, A_503, Patient, admit, answer, close, make_gate, now, shared_gate
from .gates import nobody_waits_for_ever as nobody_waits_for_ever

PAUSE, OUTAGE, DOUBT = Cause.PAUSE, Cause.OUTAGE, Cause.DOUBT
LOGGER = "lucca_training_async"

Lines = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)


def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The level and the text of each line, without the time of day."""
    return [
        (record.levelname, re.sub(r"\d\d:\d\d:\d\d UTC", "then", record.getMessage()))
        for record in caplog.records
    ]


def pause(at: float, until: float) -> Closure:
    return Closure(PAUSE, at, at, until, A_429)


def outage(at: float, until: float, *, since: float | None = None) -> Closure:
    return Closure(OUTAGE, at if since is None else since, at, until, A_503)


def doubt(at: float, until: float) -> Closure:
    return Closure(DOUBT, at, at, until, A_503)


def elsewhere(cause: Cause, at: float, until: float) -> Closure:
    """One that another process has met."""
    return Closure(cause, at, at, until, None)


# -- what holds


def test_at_first_there_is_none() -> None:
    closures = Closures()
    assert not closures
    assert closures.until == -math.inf
    assert closures.outage is None
    assert closures.cause(0.0) is None
    assert closures.refusing(Owner(0.0), 0.0, slot_in=math.inf) is None
    assert [closures.lost(cause, 100.0) for cause in Cause] == [0, 0, 0]


def test_a_pause_holds_until_its_end_and_an_outage_until_a_sign_of_life() -> None:
    closures = Closures()
    closures.close(pause(0, 20))
    assert (closures.cause(19.9), closures.cause(20)) == (PAUSE, None)
    assert closures  # it takes an answer to know
    closures.close(outage(30, 40))
    assert (closures.cause(35), closures.cause(4000)) == (OUTAGE, OUTAGE)
    assert closures.until == 40
    closures.over(40, 41)
    assert not closures
    assert closures.cause(41) is None


def test_a_pause_is_not_over_before_its_end_nor_by_a_request_from_before_it() -> None:
    closures = Closures()
    closures.close(pause(10, 30))
    closures.over(sent_at=11, now=29)  # it was under way already, or slipped through
    assert closures.cause(29.5) is PAUSE
    closures.over(sent_at=9, now=31)
    assert closures
    closures.over(sent_at=30, now=31)
    assert not closures


def test_any_answer_ends_an_outage() -> None:
    """Even one to a request that was sent before: the host has spoken."""
    closures = Closures()
    closures.close(outage(10, 12))
    closures.over(sent_at=1, now=13)
    assert closures.outage is None


def test_a_prolongation_keeps_the_later_end_and_the_first_sign() -> None:
    closures = Closures()
    closures.close(outage(10, 30, since=5))
    closures.close(outage(20, 25, since=5))
    assert closures.outage == Closure(OUTAGE, 5, 20, 30, A_503)
    closures.close(outage(30, 60, since=5))
    assert closures.outage == Closure(OUTAGE, 5, 30, 60, A_503)
    # Another process tells no more than its end: neither since when, nor what it has seen.
    closures.close(elsewhere(OUTAGE, 60, 90))
    assert closures.outage == Closure(OUTAGE, 5, 60, 90, None)


def test_an_outage_that_we_meet_ourselves_began_when_we_met_it() -> None:
    closures = Closures()
    closures.close(elsewhere(OUTAGE, 10, 30))
    assert closures.outage == Closure(OUTAGE, 10, 10, 30, None)
    closures.close(outage(31, 40, since=8))
    assert closures.outage == Closure(OUTAGE, 8, 31, 40, A_503)


def test_a_pause_and_an_outage_are_kept_apart() -> None:
    closures = Closures()
    closures.close(pause(0, 50))
    closures.close(outage(10, 20))
    assert closures.until == 50
    assert closures.cause(15) is OUTAGE
    closures.over(sent_at=20, now=21)
    assert closures.cause(21) is PAUSE
    assert closures.until == 50
    closures.close(doubt(30, 60))
    assert [closures.cause(at) for at in (49, 50, 59, 60)] == [PAUSE, DOUBT, DOUBT, None]


def test_a_doubt_is_over_as_a_pause_is_and_refuses_nobody() -> None:
    closures = Closures()
    closures.close(doubt(0, 5))
    assert [closures.refusing(Owner(0), at, slot_in=math.inf) for at in (1, 6)] == [None, None]
    closures.over(sent_at=0, now=4)
    closures.over(sent_at=-1, now=6)
    assert closures
    closures.over(sent_at=5, now=6)
    assert not closures


# -- what is told


def test_an_outage_is_told_at_its_beginning_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    closures = Closures()
    assert closures.close(outage(10, 10.5, since=7))
    assert not closures.close(outage(10.5, 40.5, since=7))  # as long as it may be
    assert lines(caplog) == [
        ("WARNING", "an outage: no sign of life since then (last seen: 503); asking again in 0.5 s")
    ]
    closures.over(sent_at=40.5, now=41)
    closures.over(sent_at=41, now=42)
    assert lines(caplog)[1:] == [("INFO", "the outage is over, after 34 s")]
    assert {record.name for record in caplog.records} == {LOGGER}


def test_a_long_pause_is_told_at_its_beginning_and_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closures = Closures()
    assert closures.close(pause(10, 70))
    assert not closures.close(pause(20, 100))
    closures.over(sent_at=100, now=101)
    assert lines(caplog) == [
        ("WARNING", "paused for 60 s, until then: 429"),
        ("INFO", "the pause is over, after 91 s"),
    ]


@pytest.mark.parametrize("seconds", [0.5, 10, 30])
def test_of_a_doubt_nothing_is_told(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    closures = Closures()
    assert not closures.close(doubt(0, seconds))
    closures.over(sent_at=seconds, now=seconds + 1)
    assert lines(caplog) == []


@pytest.mark.parametrize(("seconds", "told"), [(0.5, False), (10.0, False), (10.5, True)])
def test_of_short_pauses_nothing_is_told(
    seconds: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    closures = Closures()
    assert closures.close(pause(0, seconds)) is told
    closures.over(sent_at=seconds, now=seconds + 1)
    assert len(lines(caplog)) == 2 * told


def test_a_short_pause_that_grows_long_is_told_then(caplog: pytest.LogCaptureFixture) -> None:
    closures = Closures()
    assert not closures.close(pause(0, 8))
    assert not closures.close(pause(8, 16))
    assert closures.close(pause(16, 36))
    closures.over(sent_at=36, now=37)
    assert lines(caplog) == [
        ("WARNING", "paused for 20 s, until then: 429"),
        ("INFO", "the pause is over, after 21 s"),
    ]


def test_each_outage_is_told_anew(caplog: pytest.LogCaptureFixture) -> None:
    closures = Closures()
    for start in (0.0, 100.0, 200.0):
        assert closures.close(outage(start, start + 5))
        closures.over(start + 5, start + 6)
    assert [level for level, _ in lines(caplog)] == ["WARNING", "INFO"] * 3


def test_an_end_of_both_is_told_of_both(caplog: pytest.LogCaptureFixture) -> None:
    closures = Closures()
    closures.close(outage(0, 5))
    closures.close(pause(5, 25))
    closures.over(sent_at=25, now=26)
    assert sorted(lines(caplog)[2:]) == [
        ("INFO", "the outage is over, after 26 s"),
        ("INFO", "the pause is over, after 21 s"),
    ]


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (PAUSE, "paused for 50 s, until then: another client of this tenant has met it"),
        (
            OUTAGE,
            "an outage: no sign of life since then (last seen: another client of this tenant has "
            "met it); asking again in 50.0 s",
        ),
    ],
)
async def test_what_another_process_has_met_is_told_as_such(
    cause: Cause, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate, ledger = shared_gate()
    ledger.cause = cause
    ledger.close_elsewhere(50)
    admission = await admit(gate, Patient())
    answer(gate, admission, now())
    assert lines(caplog) == [
        ("WARNING", line),
        ("INFO", f"waiting for the end of the {cause.value} for 50 s"),
        ("INFO", f"the {cause.value} is over, after 50 s"),
    ]


def test_the_times_of_day_are_those_of_its_beginning_and_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closures = Closures()
    closures.close(outage(1000, 1030, since=400))
    closures.close(pause(1000, 8200))
    at = datetime.now(UTC)
    for record, seconds in zip(caplog.records, (-600, 7200), strict=True):
        # Real time passes between the line and this one.
        moments = [at + timedelta(seconds=seconds - late) for late in range(5)]
        assert any(f"{moment:%H:%M:%S} UTC" in record.getMessage() for moment in moments)


# -- what it costs


def test_pauses_that_overlap_cost_their_time_once() -> None:
    closures = Closures()
    closures.close(pause(10, 30))
    closures.close(pause(20, 25))
    closures.close(pause(29, 40))
    assert [closures.lost(PAUSE, at) for at in (10, 15, 40, 99)] == [0, 5, 30, 30]
    closures.over(sent_at=40, now=50)
    closures.close(pause(100, 105))
    assert [closures.lost(PAUSE, at) for at in (100, 103, 105, 999)] == [30, 33, 35, 35]
    assert closures.lost(OUTAGE, 999) == 0


def test_the_time_between_pauses_costs_nothing_though_no_answer_has_come() -> None:
    closures = Closures()
    for start in (0, 20, 40):
        closures.close(pause(start, start + 5))
    assert closures.lost(PAUSE, 100) == 15


def test_an_outage_costs_all_the_time_from_its_first_sign_to_its_end() -> None:
    """That of the probes included, and whatever their pauses were."""
    closures = Closures()
    closures.close(outage(10, 11, since=4))
    assert closures.lost(OUTAGE, 10) == 6
    closures.close(outage(15, 30, since=4))
    assert [closures.lost(OUTAGE, at) for at in (15, 25, 35)] == [11, 21, 31]
    closures.over(sent_at=35, now=36)
    assert [closures.lost(OUTAGE, at) for at in (36, 999)] == [32, 32]
    closures.close(outage(100, 101, since=90))
    closures.over(sent_at=101, now=110)
    assert closures.lost(OUTAGE, 999) == 32 + 20


def test_an_outage_that_began_before_the_last_one_ended_costs_no_time_twice() -> None:
    """Its requests were sent before the sign of life, and failed after it."""
    closures = Closures()
    closures.close(outage(0, 5))
    closures.over(sent_at=5, now=20)
    closures.close(outage(30, 35, since=15))
    assert closures.lost(OUTAGE, 30) == 30
    closures.over(sent_at=35, now=40)
    assert closures.lost(OUTAGE, 99) == 40


def test_a_late_sign_of_life_ends_an_outage_but_not_the_time_that_is_closed() -> None:
    closures = Closures()
    closures.close(outage(10, 3600))
    closures.over(sent_at=5, now=20)
    assert closures.outage is None
    assert (closures.cause(21), closures.cause(3601)) == (PAUSE, None)
    assert closures.lost(OUTAGE, 99) == 10
    assert closures.refusing(Owner(patience=120), 21, slot_in=0.0) is not None
    assert closures.refusing(Owner(patience=4000), 21, slot_in=0.0) is None


def test_pauses_and_outages_cost_each_on_their_own() -> None:
    closures = Closures()
    closures.close(pause(0, 50))
    closures.close(outage(10, 20))
    closures.over(sent_at=20, now=30)
    closures.close(doubt(40, 45))
    assert [closures.lost(cause, 99) for cause in (PAUSE, OUTAGE, DOUBT)] == [50, 20, 5]


async def test_a_gate_knows_what_it_has_cost() -> None:
    gate, run = make_gate(), Patient()
    await asyncio.sleep(5)
    close(gate, await admit(gate, run), 10, PAUSE)
    for _ in range(3):
        probe = await admit(gate, run)
        await asyncio.sleep(1)
        close(gate, probe, 7, OUTAGE, since=15.0)
    probe = await admit(gate, run)
    await asyncio.sleep(1)
    answer(gate, probe, now() - 1)
    await asyncio.sleep(100)
    assert gate.closures.lost(PAUSE, now()) == 10
    assert gate.closures.lost(OUTAGE, now()) == 3 * (1 + 7) + 1


@given(
    events=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([*Cause, None]), st.integers(1, 30)),
        max_size=30,
    )
)
def test_the_seconds_lost_are_those_at_which_it_held(
    events: list[tuple[int, Cause | None, int]],
) -> None:
    """Whatever comes and goes, second by second; and an outage is news once."""
    closures, at = Closures(), 0
    held: dict[Cause, set[int]] = {cause: set() for cause in Cause}
    began: int | None = None
    until = 0
    for later, cause, seconds in events:
        if began is not None:
            held[OUTAGE] |= set(range(at, at + later))
        at += later
        if cause is None:
            closures.over(sent_at=at, now=at)
            if began is not None:
                # What the ledger was told holds, whoever may have answered meanwhile.
                held[PAUSE] |= set(range(at, until))
            began, until = None, 0
        elif cause is not OUTAGE:
            closures.close(pause(at, at + seconds) if cause is PAUSE else doubt(at, at + seconds))
            held[cause] |= set(range(at, at + seconds))
        else:
            is_news, began = began is None, at if began is None else began
            until = max(until, at + seconds)
            assert closures.close(outage(at, at + seconds, since=began)) is is_news
        for which, moments in held.items():
            assert closures.lost(which, at) == len([second for second in moments if second < at])
        assert (closures.outage is not None) is (began is not None)
        holding = [OUTAGE] if began is not None else [c for c in (PAUSE, DOUBT) if at in held[c]]
        assert closures.cause(at) is (holding[0] if holding else None)
