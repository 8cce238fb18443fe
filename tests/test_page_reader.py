"""Pages of lists: what is one, what is none, and items that are no records with their paths."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import RealizedTraining
from lucca_training_async.models import (
    MAX_ID,
    BadItem,
    Fault,
    WireError,
    WirePage,
    page_reader,
)
from lucca_training_async.sandbox.data import realized_training

_read = page_reader(RealizedTraining)


def page(*items: Any, **members: Any) -> WirePage[RealizedTraining]:
    return _read(json.dumps({"items": list(items)} | members).encode())


def raw(text: str) -> WirePage[RealizedTraining]:
    return _read(text.encode())


def test_a_page() -> None:
    read = page(realized_training(1), realized_training(2), next="~abc", prev="!x", count=7)
    assert [item.id for item in read.items] == [1, 2]
    assert not any(isinstance(item, BadItem) for item in read.items)
    assert (read.next, read.prev, read.count, read.names_next) == ("~abc", "!x", 7, True)


def test_a_page_that_tells_nothing() -> None:
    assert page() == WirePage([], None, None, None, names_next=False)


@pytest.mark.parametrize(
    ("sent", "cursor"), [(None, None), ("", None), (2, "2"), ("~a|b!", "~a|b!")]
)
@pytest.mark.parametrize("name", ["next", "prev"])
def test_cursors(name: str, sent: Any, cursor: str | None) -> None:
    read = page(**{name: sent})
    assert getattr(read, name) == cursor
    assert read.names_next is (name == "next")


@pytest.mark.parametrize("sent", [{}, {"href": "x"}, [], ["2"], 2.5, True, False])
@pytest.mark.parametrize("name", ["next", "prev"])
def test_what_is_no_cursor(name: str, sent: Any) -> None:
    with pytest.raises(WireError, match=rf"^\$\.{name}: expected a cursor$"):
        page(**{name: sent})


@pytest.mark.parametrize(
    ("literal", "count"), [("3", 3), ("3.0", 3), ("3e2", 300), ("0", 0), ("-0", 0), ("null", None)]
)
def test_counts(literal: str, count: int | None) -> None:
    read = raw(f'{{"items": [], "count": {literal}}}')
    assert read.count == count
    assert type(read.count) is type(count)


@pytest.mark.parametrize(
    "literal", ["-1", "2.5", '"3"', "true", "[]", "{}", "NaN", "1e999999", "9" * 5000]
)
def test_what_is_no_count(literal: str) -> None:
    with pytest.raises(WireError, match=r"^\$\.count: expected a number of items$"):
        raw(f'{{"items": [], "count": {literal}}}')


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"', "true"])
def test_what_is_no_object(body: str) -> None:
    with pytest.raises(WireError, match=r"^\$: expected an object$"):
        raw(body)


@pytest.mark.parametrize("body", ["", "{", '{"items": [', '{"items": []} x', "\x00"])
def test_what_is_no_json(body: str) -> None:
    with pytest.raises(WireError, match=r"^\$: no JSON"):
        raw(body)


@pytest.mark.parametrize("items", [None, {}, "x", 5, True])
def test_items_that_are_no_array(items: Any) -> None:
    with pytest.raises(WireError, match=r"^\$\.items: expected an array$") as caught:
        _read(json.dumps({"items": items}).encode())
    assert caught.value.faults[0].got == (items,)


def test_missing_items() -> None:
    with pytest.raises(WireError, match=r"^\$\.items: is missing$") as caught:
        raw('{"data": {"items": []}}')
    assert caught.value.faults[0].got == ()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in realized_training(235).items() if key != name}


def with_training(**changes: Any) -> dict[str, Any]:
    example = realized_training(235)
    return example | {"training": example["training"] | changes}


BAD: list[tuple[dict[str, Any], str, int | None]] = [
    (with_training(level=5), "training.level", 235),
    (with_training(id="45"), "training.id", 235),
    (realized_training(235) | {"training": []}, "training", 235),
    (realized_training(235) | {"durationInHours": None}, "durationInHours", 235),
    (realized_training(235) | {"id": "235"}, "id", None),
    (realized_training(235) | {"id": True}, "id", None),
    (without("ownerId"), "ownerId", 235),
    (without("id"), "id", None),
]


@pytest.mark.parametrize(("item", "path", "id"), BAD, ids=[path for _, path, _ in BAD])
def test_a_bad_item_is_told_with_its_place(item: Any, path: str, id: int | None) -> None:
    good = [realized_training(n) for n in (1, 2, 3)]
    read = page(*good, item, realized_training(4))
    assert [one.id for one in read.items] == [1, 2, 3, id, 4]
    bad = read.items[3]
    assert isinstance(bad, BadItem)
    assert [fault.path for fault in bad.faults] == [f"$.items[3].{path}"]
    assert bad.raw == item
    assert [n for n, one in enumerate(read.items) if isinstance(one, BadItem)] == [3]


@pytest.mark.parametrize("item", [None, [], "x", 5, True, [realized_training(1)]])
def test_an_item_that_is_no_object(item: Any) -> None:
    (bad,) = page(item).items
    assert isinstance(bad, BadItem)
    assert [(fault.path, fault.reason) for fault in bad.faults] == [
        ("$.items[0]", "expected an object")
    ]
    assert bad.id is None


def test_several_faults_of_an_item() -> None:
    (bad,) = page(with_training(level=5) | {"ownerId": "x"}).items
    assert isinstance(bad, BadItem)
    assert {fault.path for fault in bad.faults} == {
        "$.items[0].ownerId",
        "$.items[0].training.level",
    }


@pytest.mark.parametrize("name", ["training", "trainingDemandId", "sessionId", "hasAttended"])
def test_odd_nulls_do_no_harm(name: str) -> None:
    null, absent = page(realized_training(235) | {name: None}, without(name)).items
    assert isinstance(null, RealizedTraining)
    assert null == absent


def test_unknown_members_do_no_harm() -> None:
    read = page(realized_training(7) | {"new": [1]}, count=1, total={"x": None}, header="y")
    assert read.items == page(realized_training(7)).items


def test_items_that_are_nested_deeply_are_bad_items_or_no_page() -> None:
    for depth in (100, 900, 100_000):
        item = '{"id": 1, "training": ' + "[" * depth + "]" * depth + "}"
        try:
            (bad,) = raw(f'{{"items": [{item}]}}').items
        except WireError as error:
            assert error.faults[0].path == "$"
        else:
            assert isinstance(bad, BadItem)
            assert bad.id == 1


def test_a_page_survives_a_pickle() -> None:
    read = page(realized_training(1), with_training(level=5), next="2", count=3.0)
    assert pickle.loads(pickle.dumps(read)) == read


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["items", "next", "prev", "count", "x"]), json_values))
def test_any_object_is_a_page_or_no_page(body: dict[str, Any]) -> None:
    try:
        read = _read(json.dumps(body).encode())
    except WireError as error:
        assert all(fault.path.startswith("$") for fault in error.faults)
    else:
        assert len(read.items) == len(body["items"])
        for number, item in enumerate(read.items):
            assert isinstance(item, BadItem)
            assert all(fault.path.startswith(f"$.items[{number}]") for fault in item.faults)


@pytest.mark.parametrize(
    ("id", "is_one"), [(0, False), (1, True), (MAX_ID, True), (MAX_ID + 1, False)]
)
def test_an_item_has_an_id_that_can_be_asked_for(id: int, is_one: bool) -> None:
    (item,) = page(realized_training(1) | {"id": id}).items
    assert isinstance(item, RealizedTraining) is is_one
    if isinstance(item, BadItem):
        assert item.faults == [Fault("$.items[0].id", f"expected 1 to {MAX_ID}", (id,))]
        assert item.id == id
