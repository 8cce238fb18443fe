"""What a list is asked for: filters, as Lucca reads them, and as its answer is checked by.

Many servers ignore in silence a filter that they don't know, or read otherwise. Lucca's
documentation leaves open how an array is written and whether a bound includes its day; so every
filter knows which records may rightly come (``admits``) and which were meant (``wants``).
"""

from __future__ import annotations

import html
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import attrs

R = TypeVar("R")

MOST_URL_CHARACTERS = 2000
# Host and path, the cursor, what is asked for of the page: in all that is beside the filters.
_BESIDE_THE_FILTERS = 450
_DAY = timedelta(days=1)


class ArrayStyle(Enum):
    """How several values are written; Lucca's documentation doesn't say (v3 and v5 use commas)."""

    COMMAS = "a=1,2"
    REPEATED = "a=1&a=2"


@attrs.frozen
class Filter(Generic[R]):
    """One condition on the records of a list.

    Attributes:
        name: Lucca's name for it.
        values: What is sent.
        admits: Whether a record may come of a Lucca that has read it.
        wants: Whether it was asked for, where that is narrower.
        shows: For an array: which of its values a record has.
    """

    name: str
    values: tuple[str, ...]
    admits: Callable[[R], bool]
    wants: Callable[[R], bool] | None = None
    shows: Callable[[R], str | None] | None = None

    @property
    def has_several(self) -> bool:
        return len(self.values) > 1

    def of(self, values: Sequence[str]) -> Filter[R]:
        """The same for some of its values."""
        assert self.shows is not None
        return one_of(self.name, values, self.shows)


Filters = tuple[Filter[R], ...]


def one_of(name: str, values: Iterable[object], shows: Callable[[R], str | None]) -> Filter[R]:
    """The value of a record is one of several."""
    texts = tuple(dict.fromkeys(map(str, values)))
    allowed = frozenset(texts)
    return Filter(name, texts, lambda record: shows(record) in allowed, shows=shows)


def equals(name: str, value: bool, shows: Callable[[R], bool | None]) -> Filter[R]:
    text = "true" if value else "false"
    return Filter(name, (text,), lambda record: shows(record) is value)


def not_before(name: str, day: date, shows: Callable[[R], date]) -> list[Filter[R]]:
    """From a day on, the day included, whether Lucca's own bound includes it or not."""
    return [] if day == date.min else [_bound(name, day, day - _DAY, shows, operator.ge)]


def not_after(name: str, day: date, shows: Callable[[R], date]) -> list[Filter[R]]:
    """Up to a day, the day included, whether Lucca's own bound includes it or not."""
    return [] if day == date.max else [_bound(name, day, day + _DAY, shows, operator.le)]


def _bound(
    name: str,
    day: date,
    asked: date,
    shows: Callable[[R], date],
    holds: Callable[[date, date], bool],
) -> Filter[R]:
    return Filter(
        name,
        (asked.isoformat(),),
        lambda record: holds(shows(record), asked),
        lambda record: holds(shows(record), day),
    )


def mentions(name: str, text: str, shows: Callable[[R], Iterable[str | None]]) -> Filter[R]:
    """A text search, which a record answers that has the beginning of one of its words.

    How Lucca searches isn't documented: this is as liberal as can be told from its being ignored.
    """
    beginnings = [word[: max(3, len(word) - 3)] for word in re.findall(r"\w+", _folded(text))]

    def admits(record: R) -> bool:
        said = _folded(" ".join(filter(None, shows(record))))
        return not beginnings or any(beginning in said for beginning in beginnings)

    return Filter(name, (text,), admits)


def _folded(text: str) -> str:
    spelt = html.unescape(text).casefold().replace("œ", "oe").replace("æ", "ae")
    decomposed = unicodedata.normalize("NFKD", spelt)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def encoded(
    pairs: Iterable[tuple[str, Sequence[str]]],
    styles: Mapping[str, ArrayStyle],
    default: ArrayStyle = ArrayStyle.COMMAS,
) -> str:
    """A query string in which every character of a value survives.

    Arrays are written in the style that is known for their name, or else in the default.

    A cursor has ``! ~ |``, and is sent back as the text it was.
    """
    parts: list[str] = []
    for name, values in pairs:
        texts = [quote(value, safe="") for value in values]
        style = styles.get(name, default)
        joined = [",".join(texts)] if style is ArrayStyle.COMMAS else texts
        parts += [f"{name}={text}" for text in joined]
    return "&".join(parts)


def pairs_of(filters: Filters[Any]) -> list[tuple[str, Sequence[str]]]:
    return [(each.name, each.values) for each in filters]


def split(filters: Filters[R]) -> list[Filters[R]]:
    """Filters that ask for the same records in several lists, none of which has too long a URL.

    The same parts every time, whatever is known of the style: a cursor names its part.
    """
    room = MOST_URL_CHARACTERS - _BESIDE_THE_FILTERS
    size = _size(filters)
    if size <= room:
        return [filters]
    at = max(
        range(len(filters)),
        key=lambda n: (filters[n].has_several, _size(filters[n : n + 1])),
    )
    longest = filters[at]
    if not longest.has_several:
        longest = max(filters, key=lambda each: _size((each,)))
        raise ValueError(f"the filter {longest.name} has too long a value for a URL")
    own = _size((longest,))
    # What is beside it may have to be split as well: half of the room is for that.
    needed = -(-own // max(room // 2, room - (size - own)))
    count = min(max(2, needed), len(longest.values))
    bounds = [len(longest.values) * n // count for n in range(count + 1)]
    parts = (longest.values[a:b] for a, b in pairwise(bounds))
    return [
        piece
        for values in parts
        for piece in split((*filters[:at], longest.of(values), *filters[at + 1 :]))
    ]


def _size(filters: Filters[Any]) -> int:
    return len(encoded(pairs_of(filters), {}, ArrayStyle.REPEATED)) + 1
