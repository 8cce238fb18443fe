"""Errors survive pickling and copying whole, and say what a reader needs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

import lucca_training_async
from lucca_training_async import (
    BulkResult,
    BulkStats,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    Outcome,
    ProblemDetails,
    RateLimitedError,
    ResponseError,
    UsageError,
)

URL = "https://acme.ilucca.net/talent-training/api/v2/realized-trainings/235"


def every_class(cls: type[LuccaError] = LuccaError) -> list[type[LuccaError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in every_class(sub))]


def example(cls: type[LuccaError]) -> LuccaError:
    if issubclass(cls, ResponseError):
        return cls(
            "message",
            status=429,
            url=URL,
            problem=ProblemDetails(title="Too many", errors={"id": ("no", "never")}),
            request_id="abc",
            retry_after=1.5,
            attempts=3,
        )
    if issubclass(cls, LuccaConnectionError):
        return cls("message", url=URL, attempts=2, transient=False)
    if issubclass(cls, DecodeError):
        return cls("message", path="$.training.level", excerpt="{", url=URL, request_id="abc")
    return cls("message")


def pickled(error: LuccaError) -> LuccaError:
    loaded: LuccaError = pickle.loads(pickle.dumps(error))
    return loaded


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", every_class())
def test_every_error_pickles_and_copies_whole(
    cls: type[LuccaError], duplicate: Callable[[LuccaError], LuccaError]
) -> None:
    error = example(cls)
    twin = duplicate(error)
    assert type(twin) is cls
    assert twin is not error
    assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


def test_every_error_is_public() -> None:
    assert {cls.__name__ for cls in every_class()} <= set(lucca_training_async.__all__)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (ConfigurationError, ValueError),
        (InvalidIdError, ValueError),
        (UsageError, RuntimeError),
        (LuccaTimeoutError, LuccaConnectionError),
        (RateLimitedError, ResponseError),
    ],
)
def test_errors_can_be_caught_by_their_kind(cls: type, base: type) -> None:
    assert issubclass(cls, base)


def test_outcomes_pickle() -> None:
    outcome = Outcome(3, error=example(NotFoundError))
    assert pickle.loads(pickle.dumps(outcome)).error.status == 429


def result_with(failures: dict[int, LuccaError], missing: list[int] | None = None) -> BulkResult:
    return BulkResult({}, missing or [], failures, BulkStats(0, 0, 0.0, 0.0))


def test_raise_for_failures_groups_distinct_errors() -> None:
    shared, other = example(ResponseError), example(DecodeError)
    with pytest.raises(ExceptionGroup, match="3 of 4 ids failed") as caught:
        result_with({1: shared, 2: shared, 3: other}, [4]).raise_for_failures()
    assert caught.value.exceptions == (shared, other)


def test_missing_ids_are_no_failures() -> None:
    result_with({}, [1, 2]).raise_for_failures()


def test_a_problem_reads_well() -> None:
    problem = ProblemDetails(title="Bad", detail="Worse", errors={"ownerId": ("is 0", "is old")})
    assert str(problem) == "Bad - Worse - ownerId: is 0 is old"
    assert str(ProblemDetails()) == ""
