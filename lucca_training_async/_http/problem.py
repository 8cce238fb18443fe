"""What the body of an error answer says, whoever wrote it.

Lucca writes Problem Details; its older endpoints and the gateways in front of it write
``Status`` and ``Message``, or ``status`` and ``message``. Stack traces are nobody's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast

from .._checks import is_int
from ..errors import ProblemDetails

Quote = Callable[[str], str]

_KNOWN = frozenset({"type", "title", "status", "detail", "instance", "errors", "message"})
_MOST_ERRORS = 100
_BEYOND_ANY_STATUS = 1000
_MOST_EXTENSIONS = 50
# Each is looked through for the key, on the event loop.
_MOST_TEXTS = 200
# Names under which a list of errors gives the field and what is wrong with it.
_FIELD_NAMES = ("field", "name", "property", "propertyname", "pointer", "path", "source", "key")
_MESSAGE_NAMES = ("message", "detail", "reason", "errormessage", "description", "title")


def parse_problem(body: bytes, quote: Quote) -> ProblemDetails | None:
    """The problem in a body, or None.

    Whatever the Content-Type: gateways relabel bodies. A member of the wrong type is
    ignored, as RFC 9457, section 3.1, asks of consumers; names are read in any case.

    Args:
        body: The body.
        quote: Applied to every string: JSON's escapes may hide anything in it.
    """
    texts = 0

    def bounded(text: str) -> str:
        nonlocal texts
        texts += 1
        return quote(text) if texts <= _MOST_TEXTS else "…"

    try:
        data: object = json.loads(body)
        if not isinstance(data, dict):
            return None
        return _problem(cast("dict[str, Any]", data), bounded)
    except (ValueError, RecursionError):
        return None


def _problem(data: dict[str, Any], quote: Quote) -> ProblemDetails | None:
    members = {name.lower(): value for name, value in data.items()}

    def text(name: str) -> str | None:
        value = members.get(name)
        return quote(value) if isinstance(value, str) else None

    status = members.get("status")
    problem = ProblemDetails(
        type=text("type"),
        title=text("title"),
        status=status if is_int(status) and 0 <= status < _BEYOND_ANY_STATUS else None,
        detail=text("detail") or text("message"),
        instance=text("instance"),
        errors=_grouped(_field_errors(members.get("errors"), quote)),
        trace_id=text("traceid"),
        extensions=_extensions(data, quote),
    )
    told = (problem.title, problem.detail, problem.status, problem.type, problem.instance)
    return problem if any(told) or problem.errors or problem.trace_id else None


def _field_errors(errors: object, quote: Quote) -> Iterator[tuple[str, str]]:
    """(field, message) pairs; the field is empty where none is named."""
    if isinstance(errors, dict):
        for field, messages in cast("dict[str, object]", errors).items():
            if _is_stack_trace(field):
                continue
            listed = cast("list[object]", messages) if isinstance(messages, list) else [messages]
            for message in listed:
                if isinstance(message, str):
                    yield quote(field), quote(message)
    elif isinstance(errors, list):
        for item in cast("list[object]", errors):
            if isinstance(item, str):
                yield "", quote(item)
            elif isinstance(item, dict):
                yield from _described(cast("dict[str, object]", item), quote)


def _described(item: dict[str, object], quote: Quote) -> Iterator[tuple[str, str]]:
    members = {name.lower(): value for name, value in item.items()}

    def first(names: tuple[str, ...]) -> str:
        values = (members.get(name) for name in names)
        return next((quote(value) for value in values if isinstance(value, str)), "")

    message = first(_MESSAGE_NAMES)
    if message:
        yield first(_FIELD_NAMES), message


def _is_stack_trace(name: str) -> bool:
    return "stacktrace" in "".join(filter(str.isalpha, name.lower()))


def _grouped(pairs: Iterator[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = {}
    for field, message in islice(pairs, _MOST_ERRORS):
        grouped.setdefault(field, []).append(message)
    return {field: tuple(messages) for field, messages in grouped.items()}


def _extensions(data: dict[str, Any], quote: Quote) -> dict[str, Any]:
    others = {name: value for name, value in data.items() if name.lower() not in _KNOWN}
    return cast("dict[str, Any]", _quoted(others, quote))


def _quoted(value: Any, quote: Quote) -> Any:
    """A JSON value with all its texts quoted, no stack trace in it, and not too much of it."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return [_quoted(item, quote) for item in _first(cast("Iterable[Any]", value))]
    if isinstance(value, dict):
        members = list(cast("dict[str, Any]", value).items())[:_MOST_EXTENSIONS]
        return {
            quote(name): _quoted(item, quote) for name, item in members if not _is_stack_trace(name)
        }
    return value


def _first(items: Iterable[Any]) -> list[Any]:
    return list(islice(items, _MOST_EXTENSIONS))
