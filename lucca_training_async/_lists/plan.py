"""Many ids by fewer requests: a list shows a hundred records for one, and the rest go by id.

What the list shows is the record that its id alone would bring; whatever it does not show (it may
be newer than the list, undecodable in it, or missing) is asked for by id, and so is all that is
left when the list goes wrong. So every plan comes to the same outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Literal, TypeVar, cast, get_args

import attrs

from .._budget import Priority, logger
from .._bulk import BulkRun, BulkStats, Found, OnProgress, Outcome, Refused
from .._bulk.engine import Deliver, Fetch, Way
from .._bulk.ids import TakenId
from .._cache import Cache
from .._http.answers import Reply
from .._http.call import Caller
from ..errors import ClientClosedError, InvalidIdError, LuccaError, RequestError, UsageError
from ..models import RealizedTraining
from .endpoint import Bad, Endpoint
from .pager import MOST_ITEMS, Pager, Sifted, ahead

T = TypeVar("T")
Plan = Literal["auto", "each", "list"]
"""How a bulk run asks for its ids: each by itself, by the list, or by what takes fewer requests."""

# A count is not worth a request for fewer.
FEWEST_TO_PLAN = 200


def check_plan(plan: object) -> Plan:
    """The plan.

    Raises:
        ValueError: It is none.
    """
    if isinstance(plan, str) and plan in get_args(Plan):
        return cast(Plan, plan)
    raise ValueError(f"plan must be 'auto', 'each' or 'list', not {plan!r}")


def pages_for(count: int, size: int = MOST_ITEMS) -> int:
    """How many pages so many records fill."""
    return -(-count // size)


def list_saves(count: int, ids: int) -> bool:
    """Whether a list of so many records takes fewer requests than so many ids by themselves."""
    # It shows no more ids than it has records.
    return pages_for(count) < min(count, ids)


@attrs.define
class PlanStats:
    """What a list took and brought.

    Attributes:
        pages: Pages of it that were read.
        requests: These, and the requests for its count.
        found: Ids that it has shown.
    """

    pages: int = 0
    requests: int = 0
    found: int = 0


class PlannedRun(BulkRun):
    """A bulk run that may read a list first.

    Args:
        ids: As for :class:`BulkRun`.
        plan: Whether it does.
        endpoint: The list.
        single: Gives path and reader of a single record.
        check: As for :class:`BulkRun`.
        fetch: As for :class:`BulkRun`.
        way: As for :class:`BulkRun`.
        priority: As for :class:`BulkRun`.
        cache: As for :class:`BulkRun`.
        on_progress: As for :class:`BulkRun`.

    Raises:
        TypeError: As for :class:`BulkRun`.
    """

    def __init__(
        self,
        ids: object,
        *,
        plan: Plan,
        endpoint: Endpoint[RealizedTraining],
        single: Callable[[int], tuple[str, Callable[[Reply], object]]],
        check: Callable[[object], int],
        fetch: Fetch,
        way: Way,
        priority: Priority = "bulk",
        cache: Cache | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__(
            ids,
            check=check,
            fetch=fetch,
            way=way,
            priority=priority,
            cache=cache,
            on_progress=on_progress,
        )
        self._plan = plan
        self._endpoint = endpoint
        self._single = single
        self._example = 0
        # What waits for its next id is no collection, even if it says how many there will be.
        is_collection = self.total is not None and not self.source.waits
        is_large = is_collection and (self.total or 0) > FEWEST_TO_PLAN
        self._may_list = plan == "list" or (plan == "auto" and is_large)
        self._has_begun = False
        self._reading_list: asyncio.Event | None = None
        self._one_is_over = asyncio.Event()
        self._stats = PlanStats()
        self._count: int | None = None
        self._received = 0
        self._shown_last = 0
        self._has_more = True

    async def prepare(self, deliver: Deliver) -> None:
        """The first worker reads the list; the others wait for what it leaves."""
        if self._has_begun or not self._may_list:
            return
        self._has_begun = True
        try:
            await self._list_first(deliver)
        except LuccaError as error:
            if self.stopped is None:  # which has been told, and leaves nothing to be planned
                logger.info("plan each for what is left: the list is no use: %s", error)

    async def _list_first(self, deliver: Deliver) -> None:
        pager = Pager(self._endpoint, [()], owner=self)
        attempts = self._endpoint.caller.max_attempts - 1
        async with self._alone(deliver) as pending:
            if not pending or (self._plan == "auto" and len(pending) <= FEWEST_TO_PLAN):
                return
            self._example = next(iter(pending))
            self.speaks_for_many = len(pending) > FEWEST_TO_PLAN
            try:
                first = await self._opened(pager, len(pending), self._way_to_list(1))
            except RequestError as error:
                if not error.transient or not attempts or self.stopped:
                    raise
            else:
                await self._read_list(deliver, pending, pager, first)
                return
        # That may be the host's fault or the list's. An id finds out, before the list is asked for
        # again: the host might be given up meanwhile.
        if self.speaks_for_many:
            await self._one_by_itself(deliver)
        if self.stopped:
            return
        first = await self._opened(pager, len(pending), self._way_to_list(attempts))
        async with self._alone(deliver) as pending:
            await self._read_list(deliver, pending, pager, first)

    def _way_to_list(self, attempts: int | None = None) -> Caller:
        # Refused there, the key may yet read single records: that is for the first of them to tell.
        # And a list that fails is no outage while single records come.
        return self._endpoint.caller.beside(
            attempts,
            fatal=(ClientClosedError, UsageError),
            witness=self._single(self._example),
        )

    # -- the ids

    @asynccontextmanager
    async def _alone(self, deliver: Deliver) -> AsyncGenerator[dict[int, TakenId], None]:
        """While the block lasts, no other worker takes an id; what is left it gives back."""
        done = self._reading_list = asyncio.Event()
        pending: dict[int, TakenId] = {}
        try:
            take = super().taking()
            while (taken := await take()) is not None:
                if isinstance(taken.id, InvalidIdError):
                    await self.hand_over(deliver, taken, Refused(taken.value, taken.id))
                elif (known := self.known(taken.id)) is not None:
                    await self.hand_over(deliver, taken, known)
                else:
                    pending[taken.id] = taken
            yield pending
        finally:
            self.source.give_back(pending.values())
            self._reading_list = None
            done.set()

    def taking(self) -> Callable[[], Awaitable[TakenId | None]]:
        """As of any bulk run, but for the time in which the list is read."""
        take = super().taking()
        if not self._may_list:
            return take

        async def take_after_list() -> TakenId | None:
            while self._reading_list is not None:
                await self._reading_list.wait()
            return await take()

        return take_after_list

    async def _one_by_itself(self, deliver: Deliver) -> None:
        """Wait for the outcome of an id: another worker's, or its own if there is no other."""
        self._one_is_over.clear()
        if self.workers > 1:
            # One of its own besides would cost more, where nobody answers, than a minute's budget.
            await self._one_is_over.wait()
            return
        take = super().taking()
        if (taken := await take()) is not None:
            await self.hand_over(deliver, taken, await self._outcome(taken))

    async def hand_over(self, deliver: Deliver, taken: TakenId, outcome: Outcome) -> None:
        await super().hand_over(deliver, taken, outcome)
        self._one_is_over.set()

    # -- whether, and for how long

    async def _opened(
        self, pager: Pager[RealizedTraining], ids: int, way: Caller
    ) -> Sifted[RealizedTraining] | None:
        """What the decision needs: the count, or of a list that is read in any case its first page.

        Raises:
            LuccaError: It is no use.
        """
        self._stats.requests += 1
        if self._plan == "list":
            first = await self._on_its_way(pager.fetch(way))
            logger.info("plan list, as asked for: %d ids", ids)
            return first
        self._count = await self._on_its_way(self._endpoint.count(self, way))
        return None

    def _is_worth_it(self, ids: int) -> bool:
        if self._count is None:
            logger.info("plan each: Lucca gives no count; %d ids", ids)
            return False
        pages, saves = pages_for(self._count), list_saves(self._count, ids)
        told = "plan %s: the list has %d records on %d pages, and %d ids are asked for"
        logger.info(told, "list" if saves else "each", self._count, pages, ids)
        return saves

    def _goes_on(self, ids: int) -> bool:
        """Whether the next page is worth a request."""
        if not ids:
            return False
        read = self._stats.pages
        if self._plan == "list" or not read or self._count is None or not self._has_more:
            return True
        left = self._count - self._received
        if left <= 0:
            logger.info("plan each for what is left: the list is longer than its count")
            return False
        # The pages may be smaller than asked for.
        pages = pages_for(left, max(1, self._received // read))
        # Ids lie close together, so that a page which showed some may be followed by another.
        if pages < min(left, ids) or self._shown_last:
            return True
        told = "plan each for what is left: %d pages with %d records, and %d ids"
        logger.info(told, pages, left, ids)
        return False

    # -- the list

    async def _read_list(
        self,
        deliver: Deliver,
        pending: dict[int, TakenId],
        pager: Pager[RealizedTraining],
        first: Sifted[RealizedTraining] | None,
    ) -> None:
        if self._plan == "auto" and not self._is_worth_it(len(pending)):
            return

        way = self._way_to_list()

        async def shown() -> list[tuple[TakenId, RealizedTraining]] | None:
            nonlocal first
            # Here, so that nothing is asked for ahead that is not needed any more.
            if first is None:
                if not self._goes_on(len(pending)):
                    return None
                sheet = await self._on_its_way(pager.fetch(way))
                self._stats.requests += sheet is not None
            else:
                sheet, first = first, None
            return None if sheet is None else self._matched(sheet, pending)

        async with aclosing(ahead(shown)) as pages:
            async for found in pages:
                for taken, record in found:
                    await self.hand_over(deliver, taken, Found(record.id, record))

    def _matched(
        self, sheet: Sifted[RealizedTraining], pending: dict[int, TakenId]
    ) -> list[tuple[TakenId, RealizedTraining]]:
        records = [item for item in sheet.items if not isinstance(item, Bad)]
        found = [(pending.pop(it.id), it) for it in records if it.id in pending]
        self._count = self._count if sheet.count is None else sheet.count
        self._received += sheet.received
        self._has_more = sheet.next is not None
        self._stats.pages += 1
        self._stats.found += len(found)
        self._shown_last = len(found)
        if records:
            self.note_answer(None)  # a key that is denied some ids may read others
        return found

    async def _on_its_way(self, asked: Awaitable[T]) -> T:
        self.begins_one()
        try:
            return await asked
        finally:
            self.ends_one()

    @property
    def stats(self) -> BulkStats:
        """As of any bulk run, and what the list has saved."""
        mine = self._stats
        return attrs.evolve(
            super().stats,
            plan="list" if mine.pages else "each",
            pages=mine.pages,
            requests_saved=mine.found - mine.requests,
        )
