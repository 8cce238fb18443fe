"""Between Lucca's JSON and the models: the one cattrs converter and its strict hooks.

Strict on values, liberal on shape: unknown fields are ignored and optional ones may be null or
absent, because Lucca may add the former and doesn't say which of the two it sends for the latter.
A value of the wrong type is an error that names its place. The models register themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, cast

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from . import _hooks as hooks
from ._faults import Fault, RefusedValueError, WireError, refuse

T = TypeVar("T")
_converter = Converter()


def structure(data: object, cls: type[T]) -> T:
    """The record that parsed JSON describes.

    Raises:
        WireError: It describes none.
    """
    try:
        return _converter.structure(data, cls)
    except (BaseValidationError, RefusedValueError) as error:
        problem = WireError(_faults(error))
    except RecursionError:
        problem = WireError([Fault("$", "nested too deeply")])
    raise problem


def unstructure(record: attrs.AttrsInstance) -> dict[str, Any]:
    """A record as Lucca would write it, before JSON: hours are still a Decimal."""
    return cast(dict[str, Any], _converter.unstructure(record))


def register(*records: type[attrs.AttrsInstance]) -> None:
    """Both directions for records, whose members Lucca names in camelCase."""
    for record in records:
        _register_record(record)


def register_open_enum(enum: type[StrEnum]) -> None:
    """Both directions for an enum whose values today are not all there will ever be."""
    members: dict[str, str] = {member.value: member for member in enum}

    def member_or_text(value: object, _: object) -> str | None:
        if value is None:
            return None
        text = hooks.a_str(value, _)
        return members.get(text, text)

    union: Any = enum | str | None
    _converter.register_structure_hook(union, member_or_text)
    _converter.register_unstructure_hook(union, _text_or_none)


def _text_or_none(member: str | None) -> str | None:
    return None if member is None else str(member)


def _register_record(cls: type[attrs.AttrsInstance]) -> None:
    # By factories: what is not used, which is most of it, is not made when this is imported.
    optional: Any = cls | None

    def is_record(asked: Any) -> bool:
        return asked is cls

    def is_record_or_null(asked: Any) -> bool:
        return bool(asked == optional)

    def structure_hook(_: Any) -> hooks.Hook:
        return _structure_hook(cls)

    def optional_hook(_: Any) -> hooks.Hook:
        return hooks.or_null(cast(hooks.Hook, _converter.get_structure_hook(cls)))

    def unstructure_hook(_: Any) -> Callable[[Any], dict[str, Any]]:
        return _unstructure_hook(cls)

    _converter.register_structure_hook_factory(is_record, structure_hook)
    _converter.register_structure_hook_factory(is_record_or_null, optional_hook)
    _converter.register_unstructure_hook_factory(is_record, unstructure_hook)


def _structure_hook(cls: type[attrs.AttrsInstance]) -> hooks.Hook:
    overrides: Any = {
        field.name: override(
            rename=camel(field.name),
            struct_hook=hooks.or_default(field.default, hooks.a_bool)
            if isinstance(field.default, bool)
            else None,
        )
        for field in attrs.fields(cls)
    }
    structure_members = make_dict_structure_fn(cls, _converter, **overrides)

    def hook(value: object, target: Any) -> Any:
        if not isinstance(value, dict):
            refuse(value, "an object")
        return structure_members(value, target)  # pyright: ignore[reportUnknownArgumentType]

    return hook


def _unstructure_hook(cls: type[attrs.AttrsInstance]) -> Callable[[Any], dict[str, Any]]:
    renames: Any = {it.name: override(rename=camel(it.name)) for it in attrs.fields(cls)}
    return make_dict_unstructure_fn(cls, _converter, **renames)


def _register(cls: Any, hook: hooks.Hook) -> None:
    _converter.register_structure_hook(cls, hook)
    # What a look at its type is enough for is looked at here, once more than the hook would.
    quick = cls in (int, str, bool)
    or_null = hooks.as_it_is_or_null(cls, hook) if quick else hooks.or_null(hook)
    _converter.register_structure_hook(cls | None, or_null)


def _faults(error: Exception) -> list[Fault]:
    """The faults that cattrs found, with their JSON paths."""
    causes: list[BaseException] = []

    def numbered(cause: BaseException, _: type[Any] | None) -> str:
        # cattrs joins the path to a text; a number leads back from that to the exception.
        causes.append(cause)
        return str(len(causes) - 1)

    if isinstance(error, RefusedValueError):
        return [_fault(error, "$")]
    told = [line.partition(" @ ") for line in transform_error(error, format_exception=numbered)]
    return [_fault(causes[int(number)], camel(path)) for number, _, path in told]


def _fault(cause: BaseException, path: str) -> Fault:
    if isinstance(cause, RefusedValueError):
        return Fault(path, f"expected {cause.expected}", (cause.value,))
    return Fault(path, "is missing" if isinstance(cause, KeyError) else type(cause).__name__)


def camel(name: str) -> str:
    """A member's name as Lucca writes it."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


_register(int, hooks.an_int)
_register(str, hooks.a_str)
_register(bool, hooks.a_bool)
_register(Decimal, hooks.a_decimal)
_register(date, hooks.a_date)
_register(datetime, hooks.a_datetime)
_converter.register_structure_hook(Mapping[str, Any] | None, hooks.or_null(hooks.an_object))
_converter.register_unstructure_hook(date, date.isoformat)
_converter.register_unstructure_hook(datetime, datetime.isoformat)
