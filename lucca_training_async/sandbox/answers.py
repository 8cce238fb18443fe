"""What a request is answered when nothing goes wrong: a record, a page, or why there is none."""

from __future__ import annotations

from aiohttp import web
from multidict import MultiMapping

from ..models import MAX_ID
from .faults import problem
from .lists import Kind
from .question import BadQueryError, Question
from .store import Store

_ONE_OF: Kind = "realized training"
"""Of these alone Lucca gives single ones."""


def id_in(store: Store, path: str) -> str | None:
    """What stands in a path where the id of a record does; None if it asks for no single one."""
    parent, _, last = path.rpartition("/")
    return last if parent == store.lists[_ONE_OF].path else None


def number_in(text: str) -> int:
    """The number that a path segment spells, 0 if none of at most ten digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0


async def normal_answer(store: Store, request: web.Request) -> web.Response:
    """The answer from what the store holds."""
    if (given := store.answers.get(request.path)) is not None:
        return _json(given.text, given.status)
    kind = store.list_at(request.path)
    one = id_in(store, request.path)
    asked = f"{request.method} {request.path}"
    if kind is None and one is None:
        return problem(404, f"{asked}: there is no such resource.")
    if request.method not in ("GET", "HEAD"):
        return problem(405, f"{asked}: it can only be read.", headers={"Allow": "GET, HEAD"})
    if kind is not None:
        return await _page(store, kind, request.query)
    return _one(store, one or "")


def _one(store: Store, text: str) -> web.Response:
    number = number_in(text)
    if not 1 <= number <= MAX_ID:
        return problem(400, "The request is invalid.", errors={"Id": [f"'{text}' is no id."]})
    record = store.records(_ONE_OF).text(number)
    if record is None:
        return problem(404, f"There is no {_ONE_OF} {number}.")
    return _json(record)


async def _page(store: Store, kind: Kind, query: MultiMapping[str]) -> web.Response:
    asked = store.lists[kind]
    try:
        question = Question.read(asked.path, asked.filters, query)
    except BadQueryError as error:
        return problem(400, "The request is invalid.", errors=error.errors)
    return _json(await store.records(kind).page(question))


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/json")
