"""What callers filter by: checked before a request is spent, and made Lucca's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any, SupportsIndex, TypeVar, cast

from .._lists import Filter, one_of
from ._ids import check_id

R = TypeVar("R")
Ids = Iterable[SupportsIndex]


class Nothing(Exception):  # noqa: N818  # it is no error
    """A filter that no record answers: an empty collection of ids."""


def ids_filter(
    argument: str, name: str, ids: object, shows: Callable[[R], int | None]
) -> list[Filter[R]]:
    """For a filter by ids: none where it is None.

    Raises:
        TypeError: It is no iterable of ids.
        InvalidIdError: A value in it is no id.
        Nothing: It is empty. Sent as it is, it would be no filter at all.
    """
    if ids is None:
        return []
    checked = [check_id(value) for value in _given(argument, ids, "int")]
    return [one_of(name, checked, _as_text(shows))]


def id_filter(name: str, id: object, shows: Callable[[R], int | None]) -> list[Filter[R]]:
    """For a filter by one id: none where it is None."""
    return [] if id is None else [one_of(name, [check_id(id)], _as_text(shows))]


def texts_filter(
    argument: str, name: str, texts: object, shows: Callable[[R], str | None]
) -> list[Filter[R]]:
    """For a filter by some of Lucca's own words: none where it is None.

    Raises:
        TypeError: It is no iterable of strings.
        Nothing: It is empty.
    """
    if texts is None:
        return []
    values: list[str] = []
    for text in _given(argument, texts, "str"):
        if not isinstance(text, str):
            raise TypeError(f"{argument} must hold str, not {type(text).__name__}")
        # ``str()`` of a member of somebody's own enum would be its name.
        values.append(str.__str__(text))
    return [one_of(name, values, shows)]


def _given(argument: str, values: object, of: str) -> list[object]:
    # The items of a string are characters, which nobody means.
    if isinstance(values, (str, bytes, bytearray)) or not isinstance(values, Iterable):
        raise TypeError(f"{argument} must be an iterable of {of}, not {type(values).__name__}")
    given = list(cast("Iterable[object]", values))
    if not given:
        raise Nothing
    return given


def day(argument: str, value: object) -> date | None:
    """A date, or None.

    Raises:
        TypeError: It is something else; a datetime is of another day elsewhere.
    """
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    hint = "; take its date()" if isinstance(value, datetime) else ""
    raise TypeError(f"{argument} must be a datetime.date, not {type(value).__name__}{hint}")


def flag(argument: str, value: object) -> bool | None:
    """True, False, or None.

    Raises:
        TypeError: It is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    raise TypeError(f"{argument} must be True, False or None, not {type(value).__name__}")


def filters_or_none(make: Callable[[], list[Filter[Any]]]) -> tuple[Filter[Any], ...] | None:
    """The filters, or None where nothing can answer them."""
    try:
        return tuple(make())
    except Nothing:
        return None


def _as_text(shows: Callable[[R], int | None]) -> Callable[[R], str | None]:
    def text(record: R) -> str | None:
        shown = shows(record)
        return None if shown is None else str(shown)

    return text
