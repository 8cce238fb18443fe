"""A realized training as a row of CSV: which columns there are, in which order, and how written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from ...models import RealizedTraining
from ..terminal import plain_number

COLUMNS = (
    "id",
    "owner_id",
    "training_id",
    "training_title",
    "training_category_id",
    "training_provider_url",
    "training_level",
    "training_demand_id",
    "session_id",
    "session_starts_on",
    "session_ends_on",
    "has_attended",
    "duration_in_hours",
)
_OF_THE_TRAINING = "training_"
LONGEST_CELL = 2**31 - 1  # what a C long holds everywhere


def row(record: RealizedTraining) -> list[str]:
    """The values of a record by column; what isn't there is empty."""
    values = record.to_dict()
    training: dict[str, Any] = values.pop("training") or {}
    for name, value in training.items():
        values[f"{_OF_THE_TRAINING}{name}"] = value
    return [_text(values.get(column)) for column in COLUMNS]


def line(cells: Iterable[str]) -> str:
    """A line of CSV."""
    written = io.StringIO(newline="")
    # What the terminator consists of is quoted within a cell; before Python 3.13, nothing else.
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue().removesuffix("\r\n") + "\n"


def reader(lines: Iterable[str]) -> Iterator[list[str]]:
    """The rows of a table of ours, however long a title is."""
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, strict=True)


def header() -> str:
    """The first line."""
    return line(COLUMNS)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain_number(value)
    # Half of a character, which JSON can escape, is escaped here as well: UTF-8 can't hold it.
    return str(value).encode("utf-8", "backslashreplace").decode()
