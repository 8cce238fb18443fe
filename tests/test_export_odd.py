"""Exports of what is odd: files in the way, closed streams, text and numbers of all kinds."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lucca_training_async.cli import main
from lucca_training_async.sandbox import Fault

from .exports import CLI, NO_BUDGET, SECONDS, Exports, exports
from .posix import posix

__all__ = ["exports"]

HEADER = b'["export", 1, {}]\n'
CLOSED = 'exec "$@" <&- >&-'


def odd(id: int, **members: object) -> dict[str, Any]:
    """A record as Lucca might write it."""
    title = members.pop("title", "odd")
    return {
        "id": id,
        "ownerId": 1,
        "training": {"id": 1, "title": title, "categoryId": None},
        "sessionStartsOn": "2025-01-01",
        "sessionEndsOn": "2025-01-01",
        "hasAttended": True,
        "durationInHours": 1,
        **members,
    }


ODD: list[dict[str, Any]] = [
    odd(2_001, title="half of a character: \ud800"),
    odd(2_002, title="a carriage\rreturn"),
    odd(2_003, title="\r\n\x0b\x1c\u2028, \"quoted\"; 'é'"),
    odd(2_004, title="long" * 50_000),
    odd(2_005, durationInHours=Decimal("1E+400000000")),
    odd(2_006, durationInHours=Decimal("0E-400000000")),
    odd(2_007, durationInHours=Decimal("123456789012345678901234567890.123456789")),
    odd(2_008, title="=cmd|' /C calc'!A0"),
]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_whatever_a_record_holds_it_is_one_and_stays_the_same(exports: Exports, name: str) -> None:
    for record in ODD:
        exports.sandbox.put(record)
    assert exports.run("--to", name)[0] == 0
    if name == "out.csv":
        csv.field_size_limit(1_000_000)
        text = exports.path(name).read_bytes().decode()
        rows = {int(row["id"]): row for row in csv.DictReader(io.StringIO(text, newline=""))}
        assert len(rows) == 998 + len(ODD)
        assert rows[2_001]["training_title"] == r"half of a character: \ud800"
        assert rows[2_002]["training_title"] == "a carriage\rreturn"
        assert rows[2_003]["training_title"] == ODD[2]["training"]["title"]
        assert rows[2_005]["duration_in_hours"] == "1E+400000000"
        assert rows[2_007]["duration_in_hours"] == "123456789012345678901234567890.123456789"
        # Written anew, it would be no number, and another title.
        assert rows[2_008]["training_title"] == "=cmd|' /C calc'!A0"
    else:
        assert len(exports.ids(name)) == 998 + len(ODD)
    code, told = exports.run("--to", name, "--update")
    assert (code, told.splitlines()[-1]) == (
        0,
        f"1,006 records in {name}, 0 added, 0 changed, 0 removed",
    )


class TestFilesInTheWay:
    @pytest.mark.parametrize(
        "part",
        [
            b"a diary\n",
            b'{"id": 1}\n',
            b"\xff\xfe\x00garbage",
            b'["exports", 1]\n',
            b"[]\n",
            b'["export", 1]\n',
            b'["export", 1, []]\n',
        ],
    )
    def test_what_is_no_journal_is_not_lost(self, exports: Exports, part: bytes) -> None:
        exports.path("out.jsonl.part").write_bytes(part)
        assert "no unfinished export" in exports.refused("--to", "out.jsonl")
        assert exports.files == {"out.jsonl.part": part}
        assert exports.run("--to", "out.jsonl", "--restart")[0] == 0
        assert len(exports.ids("out.jsonl")) == 998

    @pytest.mark.parametrize("part", [b"", b"[", b'["export", ', bytes(4096), HEADER[:-1]])
    def test_what_a_loss_of_power_leaves_is_no_hindrance(
        self, exports: Exports, part: bytes
    ) -> None:
        exports.path("out.jsonl.part").write_bytes(part)
        assert exports.run("--to", "out.jsonl")[0] == 0
        assert len(exports.ids("out.jsonl")) == 998

    @pytest.mark.parametrize(
        "line",
        [
            *(b"garbage", b"[]", b"{}", b'{"id": true}', b'{"id": "1"}', b"\xff", b"7"),
            *(b'["next"]', b'["next", 5, null]', b'["next", "x", "y"]', b'["listed", {}]'),
            *(b'["trouble", 5]', b'["trouble", {}]', b'["gone", "x"]', b'["gone"]'),
            *(b'["built", {}]', b'["built", {"counts": 1, "written": 2}]', b'["export", 1, 5]'),
        ],
    )
    def test_a_line_that_is_none_of_ours_ends_what_counts(
        self, exports: Exports, line: bytes
    ) -> None:
        exports.sandbox.inject(Fault.slow(0), Fault.slow(0), Fault.error(401))
        assert exports.run("--to", "out.jsonl")[0] == 3
        with exports.path("out.jsonl.part").open("ab") as part:
            part.write(line + b'\n["listed", 200]\n')
        code, told = exports.run("--to", "out.jsonl")
        assert code == 0
        assert told.startswith("goes on after 200 records\n")
        assert len(exports.ids("out.jsonl")) == 998

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            *(("out.jsonl.state.json", it) for it in ("", "[]", "5", '{"export": 5}', "{}", "\0")),
            *(
                ("out.jsonl", it)
                for it in ("x\n", "[]\n", "5\n", '{"id": null}\n', '{"id": 1e400}\n', "{}\n", "\0")
            ),
            *(("out.jsonl", f'{{"id": {it}}}\n') for it in ("0", "-5", "true", "1.5", 2**31)),
            *((name, "[" * 100_000) for name in ("out.jsonl.state.json", "out.jsonl")),
        ],
    )
    def test_what_is_no_export_is_not_updated(self, exports: Exports, name: str, text: str) -> None:
        assert exports.run("--to", "out.jsonl")[0] == 0
        exports.path(name).write_text(text)
        assert "export it anew, without --update" in exports.refused(
            "--to", "out.jsonl", "--update"
        )

    @pytest.mark.parametrize("text", ["x\n1\n", 'id\n"1\n', "id\nx\n", "", "id\n\n"])
    def test_what_is_no_table_is_not_updated(self, exports: Exports, text: str) -> None:
        assert exports.run("--to", "out.csv", "--owner", "416")[0] == 0
        exports.path("out.csv").write_text(text)
        told = exports.run("--to", "out.csv", "--owner", "416", "--update")
        # One without any row is one of nothing.
        assert told[0] == (0 if text == "" else 2)

    @pytest.mark.parametrize(
        "name",
        ["out.failed.jsonl", "out.changes.jsonl", "out.jsonl.state.json", "out.failed.jsonl.new"],
    )
    def test_what_can_not_be_written_in_the_end_is_told_at_first(
        self, exports: Exports, name: str
    ) -> None:
        exports.path(name).mkdir()
        told = exports.refused("--to", "out.jsonl")
        assert told == f"error: can't write {name}: what is in its place is no file\n"

    @posix
    @pytest.mark.parametrize("name", ["out.jsonl.part", "out.jsonl"])
    def test_a_pipe_is_not_waited_for(self, exports: Exports, name: str) -> None:
        os.mkfifo(exports.path(name))
        told = exports.refused("--to", "out.jsonl")
        assert told == f"error: can't write {name}: what is in its place is no file\n"

    @posix
    def test_a_name_that_is_too_long(self, exports: Exports) -> None:
        # The export's own would fit.
        assert "File name too long" in exports.refused("--to", f"{'n' * 240}.jsonl")

    def test_two_forms_of_an_export_don_t_take_away_each_others_failures(
        self, exports: Exports
    ) -> None:
        exports.write("ids.txt", [1, 7])
        assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 1
        assert exports.run("--to", "out.csv")[0] == 0
        assert exports.ids("out.failed.jsonl") == [7]
        # It is taken away by the one whose it was.
        assert exports.run("--to", "out.jsonl")[0] == 0
        assert "out.failed.jsonl" not in exports.files

    @pytest.mark.parametrize("name", ["out.failed.jsonl", "out.changes.jsonl"])
    def test_no_export_takes_the_place_of_another(self, exports: Exports, name: str) -> None:
        assert exports.run("--to", name, "--owner", "416")[0] == 0
        told = exports.refused("--to", "out.jsonl")
        assert told == f"error: {name} is an export itself: choose another name for this one\n"


class TestResume:
    def break_off(self, exports: Exports) -> None:
        exports.sandbox.inject(Fault.slow(0), Fault.slow(0), Fault.error(401))
        assert exports.run("--to", "out.jsonl")[0] == 3

    def test_what_it_costs_is_what_is_left(self, exports: Exports) -> None:
        self.break_off(exports)
        _, told = exports.run("--to", "out.jsonl")
        assert told.splitlines()[1] == "998 records: 8 more requests, a moment"

    @pytest.mark.parametrize("status", [400, 404])
    def test_nothing_is_lost_before_the_list_has_answered(
        self, exports: Exports, status: int
    ) -> None:
        self.break_off(exports)
        exports.sandbox.inject(*[Fault.error(status)] * 4)
        code, told = exports.run("--to", "out.jsonl")
        assert code == (3 if status == 404 else 1)
        assert "200 records kept" in told
        exports.sandbox._faults.clear()  # pyright: ignore
        assert exports.run("--to", "out.jsonl")[0] == 0
        assert len(exports.ids("out.jsonl")) == 998


class TestTheCost:
    def test_ids_that_the_list_can_not_have_are_asked_for_one_by_one(
        self, exports: Exports
    ) -> None:
        exports.write("ids.txt", range(1, 1_201))
        _, told = exports.run("--to", "out.jsonl", "--ids", "ids.txt")
        # 998 of them are there, in ten pages.
        assert told.startswith("1,200 ids: 212 requests, a moment\n")
        assert exports.requests() >= 212

    def test_it_is_not_known_where_lucca_tells_no_number(self, exports: Exports) -> None:
        owners = ",".join(map(str, range(1, 301)))
        _, told = exports.run("--to", "out.jsonl", "--owner", owners)
        assert told.startswith("how many records there are is not known before they have come\n")


class TestStreams:
    def test_without_assertions(self, exports: Exports) -> None:
        command = [sys.executable, "-O", *CLI[1:], "export", *NO_BUDGET, "--to", "out.csv"]
        done = subprocess.run(command, timeout=SECONDS, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert exports.path("out.csv").read_bytes().count(b"\n") > 998

    @posix
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--to", "out.jsonl"], 0),
            (["--to", "out.jsonl", "--ids", "-"], 2),
            ([], 2),
        ],
    )
    def test_streams_that_are_closed(self, exports: Exports, options: list[str], code: int) -> None:
        command = ["sh", "-c", CLOSED, "sh", *CLI, "export", *NO_BUDGET, *options]
        done = subprocess.run(
            command, timeout=SECONDS, stderr=subprocess.PIPE, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)
        assert code == 0 or "is closed" in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_while_it_reads_the_ids(
        self, exports: Exports, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Endless(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                signal.raise_signal(number)
                return b""

        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Endless()))
            code, told = exports.run("--to", "out.jsonl", "--ids", "-")
            assert (code, told) == (130, "interrupted\n")
            assert signal.getsignal(signal.SIGTERM) == before[1]
        finally:
            signal.signal(signal.SIGINT, before[0])


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("get x", 2, "error: argument ID: must be a whole number"),
        ("nonsense", 2, "error: there is no such command: choose from "),
        ("export --to out.xlsx", 2, "error: --to must end in"),
        ("get 7", 1, "7 is missing: "),
        ("check --host example.com", 2, "error: "),
    ],
)
@pytest.mark.usefixtures("exports")
def test_everything_is_json_to_those_who_read_it(
    line: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main([*line.split(), "--log-json"]) == code
    except SystemExit as exited:
        assert exited.code == code
    lines = [json.loads(it) for it in capsys.readouterr().err.splitlines()]
    assert lines[0]["message"].startswith(told)
    assert all(set(it) == {"time", "level", "message"} for it in lines)


def test_a_folder_of_any_name(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exports.path('été, \'an "odd" one')
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert exports.run("--to", str(Path("a b.jsonl")), "--owner", "416")[0] == 0
    assert (folder / "a b.jsonl").read_bytes().count(b"\n") == 1


def test_a_login_page_is_not_lucca(exports: Exports) -> None:
    exports.sandbox.inject(Fault.answer(302, headers={"Location": "/login"}))
    code, told = exports.run("--to", "out.jsonl")
    assert code == 4
    assert "a redirect to '/login'" in told


def test_what_was_no_state_is_no_hindrance(exports: Exports) -> None:
    exports.path("out.jsonl.state.json").write_text("[" * 100_000)
    assert exports.run("--to", "out.jsonl")[0] == 0
    assert exports.run("--to", "out.jsonl", "--update")[0] == 0
