"""Records for lists, what of them answers which filters, and a stage with either server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, NamedTuple, TypeVar

from lucca_training_async import LuccaTrainingClient
from lucca_training_async.resources import RealizedTrainings

from .other_lucca import KEY, REALIZED, Item, OtherLucca, Reading, Twist
from .support import QUICK

T = TypeVar("T")
FIRST_DAY = date(2024, 1, 1)


def realized(
    id: int, owner: int = 1, training: int | None = 1, day: int = 0, attended: bool | None = True
) -> Item:
    """A realized training that ended so many days after the first."""
    ends = (FIRST_DAY + timedelta(days=day)).isoformat()
    item: Item = {"id": id, "ownerId": owner, "sessionStartsOn": ends, "sessionEndsOn": ends}
    if training is not None:
        item["training"] = {"id": training, "title": f"No. {training}", "level": "Expert"}
    if attended is not None:
        item["hasAttended"] = attended
    return item | {"durationInHours": id % 7 + 0.25}


def some(count: int) -> list[Item]:
    return [
        realized(n, n % 7 + 1, n % 5 + 1, n % 28, None if n % 3 else n % 2 == 0)
        for n in range(1, count + 1)
    ]


def wanted(
    records: Sequence[Item],
    *,
    owner_ids: Sequence[int] | None = None,
    training_ids: Sequence[int] | None = None,
    has_attended: bool | None = None,
    ended_from: date | None = None,
    ended_to: date | None = None,
) -> list[int]:
    """The ids of those that answer, in their order."""

    def answers(item: Item) -> bool:
        ends = date.fromisoformat(item["sessionEndsOn"][:10])
        training = item["training"]["id"] if "training" in item else None
        return (
            (owner_ids is None or item["ownerId"] in owner_ids)
            and (training_ids is None or training in training_ids)
            and (has_attended is None or item.get("hasAttended", True) == has_attended)
            and (ended_from is None or ends >= ended_from)
            and (ended_to is None or ends <= ended_to)
        )

    return sorted(item["id"] for item in records if answers(item))


class Lists(NamedTuple):
    server: OtherLucca
    client: LuccaTrainingClient

    @property
    def realized(self) -> RealizedTrainings:
        return self.client.realized_trainings

    @property
    def pages_asked_for(self) -> list[str]:
        return [asked.page for asked in self.server.asked]


@asynccontextmanager
async def lists(
    records: Sequence[Item] = (),
    reading: Reading | None = None,
    twist: Twist | None = None,
    **settings: Any,
) -> AsyncGenerator[Lists, None]:
    """The other Lucca with these realized trainings, and a client of it."""
    settings = {"rate_limit": None, "retry": QUICK} | settings
    async with OtherLucca({REALIZED: records}, reading, twist).running() as server:
        async with LuccaTrainingClient(server.url, KEY, **settings) as client:
            yield Lists(server, client)
        assert (client.budget.in_flight, client.budget.waiting) == (0, 0)


async def all_of(records: AsyncIterable[T]) -> list[T]:
    return [record async for record in records]


async def ids_of(records: AsyncIterable[Any]) -> list[int]:
    return [record.id async for record in records]


def told(page: Callable[[int, Item], Item]) -> Twist:
    """A twist that is a plain function of the request's number and the page."""

    async def twist(asked: Any, item: Item) -> Item:
        return page(asked.number, item)

    return twist
