"""The records of one list: the generated ones, those given beside them, and pages of both."""

from __future__ import annotations

import asyncio
import copy
import threading
from array import array
from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import attrs

from .data import DOCUMENTED_ID, realized_training
from .lists import List
from .question import Question
from .render import render

# How many ids are looked at before others have their turn in the event loop: a few milliseconds.
_AT_ONCE = 10_000
_FILTERS_REMEMBERED = 8
_TEXTS_REMEMBERED = 10_000


@attrs.frozen
class _Given:
    record: Mapping[str, Any]
    text: str


class Records:
    """The records of one list, by id.

    May be used from several threads: what is put by one is seen by the next page.

    Args:
        served: Which list.
        missing: Generated ids that are not there.
    """

    def __init__(self, served: List, missing: Container[int] = ()) -> None:
        self._list = served
        if isinstance(missing, (list, tuple)):
            missing = frozenset(cast("Sequence[int]", missing))  # to look them up soon
        self._missing = missing
        self._given: dict[int, _Given] = {}
        self._removed: set[int] = set()
        self._lock = threading.RLock()
        self._everything: _Everything | None = None
        self._missing_ids: Sequence[int] | None = None
        # A generated record never changes, so what is found among them stays true.
        self._generated_matches: dict[str, array[int]] = {}
        self._matches: dict[str, Sequence[int]] = {}
        self._text = lru_cache(_TEXTS_REMEMBERED)(self._rendered)
        if served.make is realized_training and self._is_there(DOCUMENTED_ID):
            # It follows no rule that the filters of generated records could use.
            self.put(DOCUMENTED_ID, realized_training(DOCUMENTED_ID))

    def put(self, id: int, record: Mapping[str, Any]) -> None:
        """Add a record, or replace the one with this id.

        Raises:
            TypeError: It holds what JSON can't tell.
        """
        given = _Given(copy.deepcopy(record), render(record))
        with self._lock:
            self._given[id] = given
            self._forget()

    def remove(self, id: int) -> bool:
        """Remove the record with this id; whether there was one."""
        with self._lock:
            if not self._is_there(id):
                return False
            self._given.pop(id, None)
            self._removed.add(id)
            self._forget()
            return True

    def text(self, id: int) -> str | None:
        """The record with this id as JSON; None if there is none."""
        with self._lock:
            if given := self._given.get(id):
                return given.text
            return self._text(id) if self._is_there(id) else None

    async def page(self, question: Question) -> str:
        """A page of them, in the order of their ids, as JSON."""
        if question.filters:
            await self._look_through(question)
        with self._lock:
            ids = self._all() if not question.filters else self._passing(question)
            count = len(ids)
            start, stop = question.bounds(count)
            texts = [
                given.text if (given := self._given.get(key)) else self._text(key)
                for key in ids[start:stop]
            ]
        before, after = question.neighbours(start, stop, count)
        members = [f'"items": [{", ".join(texts)}]']
        members += [
            f'"{name}": {render(value)}'
            for name, value in (("prev", before), ("next", after), ("count", count))
            if name in question.root
        ]
        return "{" + ", ".join(members) + "}"

    def _is_there(self, id: int) -> bool:
        return id in self._given or (
            1 <= id <= self._list.size and id not in self._missing and id not in self._removed
        )

    def _rendered(self, id: int) -> str:
        return render(self._list.make(id))

    def _forget(self) -> None:
        self._everything = None
        self._matches.clear()

    def _all(self) -> _Everything:
        if self._everything is None:
            self._everything = _Everything(self._list.size, self._absent(), self._beyond())
        return self._everything

    def _absent(self) -> list[int]:
        """The ids of the generated range that are not there."""
        if self._missing_ids is None:
            # A container need not tell what is in it.
            ids = () if self._missing == frozenset() else range(1, self._list.size + 1)
            self._missing_ids = [key for key in ids if key in self._missing]
        absent = {*self._missing_ids, *self._removed} - self._given.keys()
        return sorted(key for key in absent if key <= self._list.size)

    def _beyond(self) -> list[int]:
        return sorted(key for key in self._given if key > self._list.size)

    async def _look_through(self, question: Question) -> None:
        """Find the generated records that pass, unless that has been done."""
        found = self._generated_matches.get(question.key)
        if found is None:
            found = array("i")
            for start in range(1, self._list.size + 1, _AT_ONCE):
                ids = range(start, min(start + _AT_ONCE, self._list.size + 1))
                found.extend(self._generated_passing(ids, question.filters))
                await asyncio.sleep(0)
        with self._lock:
            self._generated_matches.pop(question.key, None)
            self._generated_matches[question.key] = found
            while len(self._generated_matches) > _FILTERS_REMEMBERED:
                oldest = next(iter(self._generated_matches))
                del self._generated_matches[oldest]
                self._matches.pop(oldest, None)

    def _generated_passing(self, ids: range, filters: Mapping[str, Any]) -> list[int]:
        if self._list.matching is not None:
            return self._list.matching(ids, filters)
        return [key for key in ids if self._passes(self._list.make(key), filters)]

    def _passing(self, question: Question) -> Sequence[int]:
        if (known := self._matches.get(question.key)) is not None:
            return known
        own = [
            key
            for key, given in self._given.items()
            if self._passes(given.record, question.filters)
        ]
        hidden = self._given.keys() | set(self._absent())
        generated = self._generated_matches[question.key]
        ids = array("i", (key for key in generated if key not in hidden))
        self._matches[question.key] = array("i", sorted([*ids, *own])) if own else ids
        return self._matches[question.key]

    def _passes(self, record: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
        return all(
            self._list.filters[name].passes(record, value) for name, value in filters.items()
        )


class _Everything:
    """The ids from 1 to ``size`` but for some, and some beyond, without a list of them."""

    def __init__(self, size: int, absent: Sequence[int], beyond: Sequence[int]) -> None:
        self._absent = absent
        self._beyond = beyond
        self._generated = size - len(absent)

    def __len__(self) -> int:
        return self._generated + len(self._beyond)

    def __getitem__(self, positions: slice) -> list[int]:
        return [self._at(position) for position in range(*positions.indices(len(self)))]

    def _at(self, position: int) -> int:
        if position >= self._generated:
            return self._beyond[position - self._generated]
        absent = self._absent
        # Before the i-th absent id there are absent[i] - 1 - i others.
        skipped = bisect_right(
            range(len(absent)), position, key=lambda index: absent[index] - 1 - index
        )
        return position + 1 + skipped
