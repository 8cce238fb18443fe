"""A server of both lists that misbehaves as the sandbox can't: it shares no code with either."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import attrs

from lucca_training_async import LuccaTrainingClient, RealizedTraining
from lucca_training_async.resources import RealizedTrainings, Trainings
from lucca_training_async.sandbox.data import realized_training

from .raw_server import RawServer, Request
from .raw_stage import KEY, answer
from .support import QUICK

Wire = dict[str, Any]
Reads = Literal["both", "repeated", "nothing"]
"""How the server reads an array: in both styles, in one of them, or it knows no filter."""

NOT_FOUND = answer(b'{"title": "Not Found", "status": 404}', "404 Not Found")
BROKEN = answer(b'{"title": "It broke", "status": 500}', "500 Internal Server Error")
REFUSED = {
    401: answer(b'{"title": "Unauthorized", "status": 401}', "401 Unauthorized"),
    403: answer(b'{"title": "Forbidden", "status": 403}', "403 Forbidden"),
    404: NOT_FOUND,
}


class Asked(NamedTuple):
    """A question: which one over all, for one record or (0) for a page of those with some ids."""

    number: int
    id: int
    ids: list[int]
    page: int
    request: Request


OLD = "0" * 16  # the fingerprint of no record

Interfere = Callable[[Asked], bytes | None]
"""Called before each answer: it may alter the records, or give another answer."""


def always(data: bytes) -> Interfere:
    """The same answer to everything."""

    def give(_: Asked) -> bytes:
        return data

    return give


def wire(id: int, version: int = 0) -> Wire:
    """A record, which differs by its version."""
    return realized_training(id) | {"durationInHours": version + 1}


def wires(*ids: int) -> list[Wire]:
    return [wire(id) for id in ids]


def course(id: int) -> Wire:
    return {"id": id, "title": f"Course {id}"}


def mark(record: Wire) -> str:
    """The fingerprint of a record as the server has it."""
    return RealizedTraining.from_json(json.dumps(record)).fingerprint


@attrs.define
class Lists:
    """The records, in the order in which they are listed, and how they are told of.

    Attributes:
        records: By id; a value that is None is listed as ``null``.
        interfere: What happens before each answer.
        reads: How an array is read.
        counts: Whether the pages tell how many records there are.
        most: The most items of a page, whatever is asked for.
    """

    records: dict[int, Any]
    interfere: Interfere = lambda _: None
    reads: Reads = "both"
    counts: bool = True
    most: int = 100
    asked: list[Asked] = attrs.field(factory=list[Asked])

    @property
    def pages(self) -> list[Asked]:
        return [each for each in self.asked if not each.id]

    @property
    def singles(self) -> list[int]:
        """The ids that were asked for by themselves."""
        return [each.id for each in self.asked if each.id]

    async def handle(self, request: Request) -> bool:
        parts = urlsplit(request.head.split()[1])
        query = parse_qs(parts.query)
        page = int(query.get("page", ["1"])[0])
        asked = Asked(len(self.asked) + 1, request.id, self._ids(query), page, request)
        self.asked.append(asked)
        own = self.interfere(asked)
        await request.send(own if own is not None else self._answer(asked, query))
        return True

    def _ids(self, query: dict[str, list[str]]) -> list[int]:
        texts = query.get("id", [])
        if self.reads != "repeated":
            texts = [part for text in texts for part in text.split(",")]
        return [int(text) for text in texts if text.isdecimal()]

    def _answer(self, asked: Asked, query: dict[str, list[str]]) -> bytes:
        if asked.id:
            found = self.records.get(asked.id)
            return NOT_FOUND if found is None else answer(json.dumps(found).encode())
        limit = min(self.most, int(query["limit"][0]))
        is_filtered = "id" in query and self.reads != "nothing"
        wanted = asked.ids if is_filtered else self.records
        all_of_them = [record for id, record in self.records.items() if id in wanted]
        start = (asked.page - 1) * limit
        body: Wire = {"items": all_of_them[start : start + limit], "prev": None}
        body["next"] = asked.page + 1 if start + limit < len(all_of_them) else None
        if self.counts:
            body["count"] = len(all_of_them)
        return answer(json.dumps(body).encode())


class ListStage(NamedTuple):
    server: Lists
    client: LuccaTrainingClient

    @property
    def realized(self) -> RealizedTrainings:
        return self.client.realized_trainings

    @property
    def trainings(self) -> Trainings:
        return self.client.trainings

    @property
    def known(self) -> dict[int, str]:
        """What there is to know."""
        return {id: mark(record) for id, record in self.server.records.items()}


@asynccontextmanager
async def list_stage(
    records: Iterable[Wire], /, *, retry: Any = QUICK, **habits: Any
) -> AsyncGenerator[ListStage, None]:
    """A server of these records and a client of it, which is idle at the end."""
    lists = Lists({record["id"]: record for record in records}, **habits)
    async with RawServer(lists.handle).running() as server:
        async with LuccaTrainingClient(server.url, KEY, rate_limit=None, retry=retry) as client:
            yield ListStage(lists, client)
            assert (client.budget.in_flight, client.budget.waiting) == (0, 0)


async def told(on: ListStage, known: Mapping[int, str], **how: Any) -> list[tuple[str, int]]:
    """The changes of a sync, by the names of their kinds."""
    changes = on.realized.sync(known, **how)
    return [(type(change).__name__, change.id) async for change in changes]
