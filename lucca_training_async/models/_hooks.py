"""One hook for each kind of value: strict on values, liberal on how Lucca may write them.

cattrs would turn ``null`` into the string "None" and ``true`` into the hour 1; here a value of the
wrong type is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from ._faults import refuse
from ._json import MOST_DIGITS, exact

Hook = Callable[[object, Any], Any]

_JSON_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
# Older Lucca endpoints write a date as a midnight datetime. An offset is that of the local
# midnight, so the date is right as written; any other time of day is not a date.
_MIDNIGHT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_DATE_CHARACTERS = len("2025-01-04")


def an_int(value: object, _: object) -> int:
    if type(value) is int:
        return value
    # 416.0 and 1e0 are integers, too, in JSON.
    if type(value) is not Decimal or not _is_integral(value):
        refuse(value, "an integer")
    return int(value)


def _is_integral(number: Decimal) -> bool:
    # 1e999999 would be an integer of a million digits.
    return number.is_finite() and (
        not number or (number.adjusted() < MOST_DIGITS and number == number.to_integral_value())
    )


def a_str(value: object, _: object) -> str:
    if type(value) is not str:
        refuse(value, "a string")
    return value


def a_bool(value: object, _: object) -> bool:
    if type(value) is not bool:
        refuse(value, "true or false")
    return value


def a_decimal(value: object, _: object) -> Decimal:
    number = value
    if type(value) is int:
        number = Decimal(value)
    elif type(value) is str and _JSON_NUMBER.fullmatch(value):
        number = exact(value)
    if type(number) is not Decimal or not number.is_finite():
        refuse(value, "a finite decimal number")
    return number


def a_date(value: object, _: object) -> date:
    if type(value) is not str:
        refuse(value, "a date (YYYY-MM-DD)")
    day = value if len(value) == _DATE_CHARACTERS else _day_of_midnight(value)
    # Python also reads dates by week ("2025-W01-6"), which have no second dash there.
    if day[4:5] != "-" or day[7:8] != "-":
        refuse(value, "a date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(day)
    except ValueError:
        refuse(value, "a date of the calendar")


def _day_of_midnight(text: str) -> str:
    match = _MIDNIGHT.fullmatch(text)
    return match[1] if match else ""


def a_datetime(value: object, _: object) -> datetime:
    """Lucca writes up to seven fractional digits, of which a datetime holds six."""
    if type(value) is not str or not _MOMENT.fullmatch(value):
        refuse(value, "a date and time (ISO 8601)")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        refuse(value, "a date and time of the calendar")


def an_object(value: object, _: object) -> Mapping[str, Any]:
    if type(value) is not dict:
        refuse(value, "an object")
    return cast(dict[str, Any], value)


def or_null(hook: Hook) -> Hook:
    return lambda value, cls: None if value is None else hook(value, cls)


def as_it_is_or_null(cls: type, hook: Hook) -> Hook:
    """The same, sooner, for what needs nothing but a look at its type."""

    def check(value: object, target: Any) -> Any:
        return value if type(value) is cls or value is None else hook(value, target)

    return check


def or_default(default: bool, hook: Hook) -> Hook:
    """For a member whose absence, and so perhaps its null, means something."""

    def check(value: object, target: Any) -> Any:
        return value if type(value) is bool else default if value is None else hook(value, target)

    return check
