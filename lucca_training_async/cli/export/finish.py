"""From the journal to the files: written beside their places first, then put into them.

The order makes it whole at any moment. What has been written is noted in the journal before the
first file is put into place; whoever goes on from there has but to put the others into theirs.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2s
from pathlib import Path
from typing import Any, cast

from ...models import MAX_ID, RealizedTraining, dumps, parse
from ..connection import WrongUseError
from . import rows
from .files import Files, Journal, put_into_place, remove, sync_folder, write_new
from .ids import Ids
from .journal import Kept, Trouble, mark
from .question import Question, differences

Built = Mapping[str, int]
"""How many records, failures and changes there are."""


def finish(files: Files, journal: Journal, question: Question, ids: Ids | None) -> Built:
    """Put the files of an export into place, and remove its journal.

    Raises:
        DiskError: They can't be written. The journal is kept.
    """
    kept = journal.kept
    if kept.built is None:
        counts, written = _build(files, kept, question, ids)
        journal.append([mark("built", {"counts": counts, "written": written})])
        journal.sync()
    assert kept.built is not None
    written = kept.built["written"]
    # An export of another form shares their names, and what it has written is its own.
    left_over = written_before(files)
    for path in (files.failed, files.changes, files.target):
        if path.name in written:
            put_into_place(path)
        elif path.name in left_over:
            remove(path)
    asked = question.plain() | {"update": False}
    state = {"export": asked, **kept.built["counts"], "written": written}
    write_new(files.state, [f"{json.dumps(state, indent=2)}\n".encode()])
    put_into_place(files.state)
    sync_folder(files.target.parent)
    journal.close()
    remove(files.part)
    return cast(Built, kept.built["counts"])


def _build(
    files: Files, kept: Kept, question: Question, ids: Ids | None
) -> tuple[dict[str, int], list[str]]:
    troubles = troubles_left(kept, ids)
    unknown = {trouble["id"] for trouble in troubles if trouble["outcome"] == "failed"}
    before, old = _before(files, unknown) if question.update else ({}, {})
    order = order_of(kept, ids, old)
    told: list[str] = []
    counts = Counter(
        {
            "records": len(order),
            **dict.fromkeys(("missing", "failed", "refused", "kept"), 0),
            **{kind: 0 for kind in ("added", "changed", "removed") if question.update},
        }
    )

    def texts() -> Iterator[str]:
        if files.is_csv:
            yield rows.header()
        with files.part.open("rb") as lines:
            for key in order:
                if key not in kept.records:
                    counts["kept"] += 1
                    yield old[key]
                    continue
                lines.seek(kept.records[key])
                line = lines.readline().decode()
                text = line
                if files.is_csv:
                    text = rows.line(rows.row(RealizedTraining.from_json(line)))
                if question.update and before.get(key) != digest(text):
                    change = "changed" if key in before else "added"
                    counts[change] += 1
                    told.append(f'{{"change": "{change}", "record": {line.rstrip()}}}\n')
                yield text

    write_new(files.target, (text.encode() for text in texts()))
    for key in sorted(before.keys() - set(order)):
        counts["removed"] += 1
        told.append(f'{{"change": "removed", "id": {key}}}\n')
    written = [files.target.name]
    if troubles:
        write_new(files.failed, (f"{dumps(it, allow_nan=True)}\n".encode() for it in troubles))
        written.append(files.failed.name)
    if question.update:
        write_new(files.changes, (line.encode() for line in told))
        written.append(files.changes.name)
    counts.update(trouble["outcome"] for trouble in troubles)
    return dict(counts), written


def troubles_left(kept: Kept, ids: Ids | None) -> list[Trouble]:
    """The ids that have no record in the end, in the order of the ids."""
    left = [trouble for trouble in kept.troubles if trouble["id"] not in kept.records]
    # A bad item of a list may have been asked for by itself since, and be told by that.
    by_id = {trouble["id"]: trouble for trouble in left if trouble["id"] is not None}
    nameless = [trouble for trouble in left if trouble["id"] is None]
    place = sorted(by_id) if ids is None else [it for it in ids.valid if it in by_id]
    refused = () if ids is None else ids.refused
    return [*map(by_id.__getitem__, place), *nameless, *refused]


def order_of(kept: Kept, ids: Ids | None, old: Collection[int]) -> list[int]:
    """The order of the records: that of the ids asked for, or that of the list.

    What the list has not shown follows by its id; it may have come in any order.
    """
    if ids is not None:
        return [it for it in ids.valid if it in kept.records or it in old]
    came = list(kept.records)
    return [*came[: kept.by_list], *sorted({*came[kept.by_list :], *old})]


def digest(text: str) -> bytes:
    """What tells whether a line has changed."""
    return blake2s(text.encode(), digest_size=8).digest()


def state_of(files: Files) -> Mapping[str, Any]:
    """What the last complete export has noted of itself.

    Raises:
        ValueError: Nothing, or something else.
        OSError: It can't be read.
    """
    match parse(files.state.read_bytes()):
        case {"export": dict()} as state:
            return cast("dict[str, Any]", state)
        case _:
            raise ValueError("no state of an export")


def written_before(files: Files) -> Collection[str]:
    """The names of the files that the last complete export has written."""
    try:
        written = state_of(files).get("written")
    except (OSError, ValueError):
        return ()
    return cast("list[str]", written) if isinstance(written, list) else ()


def known_before(files: Files, question: Question) -> list[int] | None:
    """The ids in the last complete export; None if there is none.

    Raises:
        WrongUseError: It is of another question, or can't be read.
    """
    if not files.target.exists() and not files.state.exists():
        return None
    try:
        state: Mapping[str, Any] = state_of(files)["export"]
    except (OSError, ValueError):
        raise WrongUseError(
            f"nothing tells what {files.target} is an export of ({files.state} is not there, or "
            "is no state): export it anew, without --update"
        ) from None
    if others := differences(state, question.plain() | {"update": False}):
        raise WrongUseError(
            f"{files.target} was exported with another {', another '.join(others)}: "
            "--update takes the same; export it anew, without --update"
        )
    try:
        return [key for key, _ in read_before(files.target)]
    except (OSError, ValueError, LookupError, TypeError, csv.Error):
        raise WrongUseError(
            f"{files.target} can't be read as an export: export it anew, without --update"
        ) from None


def read_before(target: Path) -> Iterator[tuple[int, str]]:
    """The ids and the lines of a complete export.

    Raises:
        ValueError: It is none.
    """
    with target.open("r", encoding="utf-8", newline="") as lines:
        if target.suffix.lower() != ".csv":
            for line in lines:
                value: Any = parse(line)
                yield _an_id(value["id"]), line
            return
        table = rows.reader(lines)
        at = next(table, ["id"]).index("id")
        for cells in table:
            yield _an_id(int(cells[at])), rows.line(cells)


def _an_id(value: object) -> int:
    if type(value) is int and 1 <= value <= MAX_ID:
        return value
    raise ValueError("no id")


def _before(files: Files, wanted: Collection[int]) -> tuple[dict[int, bytes], dict[int, str]]:
    """The digest of each line, and those lines that are wanted."""
    digests: dict[int, bytes] = {}
    lines: dict[int, str] = {}
    if files.target.exists():
        for key, line in read_before(files.target):
            digests[key] = digest(line)
            if key in wanted:
                lines[key] = line
    return digests, lines
