"""What can be wrong with Lucca's JSON, as values that name the place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Never

import attrs


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

    def __str__(self) -> str:
        return "; ".join(f"{fault.path}: {fault.reason}" for fault in self.faults)


class JsonSyntaxError(WireError):
    """It is no JSON at all."""


class WrongIdError(WireError):
    """It is another record than the one asked for."""


class RefusedValueError(ValueError):
    """A value that a hook refuses."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value


def refuse(value: object, expected: str) -> Never:
    raise RefusedValueError(expected, value)
