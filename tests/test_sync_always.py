"""What holds of a sync whatever happens meanwhile: records come, change and go at any request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import attrs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lucca_training_async import Added, Changed, DecodeError, Failed, Removed
from lucca_training_async.models import RealizedTraining

from .list_server import Asked, Lists, ListStage, Wire, list_stage, mark, wire
from .virtual_time import run

Change = Added | Changed | Removed | Failed
PAGE_SIZE = 3
IDS = st.integers(1, 24)
TENANTS = st.dictionaries(IDS, st.integers(0, 2), max_size=16)


@attrs.frozen
class Event:
    """Something that happens before a request is answered.

    Attributes:
        before: Which.
        id: To which record.
        version: What it is from then on; None if it is gone.
        where: At which end of the list it appears, if it is new or is put anew.
    """

    before: int
    id: int
    version: int | None
    where: Literal["first", "last"]


EVENTS = st.lists(
    st.builds(
        Event,
        before=st.integers(1, 12),
        id=IDS,
        version=st.none() | st.integers(0, 2),
        where=st.sampled_from(["first", "last"]),
    ),
    max_size=6,
)


@attrs.define
class History:
    """The records, and all that each of them has been.

    Attributes:
        events: What happens.
        page_came_again: Whether a whole page had nothing on it that had not come before, nor any
            page since.
    """

    events: Iterable[Event]
    page_came_again: bool = False
    listed: set[int] = attrs.field(factory=set[int])
    lists: Lists = attrs.field(init=False)
    states: dict[int, set[str | None]] = attrs.field(factory=dict[int, "set[str | None]"])

    def begin(self, lists: Lists) -> None:
        self.lists = lists
        self.states = {id: {self._now(id)} for id in range(1, 25)}

    def happen(self, asked: Asked) -> None:
        for event in self.events:
            if event.before == asked.number:
                self._alter(event)
        if not asked.id:
            start = (asked.page - 1) * PAGE_SIZE
            page = set(list(self.lists.records)[start : start + PAGE_SIZE])
            is_whole = len(page) == PAGE_SIZE
            self.page_came_again = page <= self.listed and (is_whole or self.page_came_again)
            self.listed |= page

    def _alter(self, event: Event) -> None:
        records = self.lists.records
        if event.version is None:
            records.pop(event.id, None)
        elif event.id in records:
            records[event.id] = wire(event.id, event.version)
        else:
            given = {event.id: wire(event.id, event.version)}
            both = given | records if event.where == "first" else records | given
            records.clear()
            records.update(both)
        self.states[event.id].add(self._now(event.id))

    def _now(self, id: int) -> str | None:
        record: Wire | None = self.lists.records.get(id)
        return None if record is None else mark(record)


async def sync(
    on: ListStage, known: dict[int, str], told: list[Change], *, at_once: bool
) -> list[Change]:
    """The changes, with which ``known`` is brought up to date as they come, or in the end.

    Those of a sync that ends early are in ``told`` as well.
    """
    try:
        async for change in on.realized.sync(known, page_size=PAGE_SIZE):
            told.append(change)
            if at_once:
                apply(known, change)
    finally:
        if not at_once:
            for change in told:
                apply(known, change)
    return told


def apply(known: dict[int, str], change: Change) -> None:
    match change:
        case Added() | Changed():
            known[change.id] = change.training.fingerprint
        case Removed(id):
            del known[id]
        case Failed():
            raise AssertionError("nothing fails here")


def records_of(versions: dict[int, int]) -> list[Wire]:
    return [wire(id, version) for id, version in versions.items()]


def marks(versions: dict[int, int]) -> dict[int, str]:
    return {id: mark(wire(id, version)) for id, version in versions.items()}


@settings(max_examples=40)
@given(before=TENANTS, now=TENANTS, at_once=st.booleans())
def test_after_a_sync_all_is_known(
    before: dict[int, int], now: dict[int, int], at_once: bool
) -> None:
    async def main() -> None:
        async with list_stage(records_of(now)) as on:
            known = marks(before)
            told = await sync(on, known, [], at_once=at_once)
            assert known == on.known
            assert await sync(on, known, [], at_once=at_once) == []
        kinds = {change.id: type(change) for change in told}
        assert len(kinds) == len(told)
        assert kinds == {
            **dict.fromkeys(now.keys() - before.keys(), Added),
            **dict.fromkeys(before.keys() - now.keys(), Removed),
            **{id: Changed for id in now.keys() & before.keys() if now[id] != before[id]},
        }

    run(main())


@settings(max_examples=80)
@given(before=TENANTS, now=TENANTS, events=EVENTS, at_once=st.booleans())
# The last page is gone when it is asked for, and the one before has one that had come.
@example(
    before={},
    now=dict.fromkeys([1, 2, 5, 6, 7], 0),
    events=[Event(2, 4, 0, "first"), Event(3, 1, None, "first"), Event(1, 3, 0, "first")],
    at_once=False,
)
# The last page has nothing on it but one that had come.
@example(
    before={},
    now=dict.fromkeys([1, 2, 3, 4], 0),
    events=[Event(2, 5, 0, "first"), Event(2, 4, None, "first")],
    at_once=False,
)
# The second page is the first one over again, and the last.
@example(
    before={},
    now=dict.fromkeys([1, 2, 3, 4], 0),
    events=[*(Event(2, id, 0, "first") for id in (5, 6, 7)), Event(2, 4, None, "first")],
    at_once=True,
)
def test_nothing_is_told_that_was_never_so(
    before: dict[int, int], now: dict[int, int], events: list[Event], at_once: bool
) -> None:
    async def main() -> None:
        history = History(events)
        async with list_stage(records_of(now), interfere=history.happen) as on:
            history.begin(on.server)
            known, first = marks(before), marks(before)
            told: list[Change] = []
            try:
                await sync(on, known, told, at_once=at_once)
            except DecodeError as error:
                # So many were put before the others that a page was the same over again, which
                # can't be told from a server that knows no other page.
                assert "it ends after" in str(error)
                assert history.page_came_again
            assert not [id for id, times in Counter(it.id for it in told).items() if times > 1]
            for change in told:
                assert_was_so(change, first, history)
            # Whatever was missed meanwhile (pages shift), the next sync of a quiet tenant tells.
            history.events = ()
            await sync(on, known, [], at_once=at_once)
            assert known == on.known
            assert await sync(on, known, [], at_once=at_once) == []

    run(main())


def assert_was_so(change: Change, known: dict[int, str], history: History) -> None:
    """A record that was all the time as it was known has no place here."""
    states = history.states[change.id]
    assert states != {known.get(change.id)}
    match change:
        case Removed(id):
            assert id in known
            assert None in states
        case Added(training) | Changed(training):
            assert isinstance(training, RealizedTraining)
            assert training.fingerprint in states
            assert training.fingerprint != known.get(training.id)
            assert isinstance(change, Changed) is (training.id in known)
        case Failed():
            raise AssertionError("nothing fails here")
