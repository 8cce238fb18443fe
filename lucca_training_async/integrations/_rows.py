"""Records as flat rows: a column for each value, also of the records within a record."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any, get_args, get_origin

import attrs

from ..models import Record

# What BigQuery's NUMERIC holds, and what dlt takes where nothing is said.
PRECISION = 38
SCALE = 9
_SMALLEST = Decimal(1).scaleb(-SCALE)
_CONTEXT = Context(prec=PRECISION)
_KINDS = (bool, int, str, Decimal, datetime, date, Mapping)  # a datetime is a date, too


def columns_of(record: type[Any]) -> dict[str, type]:
    """The columns of a kind of record, each with the type of its values.

    Those of a record within it begin with the name of its field: ``training_title``.
    """
    columns: dict[str, type] = {}
    for field in attrs.fields(record):
        for kind in _kinds_in(field.type):
            if attrs.has(kind):
                for name, nested in columns_of(kind).items():
                    columns[f"{field.name}_{name}"] = nested
            else:
                columns[field.name] = next(one for one in _KINDS if issubclass(kind, one))
    return columns


def row_of(record: Record, columns: Mapping[str, type]) -> dict[str, Any]:
    """The values of a record by column; those of a record that isn't there are left out.

    Raises:
        ValueError: A number has no exact place in its column.
    """
    return {
        name: _fixed(value, record, name) if isinstance(value, Decimal) else value
        for name, value in _values(record.to_dict(), columns, "")
    }


def _kinds_in(annotation: Any) -> Iterator[type]:
    """The types in an annotation without None and type arguments; of an open enum, both."""
    union = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    yield from (get_origin(kind) or kind for kind in union if kind is not types.NoneType)


def _values(
    values: Mapping[str, Any], columns: Mapping[str, type], prefix: str
) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        column = f"{prefix}{name}"
        if column in columns:
            yield column, value
        elif value is not None:
            yield from _values(value, columns, f"{column}_")


def _fixed(number: Decimal, record: Record, column: str) -> Decimal:
    """The same number with all its digits: 1E+2 would be a float to some databases."""
    try:
        fixed = number.quantize(_SMALLEST, context=_CONTEXT)
    except InvalidOperation:
        fixed = None
    if fixed is None or fixed != number:
        what = f"{type(record).__name__} {record.id}: {column}"
        raise ValueError(f"{what} is not exact as decimal({PRECISION}, {SCALE}): {number}")
    return Decimal(format(number, "f"))
