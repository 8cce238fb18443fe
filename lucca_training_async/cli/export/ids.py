"""The ids that an export is asked for: lines, or a column of a table, from a file or stdin."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from ...models import MAX_ID
from ..connection import WrongUseError
from .journal import Trouble
from .rows import LONGEST_CELL

_STDIN = "-"
_DELIMITERS = ",;\t|"


@attrs.frozen
class Ids:
    """What was asked for.

    Attributes:
        valid: The ids, each once.
        refused: What is none, as it stands among the failures.
    """

    valid: Sequence[int]
    refused: Sequence[Trouble]

    @property
    def fingerprint(self) -> str:
        """Equal for the same ids in the same order, in which they stand in the export."""
        told = [*map(str, self.valid), *(trouble["value"] for trouble in self.refused)]
        return hashlib.blake2s("\n".join(told).encode(), digest_size=16).hexdigest()


def read_ids(source: str, column: str | None) -> Ids:
    """The ids in a file, or on stdin.

    Raises:
        WrongUseError: They can't be read.
    """
    name = "stdin" if source == _STDIN else source
    if source == _STDIN and sys.__stdin__ is None:
        raise WrongUseError("the ids can't be read from stdin: it is closed")
    try:
        data = sys.stdin.buffer.read() if source == _STDIN else Path(source).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        fault = f"the ids can't be read from {name}: {error.strerror}"
    except UnicodeDecodeError:
        fault = f"the ids can't be read from {name}: it is no text in UTF-8"
    else:
        return checked(values_in(text, column, name))
    raise WrongUseError(fault)


def values_in(text: str, column: str | None, name: str) -> list[str]:
    """What stands in lines, or in the column of a table; blanks are left out.

    Raises:
        WrongUseError: There is no such column.
    """
    # Not splitlines(), for which half a dozen other characters end a line.
    lines = list(io.StringIO(text, newline=""))
    try:
        values = lines if column is None else list(_column(lines, column, name))
    except csv.Error as error:
        fault = WrongUseError(f"{name} is no table of comma-separated values: {error}")
        raise fault from None
    return [value for line in values if (value := line.strip())]


def _column(lines: Sequence[str], column: str, name: str) -> Iterator[str]:
    header = lines[0] if lines else ""
    # French spreadsheets write semicolons.
    delimiter = max(_DELIMITERS, key=header.count)
    csv.field_size_limit(LONGEST_CELL)
    # Strict, so that a quote that is not closed doesn't swallow what follows.
    table = csv.DictReader(lines, delimiter=delimiter, strict=True)
    columns = table.fieldnames or ()
    if column not in columns:
        there = ", ".join(columns) or "none at all"
        raise WrongUseError(f"{name} has no column {column!r}; it has {there}")
    for row in table:
        yield row[column] or ""


def checked(values: Iterable[str]) -> Ids:
    """What of it is an id, and what is none; each once."""
    valid: list[int] = []
    refused: list[Trouble] = []
    for value in dict.fromkeys(values):
        # No number of digits makes it slow to read.
        digits = value.lstrip("0")[:20]
        if value.isascii() and value.isdecimal() and digits and int(digits) <= MAX_ID:
            valid.append(int(digits))
        else:
            message = f"an id is an integer from 1 to {MAX_ID}, not {value!r}"
            told: Trouble = {"id": None, "value": value, "outcome": "refused"}
            refused.append({**told, "error": "InvalidIdError", "message": message})
    return Ids(list(dict.fromkeys(valid)), refused)
