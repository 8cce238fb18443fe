"""What every record can do: go elsewhere as plain values, and tell whether it has changed."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self, cast

import attrs

from ._converter import structure, unstructure
from ._json import dumps, parse


class Record:
    """Base of the records that Lucca lists.

    Each is an immutable `attrs <https://www.attrs.org>`_ class.
    """

    __slots__ = ()

    id: int

    def to_dict(self) -> dict[str, Any]:
        """Its values by their names here, nested as dicts; ``Decimal`` and ``date`` are kept."""
        return attrs.asdict(cast(Any, self), value_serializer=_plain)

    def to_json(self) -> str:
        """As Lucca writes it, in camelCase; hours are exact JSON numbers.

        ``from_json`` gives an equal record. Fields that this version doesn't know are not in it.
        """
        return dumps(unstructure(cast(Any, self)))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The record that a JSON text describes, as Lucca or :meth:`to_json` writes it.

        Raises:
            ValueError: It describes none; the message names the place.
        """
        return structure(parse(text), cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: Any) -> Any:
        from ._pydantic import schema_of

        return schema_of(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _: Any, __: Any) -> dict[str, Any]:
        from ._pydantic import json_schema_of

        return json_schema_of(cls)

    @property
    def fingerprint(self) -> str:
        """A short hash (16 hexadecimal digits) that is equal as long as the record is.

        The same in every process and on every machine. An hour written as 14.00 and as 14 gives
        the same one, and so do a field that is null or absent and a moment in another time zone.
        """
        plain = dumps(_canonical(self.to_dict()))
        return hashlib.blake2s(plain.encode(), digest_size=8).hexdigest()


def _plain(_: object, __: object, value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        # A field that a later version knows is null in most records: those have not changed.
        return {k: _canonical(members[k]) for k in sorted(members) if members[k] is not None}
    if isinstance(value, list):
        return [_canonical(item) for item in value]  # pyright: ignore
    if isinstance(value, date):
        return _in_one_zone(value).isoformat()
    # Among translations a number may be an int one day, a Decimal the next, and even absurd.
    if type(value) in (int, float) or isinstance(value, Decimal):
        return _shortest(Decimal(cast(Any, value)))
    return value


def _in_one_zone(day: date) -> date:
    if isinstance(day, datetime) and day.tzinfo is not None:
        # In the first hours of the calendar UTC has no such moment.
        with suppress(OverflowError):
            return day.astimezone(UTC)
    return day


def _shortest(number: Decimal) -> Decimal | str:
    """The same for every way to write a number; Decimal's own ``normalize`` rounds."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return str(number)
    if not number:
        return Decimal(0)
    shown = "".join(map(str, digits))
    significant = shown.rstrip("0")
    return Decimal((sign, tuple(map(int, significant)), exponent + len(shown) - len(significant)))
