"""What a bulk run gives back: an outcome for every id, one by one or all together."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Literal

import attrs

from ..errors import InvalidIdError, LuccaError, NotFoundError
from ..models import RealizedTraining


@attrs.frozen
class Found:
    """Lucca has it.

    Attributes:
        id: The id.
        training: The realized training.
        error: None.
    """

    id: int
    training: RealizedTraining
    error: ClassVar[None] = None


@attrs.frozen
class Missing:
    """Lucca says that there is none, or none that the key's role may see.

    Attributes:
        id: The id.
        training: None.
        error: The 404.
    """

    id: int
    error: NotFoundError
    training: ClassVar[None] = None


@attrs.frozen
class Failed:
    """Nobody knows whether there is one.

    Attributes:
        id: The id.
        training: None.
        error: Why.
    """

    id: int
    error: LuccaError
    training: ClassVar[None] = None


@attrs.frozen
class Refused:
    """A value that is no id, for which no request was spent.

    Attributes:
        value: The value, as it was given.
        training: None.
        error: Why it is none.
    """

    value: object
    error: InvalidIdError
    training: ClassVar[None] = None


Outcome = Found | Missing | Failed | Refused
"""What became of one id. ``outcome.error is None`` holds for :class:`Found` only, and type
checkers know it; ``isinstance`` and ``match`` tell the four apart."""

OnOutcome = Callable[[Outcome], object]
"""Called with each outcome as it comes; a plain function."""


@attrs.frozen
class Progress:
    """How far a bulk run has come.

    Attributes:
        done: Values of ``ids`` that are accounted for, duplicates included.
        total: How many there are, or None where ``ids`` has no length.
        found: Distinct ids found so far.
        missing: Distinct ids that Lucca answered with 404.
        failed: Distinct ids that failed.
        refused: Distinct values that are no ids.
        waited: Seconds during which at least one request stood waiting for the budget, a
            pause or a place.
        waiting_for: What keeps the next request from being sent just now: the ``"budget"``,
            a ``"pause"`` that Lucca has asked for, an ``"outage"``, or None.
        waiting_until: When the next request may go out (UTC), or None where it isn't known.
    """

    done: int
    total: int | None
    found: int
    missing: int
    failed: int
    refused: int
    waited: float
    waiting_for: Literal["budget", "pause", "outage"] | None
    waiting_until: datetime | None


OnProgress = Callable[[Progress], object]
"""Called after each outcome, and when an outage begins; a plain function."""


@attrs.frozen
class BulkStats:
    """What a bulk run took.

    Attributes:
        requests: Requests sent, retries included.
        retries: Requests that were not the first for their id, or asked whether anybody answers.
        waited: Seconds, out of ``elapsed``, during which at least one request stood waiting
            for the budget (or a pause, or a place) to let it through.
        elapsed: Seconds from start to end.
        lost_to_outages: Seconds, out of ``elapsed``, from the first request of an outage to the
            first sign of life.
        lost_to_pauses: Seconds, out of ``elapsed``, during which nothing was sent because Lucca
            had asked to wait.
        plan: Whether ids were asked for by ``"list"`` first, or ``"each"`` by itself.
        pages: Pages of the list that were read.
        requests_saved: How many ids the list brought beyond the requests that it took; less than
            nothing where those were in vain.
        cached: Ids whose records came from the client's ``cache`` and cost no request.
    """

    requests: int = 0
    retries: int = 0
    waited: float = 0.0
    elapsed: float = 0.0
    lost_to_outages: float = 0.0
    lost_to_pauses: float = 0.0
    plan: Literal["each", "list"] = "each"
    pages: int = 0
    requests_saved: int = 0
    cached: int = 0


@attrs.frozen
class BulkResult:
    """Every distinct value that a bulk run has read, in exactly one of four places.

    Attributes:
        items: The trainings found, by id, in the order of the ids given.
        missing: The ids that Lucca answered with 404, in that order.
        failures: What went wrong, by id, in that order.
        refused: The values that are no ids, in that order.
        stats: What the run took.
        stopped: The error that ended the run early (a refused key, a key that may read nothing,
            an outage or a pause beyond ``RetryPolicy.patience``, a host that never answered, a
            closed client or session), or None. Ids of a collection that were not sent are in
            ``failures`` then, with this error; an iterator is not read any further.
    """

    items: dict[int, RealizedTraining]
    missing: list[int]
    failures: dict[int, LuccaError]
    refused: list[Refused]
    stats: BulkStats
    stopped: LuccaError | None = None

    def raise_for_failures(self) -> None:
        """Raise what failed or was refused, if anything was. Missing ids are no failures.

        Raises:
            ExceptionGroup: Of the distinct errors in ``failures``, ``refused`` and
                ``stopped``.
        """
        answered = len(self.items) + len(self.missing)
        raise_together(answered, self.failures, self.refused, self.stopped)

    @classmethod
    def of(
        cls, outcomes: Iterable[Outcome], stats: BulkStats, stopped: LuccaError | None = None
    ) -> "BulkResult":
        """Sort outcomes, given in the order of the ids, into their four places."""
        result = cls({}, [], {}, [], stats, stopped)
        for outcome in outcomes:
            match outcome:
                case Found(id, training):
                    result.items[id] = training
                case Missing(id):
                    result.missing.append(id)
                case Failed(id, error):
                    result.failures[id] = error
                case Refused():
                    result.refused.append(outcome)
        return result


def raise_together(
    answered: int,
    failures: Mapping[int, LuccaError],
    refused: Sequence[Refused],
    stopped: LuccaError | None,
) -> None:
    """Raise what failed, if anything did, as one.

    Raises:
        ExceptionGroup: Of the distinct errors.
    """
    errors = [*failures.values(), *(value.error for value in refused)]
    told = f"{len(errors)} of {answered + len(errors)} ids failed"
    if stopped is not None:
        errors.append(stopped)
    if errors:
        # One 401 can be the error of thousands of ids: it is told once.
        raise ExceptionGroup(told, list({id(error): error for error in errors}.values()))
