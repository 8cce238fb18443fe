"""Records as JSON text: a Decimal becomes the number that it is, without a float in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast


def render(value: object) -> str:
    """The JSON text of a value.

    Raises:
        TypeError: It holds what JSON can't tell.
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        # Python knows no way to write a Decimal; most records have none.
        return _with_decimals(value)


def _with_decimals(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value).items()
        told = [f"{_name(name)}: {_with_decimals(member)}" for name, member in members]
        return "{" + ", ".join(told) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_with_decimals, cast("list[Any]", value))) + "]"
    return json.dumps(value, ensure_ascii=False)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a member's name must be a string, not {type(name).__name__}")
    return json.dumps(name, ensure_ascii=False)
