"""What a sandbox is given in a terminal: the ids it lacks, its faults, its records."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from ..models import MAX_ID, WireError, parse
from ..sandbox import Fault
from .connection import WrongUseError

_IDS = re.compile(r"\s*([0-9]{1,10})\s*(?:-\s*([0-9]{1,10})\s*)?", re.ASCII)
_FAULT = re.compile(r"([a-z_-]+)(?:=([^:]*))?:([^:]+)")
_SLOW, _LONGEST = 2.0, 3600.0


@attrs.frozen
class Ids:
    """Some ids, as ranges, so that a million costs no more than one."""

    ranges: Sequence[range]

    def __contains__(self, id: object) -> bool:
        return any(id in each for each in self.ranges)


def ids(text: str) -> Ids:
    """Ids and ranges of them, as in ``3,7,10-20``."""
    ranges: list[range] = []
    for part in text.split(","):
        found = _IDS.fullmatch(part)
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else 0
        if not 1 <= first <= last <= MAX_ID:
            raise argparse.ArgumentTypeError(
                f"must be ids from 1 to {MAX_ID} and ranges of them, such as 3,7,10-20, "
                f"not {part.strip()!r}"
            )
        ranges.append(range(first, last + 1))
    return Ids(ranges)


@attrs.frozen
class Chance:
    """A fault, and how often it comes.

    Attributes:
        fault: The fault.
        rate: Of all requests, from 0 to 1.
    """

    fault: Fault
    rate: float


def _whole(least: int, most: int, make: Callable[[int], Fault]) -> Callable[[str], Fault]:
    def read(text: str) -> Fault:
        value = int(text) if re.fullmatch("[0-9]{1,6}", text, re.ASCII) else -1
        if not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return make(value)

    return read


def _seconds(make: Callable[[float], Fault]) -> Callable[[str], Fault]:
    def read(text: str) -> Fault:
        value = float(text) if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text, re.ASCII) else -1.0
        if not 0 <= value <= _LONGEST:
            raise ValueError(f"seconds from 0 to {_LONGEST:g}")
        return make(value)

    return read


@attrs.frozen
class _Kind:
    make: Callable[[], Fault] | None  # None where it needs a value
    read: Callable[[str], Fault] | None  # None where it takes none


KINDS: Mapping[str, _Kind] = {
    "too_many_requests": _Kind(Fault.too_many_requests, _seconds(Fault.too_many_requests)),
    "internal_error": _Kind(Fault.internal_error, None),
    "unavailable": _Kind(Fault.unavailable, _seconds(Fault.unavailable)),
    "error": _Kind(None, _whole(400, 599, Fault.error)),
    "slow": _Kind(lambda: Fault.slow(_SLOW), _seconds(Fault.slow)),
    "drop": _Kind(Fault.drop, None),
    "truncate": _Kind(Fault.truncate, None),
    "html": _Kind(Fault.html, None),
    "bad_json": _Kind(Fault.bad_json, None),
    "answer": _Kind(Fault.answer, _whole(200, 599, Fault.answer)),
}
"""The constructors of :class:`Fault`, by their names."""


def chance(text: str) -> Chance:
    """A fault's name and rate, as in ``drop:0.1`` or ``slow=3:5%``."""
    found = _FAULT.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"must be NAME:RATE, such as drop:0.1, not {text!r}")
    name, value = found[1].replace("-", "_"), found[2]
    kind = KINDS.get(name)
    if kind is None:
        raise argparse.ArgumentTypeError(f"there is no fault {found[1]!r}: {', '.join(KINDS)}")
    return Chance(_fault(name, kind, value), _rate(found[3]))


def _fault(name: str, kind: _Kind, value: str | None) -> Fault:
    if value is None:
        if kind.make is None:
            raise argparse.ArgumentTypeError(f"{name} needs a status, such as {name}=418:0.1")
        return kind.make()
    if kind.read is None:
        raise argparse.ArgumentTypeError(f"{name} takes no value: {name}:0.1")
    try:
        return kind.read(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} takes {error}, not {value!r}") from None


def _rate(text: str) -> float:
    number = re.fullmatch(r"([0-9]{0,3}(?:\.[0-9]{1,9})?)(%?)", text.strip(), re.ASCII)
    rate = -1.0
    if number and number[1]:
        rate = float(number[1]) / (100 if number[2] else 1)
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(
            f"a rate is from 0 to 1, or from 0% to 100%, not {text.strip()!r}"
        )
    return rate


def chooser(chances: Sequence[Chance], seed: int | None) -> Callable[[], Fault | None]:
    """What draws the fault of a request, or none, by their rates.

    Raises:
        WrongUseError: The rates are more than 1 together.
    """
    if sum(each.rate for each in chances) > 1 + 1e-9:
        raise WrongUseError("the rates of --fault are more than 1 together")
    source = random.Random(seed)

    def choose() -> Fault | None:
        drawn = source.random()
        for each in chances:
            if drawn < each.rate:
                return each.fault
            drawn -= each.rate
        return None

    return choose


def records(file: Path) -> Iterator[Mapping[str, Any]]:
    """The objects in a file of JSON lines.

    Raises:
        WrongUseError: It can't be read, or a line is no object.
    """
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise WrongUseError(f"--data: {file} can't be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = parse(line.strip(), strict=True)
        except WireError as error:
            raise WrongUseError(f"--data: {file}, line {number}: {error}") from None
        if not isinstance(value, dict):
            raise WrongUseError(f"--data: {file}, line {number}: must be a JSON object")
        record = cast("dict[str, Any]", value)
        given = record.get("id")
        if type(given) is not int or not 1 <= given <= MAX_ID:
            raise WrongUseError(
                f"--data: {file}, line {number}: needs an id, a whole number from 1 to {MAX_ID}"
            )
        yield record
