"""Training demands, ``/talent-training/api/v2/training-demands``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex

from .._budget import Priority
from .._http.call import Caller
from .._lists import Endpoint, Filter, OnError, RecordList
from ..models import TrainingDemand
from ._filters import Ids, filters_or_none, id_filter, ids_filter, texts_filter

_PATH = "/talent-training/api/v2/training-demands"
# Lucca's documentation describes these filters and doesn't show their names. A wrong one
# costs requests and a warning, but no record too many.
_DEPARTMENTS = "departmentIds"
_ESTABLISHMENTS = "establishmentIds"
_PRIORITY_LEVELS = "priorityLevels"


class TrainingDemands:
    """Reads training demands; found as ``client.training_demands``."""

    def __init__(self, caller: Caller) -> None:
        self._endpoint: Endpoint[TrainingDemand] = Endpoint(caller, _PATH, TrainingDemand)

    def list(
        self,
        *,
        owner_id: SupportsIndex | None = None,
        session_id: SupportsIndex | None = None,
        states: Iterable[str] | None = None,
        department_ids: Ids | None = None,
        establishment_ids: Ids | None = None,
        priority_levels: Iterable[str] | None = None,
        page_size: int = 100,
        on_error: OnError = "raise",
        priority: Priority = "bulk",
    ) -> RecordList[TrainingDemand]:
        """All demands that answer the filters; as ``client.realized_trainings.list`` does.

        Source: Lucca's developer documentation, "List training-demands" (v2).

        Args:
            owner_id: Only of this employee.
            session_id: Only for this session.
            states: Only in one of these states, see
                :class:`~lucca_training_async.TrainingDemandState`.
            department_ids: Only of employees of these departments.
            establishment_ids: Only of employees of these establishments.
            priority_levels: Only with one of these levels of priority.
            page_size: The most records of a page, 1 to 100.
            on_error: What becomes of an item that is no demand: ``"raise"``, or a plain
                function that is called with the :class:`~lucca_training_async.DecodeError`.
            priority: ``"interactive"`` if a person waits for it.

        Raises:
            InvalidIdError: A value is no id.
            TypeError: A filter is of the wrong type.
            ValueError: ``page_size`` is out of bounds.
        """

        def make() -> list[Filter[Any]]:
            return [
                *id_filter("ownerId", owner_id, _owner_id),
                *id_filter("sessionId", session_id, _session_id),
                *texts_filter("states", "states", states, _state),
                *ids_filter("department_ids", _DEPARTMENTS, department_ids, _department_id),
                *ids_filter(
                    "establishment_ids", _ESTABLISHMENTS, establishment_ids, _establishment_id
                ),
                *texts_filter("priority_levels", _PRIORITY_LEVELS, priority_levels, _priority),
            ]

        return RecordList(self._endpoint, filters_or_none(make), page_size, on_error, priority)


def _owner_id(demand: TrainingDemand) -> int | None:
    return None if demand.owner is None else demand.owner.id


def _session_id(demand: TrainingDemand) -> int | None:
    return None if demand.session is None else demand.session.id


def _state(demand: TrainingDemand) -> str | None:
    return None if demand.state is None else str(demand.state)


def _department_id(demand: TrainingDemand) -> int | None:
    return None if demand.owner is None else demand.owner.department_id


def _establishment_id(demand: TrainingDemand) -> int | None:
    return None if demand.owner is None else demand.owner.establishment_id


def _priority(demand: TrainingDemand) -> str | None:
    return None if demand.prioritization is None else demand.prioritization.level
