"""``export --update``: the last complete export, brought up to date, and what has changed in it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import attrs
import pytest

from lucca_training_async import RealizedTraining
from lucca_training_async.sandbox import Fault

from .exports import Exports, exports

__all__ = ["exports"]

FIRST, SECOND, THIRD = (
    RealizedTraining(
        id=id,
        owner_id=9_000,
        session_starts_on=date(2025, 1, 4),
        session_ends_on=date(2025, 1, 4),
        duration_in_hours=Decimal("2.50"),
    )
    for id in (2_001, 2_002, 2_003)
)
MINE = ["--owner", "9000", "--update"]


def changes(exports: Exports) -> list[tuple[str, int]]:
    lines = exports.lines("out.changes.jsonl")
    return [(it["change"], it["id"] if "id" in it else it["record"]["id"]) for it in lines]


@pytest.fixture
def exported(exports: Exports) -> Exports:
    exports.sandbox.put(FIRST)
    exports.sandbox.put(SECOND)
    assert exports.run("--to", "out.jsonl", *MINE[:2])[0] == 0
    exports.requests()
    return exports


def test_the_first_is_of_all(exports: Exports) -> None:
    exports.sandbox.put(FIRST)
    code, told = exports.run("--to", "out.jsonl", *MINE)
    assert code == 0
    assert "there is no export to bring up to date yet: this is the first" in told
    assert told.endswith("1 record in out.jsonl, 1 added, 0 changed, 0 removed\n")
    assert changes(exports) == [("added", FIRST.id)]


def test_it_is_the_whole_export_and_tells_what_has_changed(exported: Exports) -> None:
    exported.sandbox.remove(FIRST.id)
    exported.sandbox.put(attrs.evolve(SECOND, has_attended=False))
    exported.sandbox.put(THIRD)
    code, told = exported.run("--to", "out.jsonl", *MINE)
    assert code == 0
    assert told.endswith("2 records in out.jsonl, 1 added, 1 changed, 1 removed\n")
    assert exported.ids("out.jsonl") == [SECOND.id, THIRD.id]
    assert sorted(changes(exported)) == [
        ("added", THIRD.id),
        ("changed", SECOND.id),
        ("removed", FIRST.id),
    ]
    assert "out.failed.jsonl" not in exported.files
    exported.run("--to", "out.jsonl", *MINE)
    assert changes(exported) == []
    # Of an export that is no update there are no changes to tell of.
    exported.run("--to", "out.jsonl", *MINE[:2])
    assert "out.changes.jsonl" not in exported.files


def test_csv_is_compared_by_its_rows(exported: Exports) -> None:
    exported.run("--to", "out.csv", *MINE)
    exported.sandbox.put(attrs.evolve(SECOND, duration_in_hours=Decimal("2.25")))
    assert exported.run("--to", "out.csv", *MINE)[1].endswith(
        "2 records in out.csv, 0 added, 1 changed, 0 removed\n"
    )
    assert changes(exported) == [("changed", SECOND.id)]


def test_what_could_not_be_asked_for_is_kept_as_it_was(exported: Exports) -> None:
    before = exported.path("out.jsonl").read_bytes()
    # The list shows it no longer as a record, and its id fails.
    exported.sandbox.put({"id": SECOND.id, "ownerId": 9_000, "sessionEndsOn": "x"})
    code, told = exported.run("--to", "out.jsonl", *MINE)
    assert code == 1
    assert told.splitlines()[-2] == (
        "2 records in out.jsonl, 0 added, 0 changed, 0 removed, 1 kept, 1 failed"
    )
    assert exported.path("out.jsonl").read_bytes() == before
    assert [it["id"] for it in exported.lines("out.failed.jsonl")] == [SECOND.id]


def test_what_no_longer_answers_the_filters_is_removed(exported: Exports) -> None:
    exported.sandbox.put(attrs.evolve(SECOND, owner_id=9_001))
    assert exported.run("--to", "out.jsonl", *MINE)[0] == 0
    assert exported.ids("out.jsonl") == [FIRST.id]
    assert changes(exported) == [("removed", SECOND.id)]


def test_what_the_list_passes_over_is_asked_for_by_itself(exported: Exports) -> None:
    exported.sandbox.inject(Fault.answer(body='{"items": [], "count": 0, "next": null}'))
    assert exported.run("--to", "out.jsonl", *MINE)[0] == 0
    assert exported.ids("out.jsonl") == [FIRST.id, SECOND.id]
    assert exported.requests() == 3


def test_ids_are_asked_for_again(exports: Exports) -> None:
    args = ["--to", "out.jsonl", "--ids", exports.write("ids.txt", [9, 5, 1]), "--update"]
    exports.run(*args)
    exports.sandbox.remove(5)
    exports.sandbox.inject_always(Fault.error(403), id=9)
    code, told = exports.run(*args)
    assert code == 1
    assert exports.ids("out.jsonl") == [9, 1]
    assert "2 records in out.jsonl, 0 added, 0 changed, 1 removed, 1 kept, 1 missing" in told


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--owner", "9001"], "was exported with another --owner"),
        (["--owner", "9000", "--attended", "yes"], "was exported with another --attended"),
        ([], "was exported with another --owner"),
    ],
)
def test_another_question_is_refused(exported: Exports, options: list[str], reason: str) -> None:
    before = exported.files
    assert reason in exported.refused("--to", "out.jsonl", "--update", *options)
    assert exported.files == before


def test_what_is_no_export_is_not_brought_up_to_date(exported: Exports) -> None:
    exported.path("out.jsonl").write_text("what somebody else has written\n")
    assert "can't be read as an export" in exported.refused("--to", "out.jsonl", *MINE)
    exported.path("out.jsonl.state.json").unlink()
    assert "nothing tells what out.jsonl is" in exported.refused("--to", "out.jsonl", *MINE)
