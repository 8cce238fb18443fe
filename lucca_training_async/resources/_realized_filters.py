"""What a list of realized trainings can be asked for."""

from __future__ import annotations

from datetime import date
from typing import Any

from .._lists import Filter, equals, not_after, not_before
from ..models import RealizedTraining
from ._filters import day, filters_or_none, flag, ids_filter


def realized_filters(
    owner_ids: object,
    training_ids: object,
    has_attended: object,
    ended_from: object,
    ended_to: object,
) -> tuple[Filter[RealizedTraining], ...] | None:
    """What a list of realized trainings is asked for; None where nothing can answer it.

    Raises:
        InvalidIdError: A value is no id.
        TypeError: One is of the wrong type.
        ValueError: ``ended_from`` is after ``ended_to``.
    """
    attended = flag("has_attended", has_attended)
    first, last = day("ended_from", ended_from), day("ended_to", ended_to)
    if first is not None and last is not None and first > last:
        raise ValueError(f"ended_from ({first}) is after ended_to ({last})")

    def make() -> list[Filter[Any]]:
        return [
            *ids_filter("owner_ids", "ownerIds", owner_ids, lambda it: it.owner_id),
            *ids_filter("training_ids", "trainingId", training_ids, _training_id),
            *([] if attended is None else [equals("hasAttended", attended, _has_attended)]),
            *([] if first is None else not_before("sessionEndOnAfter", first, _ended_on)),
            *([] if last is None else not_after("sessionEndOnBefore", last, _ended_on)),
        ]

    return filters_or_none(make)


def _training_id(record: RealizedTraining) -> int | None:
    return None if record.training is None else record.training.id


def _has_attended(record: RealizedTraining) -> bool:
    return record.has_attended


def _ended_on(record: RealizedTraining) -> date:
    return record.session_ends_on
