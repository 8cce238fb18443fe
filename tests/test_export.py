"""The ``export`` command against a sandbox: what is in the files, what is told, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from lucca_training_async import RealizedTraining
from lucca_training_async.cli.export.files import Journal
from lucca_training_async.cli.export.journal import mark
from lucca_training_async.cli.export.rows import COLUMNS
from lucca_training_async.sandbox import Fault

from .exports import Exports, exports
from .posix import posix

__all__ = ["exports"]

RECORD = RealizedTraining(
    id=2_001,
    owner_id=9_000,
    session_starts_on=date(2025, 1, 4),
    session_ends_on=date(2025, 1, 4),
    duration_in_hours=Decimal("2.50"),
)
NOTHING = 0, "0 records in out.jsonl\n"


class TestFiles:
    def test_all_there_is_as_lucca_writes_it(self, exports: Exports) -> None:
        code, told = exports.run("--to", "out.jsonl")
        assert (code, exports.requests()) == (0, 10)
        assert told == ("998 records: 10 requests, a moment\n998 records in out.jsonl\n")
        assert exports.ids("out.jsonl") == [id for id in range(1, 1_001) if id not in (7, 555)]
        lines = exports.path("out.jsonl").read_text("utf-8").splitlines()
        assert all(RealizedTraining.from_json(line).to_json() == line for line in lines)
        assert set(exports.files) == {"out.jsonl", "out.jsonl.state.json"}

    def test_csv_has_the_same_in_columns(self, exports: Exports) -> None:
        exports.run("--to", "out.jsonl", "--owner", "416,634", "--owner", "269")
        assert exports.run("--to", "out.csv", "--owner", "416,634", "--owner", "269")[0] == 0
        header, *table = csv.reader(io.StringIO(exports.path("out.csv").read_text("utf-8")))
        assert tuple(header) == COLUMNS
        for line, cells in zip(exports.lines("out.jsonl"), table, strict=True):
            row = dict(zip(header, cells, strict=True))
            assert row["id"] == str(line["id"])
            assert row["training_title"] == line["training"]["title"]
            assert row["has_attended"] == json.dumps(line["hasAttended"])
        assert {row[1] for row in table} == {"416", "634", "269"}

    def test_filters(self, exports: Exports) -> None:
        dates = ["--ended-from", "2025-01-04", "--ended-to", "2025-01-04"]
        exports.sandbox.put(RECORD)
        assert exports.run("--to", "out.jsonl", *dates, "--attended", "yes")[0] == 0
        assert {235, 2_001} <= set(exports.ids("out.jsonl"))
        assert {it["sessionEndsOn"] for it in exports.lines("out.jsonl")} == {"2025-01-04"}
        assert exports.run("--to", "no.jsonl", "--attended", "no", *dates)[0] == 0
        assert not any(it["hasAttended"] for it in exports.lines("no.jsonl"))
        assert exports.run("--to", "t.jsonl", "--training", "45")[0] == 0
        assert {it["training"]["id"] for it in exports.lines("t.jsonl")} == {45}

    def test_failures_and_missing_ids_are_never_among_the_records(self, exports: Exports) -> None:
        exports.sandbox.put({"id": 9, "ownerId": "x", "hours": Decimal("2.50")})
        exports.write("ids.txt", [9, 7, 3, "x", 1, 3])
        code, told = exports.run("--to", "out.jsonl", "--ids", "ids.txt")
        assert code == 1
        assert told.endswith(
            "2 records in out.jsonl, 1 missing, 1 failed, 1 refused\n"
            "which, and why: out.failed.jsonl\n"
        )
        assert exports.ids("out.jsonl") == [3, 1]
        failed = exports.lines("out.failed.jsonl")
        assert [(it["id"], it["outcome"], it["error"]) for it in failed] == [
            (9, "failed", "DecodeError"),
            (7, "missing", "NotFoundError"),
            (None, "refused", "InvalidIdError"),
        ]
        assert failed[2]["value"] == "x"
        # Those of the run before are not told of again.
        exports.write("ids.txt", [3])
        assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 0
        assert "out.failed.jsonl" not in exports.files

    def test_a_missing_id_is_told(self, exports: Exports) -> None:
        exports.write("ids.txt", [7, 1])
        assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 1
        assert [it["outcome"] for it in exports.lines("out.failed.jsonl")] == ["missing"]

    def test_what_is_no_id_is_a_failure_even_alone(self, exports: Exports) -> None:
        assert exports.run("--to", "out.jsonl", "--ids", exports.write("ids.txt", ["x"]))[0] == 1
        assert exports.requests() == 0

    def test_a_bad_item_of_a_list_is_kept_as_it_came(self, exports: Exports) -> None:
        exports.sandbox.put({"id": 9, "ownerId": "x", "hours": 2})
        assert exports.run("--to", "out.jsonl")[0] == 1
        (failed,) = exports.lines("out.failed.jsonl")
        assert (failed["id"], failed["item"]["ownerId"]) == (9, "x")
        assert len(exports.ids("out.jsonl")) == 997

    def test_many_ids_go_by_the_list_in_the_order_given(self, exports: Exports) -> None:
        ids = [*range(700, 300, -1), 2_000_000]
        exports.write("ids.csv", ["name,id", *(f"x,{id}" for id in ids)])
        code, told = exports.run("--to", "out.jsonl", "--ids", "ids.csv", "--ids-column", "id")
        assert code == 1
        assert "401 ids: 10 requests" in told
        assert exports.ids("out.jsonl") == [id for id in ids if id not in (555, 2_000_000)]
        # The count, the pages until one has shown none, perhaps one ahead, and what is left.
        assert exports.requests() - (1 + 8 + 2) in (0, 1)

    def test_names_in_capitals_and_ids_from_a_spreadsheet(self, exports: Exports) -> None:
        exports.path("IDS.CSV").write_bytes("\ufeffid;name\r\n235;é\r\n".encode())
        ids = ["--ids", "IDS.CSV", "--ids-column", "id"]
        for name in ("OUT.CSV", "OUT.JSONL"):
            assert exports.run("--to", name, *ids)[0] == 0
            assert exports.run("--to", name, *ids, "--update")[1].endswith(
                f"1 record in {name}, 0 added, 0 changed, 0 removed\n"
            )
        assert exports.path("OUT.CSV").read_text("utf-8").startswith(",".join(COLUMNS))
        assert exports.ids("OUT.JSONL") == [235]

    def test_nothing_at_all(self, exports: Exports) -> None:
        exports.write("ids.txt", [])
        code, told = exports.run("--to", "out.csv", "--ids", "ids.txt")
        assert (code, told.splitlines()[0]) == (0, "there are no ids in ids.txt")
        assert exports.path("out.csv").read_text() == f"{','.join(COLUMNS)}\n"
        assert exports.requests() == 0


class TestStdout:
    def test_records_go_to_stdout_and_all_else_to_stderr(
        self, exports: Exports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = io.TextIOWrapper(io.BytesIO(), "ascii")
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"3\n7\nx\n2")))
        code, told = exports.run("--ids", "-")
        assert code == 1
        assert isinstance(out.buffer, io.BytesIO)
        lines = out.buffer.getvalue().decode("utf-8").splitlines()
        assert {json.loads(line)["id"] for line in lines} == {3, 2}
        failed = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        assert [it["outcome"] for it in failed] == ["missing", "refused"]
        assert exports.files == {}


class TestWrongUse:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--to", "out.xlsx"], "--to must end in .jsonl or .csv, unlike out.xlsx"),
            (["--to", "folder.csv"], "--to is a directory: folder.csv"),
            (["--to", "none/out.csv"], "--to is in a directory that is not there: none"),
            (["--to", "blocked.csv"], "can't write blocked.csv.part: "),
            (["--update"], "--update and --restart need a file"),
            (["--restart"], "--update and --restart need a file"),
            (["--ids", "none.txt"], "the ids can't be read from none.txt: No such file"),
            (["--ids", "latin.txt"], "it is no text in UTF-8"),
            (["--ids", "x", "--owner", "1"], "--ids and filters do not go together"),
            (["--ids", "x", "--training", "1"], "--ids and filters do not go together"),
            (["--ids", "x", "--attended", "no"], "--ids and filters do not go together"),
            (["--ids", "x", "--ended-from", "2025-01-01"], "--ids and filters do not go together"),
            (["--ids", "x", "--ended-to", "2025-01-01"], "--ids and filters do not go together"),
            (["--ids-column", "id"], "--ids-column needs --ids"),
            (["--owner", "1,x"], "an id is an integer from 1 to 2147483647, not 'x'"),
            (["--ended-to", "soon"], "must be a day such as 2025-01-31, not 'soon'"),
            (["--ended-from", "2025-02-01", "--ended-to", "2025-01-01"], "is after --ended-to"),
            (["--attended", "maybe"], "invalid choice"),
            (["--limit", "0"], "--limit: must be"),
            (["--host", "example.com"], "host"),
            (["--shared-budget", "ftp://x"], "shared_budget must begin with"),
            (["--quiet", "--verbose"], "not allowed with"),
        ],
    )
    def test_it_is_told_in_a_line(self, exports: Exports, options: list[str], reason: str) -> None:
        exports.path("folder.csv").mkdir()
        exports.path("blocked.csv.part").mkdir()
        exports.path("latin.txt").write_bytes(b"\xe9\n")
        told = exports.refused(*options)
        assert reason in told
        assert not list(exports.folder.glob("*.csv.part.*"))

    def test_the_key_is_no_argument_and_is_not_printed(
        self, exports: Exports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LUCCA_API_KEY", "the-secret-key")
        code, told = exports.run("--to", "out.jsonl", "--verbose")
        assert code == 3
        assert "0 records kept, and the same command goes on from there" in told
        assert "the-secret" not in told
        assert all(b"the-secret" not in data for data in exports.files.values())
        for wrong in (
            ["--api-key", "a-secret"],
            ["--api-key=a-secret"],
            ["--api-key-file", "a-secret"],
        ):
            told = exports.refused(*wrong)
            assert "--api-key-file" in told
            assert "a-secret" not in told
        # By a file, whatever the environment holds.
        exports.path("key").write_text(f"{exports.sandbox.api_key}\n")
        assert exports.run("--to", "out.jsonl", "--api-key-file", "key")[0] == 0


class TestResume:
    def break_off(self, exports: Exports, *args: str) -> None:
        """Be refused after three pages."""
        for _ in range(3):
            exports.sandbox.inject(Fault.slow(0))
        exports.sandbox.inject(Fault.error(401))
        assert exports.run("--to", "out.jsonl", *args)[0] == 3
        assert exports.requests() == 4

    def test_it_goes_on_where_it_was(self, exports: Exports) -> None:
        self.break_off(exports)
        code, told = exports.run("--to", "out.jsonl")
        assert (code, exports.requests()) == (0, 7)
        assert told.startswith("goes on after 300 records\n")
        assert len(exports.ids("out.jsonl")) == 998

    def test_no_id_is_asked_for_again_whatever_was_answered(self, exports: Exports) -> None:
        exports.sandbox.inject_always(Fault.error(400), id=5)
        exports.sandbox.inject(Fault.error(401), id=60)
        ids = exports.write("ids.txt", [7, 5, 1, 555, *range(20, 61)])
        assert exports.run("--to", "out.jsonl", "--ids", ids)[0] == 3
        code, told = exports.run("--to", "out.jsonl", "--ids", ids)
        assert code == 1
        assert "45 ids: " in told  # of all, not of those that are left
        asked = [arrival.id for arrival in exports.sandbox.arrivals]
        assert [asked.count(id) for id in ("7", "5", "1", "555", "60")] == [1, 1, 1, 1, 2]
        assert exports.ids("out.failed.jsonl") == [7, 5, 555]

    def test_a_record_that_has_moved_to_a_later_page_comes_once(self, exports: Exports) -> None:
        self.break_off(exports)
        exports.sandbox.put(attrs.evolve(RECORD, id=7))
        assert exports.run("--to", "out.jsonl")[0] == 0
        ids = exports.ids("out.jsonl")
        assert len(ids) == len(set(ids)) == 998

    def test_what_stands_behind_the_last_page_is_cut_off(self, exports: Exports) -> None:
        self.break_off(exports)
        with exports.path("out.jsonl.part").open("ab") as part:
            part.write(f'{attrs.evolve(RECORD, id=3_000).to_json()}\n{{"id": 40'.encode())
        assert exports.run("--to", "out.jsonl")[0] == 0
        ids = exports.ids("out.jsonl")
        assert len(ids) == len(set(ids)) == 998
        assert 3_000 not in ids

    def test_other_questions_are_refused_and_restart_begins_anew(self, exports: Exports) -> None:
        self.break_off(exports)
        told = exports.refused("--to", "out.jsonl", "--owner", "416")
        assert told == (
            "error: out.jsonl.part is an unfinished export that was begun with another --owner; "
            "finish that one by its own command, or begin anew with --restart\n"
        )
        exports.write("ids.txt", [1])
        assert "another --ids;" in exports.refused("--to", "out.jsonl", "--ids", "ids.txt")
        assert "another --update;" in exports.refused("--to", "out.jsonl", "--update")
        assert exports.run("--to", "out.jsonl", "--owner", "416", "--restart")[0] == 0
        assert exports.ids("out.jsonl") == [235]

    def test_another_account_is_another_question(
        self, exports: Exports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.break_off(exports)
        monkeypatch.setenv("LUCCA_HOST", "acme.ilucca.net")
        assert "begun with another --host;" in exports.refused("--to", "out.jsonl")

    def test_what_restart_has_begun_is_gone_on_with(self, exports: Exports) -> None:
        self.break_off(exports)
        exports.sandbox.inject(Fault.slow(0), Fault.error(401))
        assert exports.run("--to", "out.jsonl", "--restart")[0] == 3
        assert exports.requests() == 2
        code, told = exports.run("--to", "out.jsonl")
        assert (code, exports.requests()) == (0, 9)
        assert told.startswith("goes on after 100 records\n")

    @pytest.mark.parametrize(
        ("options", "requests", "data"), [([], 0, b"built\n"), (["--restart"], 10, None)]
    )
    def test_files_that_were_built_need_but_their_places_unless_it_begins_anew(
        self, exports: Exports, options: list[str], requests: int, data: bytes | None
    ) -> None:
        exports.run("--to", "out.jsonl")
        whole = exports.path("out.jsonl").read_bytes()
        exports.requests()
        self.break_off(exports)
        with exports.path("out.jsonl.part").open("ab") as part:
            told = {"counts": {"records": 1}, "written": ["out.jsonl"]}
            part.writelines([mark("listed", None), mark("built", told)])
        exports.path("out.jsonl.new").write_bytes(b"built\n")
        assert exports.run("--to", "out.jsonl", *options)[0] == 0
        assert exports.requests() == requests
        assert exports.path("out.jsonl").read_bytes() == (data or whole)

    def test_a_journal_of_another_version_is_refused(self, exports: Exports) -> None:
        exports.path("out.jsonl.part").write_text('["export", 99, {}]\n')
        assert "by another version of this program" in exports.refused("--to", "out.jsonl")

    def test_two_at_once_are_refused(self, exports: Exports) -> None:
        journal = Journal(Path("out.jsonl.part"))
        assert "another export to the same file is running" in exports.refused("--to", "out.jsonl")
        journal.close()
        assert exports.files == {}  # neither has begun anything

    @posix
    def test_a_journal_that_the_other_has_just_removed_is_not_written_to(
        self, exports: Exports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def overtaken(path: Path, *args: int) -> int:
            descriptor = opened(path, *args)
            path.unlink()
            return descriptor

        opened = os.open
        monkeypatch.setattr(os, "open", overtaken)
        assert "another export to the same file is running" in exports.refused("--to", "out.jsonl")

    def test_where_the_place_is_forgotten_it_begins_anew(self, exports: Exports) -> None:
        self.break_off(exports)
        exports.sandbox.remove(3)
        exports.sandbox.inject(Fault.error(400))
        exports.sandbox.inject(Fault.error(400))
        code, told = exports.run("--to", "out.jsonl")
        assert code == 0
        assert "Lucca no longer knows the place where it was" in told
        assert exports.ids("out.jsonl") == [id for id in range(1, 1_001) if id not in (3, 7, 555)]

    def test_a_list_that_has_become_too_short_is_not_taken_for_whole(
        self, exports: Exports
    ) -> None:
        self.break_off(exports)
        part = exports.path("out.jsonl.part")
        lines = part.read_bytes().splitlines(keepends=True)
        del lines[1:51]  # as if a page had been read while records moved
        part.write_bytes(b"".join(lines))
        code, told = exports.run("--to", "out.jsonl")
        assert code == 1
        assert "the list ends after 948 of 998 records" in told
        assert told.endswith("or begins anew with --restart\n")
        assert exports.run("--to", "out.jsonl", "--restart")[0] == 0
        assert len(exports.ids("out.jsonl")) == 998
