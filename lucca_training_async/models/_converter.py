"""Between Lucca's JSON and the models: the one cattrs converter and its strict hooks.

Strict on values, liberal on shape. cattrs would turn ``null`` into the string "None" and
``true`` into the hour 1; here a value of the wrong type is an error that names its place.
Unknown fields are ignored and optional ones may be null or absent, because Lucca may add
the former and doesn't say which of the two it sends for the latter.

Numbers never pass through float: the JSON text of an hour becomes a Decimal directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from json import JSONDecodeError, JSONDecoder
from typing import Any, Never, Protocol, TypeVar, cast

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .realized_training import RealizedTraining, TrainingLevel, TrainingSummary

T = TypeVar("T")
R = TypeVar("R", covariant=True)
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
_MOST_DIGITS = 100
_AROUND_JSON = "\ufeff \t\r\n"  # a byte order mark and JSON's white space


@attrs.frozen
class Fault:
    """What is wrong with one value.

    Attributes:
        path: JSON path of the value; ``$`` is the whole body.
        reason: What is wrong, in our own words.
        got: What was found there instead, as a tuple of one; empty if nothing was. It is
            the other side's.
    """

    path: str
    reason: str
    got: tuple[object, ...] = ()


class WireError(ValueError):
    """The JSON is not what was expected.

    Attributes:
        faults: Where and why; at least one.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


class JsonSyntaxError(WireError):
    """It is no JSON at all."""


class WrongIdError(WireError):
    """It is another record than the one asked for."""


class Reader(Protocol[R]):
    """Reads a body as the record that was asked for; raises WireError if it is none."""

    def __call__(self, body: bytes, *, asked_for: int) -> R: ...


def reader(cls: type[T]) -> Reader[T]:
    """A function that reads a body as the ``cls`` with a given id.

    Lucca doesn't list ``id`` among the required properties: where it is absent or null, it
    is the one asked for. The function raises WireError if the body is no such record.
    """
    structure = cast(Callable[[object, type[T]], T], _converter.get_structure_hook(cls))
    return cast("Reader[T]", partial(_read, structure, cls))


def unstructure(record: attrs.AttrsInstance) -> dict[str, Any]:
    """A record as Lucca would write it, before JSON: hours are still a Decimal."""
    return cast(dict[str, Any], _converter.unstructure(record))


def _read(
    structure: Callable[[object, type[T]], T], cls: type[T], body: bytes, asked_for: int
) -> T:
    try:
        data = _parse(body)
        if isinstance(data, dict) and data.get("id") is None:  # pyright: ignore
            data["id"] = asked_for
        record: Any = structure(data, cls)  # pyright: ignore[reportUnknownArgumentType]
    except JSONDecodeError as error:
        problem: WireError = JsonSyntaxError(
            [Fault("$", f"no JSON ({error.msg} at character {error.pos})")]
        )
    except UnicodeDecodeError:
        problem = JsonSyntaxError([Fault("$", "no JSON (it is not UTF-8)")])
    except (BaseValidationError, _ValueError) as error:
        problem = WireError(_faults(error))
    except RecursionError:
        problem = WireError([Fault("$", "nested too deeply")])
    else:
        if record.id == asked_for:
            return cast(T, record)
        problem = WrongIdError([Fault("$.id", f"asked for the record {asked_for}", (record.id,))])
    raise problem


def _parse(body: bytes) -> object:
    text = body.decode().strip(_AROUND_JSON)
    try:
        data, end = _json.raw_decode(text)
    except JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python converts
        data, end = _json_with_absurd_integers.raw_decode(text)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return data


def _integer_or_nan(text: str) -> object:
    # Where nobody knows the field, it does no harm; where somebody does, NaN is refused.
    return int(text) if len(text) <= _MOST_DIGITS else Decimal("NaN")


class _ValueError(ValueError):
    """A value that a hook refuses."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value


def _faults(error: Exception) -> list[Fault]:
    """The faults that cattrs found, with their JSON paths."""
    causes: list[BaseException] = []

    def numbered(cause: BaseException, _: type[Any] | None) -> str:
        # cattrs joins the path to a text; a number leads back from that to the exception.
        causes.append(cause)
        return str(len(causes) - 1)

    if isinstance(error, _ValueError):
        return [_fault(error, "$")]
    told = [line.partition(" @ ") for line in transform_error(error, format_exception=numbered)]
    return [_fault(causes[int(number)], _camel(path)) for number, _, path in told]


def _fault(cause: BaseException, path: str) -> Fault:
    if isinstance(cause, _ValueError):
        return Fault(path, f"expected {cause.expected}", (cause.value,))
    return Fault(path, "is missing" if isinstance(cause, KeyError) else type(cause).__name__)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _refuse(value: object, expected: str) -> Never:
    raise _ValueError(expected, value)


def _int(value: object, _: object) -> int:
    if type(value) is int:
        return value
    # 416.0 and 1e0 are integers, too, in JSON.
    if type(value) is not Decimal or not _is_integral(value):
        _refuse(value, "an integer")
    return int(value)


def _is_integral(number: Decimal) -> bool:
    # 1e999999 would be an integer of a million digits.
    return number.is_finite() and (
        not number or (number.adjusted() < _MOST_DIGITS and number == number.to_integral_value())
    )


def _str(value: object, _: object) -> str:
    if type(value) is not str:
        _refuse(value, "a string")
    return value


def _bool(value: object, _: object) -> bool:
    if type(value) is not bool:
        _refuse(value, "true or false")
    return value


def _true_by_default(value: object, _: object) -> bool:
    return value if type(value) is bool else True if value is None else _bool(value, _)


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


def _level_text(level: TrainingLevel | str | None) -> str | None:
    return None if level is None else str(level)


def _or_null(hook: Hook) -> Hook:
    return lambda value, cls: None if value is None else hook(value, cls)


def _as_it_is_or_null(cls: type, hook: Hook) -> Hook:
    """The same, sooner, for what needs nothing but a look at its type."""

    def check(value: object, target: Any) -> Any:
        return value if type(value) is cls or value is None else hook(value, target)

    return check


def _register_record(cls: type[attrs.AttrsInstance], converter: Converter) -> None:
    """Both directions for a record, whose members Lucca names in camelCase."""
    fields = attrs.fields(attrs.resolve_types(cls))
    names = {field.name: _camel(field.name) for field in fields}
    structure = make_dict_structure_fn(
        cls,
        converter,
        **cast(
            Any,
            {
                name: override(
                    rename=renamed,
                    struct_hook=_true_by_default if name == "has_attended" else None,
                )
                for name, renamed in names.items()
            },
        ),
    )

    def hook(value: object, target: Any) -> Any:
        if not isinstance(value, dict):
            _refuse(value, "an object")
        return structure(value, target)  # pyright: ignore[reportUnknownArgumentType]

    _register(converter, cls, hook)
    renames: Any = {name: override(rename=renamed) for name, renamed in names.items()}
    converter.register_unstructure_hook(cls, make_dict_unstructure_fn(cls, converter, **renames))


def _register(converter: Converter, cls: Any, hook: Hook) -> None:
    converter.register_structure_hook(cls, hook)
    or_null = _as_it_is_or_null(cls, hook) if cls in (int, str, bool) else _or_null(hook)
    converter.register_structure_hook(cls | None, or_null)


def _make_converter() -> Converter:
    converter = Converter()
    scalars: list[tuple[type, Hook]] = [
        (int, _int),
        (str, _str),
        (bool, _bool),
        (Decimal, _decimal),
        (date, _date),
    ]
    for cls, hook in scalars:
        _register(converter, cls, hook)
    converter.register_structure_hook(TrainingLevel | str | None, _level)
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook(TrainingLevel | str | None, _level_text)
    records: list[type[attrs.AttrsInstance]] = [TrainingSummary, RealizedTraining]
    for record in records:
        _register_record(record, converter)
    return converter


# NaN and the infinities, which Python takes for JSON, become floats: no hook accepts one.
_json = JSONDecoder(parse_float=_exact, parse_constant=float)
_json_with_absurd_integers = JSONDecoder(
    parse_float=_exact, parse_constant=float, parse_int=_integer_or_nan
)
_converter = _make_converter()
