"""Any records at all, for Hypothesis."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from lucca_training_async import (
    Employee,
    Prioritization,
    RealizedTraining,
    Training,
    TrainingCategory,
    TrainingDemand,
    TrainingDemandState,
    TrainingLevel,
    TrainingPlan,
    TrainingProvider,
    TrainingSession,
    TrainingState,
    TrainingSummary,
    TrainingType,
)

digits = st.lists(st.integers(0, 9), min_size=1, max_size=200).map(tuple)
hours = st.decimals(allow_nan=False, allow_infinity=False) | st.tuples(
    st.integers(0, 1), digits, st.integers(-300, 300)
).map(Decimal)
ids = st.integers(-(2**63), 2**63)
# Halves of characters too: JSON can tell them.
texts = st.text(st.characters())
zones = st.none() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(timezones=zones)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**99), 10**99) | hours | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def some(cls: Any, *, needed: tuple[str, ...] = ("id",), **members: Any) -> st.SearchStrategy[Any]:
    """Any records of a kind, whose optional members may be None."""
    given = {name: v if name in needed else st.none() | v for name, v in members.items()}
    return st.builds(cls, **given)


def named(enum: type[Enum]) -> st.SearchStrategy[Any]:
    return st.sampled_from(enum) | texts


summaries = some(
    TrainingSummary,
    needed=(),
    id=ids,
    title=texts,
    category_id=ids,
    provider_url=texts,
    level=named(TrainingLevel),
)
providers = some(TrainingProvider, needed=(), id=ids, name=texts, website_href=texts, url=texts)
employees = some(Employee, needed=(), id=ids, first_name=texts, type=texts, department_id=ids)
RECORDS = {
    RealizedTraining: some(
        RealizedTraining,
        needed=(
            *("id", "owner_id", "session_starts_on", "session_ends_on"),
            *("has_attended", "duration_in_hours"),
        ),
        id=ids,
        owner_id=ids,
        training=summaries,
        training_demand_id=ids,
        session_id=ids,
        session_starts_on=st.dates(),
        session_ends_on=st.dates(),
        has_attended=st.booleans(),
        duration_in_hours=hours,
    ),
    Training: some(
        Training,
        id=ids,
        state=named(TrainingState),
        type=named(TrainingType),
        title=texts,
        description=texts,
        provider=providers,
        level=named(TrainingLevel),
        is_certifying=st.booleans(),
        category=some(
            TrainingCategory,
            needed=(),
            id=ids,
            name=texts,
            t9n=st.dictionaries(texts, json_values, max_size=3),
        ),
    ),
    TrainingDemand: some(
        TrainingDemand,
        id=ids,
        state=named(TrainingDemandState),
        reason=texts,
        training=summaries,
        provider=providers,
        author=employees,
        owner=employees,
        plan=some(TrainingPlan, needed=(), id=ids, name=texts, start_on=st.dates()),
        session=some(
            TrainingSession, needed=(), id=ids, start_on=st.dates(), duration_in_hours=hours
        ),
        registered_on=st.dates(),
        prioritization=some(
            Prioritization, needed=(), id=ids, level=texts, last_modified_at=moments
        ),
        created_at=moments,
    ),
}
any_record = st.one_of(*RECORDS.values())
