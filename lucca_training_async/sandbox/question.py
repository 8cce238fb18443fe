"""What a list is asked: its query read as filters and a page, or refused as Lucca refuses it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import attrs
from multidict import MultiMapping

from . import cursors

DEFAULT_LIMIT: Final = 100
MOST_ITEMS: Final = 100
_ROOT = ("count", "prev", "next")
_INTEGER = re.compile(r"[0-9]{1,10}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class BadQueryError(ValueError):
    """The query is refused.

    Attributes:
        errors: Why, by parameter, as Problem Details have it.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors


@attrs.frozen
class Filter:
    """One filter of a list.

    Attributes:
        read: Makes a value of the texts that were given; raises ValueError.
        passes: Whether a record, in JSON's terms, passes.
    """

    read: Callable[[Sequence[str]], Any]
    passes: Callable[[Mapping[str, Any], Any], bool]


@attrs.frozen
class Question:
    """A page of a list.

    Attributes:
        filters: The filters' values by their names.
        key: The list and its filters as a text, the same for the same question.
        limit: How many items at most.
        root: What else is asked for: ``count``, ``prev``, ``next``.
        offset: Where the page begins, or ends.
        begins: Which of the two.
    """

    filters: Mapping[str, Any]
    key: str
    limit: int
    root: frozenset[str]
    offset: int
    begins: bool

    @classmethod
    def read(cls, name: str, filters: Mapping[str, Filter], query: MultiMapping[str]) -> Question:
        """The question that a query asks.

        Raises:
            BadQueryError: It asks none.
        """
        errors: dict[str, list[str]] = {}

        def value(parameter: str, read: Callable[[Sequence[str]], Any], default: Any) -> Any:
            if parameter not in query:
                return default
            try:
                return read(query.getall(parameter))
            except ValueError as error:
                errors[_pascal(parameter)] = [str(error)]
                return default

        # Lucca may ignore what it doesn't know; in a test, a misspelt filter must not give all.
        for unknown in set(query) - set(filters) - {"fields.root", "limit", "page"}:
            errors[_pascal(unknown)] = [f"The sandbox knows no parameter '{unknown}'."]
        given = {
            parameter: value(parameter, one.read, None)
            for parameter, one in filters.items()
            if parameter in query
        }
        parts = sorted(f"{parameter}={_canonical(value)}" for parameter, value in given.items())
        key = f"{name}?{'&'.join(parts)}"
        limit = value("limit", _limit, DEFAULT_LIMIT)
        root = value("fields.root", words(_ROOT), frozenset[str]())
        offset, begins = value("page", lambda texts: _page(texts, limit, key), (0, True))
        if errors:
            raise BadQueryError(errors)
        return cls(given, key, limit, root, offset, begins)

    def bounds(self, count: int) -> tuple[int, int]:
        """From which to before which item the page goes, of so many."""
        if self.begins:
            start = min(self.offset, count)
            return start, min(start + self.limit, count)
        stop = min(self.offset, count)
        return max(0, stop - self.limit), stop

    def neighbours(self, start: int, stop: int, count: int) -> tuple[str | None, str | None]:
        """The cursors to the page before and the page after; None where there is none."""
        if not self.limit:
            return None, None
        before = cursors.FIRST if start == self.limit else cursors.backward(start, self.key)
        after = cursors.forward(stop, self.key)
        return (before if start > 0 else None), (after if stop < count else None)


def integers(texts: Sequence[str]) -> frozenset[int]:
    """An array of integers, in either style."""
    return frozenset(_integer(text) for text in _parts(texts))


def integer(texts: Sequence[str]) -> int:
    """One integer."""
    return _integer(_only(texts))


def flag(texts: Sequence[str]) -> bool:
    """True or false."""
    text = _only(texts).lower()
    if text not in ("true", "false"):
        raise ValueError(f"'{text}' is not a boolean.")
    return text == "true"


def day(texts: Sequence[str]) -> date:
    """A date."""
    text = _only(texts)
    if not _DAY.fullmatch(text):
        raise ValueError(f"'{text}' is not a date.")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a date.") from None


def words(allowed: Iterable[str] | None = None) -> Callable[[Sequence[str]], frozenset[str]]:
    """An array of words: any, or those allowed."""

    def read(texts: Sequence[str]) -> frozenset[str]:
        found = frozenset(_parts(texts))
        for word in sorted(found):
            if not word or (allowed is not None and word not in allowed):
                raise ValueError(f"'{word}' is not a valid value.")
        return found

    return read


def text(texts: Sequence[str]) -> str:
    """A text to be searched for, as ``folded`` leaves it."""
    return folded(_only(texts))


def folded(text: str) -> str:
    """The text without what a search ignores: case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def is_among(value: object, wanted: frozenset[int]) -> bool:
    """Whether a member of a record, which may be anything, is one of these integers."""
    return isinstance(value, (int, Decimal)) and value in wanted


def day_of(value: object) -> date | None:
    """The day that a member of a record, which may be anything, tells of."""
    if not isinstance(value, str) or not _DAY.match(value):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def at(record: object, *path: str) -> Any:
    """The member of a record, which may have any shape, at this path; None if there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None  # pyright: ignore
    return record  # pyright: ignore[reportUnknownVariableType]


def _limit(texts: Sequence[str]) -> int:
    limit = _integer(_only(texts))
    if limit > MOST_ITEMS:
        raise ValueError(f"The limit must be between 0 and {MOST_ITEMS}.")
    return limit


def _page(texts: Sequence[str], limit: int, key: str) -> tuple[int, bool]:
    text = _only(texts)
    if _INTEGER.fullmatch(text) and int(text) >= 1:
        return (int(text) - 1) * limit, True
    place = cursors.read(text, key)
    if place is None:
        raise ValueError(f"'{text}' is neither the index of a page nor a cursor of this list.")
    return place


def _only(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise ValueError("It was given more than once.")
    return texts[0]


def _parts(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or int(text) >= 2**31:
        raise ValueError(f"'{text}' is not an integer.")
    return int(text)


def _canonical(value: object) -> str:
    return repr(sorted(value)) if isinstance(value, frozenset) else str(value)  # pyright: ignore


def _pascal(name: str) -> str:
    return ".".join(part[:1].upper() + part[1:] for part in name.split("."))
