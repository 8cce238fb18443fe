"""A realized training: who completed which course, when, and for how many hours."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from datetime import date
from decimal import Decimal
from enum import StrEnum

import attrs

from ._converter import register, register_open_enum
from ._record import Record

MAX_ID = 2**31 - 1
"""Ids are int32 from 1 in Lucca's documentation ("Get a realized-training")."""


class TrainingLevel(StrEnum):
    """The levels that Lucca documents today."""

    BEGINNER = "Beginner"
    MIDDLE = "Middle"
    EXPERT = "Expert"


@attrs.frozen(kw_only=True)
class TrainingSummary:
    """The course, as far as a realized training tells of it.

    Attributes:
        id: Id of the training, if Lucca gives it.
        title: Its title.
        category_id: Id of its category.
        provider_url: The provider's web page, as Lucca writes it.
        level: A :class:`TrainingLevel`, or the plain string of a level added since.
    """

    id: int | None = None
    title: str | None = None
    category_id: int | None = None
    provider_url: str | None = None
    level: TrainingLevel | str | None = None


@attrs.frozen(kw_only=True)
class RealizedTraining(Record):
    """One employee's completed session of one training; an immutable attrs class.

    Source: Lucca's developer documentation, "Get a realized-training" (v2).

    Attributes:
        id: Id of the realized training; where Lucca leaves it out, the one asked for.
        owner_id: Id of the employee.
        training: The course.
        training_demand_id: Id of the demand it answers, if it began as one.
        session_id: Id of the session.
        session_starts_on: First day.
        session_ends_on: Last day, included.
        has_attended: Whether the employee came; true where Lucca doesn't say.
        duration_in_hours: Exact hours; ``Decimal("2.5")`` is two and a half hours.
    """

    id: int
    owner_id: int
    training: TrainingSummary | None = None
    training_demand_id: int | None = None
    session_id: int | None = None
    session_starts_on: date
    session_ends_on: date
    has_attended: bool = True
    duration_in_hours: Decimal


register_open_enum(TrainingLevel)
register(TrainingSummary, RealizedTraining)
