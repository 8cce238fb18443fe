"""Records that go elsewhere: as dicts, as JSON and back, and by their fingerprints."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given

from lucca_training_async import (
    RealizedTraining,
    Record,
    Training,
    TrainingCategory,
    TrainingDemand,
)
from lucca_training_async.models import parse
from lucca_training_async.sandbox.catalogue import training
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.sandbox.demands import training_demand

from .any_records import any_record, hours

KINDS: list[type[Any]] = [RealizedTraining, Training, TrainingDemand]


@given(any_record)
def test_json_is_lossless_both_ways(record: Any) -> None:
    text = record.to_json()
    again: Any = record.__class__.from_json(text)
    assert again == record
    assert again.to_json() == text
    assert record.__class__.from_json(text.encode()) == record  # so it is UTF-8


@given(hours)
def test_hours_come_back_as_they_were_written(number: Decimal) -> None:
    record = attrs.evolve(EXAMPLE, duration_in_hours=number)
    text = record.to_json()
    again = RealizedTraining.from_json(text).duration_in_hours
    assert again.as_tuple() == number.as_tuple()
    assert '"durationInHours": "' not in text
    assert record.to_dict()["duration_in_hours"] is number


@given(any_record)
def test_a_record_survives_a_pickle(record: Any) -> None:
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert hash(again) == hash(record)
    assert again.fingerprint == record.fingerprint


@given(any_record)
def test_equal_records_have_the_same_fingerprint(record: Any) -> None:
    assert record.__class__.from_json(record.to_json()).fingerprint == record.fingerprint
    assert len(record.fingerprint) == 16
    assert int(record.fingerprint, 16) >= 0


@given(any_record)
def test_a_dict_has_the_names_of_here_and_plain_values(record: Any) -> None:
    values = record.to_dict()
    assert list(values) == [field.name for field in attrs.fields(record.__class__)]
    assert values["id"] == record.id
    check_plain(values)


def check_plain(value: Any) -> None:
    if type(value) is dict:
        for inner in value.values():  # pyright: ignore
            check_plain(inner)
    elif type(value) is list:
        for inner in value:  # pyright: ignore
            check_plain(inner)
    else:
        assert type(value) in (type(None), bool, int, str, Decimal, date, datetime)


EXAMPLE = RealizedTraining.from_json(json.dumps(realized_training(235)))
EXAMPLES: list[tuple[type[Any], dict[str, Any], str]] = [
    (RealizedTraining, realized_training(235), "ab7613a0fef562fb"),
    (Training, training(45), "2a35ad655d897e7d"),
    (TrainingDemand, training_demand(410), "0bdee8ebfaaf4732"),
]


def test_the_documented_example_as_a_dict() -> None:
    assert EXAMPLE.to_dict() == {
        "id": 235,
        "owner_id": 416,
        "training": {
            "id": 45,
            "title": "Mastering French: From Basics to Fluency",
            "category_id": 1,
            "provider_url": "https://elan-francais.fr",
            "level": "Beginner",
        },
        "training_demand_id": 4356,
        "session_id": 12,
        "session_starts_on": date(2025, 1, 4),
        "session_ends_on": date(2025, 1, 4),
        "has_attended": True,
        "duration_in_hours": Decimal(14),
    }


def test_the_documented_example_is_written_as_lucca_writes_it() -> None:
    assert json.loads(EXAMPLE.to_json()) == realized_training(235)


@pytest.mark.parametrize(("kind", "wire", "_"), EXAMPLES)
def test_what_lucca_writes_is_what_is_written(kind: Any, wire: Any, _: str) -> None:
    written = json.loads(kind.from_json(json.dumps(wire)).to_json())
    check_same(written, wire)


def check_same(written: Any, wire: Any) -> None:
    """Every member that the record knows is as it was; what it adds is null."""
    for name, value in written.items():
        if isinstance(value, dict) and name != "t9n":
            check_same(value, wire[name])
        elif name in ("createdAt", "lastModifiedAt"):
            assert value[:26] == wire[name][:26]  # six of its seven digits
        else:
            assert value == wire.get(name)


@pytest.mark.parametrize(("kind", "wire", "fingerprint"), EXAMPLES)
def test_fingerprints_stay_what_they_are(kind: Any, wire: Any, fingerprint: str) -> None:
    """Whoever keeps them compares them with those of a later version."""
    assert kind.from_json(json.dumps(wire)).fingerprint == fingerprint


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "import json, sys; from lucca_training_async import Training;"
        "print(Training.from_json(sys.stdin.read()).fingerprint)"
    )
    command = [sys.executable, "-c", code]
    wire = json.dumps(training(45))
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        told = subprocess.check_output(command, input=wire, text=True, env=env, timeout=60)
        assert told.strip() == Training.from_json(wire).fingerprint


@pytest.mark.parametrize("written", ["14", "14.00", "1.4E+1", "140e-1", '"14.0"'])
def test_ways_to_write_an_hour_have_one_fingerprint(written: str) -> None:
    text = json.dumps(realized_training(235) | {"durationInHours": "@@"})
    assert (
        RealizedTraining.from_json(text.replace('"@@"', written)).fingerprint == EXAMPLE.fingerprint
    )


@pytest.mark.parametrize("name", ["training", "trainingDemandId", "sessionId", "newIn2027"])
def test_null_and_absent_have_one_fingerprint(name: str) -> None:
    null = realized_training(235) | {name: None}
    absent = {key: value for key, value in null.items() if key != name}
    prints = {RealizedTraining.from_json(json.dumps(one)).fingerprint for one in (null, absent)}
    assert len(prints) == 1


def in_t9n(value: object) -> Training:
    return Training(id=1, category=TrainingCategory(t9n={"x": value}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (in_t9n(1400), in_t9n(Decimal("1400.0"))),
        (in_t9n({"Fr": 1, "Es": 2}), in_t9n({"Es": 2, "Fr": 1})),
        (in_t9n(0), in_t9n(Decimal("-0.00"))),
        (
            TrainingDemand(id=1, created_at=datetime(2025, 1, 4, 9, tzinfo=UTC)),
            TrainingDemand(
                id=1, created_at=datetime(2025, 1, 4, 10, tzinfo=timezone(timedelta(hours=1)))
            ),
        ),
    ],
)
def test_other_equal_records(one: Record, other: Record) -> None:
    assert one == other
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("value", ["15e-1", "1.5", 15, Decimal("1.50001"), True, None, [], {}])
def test_translations_that_differ(value: object) -> None:
    assert in_t9n(value).fingerprint != in_t9n(Decimal("1.5")).fingerprint


@pytest.mark.parametrize("absurd", ["NaN", "1e999999999999999999999", "\ud800", "9" * 5000])
def test_no_translation_keeps_a_record_from_having_a_fingerprint(absurd: str) -> None:
    literal = json.dumps(absurd) if absurd == "\ud800" else absurd
    record = Training.from_json(f'{{"id": 1, "category": {{"t9n": {{"x": {literal}}}}}}}')
    assert record.fingerprint != in_t9n(None).fingerprint


OTHER: dict[type, Any] = {int: 999, bool: False, str: "else", Decimal: Decimal("14.01")}


def changes_of(record: Any) -> list[tuple[str, Any]]:
    """The record with one field changed, for each field of it and of the records within."""
    found: list[tuple[str, Any]] = []
    for field in attrs.fields(record.__class__):
        value: Any = getattr(record, field.name)
        if attrs.has(value.__class__):
            within = [(f"{field.name}.{name}", inner) for name, inner in changes_of(value)]
        elif isinstance(value, date):
            within = [(field.name, value + timedelta(days=1))]
        else:
            other = {"x": 1} if isinstance(value, dict) else OTHER.get(value.__class__, "else")
            within = [(field.name, other if value != other else not value)]
        found += [(name, attrs.evolve(record, **{field.name: new})) for name, new in within]
        if field.name not in ("id", "has_attended") and value is not None:
            found.append((f"{field.name} is None", attrs.evolve(record, **{field.name: None})))
    return found


CHANGES = [
    pytest.param(record, changed, id=f"{type(record).__name__}.{name}")
    for kind, wire, _ in EXAMPLES
    for record in [kind.from_json(json.dumps(wire))]
    for name, changed in changes_of(record)
]


def test_there_are_changes() -> None:
    assert len(CHANGES) > 60


@pytest.mark.parametrize(("record", "changed"), CHANGES)
def test_any_change_changes_the_fingerprint(record: Any, changed: Any) -> None:
    assert changed != record
    assert changed.fingerprint != record.fingerprint


def test_a_fingerprint_is_a_property_and_no_field() -> None:
    assert isinstance(Record.fingerprint, property)
    assert "fingerprint" not in EXAMPLE.to_dict()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", r"\$: expected an object"),
        ("{", "no JSON"),
        ('{"id": "1"}', r"\$\.id"),
        ('{"id": 1, "level": 5}', r"\$\.level"),
        ('{"id": 1, "category": {"t9n": []}}', r"\$\.category\.t9n"),
        ("{}", r"\$\.id: is missing"),
    ],
)
def test_json_that_is_no_record(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Training.from_json(text)


def test_half_a_character_is_escaped() -> None:
    text = Training(id=1, title="é\ud83d").to_json()
    assert "\\ud83d" in text
    assert text.encode()
    assert Training.from_json(text).title == "é\ud83d"
    whole: Any = parse(Training(id=1, title="é😀").to_json())
    assert whole["title"] == "é😀"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_record_is_a_frozen_attrs_class_and_says_so(kind: Any) -> None:
    assert "attrs class" in kind.__doc__
    record = kind.from_json(json.dumps(next(wire for one, wire, _ in EXAMPLES if one is kind)))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.id = 5
    assert not hasattr(record, "__dict__")
    assert len({record, record}) == 1
