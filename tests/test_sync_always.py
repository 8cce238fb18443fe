"""What holds of a sync whatever happens meanwhile: records come, change and go at any request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from lucca_training_async import Added, Changed, Failed, Removed
from lucca_training_async.models import RealizedTraining

from .list_server import Asked, Lists, ListStage, Wire, list_stage, mark, wire
from .virtual_time import run

Change = Added | Changed | Removed | Failed
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
    """The records, and all that each of them has been."""

    events: Iterable[Event]
    lists: Lists = attrs.field(init=False)
    states: dict[int, set[str | None]] = attrs.field(factory=dict[int, "set[str | None]"])

    def begin(self, lists: Lists) -> None:
        self.lists = lists
        self.states = {id: {self._now(id)} for id in range(1, 25)}

    def happen(self, asked: Asked) -> None:
        for event in self.events:
            if event.before == asked.number:
                self._alter(event)

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


async def sync(on: ListStage, known: dict[int, str], *, at_once: bool) -> list[Change]:
    """The changes, with which ``known`` is brought up to date as they come, or in the end."""
    told: list[Change] = []
    async for change in on.realized.sync(known, page_size=3):
        told.append(change)
        if at_once:
            apply(known, change)
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
            told = await sync(on, known, at_once=at_once)
            assert known == on.known
            assert await sync(on, known, at_once=at_once) == []
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
def test_nothing_is_told_that_was_never_so(
    before: dict[int, int], now: dict[int, int], events: list[Event], at_once: bool
) -> None:
    async def main() -> None:
        history = History(events)
        async with list_stage(records_of(now), interfere=history.happen) as on:
            history.begin(on.server)
            known, first = marks(before), marks(before)
            told = await sync(on, known, at_once=at_once)
            assert not [id for id, times in Counter(it.id for it in told).items() if times > 1]
            for change in told:
                assert_was_so(change, first, history)
            # Whatever was missed meanwhile (pages shift), the next sync of a quiet tenant tells.
            history.events = ()
            await sync(on, known, at_once=at_once)
            assert known == on.known
            assert await sync(on, known, at_once=at_once) == []

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
