"""JSON as text, with numbers that never pass through float, in either direction."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from typing import cast

from ._faults import Fault, JsonSyntaxError, WireError

MOST_DIGITS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_AROUND_JSON = "\ufeff \t\r\n"  # a byte order mark and JSON's white space


def parse(body: bytes | str, *, strict: bool = False) -> object:
    """The value of a JSON text; numbers are int or, with a fraction or exponent, Decimal.

    Args:
        body: The text.
        strict: Refuse NaN and the infinities, which are left for a hook to refuse otherwise: where
            nobody knows the field they do no harm.

    Raises:
        WireError: It is no JSON, or nested too deeply.
    """
    try:
        return _parse(body.decode() if isinstance(body, bytes) else body, strict)
    except JSONDecodeError as error:
        problem: WireError = JsonSyntaxError(
            [Fault("$", f"no JSON ({error.msg} at character {error.pos})")]
        )
    except UnicodeDecodeError:
        problem = JsonSyntaxError([Fault("$", "no JSON (it is not UTF-8)")])
    except RecursionError:
        problem = WireError([Fault("$", "nested too deeply")])
    raise problem


def dumps(value: object, *, allow_nan: bool = False) -> str:
    """A JSON text of plain values, Decimals among them, from which ``parse`` gives the same.

    The standard library writes no Decimal but as a float or a string.

    Args:
        value: The value.
        allow_nan: Write NaN and the infinities as the standard library does, which is no JSON.

    Raises:
        ValueError: A number is not finite.
        TypeError: Something in it has no JSON.
    """
    if isinstance(value, Decimal):
        return str(value) if allow_nan and not value.is_finite() else _number(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value).items()
        told = [f"{_name(name)}: {dumps(it, allow_nan=allow_nan)}" for name, it in members]
        return f"{{{', '.join(told)}}}"
    if isinstance(value, (list, tuple)):
        items = [dumps(it, allow_nan=allow_nan) for it in cast("list[object]", value)]
        return f"[{', '.join(items)}]"
    return plain_dumps(value, allow_nan=allow_nan)


def plain_dumps(value: object, *, allow_nan: bool) -> str:
    """The same of what holds no Decimal, as the standard library does it: many times as fast.

    Raises:
        ValueError: A number is not finite, and that is not allowed.
        TypeError: There is a Decimal in it, or what has no JSON.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=allow_nan)
    # Half of a character, which JSON can escape and UTF-8 can't hold.
    return json.dumps(value) if _SURROGATE.search(text) else text


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a member's name must be a string, not {type(name).__name__}")
    return dumps(name)


def _number(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError(f"{number} has no JSON")
    text = str(number)
    # What reads as an integer comes back as one, which has no minus zero, nor any number of digits.
    is_integer = "." not in text and "E" not in text
    return f"{text}E0" if is_integer and (text == "-0" or len(text) > MOST_DIGITS) else text


def exact(text: str) -> Decimal:
    """The number that a JSON text spells; NaN if its exponent is beyond what Decimal holds."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _parse(body: str, strict: bool) -> object:
    text = body.strip(_AROUND_JSON)
    decoder = _json_without_nan if strict else _json
    try:
        data, end = decoder.raw_decode(text)
    except JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python converts
        if strict:
            raise JSONDecodeError("a number of too many digits", text, 0) from None
        data, end = _json_with_absurd_integers.raw_decode(text)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return data


def _integer_or_nan(text: str) -> object:
    # Where nobody knows the field, it does no harm; where somebody does, NaN is refused.
    return int(text) if len(text) <= MOST_DIGITS else Decimal("NaN")


def _no_constant(name: str) -> None:
    raise JSONDecodeError(f"{name} is none of its values", name, 0)


# NaN and the infinities, which Python takes for JSON, become floats: no hook accepts one.
_json = JSONDecoder(parse_float=exact, parse_constant=float)
_json_without_nan = JSONDecoder(parse_float=exact, parse_constant=_no_constant)
_json_with_absurd_integers = JSONDecoder(
    parse_float=exact, parse_constant=float, parse_int=_integer_or_nan
)
