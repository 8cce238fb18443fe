"""What a bulk run gives back: an outcome for every id, one by one or all together."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence
from typing import cast

import attrs

from .errors import InvalidIdError, LuccaError, NotFoundError
from .ids import describe
from .models import RealizedTraining


@attrs.frozen
class Outcome:
    """What became of one id: exactly one of ``training`` and ``error`` is set.

    Attributes:
        id: The id as it was given.
        training: The realized training that was found.
        error: Why there is none; a :class:`NotFoundError` if Lucca has none to show.
    """

    id: int
    training: RealizedTraining | None = None
    error: LuccaError | None = None


@attrs.frozen
class BulkStats:
    """What a bulk run took.

    Attributes:
        requests: Requests sent, retries included.
        retries: Requests that were not the first for their id.
        waited: Seconds, out of ``elapsed``, during which at least one request stood waiting
            for the budget (or a pause, or a place) to let it through.
        elapsed: Seconds from start to end.
    """

    requests: int
    retries: int
    waited: float
    elapsed: float


@attrs.frozen
class BulkResult:
    """Every distinct id of a bulk run, in exactly one of three places.

    Attributes:
        items: The trainings found, by id, in the order of the ids given.
        missing: The ids that Lucca answered with 404, in that order.
        failures: What went wrong, by id, in that order. An id that can't be a key of its
            own here (it has no hash, or it equals another id: ``True`` and 1) is found
            under its description, such as ``"<bool True>"``.
        stats: What the run took.
    """

    items: dict[int, RealizedTraining]
    missing: list[int]
    failures: dict[int, LuccaError]
    stats: BulkStats

    def raise_for_failures(self) -> None:
        """Raise what failed, if anything did. Missing ids are no failures.

        Raises:
            ExceptionGroup: Of the distinct errors in ``failures``.
        """
        if self.failures:
            # One 401 can be the error of thousands of ids: it is told once.
            distinct = list({id(error): error for error in self.failures.values()}.values())
            total = len(self.items) + len(self.missing) + len(self.failures)
            raise ExceptionGroup(f"{len(self.failures)} of {total} ids failed", distinct)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], stats: BulkStats) -> BulkResult:
        """Sort outcomes, given in the order of the ids, into their three places."""
        items: dict[int, RealizedTraining] = {}
        missing: list[int] = []
        failures: dict[int, LuccaError] = {}
        valid = {outcome.id for outcome in outcomes if not _is_refused(outcome)}
        for outcome in outcomes:
            if outcome.training is not None:
                items[outcome.id] = outcome.training
            elif isinstance(outcome.error, NotFoundError):
                missing.append(outcome.id)
            elif outcome.error is not None:
                key = outcome.id
                if _is_refused(outcome) and not _is_free(key, valid, failures):
                    key = cast(int, _label(key, failures))
                failures[key] = outcome.error
        return cls(items, missing, failures, stats)


def _is_refused(outcome: Outcome) -> bool:
    return isinstance(outcome.error, InvalidIdError)


def _is_free(key: object, *taken: Container[object]) -> bool:
    try:
        return not any(key in keys for keys in taken)
    except Exception:  # it has no hash, or none that works
        return False


def _label(id: object, taken: Container[object]) -> str:
    """A key for an id that can't be its own; no two get the same."""
    label = f"<{describe(id)}>"
    numbered = (f"{label} #{n}" for n in itertools.count(2))
    return label if label not in taken else next(key for key in numbered if key not in taken)
