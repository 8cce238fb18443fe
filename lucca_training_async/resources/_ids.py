"""What is an id, and what isn't."""

from __future__ import annotations

import operator
import reprlib
from typing import SupportsIndex, cast

from ..errors import InvalidIdError
from ..models import MAX_ID


def check_id(value: object) -> int:
    """The value as a plain int.

    Whatever Python itself takes for an integer is one (numpy's integers, an ``IntEnum``,
    anything with ``__index__``), but no bool.

    Raises:
        InvalidIdError: It is no integer, or outside 1 to 2**31 - 1.
    """
    if type(value) is int and 1 <= value <= MAX_ID:
        return value  # what nearly all are
    number = _integer(value)
    if number is None:
        hint = "; convert it with int()" if _reads_as_integer(value) else ""
        told = f"{type(value).__name__} {_shown(value)}{hint}"
    elif 1 <= number <= MAX_ID:
        return number
    else:
        told = _shown(value)
    raise InvalidIdError(f"an id is an integer from 1 to {MAX_ID}, not {told}")


def _integer(value: object) -> int | None:
    if type(value) is bool:
        return None
    try:
        return operator.index(cast(SupportsIndex, value))
    except Exception:  # it is no integer, or somebody's __index__ is broken
        return None


def _shown(value: object) -> str:
    try:
        shown = reprlib.repr(value)
    except Exception:  # somebody's __repr__, or an int of more digits than Python will print
        return "(not printable)"
    return shown if shown.isprintable() else ascii(shown)


def _reads_as_integer(value: object) -> bool:
    if issubclass(type(value), float):  # numpy's float64 is one
        return cast(float, value).is_integer()
    return type(value) is str and value.strip().isdecimal()
