"""Where the records come from: the list, page by page, and ids by themselves, from where it was.

What the library's own plan of a bulk run does in one go, an export does in steps that it can go on
from: so the list comes first, if it takes fewer requests, and what it has not shown is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

from ..._bulk import Failed, Found, Missing, OutcomeStream
from ..._lists.plan import FEWEST_TO_PLAN, list_saves, pages_for
from ...client import LuccaTrainingClient
from ...errors import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    LuccaError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    SharedBudgetError,
)
from ...models import RealizedTraining
from ...resources._realized_filters import realized_filters
from .estimate import Cost, pages_in
from .ids import Ids
from .journal import Kept, Trouble, mark
from .progress import Tally
from .question import Question

logger: logging.Logger = logging.getLogger("lucca_training_async.export")

# What would be no better for ids by themselves than for the list.
_FATAL = (
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    OutageError,
    RateLimitedError,
    SharedBudgetError,
)
Announce = Callable[[Cost], None]
"""Told what the export will cost, once, as soon as that is known."""


class Keeper(Protocol):
    """Keeps what has come."""

    kept: Kept

    def append(self, lines: Sequence[bytes]) -> None: ...

    def begin_anew(self, question: Question) -> None: ...


class Source:
    """Gets what a question asks for, and gives it to a keeper, which may have some of it already.

    Args:
        client: The way to Lucca.
        question: What is asked for.
        ids: The ids that are asked for; None if the list is.
        known: The ids that were there before, where the list may have passed one over.
        keeper: Keeps what comes.
        tally: Is kept up to date.
        announce: Is told the cost.
    """

    def __init__(
        self,
        client: LuccaTrainingClient,
        question: Question,
        ids: Ids | None,
        known: Collection[int],
        keeper: Keeper,
        tally: Tally,
        announce: Announce,
    ) -> None:
        self._client = client
        self._question = question
        self._ids = ids
        self._wanted = None if ids is None else frozenset(ids.valid)
        self._known = known
        self._keeper = keeper
        self._tally = tally
        self._announce = announce
        self._has_announced = False
        self._filters = realized_filters(**question.filters) or ()

    @property
    def _kept(self) -> Kept:
        return self._keeper.kept

    async def run(self) -> None:
        """Get all of it.

        Raises:
            LuccaError: It can't go on; what has come until then is kept.
            DiskError: The keeper can't keep it.
        """
        if self._wanted is not None:
            self._tally.what, self._tally.total = "ids", len(self._wanted)
        self._count_up(None)
        if not self._kept.is_listed:
            if self._wanted is None:
                await self._read_list()
            else:
                await self._list_if_worth_it(self._wanted)
        await self._by_id()

    # -- the list

    async def _list_if_worth_it(self, wanted: frozenset[int]) -> None:
        try:
            if self._kept.cursor is not None or await self._is_worth_it(wanted):
                await self._read_list()
        except LuccaError as error:
            if isinstance(error, _FATAL):
                raise
            logger.warning("the list is no use, each id is asked for by itself: %s", error)
        if not self._kept.is_listed:
            self._keeper.append([mark("listed", None)])

    async def _is_worth_it(self, wanted: frozenset[int]) -> bool:
        if len(wanted) <= FEWEST_TO_PLAN:
            return False
        count = await self._client.realized_trainings.count(priority="bulk")
        is_worth_it = list_saves(count, len(wanted))
        if is_worth_it:
            requests = pages_for(count) + self._surely_by_id(count)
            self._tell_cost(Cost(len(wanted), requests))
        return is_worth_it

    async def _read_list(self) -> None:
        start = self._kept.cursor
        if start is not None and self._wanted is None:
            self._tell_cost_of_list(self._kept.count)
        try:
            await self._read_from(start)
        except (BadRequestError, NotFoundError) as error:
            if start is None or self._kept.cursor != start:
                raise
            # How long a cursor lives is not documented.
            logger.warning(
                "Lucca no longer knows the place where it was; it begins anew: %s", error
            )
        else:
            return
        await self._read_from(None, anew=self._wanted is None)

    async def _read_from(self, start: str | None, *, anew: bool = False) -> None:
        bad: list[DecodeError] = []
        listed = self._client.realized_trainings.list(**self._question.filters, on_error=bad.append)
        last: list[bytes] = []
        async with aclosing(listed.pages(start)) as pages:
            async for page in pages:
                if anew:
                    # Not before the list has been seen to answer: what was kept is lost by it.
                    self._keeper.begin_anew(self._question)
                    anew = False
                lines = self._lines_of(page.items, bad)
                self._tell_cost_of_list(page.count)
                if page.next is None:
                    # It is the last, unless the list can't be followed to its end.
                    last = lines
                    continue
                self._keeper.append([*lines, mark("next", page.next, page.count)])
                self._count_up(self._requests_left())
                if self._is_enough(bool(lines)):
                    break
        self._check_length(start, len(last))
        self._keeper.append([*last, mark("listed", None)])
        self._count_up(0)

    def _lines_of(self, records: Sequence[RealizedTraining], bad: list[DecodeError]) -> list[bytes]:
        came = self._kept.records
        wanted = self._wanted
        lines = [
            line_of(record)
            for record in records
            if record.id not in came and (wanted is None or record.id in wanted)
        ]
        if wanted is None:
            lines += [mark("trouble", trouble_of(id_in(each.item), each)) for each in bad]
        bad.clear()
        return lines

    def _pages_left(self) -> int | None:
        count = self._kept.count
        return None if count is None else max(0, pages_for(count) - self._kept.pages)

    def _requests_left(self) -> int | None:
        """Of the list, and of the ids that it can't have."""
        pages, count = self._pages_left(), self._kept.count
        return pages if pages is None or count is None else pages + self._surely_by_id(count)

    def _surely_by_id(self, count: int) -> int:
        """How many of the ids can't be in a list of so many records, as there are more of them."""
        return 0 if self._wanted is None else max(0, len(self._wanted) - count)

    def _is_enough(self, has_shown: bool) -> bool:
        """Whether the ids that are left are better asked for by themselves."""
        if self._wanted is None:
            return False
        ids, pages = len(self._wanted) - len(self._kept.records), self._pages_left()
        # Ids lie close together: a page that showed some may be followed by another.
        return not ids or (pages is not None and pages >= ids and not has_shown)

    def _check_length(self, start: str | None, last: int) -> None:
        """The library sees a list that ends early only if it has read it from its beginning."""
        kept, question = self._kept, self._question
        if start is None or self._wanted is not None or question.has_filters:
            return
        came = len(kept.records) + len(kept.troubles) + last
        if kept.count is not None and came < kept.count:
            told = f"the list ends after {came} of {kept.count} records"
            url = str(self._client.settings.base_url)
            raise DecodeError(told, url=url, path="$.next", excerpt="")

    # -- ids by themselves

    async def _by_id(self) -> None:
        kept = self._kept
        ids = sorted(self._known) if self._ids is None else self._ids.valid
        left = [it for it in ids if it not in kept.records and it not in kept.answered]
        if self._ids is not None:
            self._tell_cost(Cost(len(ids), len(left)))
        self._count_up(len(left))
        if not left:
            return
        async with self._client.realized_trainings.stream(left) as outcomes:
            await self._keep_outcomes(outcomes, len(left))
        if outcomes.stopped is not None:
            raise outcomes.stopped

    async def _keep_outcomes(self, outcomes: OutcomeStream, left: int) -> None:
        # A key that may read nothing ends the run, and none of its denials is an outcome.
        denied: list[bytes] = []
        async for outcome in outcomes:
            match outcome:
                case Found(id, training):
                    line = line_of(training) if self._is_asked_for(training) else mark("gone", id)
                case Missing(id, error):
                    is_failure = self._ids is not None
                    line = (
                        mark("trouble", trouble_of(id, error, "missing"))
                        if is_failure
                        else mark("gone", id)
                    )
                case Failed(id, error):
                    if outcomes.stopped is not None:
                        continue  # it is asked for again when the export goes on
                    line = mark("trouble", trouble_of(id, error))
                    if isinstance(error, PermissionDeniedError):
                        denied.append(line)
                        continue
                case _:
                    raise AssertionError("the ids were checked before")
            left -= 1
            self._keeper.append([*denied, line])
            left -= len(denied)
            denied.clear()
            self._count_up(left)
        if denied and outcomes.stopped is None:
            self._keeper.append(denied)
            self._count_up(0)

    def _is_asked_for(self, record: RealizedTraining) -> bool:
        return all(
            each.admits(record) and (each.wants is None or each.wants(record))
            for each in self._filters
        )

    # -- what is told

    def _count_up(self, left: int | None) -> None:
        kept, tally = self._kept, self._tally
        tally.left = left
        if self._wanted is None:
            tally.done, tally.total = len(kept.records), kept.count
        else:
            tally.done = len(kept.records) + len(kept.troubles)

    def _tell_cost_of_list(self, count: int | None) -> None:
        if self._wanted is None:
            pages, done = pages_in(count), self._kept.pages
            left = None if pages is None else max(1, pages - done)
            self._tell_cost(Cost(count, left, is_rest=done > 0))

    def _tell_cost(self, cost: Cost) -> None:
        if not self._has_announced:
            self._has_announced = True
            self._announce(cost)


def line_of(record: RealizedTraining) -> bytes:
    """A record as it stands in a file of JSON lines."""
    return record.to_json().encode() + b"\n"


def trouble_of(id: int | None, error: LuccaError, outcome: str = "failed") -> Trouble:
    """Why there is no record, as it stands among the failures."""
    told: Trouble = {"id": id, "outcome": outcome, "error": type(error).__name__}
    told["message"] = str(error)
    if isinstance(error, DecodeError) and error.item is not None:
        told["item"] = error.item
    return told


def id_in(item: object) -> int | None:
    """The id of what is no record, if it has one."""
    if not isinstance(item, dict):
        return None
    key = cast("dict[str, Any]", item).get("id")
    return key if isinstance(key, int) and not isinstance(key, bool) else None
