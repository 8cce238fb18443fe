"""Records as flat rows: a column for each value, and numbers that need no exponent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import RealizedTraining, Training, TrainingCategory, TrainingDemand
from lucca_training_async.integrations._rows import columns_of, row_of

DAY = date(2025, 1, 4)
COLUMNS = columns_of(RealizedTraining)


def training(hours: str = "14", **members: Any) -> RealizedTraining:
    days: dict[str, Any] = {"session_starts_on": DAY, "session_ends_on": DAY}
    return RealizedTraining(id=7, owner_id=1, duration_in_hours=Decimal(hours), **days, **members)


def leaves(kind: Any) -> int:
    within = [
        inner
        for field in attrs.fields(kind)
        for inner in getattr(field.type, "__args__", (field.type,))
        if attrs.has(inner)
    ]
    return len(attrs.fields(kind)) - len(within) + sum(map(leaves, within))


@pytest.mark.parametrize("kind", [RealizedTraining, Training, TrainingDemand])
def test_no_two_values_have_the_same_column(kind: Any) -> None:
    assert len(columns_of(kind)) == leaves(kind)


def test_columns() -> None:
    assert COLUMNS["training_level"] is str
    assert COLUMNS["duration_in_hours"] is Decimal
    assert COLUMNS["has_attended"] is bool
    assert COLUMNS["session_ends_on"] is date
    assert columns_of(TrainingDemand)["created_at"] is datetime
    assert columns_of(Training)["category_t9n"] is Mapping


def test_a_record_that_is_not_there_has_no_values() -> None:
    row = row_of(training(), COLUMNS)
    assert "training_id" not in row
    assert row["session_id"] is None
    assert set(row) <= set(COLUMNS)


def test_translations_stay_together() -> None:
    course = Training(id=1, category=TrainingCategory(id=2, t9n={"name": {"Fr": "Langues"}}))
    row = row_of(course, columns_of(Training))
    assert row["category_id"] == 2
    assert row["category_t9n"] == {"name": {"Fr": "Langues"}}


@given(st.decimals(-(10**28), 10**28, places=9) | st.decimals(-(10**28), 10**28, places=2))
def test_numbers_that_fit_are_exact_and_have_no_exponent(number: Decimal) -> None:
    for written in (str(number), f"{number:E}"):
        hours = row_of(training(written), COLUMNS)["duration_in_hours"]
        assert hours == number
        assert hours.as_tuple().exponent <= 0


@pytest.mark.parametrize("hours", ["1e-10", "0.1234567891", "1e29", "-1e400", "1e-400"])
def test_numbers_that_do_not_fit_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match=r"RealizedTraining 7: duration_in_hours is not exact"):
        row_of(training(hours), COLUMNS)
