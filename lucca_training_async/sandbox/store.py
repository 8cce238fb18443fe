"""What the sandbox knows: its records, whoever gave them, and answers to other requests."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, cast

import attrs

from ..models import MAX_ID, RealizedTraining, Training, TrainingDemand, unstructure
from .lists import Kind, List, served
from .question import at
from .records import Records
from .render import render

Record = RealizedTraining | Training | TrainingDemand | Mapping[str, Any]
"""A record that can be given: a model, or an object as in Lucca's JSON."""

_KIND_OF: dict[type, Kind] = {
    RealizedTraining: "realized training",
    Training: "training",
    TrainingDemand: "training demand",
}


@attrs.frozen
class GivenAnswer:
    """An answer that is given as it is."""

    text: str
    status: int


class Store:
    """The records of the three lists, and answers to requests for anything else.

    Args:
        size: How many realized trainings are generated.
        missing: Those of them that are not there.

    Attributes:
        lists: What the lists are.
        answers: Answers by path.
    """

    def __init__(self, size: int, missing: Container[int]) -> None:
        self.lists: dict[Kind, List] = served(size)
        self._records = {
            kind: Records(one, missing if kind == "realized training" else ())
            for kind, one in self.lists.items()
        }

        self.answers: dict[str, GivenAnswer] = {}

    def list_at(self, path: str) -> Kind | None:
        """Which list is at a path; None if none is."""
        return next((kind for kind, one in self.lists.items() if one.path == path), None)

    def records(self, kind: Kind) -> Records:
        """The records of one list.

        Raises:
            ValueError: There is no such list.
        """
        if kind not in self._records:
            raise ValueError(f"kind must be one of {', '.join(self._records)}, not {kind!r}")
        return self._records[kind]

    def put(self, record: Record, *, id: int | None, kind: Kind | None) -> None:
        """Add a record, or replace the one with its id.

        Raises:
            TypeError: It is no record.
            ValueError: It has no id to be found by, or is of another kind.
        """
        own = _KIND_OF.get(type(record))
        if own is not None:
            if kind not in (None, own):
                raise ValueError(f"a {type(record).__name__} is no {kind}")
            wire: Mapping[str, Any] = unstructure(cast(attrs.AttrsInstance, record))
        elif isinstance(record, Mapping):
            wire = dict(record)
        else:
            raise TypeError(f"a record is a model or a dict, not {type(record).__name__}")
        key = at(wire, "id") if id is None else id
        if not isinstance(key, int) or isinstance(key, bool) or not 1 <= key <= MAX_ID:
            raise ValueError(f"{key!r} is no id to find the record by: give one, put(record, id=7)")
        self.records(own or kind or "realized training").put(key, wire)

    def remove(self, id: int, kind: Kind) -> None:
        """Remove a record.

        Raises:
            LookupError: There is none.
        """
        if not self.records(kind).remove(id):
            raise LookupError(f"there is no {kind} {id}")

    def answer(self, path: str, json: object, status: int) -> None:
        """Have an answer for a path.

        Raises:
            TypeError: It holds what JSON can't tell.
            ValueError: It is no path.
        """
        if not path.startswith("/") or "?" in path or "#" in path:
            raise ValueError(f"a path begins with '/' and has no query, unlike {path!r}")
        self.answers[path] = GivenAnswer(render(json), status)
