"""What ``export`` decides without a disk, a network or a clock, by tables."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from lucca_training_async import (
    Attempt,
    Budget,
    RateLimit,
    RealizedTraining,
    TrainingLevel,
    TrainingSummary,
)
from lucca_training_async.cli.connection import WrongUseError
from lucca_training_async.cli.export import rows
from lucca_training_async.cli.export.estimate import Cost, cost_in_words, seconds_left, span
from lucca_training_async.cli.export.finish import order_of, troubles_left
from lucca_training_async.cli.export.ids import Ids, checked, values_in
from lucca_training_async.cli.export.journal import Kept, mark, replay
from lucca_training_async.cli.export.progress import Tally, standing, summary, waits_for
from lucca_training_async.cli.export.question import Question, differences
from lucca_training_async.cli.export.source import id_in

LUCCA = RateLimit()
NOW = datetime(2026, 1, 31, 14, 0, tzinfo=UTC)
RECORD = RealizedTraining(
    id=235,
    owner_id=416,
    session_starts_on=date(2025, 1, 4),
    session_ends_on=date(2025, 1, 4),
    duration_in_hours=Decimal("2.50"),
)

ALL = Question(host="https://acme.ilucca.net")


@pytest.mark.parametrize(
    ("mine", "options"),
    [
        (ALL, []),
        (attrs.evolve(ALL, host="https://other.ilucca.net"), ["--host"]),
        (attrs.evolve(ALL, owner=(1,)), ["--owner"]),
        (attrs.evolve(ALL, training=(1,), attended=False), ["--training", "--attended"]),
        (attrs.evolve(ALL, ended_from=date(2025, 1, 1)), ["--ended-from"]),
        (attrs.evolve(ALL, ended_to=date(2025, 1, 1)), ["--ended-to"]),
        (attrs.evolve(ALL, ids="abc"), ["--ids"]),
        (attrs.evolve(ALL, update=True), ["--update"]),
    ],
)
def test_what_differs_is_named(mine: Question, options: list[str]) -> None:
    assert differences(ALL.plain(), mine.plain()) == options


def test_the_order_of_owners_makes_no_other_question() -> None:
    theirs = attrs.evolve(ALL, owner=(2, 1)).plain()
    assert differences(theirs, attrs.evolve(ALL, owner=(1, 2, 2)).plain()) == []


HEADER = mark("export", 1, {})
ONE, TWO, THREE = (f'{{"id": {id}}}\n'.encode() for id in (1, 2, 3))
NEXT, LISTED = mark("next", "~b", 3), mark("listed", None)


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([], 0),
        ([HEADER], 1),
        ([HEADER, ONE], 1),  # a page without its end
        ([HEADER, ONE, NEXT], 3),
        ([HEADER, ONE, NEXT, TWO], 3),
        ([HEADER, ONE, NEXT, TWO, NEXT[:-1]], 3),
        ([HEADER, ONE, NEXT, TWO, NEXT[:5] + b"\0\0\n", THREE, NEXT], 3),
        ([HEADER, ONE, NEXT, b"\0" * 512], 3),
        ([HEADER, ONE, NEXT, b"{}\n", NEXT], 3),
        ([HEADER, ONE, NEXT, b'["next"\n', NEXT], 3),
        ([HEADER, ONE, NEXT, b'["other", 1]\n', NEXT], 3),
        ([HEADER, LISTED, ONE], 3),  # an id by itself
        ([HEADER, LISTED, ONE, TWO[:-1]], 3),
        ([HEADER, LISTED, ONE, mark("gone", 2), TWO[:4]], 4),
    ],
)
def test_a_torn_line_and_a_torn_page_are_cut_off(lines: list[bytes], counts: int) -> None:
    taken = replay(lines)
    assert taken.kept.length == sum(map(len, lines[:counts]))
    # The next line begins where that ended.
    if counts:
        taken.take(LISTED)
        taken.take(THREE)
        assert taken.kept.records[3] == sum(map(len, lines[:counts])) + len(LISTED)


def test_what_a_journal_tells() -> None:
    trouble = {"id": 9, "outcome": "failed", "item": {"durationInHours": Decimal("2.50")}}
    lines = [HEADER, ONE, mark("trouble", trouble), NEXT, TWO, mark("next", "~c", 2), LISTED]
    lines += [THREE, mark("trouble", {"id": 5, "outcome": "missing"}), mark("gone", 6), ONE]
    kept = replay(lines).kept
    assert list(kept.records) == [1, 2, 3]
    assert kept.records[1] == len(HEADER)
    assert kept.troubles == [trouble, {"id": 5, "outcome": "missing"}]
    assert (kept.cursor, kept.count, kept.pages, kept.by_list) == ("~c", 2, 2, 2)
    assert kept.answered == {3, 5, 6, 1}


@pytest.mark.parametrize(
    ("kept", "ids", "old", "order"),
    [
        (Kept(records={3: 0, 1: 9, 7: 20, 5: 30}, by_list=2), None, [], [3, 1, 5, 7]),
        (Kept(records={3: 0, 1: 9, 7: 20, 5: 30}, by_list=2), None, [6], [3, 1, 5, 6, 7]),
        (Kept(records={3: 0, 1: 9}, by_list=0), Ids([1, 2, 3], []), [], [1, 3]),
        (Kept(records={3: 0, 1: 9}, by_list=0), Ids([1, 2, 3], []), [2], [1, 2, 3]),
    ],
)
def test_the_order_is_that_of_the_list_or_of_the_ids(
    kept: Kept, ids: Ids | None, old: list[int], order: list[int]
) -> None:
    assert order_of(kept, ids, old) == order


def test_failures_have_the_order_of_the_ids_and_none_has_a_record() -> None:
    troubles: list[dict[str, Any]] = [{"id": id} for id in (4, None, 2, 3)]
    kept = Kept(records={3: 0}, troubles=troubles)
    assert [it["id"] for it in troubles_left(kept, None)] == [2, 4, None]
    ids = Ids([4, 3, 2], [{"id": None, "value": "x"}])
    assert [it["id"] for it in troubles_left(kept, ids)] == [4, 2, None, None]


@pytest.mark.parametrize(
    ("text", "column", "values"),
    [
        ("", None, []),
        ("1\n\n 2 \r\n3", None, ["1", "2", "3"]),
        ('id,name\n1,a\n2,"b\nb"\n,c\n', "id", ["1", "2"]),
        ("name;id\na, b;1\n", "id", ["1"]),
        ("id\tname\n1\ta\n", "id", ["1"]),
        ("id\n1\n", "id", ["1"]),
        ("a,id\nx\n", "id", []),
        ("id\r1\r2", "id", ["1", "2"]),
        ("a,id\nx\u2028\x0b\x85y,1\n", "id", ["1"]),
        ("1\u20282", None, ["1\u20282"]),
        (f"a,id\n{'x' * 200_000},1\n", "id", ["1"]),
    ],
)
def test_ids_are_lines_or_a_column(text: str, column: str | None, values: list[str]) -> None:
    assert values_in(text, column, "f") == values


@pytest.mark.parametrize(("text", "there"), [("a,b\n1,2\n", "a, b"), ("", "none at all")])
def test_a_column_that_is_not_there(text: str, there: str) -> None:
    with pytest.raises(WrongUseError, match=f"f has no column 'id'; it has {there}"):
        values_in(text, "id", "f")


def test_what_is_no_table() -> None:
    with pytest.raises(WrongUseError, match="f is no table of comma-separated values: "):
        values_in('id,a\n1,"x\n2,y\n', "id", "f")


def test_what_is_an_id() -> None:
    none = ["0", "00", f"{0:050}{2**40}", "-1", "1.0", "2147483648", "9" * 5_000, "x", "٣", "1_0"]
    ids = checked(["2", "1", "02", "2", f"{0:050}1", "0" * 5_000 + "2", "2147483647", *none])
    assert ids.valid == [2, 1, 2147483647]
    assert [it["value"] for it in ids.refused] == none
    assert ids.fingerprint != checked(["1", "2", "2147483647", *none]).fingerprint
    assert ids.fingerprint != checked(["2", "1", "2147483647"]).fingerprint
    assert checked(["1", "23"]).fingerprint != checked(["12", "3"]).fingerprint


@pytest.mark.parametrize(
    ("item", "id"), [({"id": 7}, 7), ({"id": True}, None), ({}, None), (3, None)]
)
def test_the_id_of_what_is_no_record(item: object, id: int | None) -> None:
    assert id_in(item) == id


def test_a_row_has_each_value_in_its_column() -> None:
    training = TrainingSummary(
        id=1,
        title='Mastering "French", B2',
        category_id=2,
        provider_url="https://x.example",
        level=TrainingLevel.EXPERT,
    )
    whole = attrs.evolve(RECORD, training=training, training_demand_id=3, session_id=4)
    cells = dict(zip(rows.COLUMNS, rows.row(whole), strict=True))
    assert list(cells.values()) == [
        *("235", "416", "1", 'Mastering "French", B2', "2", "https://x.example", "Expert"),
        *("3", "4", "2025-01-04", "2025-01-04", "true", "2.50"),
    ]
    assert rows.line(cells.values()).startswith('235,416,1,"Mastering ""French"", B2",2,')
    least = attrs.evolve(RECORD, has_attended=False, duration_in_hours=Decimal("1E+2"))
    line = rows.line(rows.row(least))
    assert line == "235,416,,,,,,,,2025-01-04,2025-01-04,false,100\n"


def test_every_value_of_a_record_has_a_column() -> None:
    nested = {f"training_{field.name}" for field in attrs.fields(TrainingSummary)}
    own = {field.name for field in attrs.fields(RealizedTraining)} - {"training"}
    assert set(rows.COLUMNS) == own | nested


@pytest.mark.parametrize(
    ("cost", "limit", "told"),
    [
        (
            Cost(12_000, 120),
            LUCCA,
            "12,000 records: 120 requests, about 2 minutes; one by one it would be 4 hours",
        ),
        (Cost(12_000, 120), None, "12,000 records: 120 requests"),
        (Cost(500, 500), LUCCA, "500 records: 500 requests, about 9 minutes"),
        (Cost(30, 1), LUCCA, "30 records: 1 request, a moment"),
        (Cost(1, 1), LUCCA, "1 record: 1 request, a moment"),
        (
            Cost(None, None),
            LUCCA,
            "how many records there are is not known before they have come",
        ),
    ],
)
def test_the_cost_in_words(cost: Cost, limit: RateLimit | None, told: str) -> None:
    assert cost_in_words(cost, limit) == told


@pytest.mark.parametrize(
    ("requests", "budget", "seconds"),
    [
        (0, Budget(50, in_use=50, next_slot_in=30.0), 0),
        (40, Budget(50), 8),  # by what one takes: 0.2 s
        (120, Budget(50), 120),
        (70, Budget(50, in_use=50, next_slot_in=30.0), 90),
        (70, Budget(50, in_use=50, next_slot_in=None), 60),
        (60, Budget(50, in_use=20), 60),
        (10, Budget(50, closed_for=45.0, closed_by="pause"), 45),
        (60, Budget(50, closed_for=45.0, closed_by="pause"), 45),
        (100, Budget(50, clients=2, in_use=50, next_slot_in=10.0), 190),
        (2_000, Budget(50, in_use=50, next_slot_in=1.0), 2_401),  # spread evenly
        (40, Budget(None), 8),
        (40, Budget(50, closed_by="outage"), None),
    ],
)
def test_the_time_to_the_end(requests: int, budget: Budget, seconds: float | None) -> None:
    assert seconds_left(requests, budget, 60.0, 0.2) == seconds


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "a moment"),
        (1, "about 1 second"),
        (89, "about 89 seconds"),
        (90, "about 2 minutes"),
        (5_399, "about 90 minutes"),
        (14_340, "about 4 hours"),
    ],
)
def test_a_span_in_words(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.mark.parametrize(
    ("budget", "tally", "told"),
    [
        (Budget(50), Tally(), None),
        (Budget(50, next_slot_in=20.0), Tally(), None),
        (Budget(50, next_slot_in=20.0, waiting=1), Tally(), "the budget, until 14:00:20"),
        # Held back, so that people find a slot.
        (Budget(50, next_bulk_slot_in=1.0, waiting=1), Tally(), "the budget, until 14:00:01"),
        (
            Budget(50, next_slot_in=20.0, waiting=1, alone=True),
            Tally(),
            "the budget (the shared one can't be reached), until 14:00:20",
        ),
        (
            Budget(50, closed_for=90.0, closed_by="pause"),
            Tally(refused_with=429),
            "the end of a pause after a 429, at 14:01:30",
        ),
        (
            Budget(50, closed_for=90.0, closed_by="pause"),
            Tally(),
            "the end of a pause that another process met, at 14:01:30",
        ),
        (
            Budget(50, closed_for=4.0, closed_by="outage"),
            Tally(silent_since=NOW.replace(hour=13)),
            "the end of an outage (no answer, since 13:00:00; asked again at 14:00:04)",
        ),
        (
            Budget(50, closed_for=4.0, closed_by="outage"),
            Tally(),
            "the end of an outage (no answer; asked again at 14:00:04)",
        ),
    ],
)
def test_what_it_waits_for(budget: Budget, tally: Tally, told: str | None) -> None:
    assert waits_for(budget, tally, NOW) == told


def attempt(status: int | None) -> Attempt:
    return Attempt(
        url="",
        id=None,
        attempt=1,
        is_probe=False,
        status=status,
        error=None,
        waited=0.0,
        seconds=2.0,
        retry_in=None,
    )


def test_how_it_stands_in_one_line() -> None:
    tally = Tally(done=3_400, total=12_000, left=86)
    for _ in range(34):
        tally.note(attempt(200), NOW)
    told = standing(tally, Budget(50, in_use=34, next_slot_in=0.0), 60.0, 1, NOW).line
    assert told == (
        "3,400 of 12,000 records, 34 of 120 requests, 16 left in the budget, "
        "about 3 minutes to the end"
    )
    unknown = standing(Tally(done=1), Budget(None, closed_by="outage"), 0.0, 1, NOW)
    assert unknown.line.startswith("1 record, 0 requests, end not known; waits for the end of an")
    tally = Tally(done=100, requests=1)
    assert standing(tally, Budget(None), 0.0, 1, NOW).cost == "1 request"
    tally.left = 0
    assert standing(tally, Budget(None), 0.0, 1, NOW).cost == "1 of 1 request"


def test_the_silence_begins_with_the_first_request_that_nobody_answered() -> None:
    tally = Tally()
    tally.note(attempt(None), NOW)
    tally.note(attempt(503), NOW.replace(minute=5))
    assert tally.silent_since == NOW.replace(hour=13, minute=59, second=58)
    assert tally.refused_with == 503
    tally.note(attempt(404), NOW.replace(minute=6))
    assert tally.silent_since is None
    assert tally.requests == 3


def test_a_summary_tells_what_there_is() -> None:
    counts = {"records": 1, "missing": 0, "failed": 2, "refused": 0, "kept": 0}
    assert summary(counts, "out.csv") == "1 record in out.csv, 2 failed"
    changed = counts | {"added": 0, "changed": 3, "removed": 0}
    assert summary(changed, "o") == "1 record in o, 0 added, 3 changed, 0 removed, 2 failed"
