"""Whose fault a failure is: decided without I/O, by what is seen and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from lucca_training_async import (
    AuthenticationError,
    BadRequestError,
    DecodeError,
    LuccaConnectionError,
    LuccaTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    ResponseError,
    ServerError,
    WrongRecordError,
)
from lucca_training_async._http.answers import is_given_up
from lucca_training_async._http.health import Health, Target, is_sign_of_life

ANSWERS: list[tuple[RequestError, bool]] = [
    (BadRequestError("", url="", status=400), True),
    (AuthenticationError("", url="", status=401), True),
    (PermissionDeniedError("", url="", status=403), True),
    (NotFoundError("", url="", status=404), True),
    (ResponseError("", url="", status=302), True),
    (ResponseError("", url="", status=405), True),
    (ResponseError("", url="", status=408), False),
    (ResponseError("a page", url="", status=404, transient=True), False),
    (ServerError("", url="", status=500), False),
    (ServerError("", url="", status=503), False),
    (ServerError("", url="", status=599), False),
    (DecodeError("a new field", url="", path="$.id", excerpt=""), True),
    (DecodeError("a page", url="", path="$", excerpt="<", transient=True), False),
    (WrongRecordError("", url="", path="$.id", excerpt="", transient=True), True),
    (LuccaConnectionError("refused", url=""), False),
    (LuccaConnectionError("bad certificate", url="", transient=False), False),
    (LuccaTimeoutError("", url=""), False),
]
DOWN = ServerError("503", url="", status=503)


@pytest.mark.parametrize(("error", "expected"), ANSWERS)
def test_what_is_a_sign_of_life(error: RequestError, expected: bool) -> None:
    assert is_sign_of_life(error) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((200, False), (408, False), (429, False), (500, False), (501, False), (502, True)),
        *((503, False), (504, True), (505, False), (520, True), (524, True)),
    ],
)
def test_a_gateway_may_deliver_what_it_has_given_up(status: int, expected: bool) -> None:
    assert is_given_up(status) is expected


def target(id: int) -> Target[object]:
    return Target(URL(f"https://acme.ilucca.net/{id}"), lambda _: 0)


def alive(id: int = 1) -> Health:
    health = Health()
    health.answered(target(id), 0)
    return health


def fail(health: Health, id: int, sent_at: float, now: float, *, waits: bool = True) -> bool:
    return health.failed(target(id).url, DOWN, sent_at, now, waits=waits)


def test_several_ids_in_a_row_close_the_gate_and_a_failed_probe_makes_it_an_outage() -> None:
    health = alive()
    assert [fail(health, id, 0, 1) for id in (5, 5, 6, 6, 5)] == [False] * 5
    assert fail(health, 7, 0, 1)
    silence = health.silence
    assert (silence.closed_at, silence.is_decided) == (1, False)
    # What was under way already closes nothing more.
    assert not fail(health, 8, 0.9, 1.5)
    assert not silence.is_outage
    assert health.probe_failed(target(1).url, DOWN, 2, 3)
    assert silence.is_outage
    assert not silence.is_over
    assert health.probe_failed(target(1).url, DOWN, 4, 5)
    assert silence.probes == 2


def test_a_sign_of_life_makes_the_failures_before_it_their_ids_own() -> None:
    health = alive()
    before = health.silence
    fail(health, 5, 0, 1)
    fail(health, 6, 0, 1)
    health.answered(target(2), 0)
    assert (before.is_over, before.is_outage) == (True, False)
    assert health.silence is not before
    # They are not in a row with what comes next.
    assert not fail(health, 7, 2, 3)


def test_an_outage_that_is_over_was_one_all_the_same() -> None:
    health = alive()
    for id in (5, 6, 7):
        fail(health, id, 0, 1)
    silence = health.silence
    health.probe_failed(target(1).url, DOWN, 2, 3)
    health.answered(target(1), 0)
    assert (silence.is_over, silence.is_outage) == (True, True)


def test_a_witness_asked_in_doubt_needs_no_row() -> None:
    health = alive()
    fail(health, 5, 0, 1)
    assert health.probe_failed(target(1).url, DOWN, 2, 3)
    assert health.silence.is_outage
    # Of two that were asked at once, the second closes nothing.
    assert not health.probe_failed(target(1).url, DOWN, 2, 3)


def test_three_are_asked_in_turn_and_the_one_that_answers_is_the_witness_from_then_on() -> None:
    health = alive(1)
    health.recent = target(9)
    asked: list[int] = []
    for moment in range(1, 6):
        probe = health.probe(target(7))
        asked.append(int(probe.url.name))
        health.probe_failed(probe.url, DOWN, 2 * moment, 2 * moment + 1)
    # The first closes the gate; what fails after that counts as a probe.
    assert asked == [1, 1, 9, 7, 1]
    health.answered(target(9), 0)
    assert health.witness is not None
    assert health.witness.url.name == "9"


def test_without_an_outage_the_first_that_was_answered_stays_the_witness() -> None:
    health = alive(1)
    fail(health, 5, 0, 1)
    health.answered(target(2), 0)
    assert health.witness is not None
    assert health.witness.url.name == "1"


def test_a_host_that_never_answered_stops_gets_but_not_the_first_ids_of_a_run() -> None:
    run, gets = Health(), Health()
    assert not any(fail(run, id, 0, 1) for id in range(10))
    assert not run.silence.is_outage
    assert [fail(gets, id, 0, 1, waits=False) for id in range(3)] == [False, False, True]
    assert gets.silence.is_outage
    assert gets.probe(target(7)).url.name == "7"


def test_a_host_that_never_answered_is_hopeless_when_many_ids_have_failed() -> None:
    health = Health()
    for id in (1, 2, 3, 4, 4):
        fail(health, id, 0, 1)
        assert not health.is_hopeless
    fail(health, 5, 0, 1)
    assert health.is_hopeless
    health.answered(target(1), 0)
    for id in range(10):
        fail(health, id, 0, 1)
    assert not health.is_hopeless


def test_since_when_there_was_nothing_but_429s() -> None:
    health = alive()
    assert not health.is_troubled
    assert [health.refused(moment) for moment in (3, 5)] == [3, 3]
    assert health.is_troubled
    fail(health, 5, 6, 7)
    assert health.refused(8) == 8
    health.answered(target(1), 0)
    assert health.refused(9) == 9


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=40))
def test_every_failure_is_decided_by_what_comes_next(events: list[tuple[bool, int]]) -> None:
    """Each silence ends with the first sign of life after it, and is an outage only if probed."""
    health = alive()
    open_silences: set[int] = set()
    for moment, (answers, id) in enumerate(events, start=1):
        silence = health.silence
        if answers:
            health.answered(target(id), 0)
            assert silence.is_over == bool(open_silences)
            open_silences.clear()
            assert not health.silence.is_decided
        else:
            fail(health, id, moment - 1.5, moment)
            open_silences.add(moment)
            assert health.silence is silence
            assert not silence.is_over
            assert silence.is_outage == (silence.probes > 0)
