"""Between Lucca's JSON and the models: the one cattrs converter and its strict hooks.

Strict on values, liberal on shape. cattrs would turn ``null`` into the string "None" and
``true`` into the hour 1; here a value of the wrong type is an error that names its place.
Unknown fields are ignored and optional ones may be null or absent, because Lucca may add
the former and doesn't say which of the two it sends for the latter.

Numbers never pass through float: the JSON text of an hour becomes a Decimal directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from typing import Any, Never, TypeVar, cast

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn, override

from .errors import DecodeError
from .models import RealizedTraining, TrainingLevel, TrainingSummary
from .responses import Reply, shortened

T = TypeVar("T")
Hook = Callable[[object, Any], Any]

_JSON_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
# Older Lucca endpoints write a date as a midnight datetime. An offset is that of the local
# midnight, so the date is right as written; any other time of day is not a date.
_MIDNIGHT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_DATE_CHARACTERS = len("2025-01-04")
_LEVELS: dict[str, TrainingLevel] = {level.value: level for level in TrainingLevel}
_MAX_REASONS_TOLD = 3
_VALUE_CHARACTERS = 60
_AROUND_JSON = "\ufeff \t\r\n"  # a byte order mark and JSON's white space


def decoder(cls: type[T]) -> Callable[[Reply], T]:
    """A function that gives the body of a successful answer as ``cls``.

    It raises DecodeError if the body is no JSON, or not the JSON that Lucca documents.
    """
    structure = cast(Callable[[object, type[T]], T], _converter.get_structure_hook(cls))
    return lambda reply: _decode(reply, structure, cls)


def _decode(reply: Reply, structure: Callable[[object, type[T]], T], cls: type[T]) -> T:
    try:
        data = _parse(reply.body)
    except JSONDecodeError as error:
        reasons = [("$", f"no JSON ({error.msg} at character {error.pos})")]
    except (ValueError, RecursionError) as error:
        reasons = [("$", f"no JSON ({error})")]
    else:
        try:
            return structure(data, cls)
        except (BaseValidationError, _WireError) as error:
            reasons = _reasons(error)
    told = "; ".join(f"{path}: {reason}" for path, reason in reasons[:_MAX_REASONS_TOLD])
    raise DecodeError(
        f"the answer is not a {cls.__name__}: {told} [{reply.url}]; it begins {reply.excerpt!r}",
        path=reasons[0][0],
        excerpt=reply.excerpt,
        url=str(reply.url),
        request_id=reply.request_id,
    )


def _parse(body: bytes) -> object:
    text = body.decode().strip(_AROUND_JSON)
    data, end = _json.raw_decode(text)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return data


class _WireError(ValueError):
    """A value that a hook refuses; the message is for the user."""


def _reasons(error: Exception) -> list[tuple[str, str]]:
    """(JSON path, what is wrong there) for each fault that cattrs found."""
    if isinstance(error, _WireError):
        return [("$", str(error))]
    lines = transform_error(error, format_exception=_reason)
    told = [line.rpartition(" @ ") for line in lines]
    return [(_camel(path), reason) for reason, _, path in told]


def _reason(error: BaseException, _: type[Any] | None) -> str:
    return "is missing" if isinstance(error, KeyError) else str(error)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _refuse(value: object, expected: str) -> Never:
    raise _WireError(f"expected {expected}, got {shortened(repr(value), _VALUE_CHARACTERS)}")


def _int(value: object, _: object) -> int:
    if type(value) is not int:
        _refuse(value, "an integer")
    return value


def _str(value: object, _: object) -> str:
    if type(value) is not str:
        _refuse(value, "a string")
    return value


def _bool(value: object, _: object) -> bool:
    if type(value) is not bool:
        _refuse(value, "true or false")
    return value


def _true_by_default(value: object, _: object) -> bool:
    return True if value is None else _bool(value, _)


def _decimal(value: object, _: object) -> Decimal:
    number = value
    if type(value) is int:
        number = Decimal(value)
    elif type(value) is str and _JSON_NUMBER.fullmatch(value):
        number = _exact(value)
    if type(number) is not Decimal or not number.is_finite():
        _refuse(value, "a finite decimal number")
    return number


def _exact(text: str) -> Decimal:
    """The number that a JSON text spells; NaN if its exponent is beyond what Decimal holds."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _date(value: object, _: object) -> date:
    if type(value) is not str:
        _refuse(value, "a date (YYYY-MM-DD)")
    day = value if len(value) == _DATE_CHARACTERS else _day_of_midnight(value)
    # Python also reads dates by week ("2025-W01-6"), which have no second dash there.
    if day[4:5] != "-" or day[7:8] != "-":
        _refuse(value, "a date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(day)
    except ValueError:
        _refuse(value, "a date of the calendar")


def _day_of_midnight(text: str) -> str:
    match = _MIDNIGHT.fullmatch(text)
    return match[1] if match else ""


def _level(value: object, _: object) -> TrainingLevel | str | None:
    if value is None:
        return None
    text = _str(value, _)
    return _LEVELS.get(text, text)


def _or_null(hook: Callable[[object, Any], T]) -> Callable[[object, Any], T | None]:
    return lambda value, cls: None if value is None else hook(value, cls)


def _object_hook(cls: type[attrs.AttrsInstance], converter: Converter) -> Hook:
    """Structures ``cls`` from an object whose members are named in camelCase."""
    overrides = {
        field.name: override(
            rename=_camel(field.name),
            struct_hook=_true_by_default if field.name == "has_attended" else None,
        )
        for field in attrs.fields(attrs.resolve_types(cls))
    }
    structure = make_dict_structure_fn(cls, converter, **cast(Any, overrides))

    def hook(value: object, target: Any) -> Any:
        if type(value) is not dict:
            _refuse(value, "an object")
        return structure(cast(dict[str, Any], value), target)

    return hook


def _make_converter() -> Converter:
    converter = Converter()

    def register(cls: Any, hook: Hook) -> None:
        converter.register_structure_hook(cls, hook)
        converter.register_structure_hook(cls | None, _or_null(hook))

    register(int, _int)
    register(str, _str)
    register(bool, _bool)
    register(Decimal, _decimal)
    register(date, _date)
    converter.register_structure_hook(TrainingLevel | str | None, _level)
    register(TrainingSummary, _object_hook(TrainingSummary, converter))
    register(RealizedTraining, _object_hook(RealizedTraining, converter))
    return converter


# NaN and the infinities, which Python takes for JSON, become floats: no hook accepts one.
_json = JSONDecoder(parse_float=_exact, parse_constant=float)
_converter = _make_converter()
