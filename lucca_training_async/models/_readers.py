"""Bodies read as what was asked for: one record, or a page of a list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs

from . import _hooks as hooks
from ._converter import structure
from ._faults import Fault, RefusedValueError, WireError, WrongIdError
from ._json import parse
from .realized_training import MAX_ID

T = TypeVar("T")
R = TypeVar("R", covariant=True)


class Reader(Protocol[R]):
    """Reads a body as the record that was asked for; raises WireError if it is none."""

    def __call__(self, body: bytes, *, asked_for: int) -> R: ...


@attrs.frozen
class BadItem:
    """An item of a page that is no record.

    Attributes:
        faults: What is wrong with it, by paths from the beginning of the body.
        raw: The item, as it was parsed.
    """

    faults: list[Fault]
    raw: Any

    @property
    def id(self) -> int | None:
        """Its id, if it has one all the same."""
        named: Any = self.raw.get("id") if type(self.raw) is dict else None  # pyright: ignore
        return named if type(named) is int else None  # pyright: ignore[reportUnknownArgumentType]


@attrs.frozen
class WirePage(Generic[T]):
    """A page of a list, as Lucca writes it.

    Attributes:
        items: Its records, and what should have been one.
        next: The cursor of the next page, or None.
        prev: That of the one before.
        count: How many items there are on all pages, if the page tells.
        names_next: Whether it has the member ``next`` at all.
    """

    items: list[T | BadItem]
    next: str | None
    prev: str | None
    count: int | None
    names_next: bool


def reader(cls: type[T]) -> Reader[T]:
    """A function that reads a body as the ``cls`` with a given id.

    Lucca doesn't list ``id`` among the required properties: where it is absent or null, it
    is the one asked for. The function raises WireError if the body is no such record.
    """
    return cast("Reader[T]", partial(_read, cls))


def page_reader(cls: type[T]) -> Callable[[bytes], WirePage[T]]:
    """A function that reads a body as a page of ``cls``; raises WireError if it is no page."""
    return partial(_read_page, cls)


def _read(cls: type[T], body: bytes, asked_for: int) -> T:
    data: Any = parse(body)
    if isinstance(data, dict) and data.get("id") is None:  # pyright: ignore[reportUnknownMemberType]
        data["id"] = asked_for
    record: Any = structure(data, cls)  # pyright: ignore[reportUnknownArgumentType]
    if record.id == asked_for:
        return cast(T, record)
    raise WrongIdError([Fault("$.id", f"asked for the record {asked_for}", (record.id,))])


def _read_page(cls: type[T], body: bytes) -> WirePage[T]:
    data = parse(body)
    if not isinstance(data, dict):
        raise WireError([Fault("$", "expected an object", (data,))])
    page = cast(dict[str, object], data)
    items = page.get("items")
    if not isinstance(items, list):
        reason = "expected an array" if "items" in page else "is missing"
        raise WireError([Fault("$.items", reason, (items,) if "items" in page else ())])
    return WirePage(
        [_item(cls, number, raw) for number, raw in enumerate(cast(list[object], items))],
        _cursor(page, "next"),
        _cursor(page, "prev"),
        _count(page),
        "next" in page,
    )


def _item(cls: type[T], number: int, raw: object) -> T | BadItem:
    try:
        record: Any = structure(raw, cls)
        if 1 <= record.id <= MAX_ID:
            return cast(T, record)
        faults = [Fault(f"$.items[{number}].id", f"expected 1 to {MAX_ID}", (record.id,))]
    except WireError as error:
        faults = [
            attrs.evolve(fault, path=f"$.items[{number}]{fault.path[1:]}") for fault in error.faults
        ]
    return BadItem(faults, raw)


def _cursor(page: dict[str, object], name: str) -> str | None:
    value = page.get(name)
    if value is None or value == "":
        return None
    # A page may be named by its index, too.
    if isinstance(value, str) or type(value) is int:
        return str(value)
    raise WireError([Fault(f"$.{name}", "expected a cursor", (value,))])


def _count(page: dict[str, object]) -> int | None:
    value = page.get("count")
    if value is None:
        return None
    try:
        count = hooks.an_int(value, int)
    except RefusedValueError:
        count = -1
    if count < 0:
        raise WireError([Fault("$.count", "expected a number of items", (value,))])
    return count
