"""Trainings, the courses of the catalogue: ``/talent-training/api/v1/trainings``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, SupportsIndex

from .._budget import Priority
from .._http.call import Caller
from .._lists import (
    Endpoint,
    Filter,
    Lookup,
    OnError,
    RecordList,
    TrainingsResult,
    mentions,
    one_of,
)
from ..models import Training
from ._filters import Ids, filters_or_none, ids_filter
from ._ids import check_id

_PATH = "/talent-training/api/v1/trainings"
# Lucca's documentation describes the text search and doesn't show its name.
_SEARCH = "search"


class Trainings:
    """Reads the catalogue; found as ``client.trainings``."""

    def __init__(self, caller: Caller) -> None:
        self._endpoint: Endpoint[Training] = Endpoint(caller, _PATH, Training)

    def list(
        self,
        *,
        ids: Ids | None = None,
        search: str | None = None,
        provider_ids: Ids | None = None,
        category_ids: Ids | None = None,
        page_size: int = 100,
        on_error: OnError = "raise",
        priority: Priority = "bulk",
    ) -> RecordList[Training]:
        """All trainings that answer the filters; as ``client.realized_trainings.list`` does.

        Source: Lucca's developer documentation, "List trainings" (v1).

        Args:
            ids: Only these.
            search: Only those that have this in their title, subtitle or description.
            provider_ids: Only of these providers.
            category_ids: Only of these categories.
            page_size: The most records of a page, 1 to 100.
            on_error: What becomes of an item that is no training: ``"raise"``, or a plain
                function that is called with the :class:`~lucca_training_async.DecodeError`.
            priority: ``"interactive"`` if a person waits for it.

        Raises:
            InvalidIdError: A value is no id.
            TypeError: A filter is of the wrong type.
            ValueError: ``page_size`` is out of bounds, or ``search`` is too long.
        """
        return RecordList(
            self._endpoint,
            _filters(ids, search, provider_ids, category_ids),
            page_size,
            on_error,
            priority,
        )

    async def get_many(
        self,
        ids: Iterable[SupportsIndex] | AsyncIterable[SupportsIndex],
        *,
        priority: Priority = "bulk",
    ) -> TrainingsResult:
        """Many trainings by their ids, a hundred for a request; each id has one outcome.

        A list that Lucca fails over is asked for by halves, so that one record costs no other.

        Args:
            ids: Any iterable or async iterable; it is read to its end at once. A duplicate costs
                nothing, and a value that is no id is refused and costs nothing either.
            priority: ``"interactive"`` if a person waits for it.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string.
            ClientClosedError: The client is closed.
            UsageError: The client belongs to another event loop.
            Exception: Whatever ``ids`` raises while it is read.
        """
        return await Lookup(self._endpoint, _only, priority).result(ids, check_id)


def _only(ids: list[int]) -> Filter[Training]:
    return one_of("id", ids, lambda it: str(it.id))


def _filters(
    ids: object, search: object, provider_ids: object, category_ids: object
) -> tuple[Filter[Training], ...] | None:
    if search is not None and not isinstance(search, str):
        raise TypeError(f"search must be a str, not {type(search).__name__}")

    def make() -> list[Filter[Any]]:
        return [
            *ids_filter("ids", "id", ids, lambda it: it.id),
            *([mentions(_SEARCH, search, _texts)] if search else []),
            *ids_filter("provider_ids", "providerIds", provider_ids, _provider_id),
            *ids_filter("category_ids", "categoryIds", category_ids, _category_id),
        ]

    return filters_or_none(make)


def _texts(training: Training) -> list[str | None]:
    # Documented are the first three; in the others Lucca may look all the same.
    provider, category = training.provider, training.category
    return [
        *(training.title, training.subtitle, training.description),
        *([] if provider is None else [provider.name]),
        *([] if category is None else [category.name, str(category.t9n)]),
    ]


def _provider_id(training: Training) -> int | None:
    return None if training.provider is None else training.provider.id


def _category_id(training: Training) -> int | None:
    return None if training.category is None else training.category.id
