"""What the tests of the plans share: what a list was asked for, what goes wrong with it, and
whether two results are the same."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import attrs
from aiohttp import web

from lucca_training_async import BulkResult, InvalidIdError, LuccaError, RequestError
from lucca_training_async.sandbox import Arrival, Fault, Sandbox

LIST = 0
"""The id by which a fault meets the requests that ask for no single record: those for the list."""


def limit(arrival: Arrival) -> int | None:
    """How many items it asks for; None if it is for a single record."""
    return None if arrival.id else int(parse_qs(arrival.query)["limit"][0])


def asked(sandbox: Sandbox) -> tuple[int, int, int]:
    """How many requests there were for the count, for pages, and for single records."""
    limits = [limit(arrival) for arrival in sandbox.arrivals]
    return limits.count(0), limits.count(100), limits.count(None)


def singles(sandbox: Sandbox) -> list[int]:
    """The ids that were asked for by themselves."""
    return [int(arrival.id) for arrival in sandbox.arrivals if arrival.id]


def edited(edit: Callable[[dict[str, Any]], object], name: str = "edited") -> Fault:
    """The normal answer, but for a change of its members."""

    async def apply(_: web.Request, normal: web.Response) -> web.StreamResponse:
        assert isinstance(normal.body, bytes)
        members: dict[str, Any] = json.loads(normal.body)
        edit(members)
        return web.json_response(members)

    return Fault(name, apply)


def passes() -> Fault:
    """No fault at all: the normal answer."""
    return edited(lambda _: None, "none")


def with_members(**members: object) -> Fault:
    """The normal answer with other members."""
    return edited(lambda normal: normal.update(members))


def without(*names: str) -> Fault:
    """The normal answer without some members."""
    return edited(lambda normal: [normal.pop(name, None) for name in names])


class Log(list[Arrival]):
    """The log of a sandbox that lets things happen when a request arrives, by its number.

    Args:
        happens: Called with the number of each request, from 1 on, before it is answered.
    """

    def __init__(self, happens: Callable[[int], object]) -> None:
        super().__init__()
        self._happens = happens

    def append(self, arrival: Arrival, /) -> None:
        super().append(arrival)
        self._happens(len(self))


def told(error: LuccaError) -> tuple[object, ...]:
    """What an error tells, without how many attempts it took, and on which port."""
    if not isinstance(error, RequestError):
        return type(error), str(error) if isinstance(error, InvalidIdError) else ""
    members = {name: value for name, value in vars(error).items() if name != "attempts"}
    text = re.sub(r"after \d+ attempts?|127\.0\.0\.1:\d+", "", f"{error} {members}")
    return type(error), text


def in_short(result: BulkResult) -> dict[str, object]:
    """All that a result says of its ids, in its order."""
    return {
        "items": list(result.items.items()),
        "missing": result.missing,
        "failures": [(id, told(error)) for id, error in result.failures.items()],
        "refused": [(repr(one.value), told(one.error)) for one in result.refused],
        "stopped": None if result.stopped is None else told(result.stopped),
    }


@attrs.frozen
class Sized:
    """Says how many ids it has, and gives them once."""

    ids: Iterable[Any]
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        return iter(self.ids)


@attrs.frozen
class SizedQueue:
    """Says how many ids it has, but not when they come."""

    ids: Iterable[int]

    def __len__(self) -> int:
        return len(list(self.ids))

    async def __aiter__(self) -> AsyncGenerator[int, None]:
        for id in self.ids:
            yield id
