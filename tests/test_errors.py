"""Errors survive pickling and copying whole, and say what a reader needs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import lucca_training_async
from lucca_training_async import (
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    OutageError,
    ProblemDetails,
    RateLimitedError,
    RequestError,
    ResponseError,
    ServerError,
    UsageError,
)

URL = "https://acme.ilucca.net/talent-training/api/v2/realized-trainings/235"


def every_class(cls: type[LuccaError] = LuccaError) -> list[type[LuccaError]]:
    """Ours, not those that tests make up."""
    ours = [sub for sub in cls.__subclasses__() if sub.__module__.startswith("lucca_")]
    return [cls, *(found for sub in ours for found in every_class(sub))]


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
    if issubclass(cls, OutageError):
        seen = ServerError("503", url=URL, status=503, attempts=2)
        return cls("message", url=URL, since=datetime.now(UTC), last_seen=seen, retry_after=2.5)
    if issubclass(cls, LuccaConnectionError):
        return cls("message", url=URL, attempts=2, transient=False)
    if issubclass(cls, RequestError) and not issubclass(cls, DecodeError):
        return cls("message", url=URL, attempts=2, request_id="abc", transient=True)
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
    assert (str(twin), twin.args) == (str(error), error.args)
    assert comparable(twin) == comparable(error)


def comparable(error: LuccaError) -> dict[str, object]:
    """What it holds; an error in it has no equal but itself."""
    return {
        name: (type(value), str(value), vars(value)) if isinstance(value, LuccaError) else value
        for name, value in vars(error).items()
    }


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
        (ClientClosedError, RuntimeError),
        *((cls, RequestError) for cls in (LuccaConnectionError, ResponseError, DecodeError)),
    ],
)
def test_errors_can_be_caught_by_their_kind(cls: type, base: type) -> None:
    assert issubclass(cls, base)


@pytest.mark.parametrize("cls", [ClientClosedError, InvalidIdError, ConfigurationError])
def test_errors_of_different_kinds_are_not_caught_together(cls: type[LuccaError]) -> None:
    """Misuse is a bug; a closed client at shutdown is none."""
    assert not issubclass(cls, (UsageError, RequestError))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        *((ResponseError("", url=URL, status=status), True) for status in (408, 429, 500, 599)),
        *((ResponseError("", url=URL, status=status), False) for status in (302, 400, 404, 413)),
        (LuccaConnectionError("", url=URL), True),
        (LuccaTimeoutError("", url=URL), True),
        (LuccaConnectionError("", url=URL, transient=False), False),
        (DecodeError("", url=URL, path="$", excerpt=""), False),
        (RequestError("", url=URL), False),
    ],
)
def test_an_error_says_whether_another_attempt_may_help(
    error: RequestError, transient: bool
) -> None:
    assert error.transient is transient


def test_a_problem_reads_well() -> None:
    problem = ProblemDetails(title="Bad", detail="Worse", errors={"ownerId": ("is 0", "is old")})
    assert str(problem) == "Bad - Worse - ownerId: is 0 is old"
    assert str(ProblemDetails()) == ""
