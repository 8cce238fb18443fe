"""JSON as we write it: the numbers at the edge of what can be told, which chance rarely meets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest

from lucca_training_async.models import dumps, parse
from lucca_training_async.models._json import MOST_DIGITS


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("9" * MOST_DIGITS), "9" * MOST_DIGITS),
        # As an integer it would be read as NaN wherever another absurd number stands beside it.
        (Decimal("9" * (MOST_DIGITS + 1)), "9" * (MOST_DIGITS + 1) + "E0"),
        (Decimal("9" * (MOST_DIGITS + 2)), "9" * (MOST_DIGITS + 2) + "E0"),
        (Decimal("-0"), "-0E0"),
        (Decimal("-0.0"), "-0.0"),
        (Decimal(0), "0"),
        (Decimal(-1), "-1"),
        (Decimal("1." + "0" * 200), "1." + "0" * 200),
        (Decimal("1E+200"), "1E+200"),
        (Decimal("-0E-30"), "-0E-30"),
    ],
)
def test_a_number_is_written_so_that_it_comes_back(number: Decimal, text: str) -> None:
    assert dumps(number) == text
    assert parse(text) == number


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity"), float("nan")])
def test_what_is_not_finite_is_written_for_who_asks_only(number: Decimal | float) -> None:
    with pytest.raises(ValueError, match=r"has no JSON|Out of range"):
        dumps(number)
    with pytest.raises(ValueError, match=r"has no JSON|Out of range"):
        dumps({"a": [number]})
    assert dumps([number], allow_nan=True) in ("[NaN]", "[Infinity]")


def test_who_asks_for_those_has_all_others_as_ever() -> None:
    for number in (Decimal("-0"), Decimal("9" * (MOST_DIGITS + 1)), Decimal("2.50"), 7):
        assert dumps(number, allow_nan=True) == dumps(number)


@pytest.mark.parametrize("text", ["9" * 5000, "[NaN]", '{"a": -Infinity}'])
def test_a_strict_reader_says_at_which_character(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON \(.* at character 0\)"):
        parse(text, strict=True)


def test_a_hundred_digits_are_kept_where_another_number_is_absurd() -> None:
    read = cast("list[Any]", parse(f"[{'9' * 100}, {'9' * 5000}, {'9' * 101}]"))
    kept, absurd, too_long = read
    assert kept == int("9" * 100)
    assert absurd.is_nan()
    assert too_long.is_nan()
