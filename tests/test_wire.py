"""JSON to models: exact, strict on values, liberal on shape, and precise about what is wrong."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from lucca_training_async import (
    DecodeError,
    RealizedTraining,
    TrainingLevel,
    TrainingSummary,
    WrongRecordError,
)
from lucca_training_async._http.answers import Reply, decode_error
from lucca_training_async.models import WireError, reader, unstructure
from lucca_training_async.sandbox.data import realized_training
from lucca_training_async.settings import ApiKey

read = reader(RealizedTraining)
KEY = ApiKey("1f2e3d4c-0000-1111-2222-333344445555")


def decode(body: bytes | str | dict[str, Any], asked_for: int = 235) -> RealizedTraining:
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    url = URL("https://acme.ilucca.net/realized-trainings/235")
    reply = Reply(200, CIMultiDict({"X-Request-Id": "r-1"}), data, url)
    try:
        return read(reply.body, asked_for=asked_for)
    except WireError as error:
        fault = error
    raise decode_error(reply, fault, attempts=3, key=KEY)


def example(**changes: Any) -> dict[str, Any]:
    return realized_training(235) | changes


def with_raw(name: str, literal: str) -> str:
    """The example with a member written as that very JSON text."""
    return json.dumps(example(**{name: "@@"})).replace('"@@"', literal)


def test_the_documented_example() -> None:
    assert decode(example()) == RealizedTraining(
        id=235,
        owner_id=416,
        training=TrainingSummary(
            id=45,
            title="Mastering French: From Basics to Fluency",
            category_id=1,
            provider_url="https://elan-francais.fr",
            level=TrainingLevel.BEGINNER,
        ),
        training_demand_id=4356,
        session_id=12,
        session_starts_on=date(2025, 1, 4),
        session_ends_on=date(2025, 1, 4),
        has_attended=True,
        duration_in_hours=Decimal(14),
    )


OPTIONAL = ["id", "training", "trainingDemandId", "sessionId", "hasAttended"]
REQUIRED = ["ownerId", "sessionStartsOn", "sessionEndsOn", "durationInHours"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_optional_members_may_be_null_or_absent(name: str) -> None:
    absent = example()
    del absent[name]
    assert decode(absent) == decode(example(**{name: None}))


def test_an_id_left_out_is_the_one_asked_for() -> None:
    for data in (example(id=None), {k: v for k, v in example().items() if k != "id"}):
        assert decode(data, 7).id == 7


def test_a_training_may_have_nothing_at_all() -> None:
    assert decode(example(training={})).training == TrainingSummary()


@pytest.mark.parametrize("literal", ["416", "416.0", "416.00", "4.16e2", "4160E-1", "416e0"])
def test_an_integral_number_is_an_integer(literal: str) -> None:
    owner_id = decode(with_raw("ownerId", literal)).owner_id
    assert (type(owner_id), owner_id) == (int, 416)


@pytest.mark.parametrize(
    "literal", ["416.5", "4.165e2", "1e400", "1e999999999", "9" * 5000, "NaN", "Infinity", '"416"']
)
def test_what_is_no_integer(literal: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(with_raw("ownerId", literal))
    assert caught.value.path == "$.ownerId"


@pytest.mark.parametrize("literal", ["0", "0.0", "-0.0", "0e999999"])
def test_zero_is_an_integer_however_it_is_written(literal: str) -> None:
    assert decode(with_raw("ownerId", literal)).owner_id == 0


@pytest.mark.parametrize(
    "literal", ["9" * 5000, "-" + "9" * 5000, "1e999999999999", "NaN", "[" + "9" * 5000 + "]"]
)
def test_an_absurd_value_of_a_field_that_nobody_knows_does_no_harm(literal: str) -> None:
    assert decode(with_raw("newIn2027", literal)) == decode(example())


@pytest.mark.parametrize("found", [6, 236, -235, 235000, "235.5e1"])
def test_another_record_is_never_handed_out(found: object) -> None:
    with pytest.raises(WrongRecordError, match=r"\$\.id: asked for the record 235, got") as caught:
        decode(with_raw("id", str(found)))
    assert caught.value.path == "$.id"
    assert caught.value.transient
    assert str(found) in str(caught.value) or found == "235.5e1"


def test_the_same_id_written_otherwise_is_the_record() -> None:
    assert decode(with_raw("id", "235.0")).id == 235


def test_attendance_is_assumed_where_lucca_says_nothing() -> None:
    assert decode(example(hasAttended=None)).has_attended is True
    assert decode(example(hasAttended=False)).has_attended is False


@pytest.mark.parametrize("name", ["id", "title", "categoryId", "providerUrl", "level"])
def test_optional_members_of_the_training(name: str) -> None:
    training = example()["training"]
    absent = {key: value for key, value in training.items() if key != name}
    null = training | {name: None}
    assert decode(example(training=absent)) == decode(example(training=null))


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("absent", [True, False])
def test_required_members(name: str, absent: bool) -> None:
    data = example(**{name: None})
    if absent:
        del data[name]
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert caught.value.path == f"$.{name}"


def test_unknown_members_are_ignored() -> None:
    training = example()["training"] | {"t9n": {"fr": "x"}}
    assert decode(example(training=training, newIn2027=[1])) == decode(example())


@pytest.mark.parametrize(
    ("sent", "level"),
    [
        ("Beginner", TrainingLevel.BEGINNER),
        ("Middle", TrainingLevel.MIDDLE),
        ("Expert", TrainingLevel.EXPERT),
        ("Guru", "Guru"),
        ("beginner", "beginner"),
        ("", ""),
    ],
)
def test_levels(sent: str, level: str) -> None:
    training = decode(example(training={"id": 1, "level": sent})).training
    assert training is not None
    assert training.level == level
    assert type(training.level) is type(level)


@pytest.mark.parametrize(
    ("literal", "hours"),
    [
        ("14", "14"),
        ("2.5", "2.5"),
        ("0.1", "0.1"),
        ("1.4E+1", "1.4E+1"),
        ("1.4e1", "14"),
        ('"2.5"', "2.5"),
        ('"14"', "14"),
        ("0.10", "0.10"),
        ("-0.5", "-0.5"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("12345678901234567890.12", "12345678901234567890.12"),
    ],
)
def test_hours_are_exact(literal: str, hours: str) -> None:
    decoded = decode(with_raw("durationInHours", literal)).duration_in_hours
    assert type(decoded) is Decimal
    assert decoded == Decimal(hours)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_finite_decimal_survives_as_number_and_as_string(hours: Decimal) -> None:
    for literal in (f"{hours}", f'"{hours}"'):
        decoded = decode(with_raw("durationInHours", literal)).duration_in_hours
        assert decoded == hours
        assert decoded.as_tuple() == hours.as_tuple() or hours == 0 or "." not in literal


@pytest.mark.parametrize(
    "literal",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        '"NaN"',
        '"Infinity"',
        '"-inf"',
        '"sNaN"',
        "true",
        "false",
        '"true"',
        '""',
        '" 2.5"',
        '"2.5 "',
        '"2,5"',
        '"1_000"',
        '"٢"',
        '"0x10"',
        "[2.5]",
        "{}",
        "1E+99999999999999999999",
        '"1E+99999999999999999999"',
        '"2.5\\n"',
        "9" * 5000,
    ],
)
def test_hours_refused(literal: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(with_raw("durationInHours", literal))
    assert caught.value.path == "$.durationInHours"


DAY = date(2025, 1, 4)


@pytest.mark.parametrize(
    "sent",
    [
        "2025-01-04",
        "2025-01-04T00:00",
        "2025-01-04T00:00:00",
        "2025-01-04 00:00:00",
        "2025-01-04T00:00:00Z",
        "2025-01-04t00:00:00z",
        "2025-01-04T00:00:00.000",
        "2025-01-04T00:00:00.0000000Z",
        "2025-01-04T00:00:00+01:00",
        "2025-01-04T00:00:00-0500",
    ],
)
def test_dates(sent: str) -> None:
    decoded = decode(example(sessionStartsOn=sent)).session_starts_on
    assert decoded == DAY
    assert type(decoded) is date


@pytest.mark.parametrize(
    "sent",
    [
        "2025-01-04T08:30:00",
        "2025-01-03T23:00:00Z",
        "2025-01-04T00:00:00.001",
        "2025-02-30",
        "2025-13-01",
        "0000-01-01",
        "20250104",
        "2025-W01-6",
        "2025-1-4",
        "04/01/2025",
        "",
        "2025-01-04\n",
        " 2025-01-04",
        "٢٠٢٥-٠١-٠٤",
        20250104,
        1735948800,
        True,
        ["2025-01-04"],
    ],
)
def test_dates_refused(sent: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(example(sessionEndsOn=sent))
    assert caught.value.path == "$.sessionEndsOn"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": "235"}, "$.id"),
        ({"id": True}, "$.id"),
        ({"id": 2.5}, "$.id"),
        ({"ownerId": []}, "$.ownerId"),
        ({"hasAttended": "true"}, "$.hasAttended"),
        ({"hasAttended": 1}, "$.hasAttended"),
        ({"training": []}, "$.training"),
        ({"training": "French"}, "$.training"),
        ({"training": {"id": "45"}}, "$.training.id"),
        ({"id": 10.5}, "$.id"),
        ({"ownerId": True}, "$.ownerId"),
        ({"training": {"id": 1, "title": 5}}, "$.training.title"),
        ({"training": {"id": 1, "level": 5}}, "$.training.level"),
        ({"training": {"id": 1, "categoryId": "1"}}, "$.training.categoryId"),
        ({"training": {"id": 1, "providerUrl": False}}, "$.training.providerUrl"),
    ],
)
def test_the_path_of_the_offending_field(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(example(**changes))
    error = caught.value
    assert error.path == path
    assert path in str(error)
    assert error.url == "https://acme.ilucca.net/realized-trainings/235"
    assert error.request_id == "r-1"
    assert error.attempts == 3
    assert error.__cause__ is None


def test_several_faults_are_told_together() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(example(ownerId="x", durationInHours=True))
    assert "$.ownerId: expected an integer, got 'x'" in str(caught.value)
    assert "$.durationInHours: expected a finite decimal number, got True" in str(caught.value)


def test_each_of_three_faults_has_its_own_value() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(example(ownerId="x", durationInHours=True, hasAttended="y"))
    for told in ("$.ownerId: expected an integer, got 'x'", "got True", "got 'y'"):
        assert told in str(caught.value)


def test_only_the_first_few_faults_are_told() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(dict.fromkeys(REQUIRED, "x" * 10_000) | {"hasAttended": "x" * 10_000})
    assert str(caught.value).count("expected ") == 3
    assert len(str(caught.value)) < 700


def test_the_key_is_in_no_fault_of_a_value() -> None:
    key = "1f2e3d4c-0000-1111-2222-333344445555"
    for value in (key, [key], ["x" * 30 + key] * 9, {key: key}, f"lucca application={key}"):
        with pytest.raises(DecodeError) as caught:
            decode(example(ownerId=value))
        assert key not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize("depth", [10, 500, 900, 950, 980, 990, 995, 1000, 1100, 5000])
@pytest.mark.parametrize("name", ["ownerId", "training", "newIn2027"])
def test_no_depth_of_nesting_is_more_than_a_decode_error(name: str, depth: int) -> None:
    body = with_raw(name, "[" * depth + "]" * depth)
    try:
        decode(body)
    except DecodeError as error:
        assert len(str(error)) < 700


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps([realized_training(235)]).encode(),
        json.dumps(realized_training(235)).encode() + b"{}",
        json.dumps(realized_training(235)).encode()[:-5],
    ],
)
def test_what_is_no_object_at_all(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body)
    assert caught.value.path == "$"
    assert len(caught.value.excerpt) <= 120
    assert len(str(caught.value)) < 500


@given(st.integers(1, 2**31 - 1))
def test_what_is_written_is_what_was_read(id: int) -> None:
    record = decode(realized_training(id), id)
    written = unstructure(record)
    assert written["sessionEndsOn"] == record.session_ends_on.isoformat()
    assert written["durationInHours"] == record.duration_in_hours
    assert type(written["durationInHours"]) is Decimal
    assert decode(json.dumps(written, default=str), id) == record


def test_a_level_added_since_is_written_as_it_was_read() -> None:
    for level in ("Guru", "Expert", None):
        record = decode(example(training={"id": 1, "level": level}))
        assert unstructure(record)["training"]["level"] == level


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode(b"\xef\xbb\xbf" + json.dumps(example()).encode()) == decode(example())


def test_models_are_frozen_slotted_and_hashable() -> None:
    training = decode(example())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        training.owner_id = 5  # type: ignore[misc]
    assert not hasattr(training, "__dict__")
    assert hash(training) == hash(decode(example()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
names = st.sampled_from([*REQUIRED, *OPTIONAL, "unknown"])
training_names = st.sampled_from(["id", "title", "categoryId", "providerUrl", "level", "unknown"])


@given(st.dictionaries(names, json_values), st.dictionaries(training_names, json_values))
def test_any_payload_is_a_training_or_a_decode_error(
    changes: dict[str, Any], training: dict[str, Any]
) -> None:
    data = example(training=training) | changes
    try:
        decoded = decode(data)
    except DecodeError as error:
        assert error.path.startswith("$")
    else:
        assert isinstance(decoded, RealizedTraining)
        assert decoded.duration_in_hours.is_finite()
        assert type(decoded.session_ends_on) is date


@given(st.binary())
def test_any_bytes_are_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body)


@given(st.integers(1, 2**31 - 1))
def test_the_sandbox_writes_what_the_client_reads(id: int) -> None:
    data = realized_training(id)
    decoded = decode(data, id)
    assert decoded.id == id
    assert decoded.duration_in_hours == Decimal(str(data["durationInHours"]))
    assert decoded.session_starts_on <= decoded.session_ends_on
