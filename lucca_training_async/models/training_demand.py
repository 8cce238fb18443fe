"""A training demand: an employee's request for a training."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import attrs

from ._converter import register, register_open_enum
from ._record import Record
from .realized_training import TrainingSummary
from .training import TrainingProvider


class TrainingDemandState(StrEnum):
    """The states that Lucca documents today."""

    INVALID = "Invalid"
    REQUESTED = "Requested"
    REGISTERED = "Registered"
    REALIZED = "Realized"


@attrs.frozen(kw_only=True)
class Employee:
    """An employee, as far as a training demand tells of one.

    Attributes:
        id: The employee's id.
        first_name: First name.
        last_name: Last name.
        type: Of the author of a demand: as what, ``"Owner"`` say.
        establishment_id: Id of the establishment.
        department_id: Id of the department.
    """

    id: int | None = None
    first_name: str | None = None
    last_name: str | None = None
    type: str | None = None
    establishment_id: int | None = None
    department_id: int | None = None


@attrs.frozen(kw_only=True)
class TrainingPlan:
    """The plan that a demand was added to.

    Attributes:
        id: Its id.
        name: Its name.
        start_on: Its first day.
    """

    id: int | None = None
    name: str | None = None
    start_on: date | None = None


@attrs.frozen(kw_only=True)
class TrainingSession:
    """The session that an employee is registered on.

    Attributes:
        id: Its id.
        start_on: First day.
        end_on: Last day.
        duration_in_hours: Exact hours.
    """

    id: int | None = None
    start_on: date | None = None
    end_on: date | None = None
    duration_in_hours: Decimal | None = None


@attrs.frozen(kw_only=True)
class Prioritization:
    """How much a demand matters to the company.

    Attributes:
        id: Id of the priority.
        name: Its name.
        level: Its level, ``"High"`` say.
        last_modified_at: When it was given. Of Lucca's seven fractional digits of a second, six
            are kept.
    """

    id: int | None = None
    name: str | None = None
    level: str | None = None
    last_modified_at: datetime | None = None


@attrs.frozen(kw_only=True)
class TrainingDemand(Record):
    """One employee's demand for a training; an immutable attrs class.

    Source: Lucca's developer documentation, "List training-demands" (v2).

    Attributes:
        id: Its id.
        state: A :class:`TrainingDemandState`, or the plain string of a state added since.
        status: Where it stands in more detail, ``"PendingRegistration"`` say.
        reason: Why it was made.
        training: The course.
        provider: Who holds it.
        author: Who asked for it.
        owner: Who is to be trained.
        plan: The plan it was added to, if it was.
        session: The session the owner is registered on, if so.
        registered_on: Since when.
        prioritization: Its priority.
        created_at: When it was made. Of Lucca's seven fractional digits of a second, six are
            kept.
    """

    id: int
    state: TrainingDemandState | str | None = None
    status: str | None = None
    reason: str | None = None
    training: TrainingSummary | None = None
    provider: TrainingProvider | None = None
    author: Employee | None = None
    owner: Employee | None = None
    plan: TrainingPlan | None = None
    session: TrainingSession | None = None
    registered_on: date | None = None
    prioritization: Prioritization | None = None
    created_at: datetime | None = None


register_open_enum(TrainingDemandState)
register(Employee, TrainingPlan, TrainingSession, Prioritization, TrainingDemand)
