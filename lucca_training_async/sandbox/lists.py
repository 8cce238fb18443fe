"""The three lists of the sandbox: where they are, what they hold, and how they are filtered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from . import catalogue, data, demands
from .question import (
    Filter,
    at,
    day,
    day_of,
    flag,
    folded,
    integer,
    integers,
    is_among,
    text,
    words,
)

Kind = Literal["realized training", "training", "training demand"]
"""What a record is."""


@attrs.frozen
class List:
    """One list.

    Attributes:
        path: Its path.
        size: How many records are generated, with the ids from 1.
        make: Makes the one with this id.
        filters: Its filters by the names of their parameters.
        matching: Those ids whose generated records pass, cheaply; None to look at each record.
    """

    path: str
    size: int
    make: Callable[[int], dict[str, Any]]
    filters: Mapping[str, Filter]
    matching: Callable[[Sequence[int], Mapping[str, Any]], list[int]] | None = None


def _ids(*path: str) -> Filter:
    return Filter(integers, lambda record, wanted: is_among(at(record, *path), wanted))


def _id(*path: str) -> Filter:
    return Filter(integer, lambda record, one: is_among(at(record, *path), frozenset([one])))


def _words(*path: str, allowed: Sequence[str] | None = None) -> Filter:
    def passes(record: Mapping[str, Any], wanted: frozenset[str]) -> bool:
        value = at(record, *path)
        return isinstance(value, str) and value in wanted

    return Filter(words(allowed), passes)


def _has_attended(record: Mapping[str, Any], wanted: bool) -> bool:
    # Lucca's default is true.
    return (at(record, "hasAttended") is not False) is wanted


def _ends_before(record: Mapping[str, Any], bound: Any) -> bool:
    ends = day_of(at(record, "sessionEndsOn"))
    return ends is not None and ends < bound


def _ends_after(record: Mapping[str, Any], bound: Any) -> bool:
    ends = day_of(at(record, "sessionEndsOn"))
    return ends is not None and ends > bound


def _is_about(record: Mapping[str, Any], words: str) -> bool:
    told = [at(record, member) for member in ("title", "subtitle", "description")]
    return any(words in folded(value) for value in told if isinstance(value, str))


# Here bounds exclude their day: a session that ends on the very day of a bound passes neither.
# That is what Lucca's deprecated v1 did; what v2 does isn't documented.
_REALIZED_FILTERS: Final = {
    "ownerIds": _ids("ownerId"),
    "hasAttended": Filter(flag, _has_attended),
    "sessionEndOnBefore": Filter(day, _ends_before),
    "sessionEndOnAfter": Filter(day, _ends_after),
    "trainingId": _ids("training", "id"),
}
_CATALOGUE_FILTERS: Final = {
    "search": Filter(text, _is_about),
    "providerIds": _ids("provider", "id"),
    "categoryIds": _ids("category", "id"),
    "id": _ids("id"),
}
_DEMAND_FILTERS: Final = {
    "ownerId": _id("owner", "id"),
    "sessionId": _id("session", "id"),
    "states": _words("state", allowed=("Invalid", "Requested", "Registered", "Realized")),
    "departmentIds": _ids("owner", "departmentId"),
    "establishmentIds": _ids("owner", "establishmentId"),
    "priorityLevels": _words("prioritization", "level"),
}


def served(size: int) -> dict[Kind, List]:
    """The three, with so many realized trainings."""
    return {
        "realized training": List(
            "/talent-training/api/v2/realized-trainings",
            size,
            data.realized_training,
            _REALIZED_FILTERS,
            data.matching,
        ),
        "training": List(
            "/talent-training/api/v1/trainings",
            catalogue.COURSES,
            catalogue.training,
            _CATALOGUE_FILTERS,
        ),
        "training demand": List(
            "/talent-training/api/v2/training-demands",
            demands.DEMANDS,
            demands.training_demand,
            _DEMAND_FILTERS,
        ),
    }
