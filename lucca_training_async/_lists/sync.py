"""What has become of records since they were last seen: a full list, compared by fingerprints."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import operator
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import attrs

from .._bulk import BulkRun, Failed, Found, Missing, OutcomeStream
from .._bulk.ids import IdSet
from ..models import RealizedTraining
from .records import RecordList


@attrs.frozen
class Added:
    """A record that was not known.

    Attributes:
        id: Its id.
        training: The realized training.
    """

    training: RealizedTraining

    @property
    def id(self) -> int:
        return self.training.id


@attrs.frozen
class Changed:
    """A known record with another fingerprint.

    Attributes:
        id: Its id.
        training: The realized training as it is now.
    """

    training: RealizedTraining

    @property
    def id(self) -> int:
        return self.training.id


@attrs.frozen
class Removed:
    """A known record that is gone: it is not in the list, and Lucca answers 404 for its id.

    Attributes:
        id: Its id.
    """

    id: int


Change = Added | Changed | Removed | Failed
"""What has become of one record; :class:`Failed` where nobody knows whether it is still there."""


async def changes(
    known: Mapping[int, str],
    listed: "RecordList[RealizedTraining]",
    by_id: Callable[[list[int]], BulkRun],
) -> AsyncGenerator[Change, None]:
    """The differences between what is known and what there is.

    Args:
        known: Fingerprints by id; it may be brought up to date meanwhile.
        listed: All there is.
        by_id: A run over ids that the list has not shown.
    """
    seen = IdSet()
    async with aclosing(aiter(listed)) as records:
        async for record in records:
            seen.add(record.id)
            if (change := _compared(record, known)) is not None:
                yield change
    # A list made now, since whoever reads us may remove an id as soon as we tell of it. Of plain
    # integers: numpy's have no room for the set's bits.
    unseen = [each for each in map(operator.index, known) if seen.add(each)]
    async with OutcomeStream(by_id(unseen)) as outcomes:
        async for outcome in outcomes:
            match outcome:
                case Found(_, record):
                    if (change := _compared(record, known)) is not None:
                        yield change
                case Missing(id):
                    yield Removed(id)
                case Failed():
                    yield outcome
                case _:
                    raise AssertionError("the ids were checked before")


def _compared(record: RealizedTraining, known: Mapping[int, str]) -> Added | Changed | None:
    if record.id not in known:
        return Added(record)
    return None if known[record.id] == record.fingerprint else Changed(record)
