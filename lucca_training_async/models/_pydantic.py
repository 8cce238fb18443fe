"""Records in pydantic's terms; only pydantic's call imports this, so the core does without it.

No JSON that pydantic writes has a number of more digits than a float. So an hour is a string to it,
as any Decimal is, and noted by who writes the answer (``noted``), who makes it the number again.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast, get_args, get_origin

import attrs
from pydantic_core import CoreSchema, core_schema

from ._converter import camel, unstructure
from ._json import dumps

Numbers = set[tuple[str, str]]
"""Members whose value is a number that was written as a string: name and text."""

_noted: ContextVar[Numbers | None] = ContextVar("lucca_numbers", default=None)

_SCHEMAS: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    Decimal: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    Mapping: {"type": "object", "additionalProperties": True},
}


@contextmanager
def noted() -> Generator[Numbers, None, None]:
    """Those that are written within, by this task and those that it starts."""
    numbers: Numbers = set()
    token = _noted.set(numbers)
    try:
        yield numbers
    finally:
        _noted.reset(token)


def schema_of(record: type[Any]) -> CoreSchema:
    """An instance goes through as it is, and is written as Lucca writes it; nothing is read."""
    return core_schema.is_instance_schema(
        record,
        # By it pydantic knows the definition again, and its name.
        ref=f"{record.__module__}.{record.__qualname__}:{id(record)}",
        serialization=core_schema.plain_serializer_function_ser_schema(
            _written, info_arg=True, when_used="json"
        ),
    )


def json_schema_of(record: type[Any]) -> dict[str, Any]:
    """What is written, for JSON Schema and so for OpenAPI."""
    told = _descriptions(record)
    members: dict[str, Any] = {}
    for field in attrs.fields(record):
        member = _json_schema(field.type)
        if field.name in told:
            member = {**member, "description": told[field.name]}
        members[camel(field.name)] = member
    return {
        "title": record.__name__,
        "type": "object",
        "properties": members,
        # What Lucca leaves out is written as null.
        "required": list(members),
    }


def _json_schema(annotation: Any) -> dict[str, Any]:
    union = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    kinds = [get_origin(kind) or kind for kind in union if kind is not types.NoneType]
    # Of an open enum the values of today, and any other string.
    enums = [kind for kind in kinds if issubclass(kind, Enum)]
    (kind,) = [kind for kind in kinds if kind not in enums]
    schema = json_schema_of(kind) if attrs.has(kind) else _SCHEMAS[kind]
    for enum in enums:
        schema = {**schema, "examples": [member.value for member in enum]}
    return schema if len(union) == 1 else {"anyOf": [schema, {"type": "null"}]}


def _descriptions(record: type[Any]) -> dict[str, str]:
    """What its docstring says of each field, where that is no Sphinx."""
    _, _, attributes = (inspect.getdoc(record) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found if "`" not in text}


def _written(record: Any, info: core_schema.SerializationInfo) -> Any:
    if info.include is not None or info.exclude is not None:
        # To leave a field in that was to be left out would tell what nobody should be told.
        raise ValueError(f"a {type(record).__name__} is sent whole: include and exclude are not")
    return _plain(unstructure(record), info.exclude_none)


def _plain(value: object, exclude_none: bool) -> object:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value).items()
        return {
            _whole(name): _text(name, it) if isinstance(it, Decimal) else _plain(it, exclude_none)
            for name, it in members
            if it is not None or not exclude_none
        }
    if isinstance(value, list):
        return [_plain(it, exclude_none) for it in cast("list[object]", value)]
    return _whole(value) if isinstance(value, str) else value


def _whole(text: str) -> str:
    """Half of a character, which to_json escapes, is an error to pydantic."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(name: str, number: Decimal) -> str:
    text = dumps(number)
    numbers = _noted.get()
    if numbers is not None:
        numbers.add((name, text))
    return text
