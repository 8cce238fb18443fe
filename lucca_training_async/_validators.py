"""attrs validators for the settings, so that a bad one fails where it is written."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from attrs import Attribute

from .errors import ConfigurationError


def is_int(value: object) -> TypeGuard[int]:
    """Whether the value is an int; ``True`` is not one here."""
    return isinstance(value, int) and not isinstance(value, bool)


def positive_int(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not is_int(value) or value < 1:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be an int of at least 1, not {value!r}"
        )


def positive_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_finite_number(value) or value <= 0:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be a positive, finite number of seconds, not {value!r}"
        )


def non_negative_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_finite_number(value) or value < 0:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be a finite number of seconds, 0 or more, "
            f"not {value!r}"
        )


def optional_positive_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        positive_seconds(owner, attribute, value)


def _is_finite_number(value: object) -> TypeGuard[float]:
    try:
        return (is_int(value) or isinstance(value, float)) and math.isfinite(value)
    except OverflowError:  # an int beyond any float
        return False


def _name(owner: object, attribute: Attribute[Any]) -> str:
    return f"{type(owner).__name__}.{attribute.name}"
