"""What an unfinished export has kept: lines of JSON that are only added to, and so are never wrong.

A record is a line as Lucca writes it, an object. Every other line is an array, with a word for what
it tells. A page of the list counts once the line after its records has come, which says where the
list goes on; after ``listed`` each line counts by itself. What stands behind the last line that
counts is what an interruption has left, and is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import attrs

from ...models import dumps, parse

VERSION = 1
Trouble = dict[str, Any]
"""An id without a record, and why, as it stands among the failures."""


@attrs.define
class Kept:
    """What a journal holds.

    Attributes:
        length: How many of its bytes count.
        header: What it is of, with the version of its form; None of an empty one.
        records: Where the line of each record begins, by its id, in the order in which they came.
        troubles: The ids without a record.
        cursor: Where the list goes on; None at its beginning.
        pages: How many pages of the list have come, but for the last.
        count: How many records the list has, as far as is known: the least that was told.
        by_list: How many of the records came before ``listed``; None before that.
        answered: The ids that were asked for by themselves and need not be asked for again.
        built: What was told of the files when they had been written, but not put into place.
    """

    length: int = 0
    header: Sequence[Any] | None = None
    records: dict[int, int] = attrs.field(factory=dict[int, int])
    troubles: list[Trouble] = attrs.field(factory=list[Trouble])
    cursor: str | None = None
    pages: int = 0
    count: int | None = None
    by_list: int | None = None
    answered: set[int] = attrs.field(factory=set[int])
    built: Mapping[str, Any] | None = None

    @property
    def is_listed(self) -> bool:
        """Whether nothing more is asked of the list."""
        return self.by_list is not None


@attrs.define
class Replay:
    """Takes in the lines of a journal, one after the other.

    Attributes:
        kept: What has come so far, and counts.
    """

    kept: Kept = attrs.field(factory=Kept)
    _at: int = 0
    _records: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]])
    _troubles: list[Trouble] = attrs.field(factory=list[Trouble])

    def take(self, line: bytes) -> bool:
        """Take in one line; False if it is torn, and nothing behind it counts."""
        value = read_line(line)
        if value is None:
            return False
        begins_at, self._at = self._at, self._at + len(line)
        if isinstance(value, dict):
            self._records.append((value["id"], begins_at))
            if self.kept.is_listed:
                self._commit(value["id"])
            return True
        return self._mark(value)

    def add(self, line: bytes) -> None:
        """Take in a line of our own making."""
        if not self.take(line):
            raise ValueError(f"no line of a journal: {line!r}")

    def _mark(self, value: Sequence[Any]) -> bool:
        kept = self.kept
        match value:
            case ["export", version, *more] if version != VERSION or _is_question(more):
                kept.header = value
                self._commit()
            case ["next", str() as cursor, int() | None as count]:
                kept.cursor = cursor
                kept.pages += 1
                self._count(count)
                self._commit()
            case ["listed", int() | None as count]:
                self._count(count)
                self._commit()
                kept.by_list = len(kept.records)
            case ["trouble", {"id": int() | None, "outcome": str()} as trouble]:
                self._troubles.append(trouble)
                if kept.is_listed:
                    self._commit(trouble["id"])
            case ["gone", int() as id]:
                self._commit(id)
            case ["built", {"counts": dict(), "written": list()} as told]:
                kept.built = told
                self._commit()
            case _:
                return False
        return True

    def _count(self, count: int | None) -> None:
        kept = self.kept
        if count is not None:
            kept.count = count if kept.count is None else min(kept.count, count)

    def _commit(self, answered: int | None = None) -> None:
        for key, begins_at in self._records:
            self.kept.records.setdefault(key, begins_at)
        self.kept.troubles += self._troubles
        self._records.clear()
        self._troubles.clear()
        if answered is not None:
            self.kept.answered.add(answered)
        self.kept.length = self._at


def _is_question(told: Sequence[Any]) -> bool:
    return len(told) == 1 and isinstance(told[0], dict)


def read_line(line: bytes) -> dict[str, Any] | list[Any] | None:
    """What a whole line of a journal tells; None of a torn one.

    After a loss of power a file may end in blocks of zeros, so what it says counts, too.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        value = parse(line)
    except ValueError:
        return None
    if isinstance(value, dict):
        record = cast("dict[str, Any]", value)
        return record if type(record.get("id")) is int else None
    return cast(Any, value) if isinstance(value, list) else None


_BEGINNING = b'["export", '


def is_torn(first: bytes) -> bool:
    """Whether the first line is what an interruption may have left of a header."""
    is_lost = first[:1] in (b"", b"\0")  # a block of zeros, after a loss of power
    is_cut = not first.endswith(b"\n") and _BEGINNING.startswith(first[: len(_BEGINNING)])
    return is_lost or is_cut


def replay(lines: Iterable[bytes]) -> Replay:
    """What the lines of a journal hold."""
    taken = Replay()
    for line in lines:
        if not taken.take(line):
            break
    # What did not count is to be cut off, so that the next line begins where that ended.
    return Replay(taken.kept, taken.kept.length)


def mark(word: str, *told: Any) -> bytes:
    """A line that is no record."""
    return dumps([word, *told], allow_nan=True).encode() + b"\n"
