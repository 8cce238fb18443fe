"""Outcomes and results as values: sorted into their places, told apart, kept and sent about."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, assert_never, assert_type

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import (
    AuthenticationError,
    BulkResult,
    BulkStats,
    ClientClosedError,
    Failed,
    Found,
    InvalidIdError,
    LuccaError,
    Missing,
    NotFoundError,
    Outcome,
    Progress,
    RealizedTraining,
    Refused,
    ServerError,
)

from .support import stage
from .test_ids import (
    BrokenInt,
    Column,
    Course,
    ForeignInt,
    MisleadingInt,
    UnboundProxy,
    Unprintable,
)


def training(id: int) -> RealizedTraining:
    day = date(2025, 1, 4)
    return RealizedTraining(
        id=id,
        owner_id=416,
        session_starts_on=day,
        session_ends_on=day,
        duration_in_hours=Decimal("2.5"),
    )


def found(id: int) -> Found:
    return Found(id, training(id))


def missing(id: int) -> Missing:
    return Missing(id, NotFoundError("404", url=f"https://lucca.example/{id}", status=404))


def failed(id: int) -> Failed:
    error = ServerError("500", url=f"https://lucca.example/{id}", status=500, attempts=5)
    return Failed(id, error)


def refused(id: int) -> Refused:
    return Refused(str(id), InvalidIdError(f"an id is an integer, not {id!r}"))


MAKERS: list[Callable[[int], Outcome]] = [found, missing, failed, refused]
STATS = BulkStats(4, 1, 0.5, 2.0)


@pytest.mark.parametrize(
    ("outcomes", "items", "not_there", "failures", "values"),
    [
        ([], [], [], [], []),
        ([found(2), found(1)], [2, 1], [], [], []),
        ([missing(2), missing(1)], [], [2, 1], [], []),
        ([failed(2), failed(1)], [], [], [2, 1], []),
        ([refused(2), refused(1)], [], [], [], ["2", "1"]),
        (
            [refused(9), failed(7), missing(5), found(3), refused(8), failed(6), missing(4)],
            [3],
            [5, 4],
            [7, 6],
            ["9", "8"],
        ),
    ],
)
def test_each_outcome_is_sorted_into_its_place_in_order(
    outcomes: list[Outcome],
    items: list[int],
    not_there: list[int],
    failures: list[int],
    values: list[str],
) -> None:
    result = BulkResult.of(outcomes, STATS)
    assert list(result.items) == items
    assert result.missing == not_there
    assert list(result.failures) == failures
    assert [one.value for one in result.refused] == values
    assert result.stats is STATS
    assert result.stopped is None


@given(
    st.lists(st.tuples(st.sampled_from(MAKERS), st.integers(1, 10**6)), unique_by=lambda x: x[1])
)
def test_sorting_loses_nothing_and_invents_nothing(
    drawn: list[tuple[Callable[[int], Outcome], int]],
) -> None:
    outcomes = [make(id) for make, id in drawn]
    result = BulkResult.of(iter(outcomes), STATS)
    again: list[Outcome] = [
        *(Found(id, one) for id, one in result.items.items()),
        *(one for one in outcomes if isinstance(one, Missing) and one.id in result.missing),
        *(Failed(id, error) for id, error in result.failures.items()),
        *result.refused,
    ]
    places = {make: place for place, make in enumerate([Found, Missing, Failed, Refused])}
    # A stable sort by kind: the order within each kind is that of the outcomes.
    assert again == sorted(outcomes, key=lambda one: places[type(one)])


def test_the_error_of_an_outcome_narrows_it() -> None:
    """Type checkers check the assertions on types; here they run at least."""
    outcomes: list[Outcome] = [found(1), missing(2), failed(3), refused(4)]
    got: list[int] = []
    for outcome in outcomes:
        assert_type(outcome.training, RealizedTraining | None)
        if outcome.error is None:
            assert_type(outcome, Found)
            assert_type(outcome.training, RealizedTraining)
            got.append(outcome.training.id)
        else:
            assert_type(outcome, Missing | Failed | Refused)
            assert_type(outcome.error, NotFoundError | LuccaError | InvalidIdError)
            assert_type(outcome.training, None)
            assert outcome.training is None
    assert got == [1]


def test_isinstance_narrows_an_outcome() -> None:
    def told(outcome: Outcome) -> str:
        if isinstance(outcome, Found):
            assert_type(outcome.training, RealizedTraining)
            assert_type(outcome.error, None)
            return f"found {outcome.id}"
        if isinstance(outcome, Refused):
            assert_type(outcome.value, object)
            assert_type(outcome.error, InvalidIdError)
            return f"refused {outcome.value}"
        assert_type(outcome, Missing | Failed)
        assert_type(outcome.id, int)
        return f"{type(outcome).__name__} {outcome.id}"

    outcomes: list[Outcome] = [found(1), missing(2), failed(3), refused(4)]
    assert [told(one) for one in outcomes] == ["found 1", "Missing 2", "Failed 3", "refused 4"]


def test_match_narrows_an_outcome_and_knows_all_four() -> None:
    def told(outcome: Outcome) -> str:
        match outcome:
            case Found(id, record):
                assert_type(id, int)
                assert_type(record, RealizedTraining)
                return f"found {id} {record.id}"
            case Missing(id, error):
                assert_type(error, NotFoundError)
                return f"missing {id} {error.status}"
            case Failed(id, error):
                assert_type(error, LuccaError)
                return f"failed {id} {error}"
            case Refused(value, error):
                assert_type(value, object)
                assert_type(error, InvalidIdError)
                return f"refused {value}"
            case _:
                assert_never(outcome)

    outcomes: list[Outcome] = [found(1), missing(2), failed(3), refused(4)]
    assert [told(one) for one in outcomes] == [
        "found 1 1",
        "missing 2 404",
        "failed 3 500",
        "refused 4",
    ]


def kept(outcome: Outcome) -> tuple[object, ...]:
    """What must survive: errors have no equality of their own."""
    error = outcome.error
    what = outcome.value if isinstance(outcome, Refused) else outcome.id
    return type(outcome), what, outcome.training, type(error), str(error), vars(error or object)


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("make", MAKERS)
def test_outcomes_are_pickled_and_copied_whole(
    make: Callable[[int], Outcome], copied: Callable[[Any], Any]
) -> None:
    outcome = make(7)
    assert kept(copied(outcome)) == kept(outcome)


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
def test_results_are_pickled_and_copied_whole(copied: Callable[[Any], Any]) -> None:
    stopped = AuthenticationError("401", url="https://lucca.example/3", status=401)
    outcomes: list[Outcome] = [found(1), missing(2), failed(3), refused(4)]
    result = BulkResult.of(outcomes, STATS, stopped)
    other: BulkResult = copied(result)
    assert (other.items, other.missing, other.stats) == (result.items, [2], STATS)
    assert kept(Failed(3, other.failures[3])) == kept(outcomes[2])
    assert [kept(one) for one in other.refused] == [kept(outcomes[3])]
    assert (type(other.stopped), str(other.stopped)) == (AuthenticationError, "401")


def test_equal_outcomes_are_equal_and_kinds_never_mix() -> None:
    error = NotFoundError("404", url="https://lucca.example/1", status=404)
    assert Found(1, training(1)) == found(1) != found(2)
    assert Missing(1, error) == Missing(1, error)
    alike: list[Outcome] = [Missing(1, error), Failed(1, error)]
    assert alike[0] != alike[1]
    assert hash(found(1)) == hash(found(1))


@pytest.mark.parametrize(
    "value",
    [
        *(make(1) for make in MAKERS),
        BulkResult.of([], STATS),
        STATS,
        Progress(0, 0, 0, 0, 0, 0, 0.0, None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_run_gives_is_frozen(value: Any) -> None:
    for field in value.__attrs_attrs__:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.another = None


def test_a_repr_tells_what_is_there_and_no_constant() -> None:
    told = "Refused(value='4', error=InvalidIdError('an id is an integer, not 4'))"
    assert repr(refused(4)) == told
    assert "training" not in repr(missing(1))
    assert "error" not in repr(found(1))


def test_nothing_failed_raises_nothing() -> None:
    BulkResult.of([], STATS).raise_for_failures()
    BulkResult.of([found(1), missing(2)], STATS).raise_for_failures()


def test_distinct_errors_are_raised_once_each_with_the_refused_ones() -> None:
    key = AuthenticationError("401", url="https://lucca.example/1", status=401)
    server, invalid = failed(9), refused(0)
    same = [Failed(id, key) for id in range(3, 9)]
    outcomes: list[Outcome] = [found(1), missing(2), missing(10), *same, server, invalid]
    with pytest.raises(ExceptionGroup, match="^8 of 11 ids failed$") as caught:
        BulkResult.of(outcomes, STATS, stopped=key).raise_for_failures()
    assert caught.value.exceptions == (key, server.error, invalid.error)


@pytest.mark.parametrize("make", [failed, refused])
def test_one_failure_of_either_kind_is_enough(make: Callable[[int], Outcome]) -> None:
    outcome = make(1)
    with pytest.raises(ExceptionGroup, match="1 of 2 ids failed") as caught:
        BulkResult.of([found(2), outcome], STATS).raise_for_failures()
    assert caught.value.exceptions == (outcome.error,)


def test_an_early_end_is_raised_even_if_no_id_has_failed() -> None:
    """A closed client met a source at rest: what was read was found, but not all was read."""
    closed = ClientClosedError("this client was closed")
    with pytest.raises(ExceptionGroup) as caught:
        BulkResult.of([found(1)], STATS, closed).raise_for_failures()
    assert caught.value.exceptions == (closed,)


def test_equal_errors_that_are_not_the_same_are_told_each() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        BulkResult.of([refused(1), refused(1), failed(1)], STATS).raise_for_failures()
    assert len(caught.value.exceptions) == 3


async def test_foreign_integers_are_fetched_and_told_as_plain_ints() -> None:
    async with stage() as on:
        ids: list[Any] = [ForeignInt(5), 5, Course.FRENCH, ForeignInt(235)]
        result = await on.trainings.get_many(ids)
        assert sorted(on.ids) == ["235", "5"]
        assert list(result.items) == [5, 235]
        assert {type(id) for id in result.items} == {int}
        assert result.items[5].id == 5
        single: Any = ForeignInt(5)
        assert (await on.trainings.get(single)).id == 5
        with pytest.raises(InvalidIdError):
            await on.trainings.get(True)


async def test_the_outcome_of_a_foreign_integer_has_a_plain_int_whatever_it_is() -> None:
    async with stage(api_key="wrong-key") as on:
        ids: list[Any] = [ForeignInt(5)]
        result = await on.trainings.get_many(ids)
        assert [type(id) for id in result.failures] == [int]


async def test_a_broken_integer_is_refused_and_costs_the_others_nothing() -> None:
    broken, bools = BrokenInt(), [True, False]
    async with stage() as on:
        ids: list[Any] = [1, broken, *bools, MisleadingInt(), 2]
        result = await on.trainings.get_many(ids)
        assert list(result.items) == [1, 2]
        assert [refused.value for refused in result.refused] == ids[1:5]
        assert len(on.sandbox.arrivals) == 2


async def test_numpys_integers_are_ids_and_its_bools_are_not() -> None:
    numpy = pytest.importorskip("numpy")
    async with stage() as on:
        result = await on.trainings.get_many([*numpy.arange(1, 4), numpy.int16(2), numpy.True_])
        assert list(result.items) == [1, 2, 3]
        assert {type(id) for id in result.items} == {int}
        assert [type(refused.value) for refused in result.refused] == [numpy.bool_]


async def test_values_that_resist_being_looked_at_are_refused_one_by_one() -> None:
    odd: list[Any] = [Column(), Column(), UnboundProxy(), Unprintable(), Unprintable()]
    async with stage() as on:
        result = await on.trainings.get_many([1, *odd, 2])
        assert list(result.items) == [1, 2]
        assert [id(refused.value) for refused in result.refused] == [id(value) for value in odd]
