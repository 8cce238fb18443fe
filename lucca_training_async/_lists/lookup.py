"""Many records by their ids, from a list that can be asked for some: a hundred for one request."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from collections.abc import Callable, Iterator
from contextlib import suppress

import attrs

from .._budget import Priority
from .._bulk.ids import IdSource, check_ids
from .._bulk.outcomes import BulkStats, Refused, raise_together
from ..errors import (
    AuthenticationError,
    DecodeError,
    InvalidIdError,
    LuccaError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
)
from ..models import Training
from .endpoint import Bad, Endpoint
from .pager import MOST_ITEMS, Pager, Sifted
from .query import Filter, split
from .records import ListRun

# A list that fails is asked for by halves, to find the record it fails over; not for ever.
_MOST_FAILURES_IN_A_ROW = 12


@attrs.frozen
class TrainingsResult:
    """Every distinct value that was asked for, in exactly one of four places.

    Attributes:
        items: The trainings found, by id, in the order of the ids given.
        missing: The ids that Lucca's list does not show, in that order.
        failures: What went wrong, by id, in that order.
        refused: The values that are no ids, in that order.
        stats: What it took.
        stopped: The error that ended it early, or None; the ids that were not asked for are in
            ``failures`` then, with this error.
    """

    items: dict[int, Training]
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


class Lookup:
    """Trainings by their ids.

    Args:
        endpoint: Their list.
        only: The filter for some of them.
        priority: That of its requests.

    Raises:
        ValueError: ``priority`` is none.
    """

    def __init__(
        self,
        endpoint: Endpoint[Training],
        only: Callable[[list[int]], Filter[Training]],
        priority: Priority,
    ) -> None:
        self._endpoint = endpoint
        self._only = only
        self._run = ListRun(endpoint.caller, priority)
        self._wanted: dict[int, None] = {}
        self._refused: list[Refused] = []
        self._found: dict[int, Training] = {}
        self._failures: dict[int, LuccaError] = {}
        self._missing: set[int] = set()
        self._pages = 0
        self._failures_in_a_row = 0
        self._is_introduced = False
        self._stopped: LuccaError | None = None

    async def result(self, ids: object, check: Callable[[object], int]) -> TrainingsResult:
        """Ask for them all.

        Args:
            ids: What the caller gave.
            check: Gives the id that a value is, or raises InvalidIdError.

        Raises:
            TypeError: ``ids`` can't hold ids.
            Exception: Whatever ``ids`` raises while it is read.
        """
        await self._read(ids, check)
        with self._run.under_way() as run:
            started_at = run.now()
            for chunk in _chunks(list(self._wanted)):
                await self._ask_for(chunk)
            elapsed = run.now() - started_at
            waited = run.waited(run.now())
        stats = BulkStats(
            run.requests,
            run.retries,
            waited,
            elapsed,
            plan="list",
            pages=self._pages,
            requests_saved=len(self._found) + len(self._missing) - run.requests,
        )
        wanted = self._wanted
        return TrainingsResult(
            {each: self._found[each] for each in wanted if each in self._found},
            [each for each in wanted if each in self._missing],
            {each: self._failures[each] for each in wanted if each in self._failures},
            self._refused,
            stats,
            self._stopped,
        )

    async def _read(self, ids: object, check: Callable[[object], int]) -> None:
        source = IdSource(check_ids(ids), check)
        try:
            while (taken := await source.next()) is not None:
                if isinstance(taken.id, InvalidIdError):
                    self._refused.append(Refused(taken.value, taken.id))
                else:
                    self._wanted[taken.id] = None
        finally:
            await source.aclose()
        if source.failure is not None:
            raise source.failure

    async def _ask_for(self, chunk: list[int]) -> None:
        chunk = [it for it in self._left(chunk) if it not in self._missing]
        if self._stopped is not None:
            self._failures |= dict.fromkeys(chunk, self._stopped)
        elif chunk:
            try:
                await self._list(chunk)
            except LuccaError as error:
                await self._failed(chunk, error.with_traceback(None))
            else:
                self._failures_in_a_row = 0

    async def _list(self, chunk: list[int]) -> None:
        pager = Pager(self._endpoint, split((self._only(chunk),)), owner=self._run)
        nameless: DecodeError | None = None
        while (sheet := await pager.fetch()) is not None:
            nameless = self._take(sheet) or nameless
            if sheet.was_sifted:
                # The filter is ignored: it is the whole catalogue, which is read once for all.
                await self._read_catalogue()
                return
        left = self._left(chunk)
        if left and nameless is not None:
            raise nameless  # one of them, perhaps: by halves it shows which
        self._missing.update(left)

    async def _read_catalogue(self) -> None:
        pager = Pager(self._endpoint, [()], owner=self._run)
        nameless: DecodeError | None = None
        try:
            while (sheet := await pager.fetch()) is not None:
                nameless = self._take(sheet) or nameless
        except LuccaError as error:
            # There is no half of it to ask for, and any other chunk would read it all again.
            self._stopped = error.with_traceback(None)
            raise
        left = self._left(list(self._wanted))
        if nameless is None:
            self._missing.update(left)
        else:
            self._failures |= dict.fromkeys(left, nameless)

    def _take(self, sheet: Sifted[Training]) -> DecodeError | None:
        """Take what was asked for; the error of an item that may be it, and has no id to tell."""
        self._pages += 1
        nameless: DecodeError | None = None
        for item in sheet.items:
            if item.id is None:
                assert isinstance(item, Bad)
                nameless = item.error
            elif item.id in self._wanted:
                self._missing.discard(item.id)
                if not isinstance(item, Bad):
                    self._failures.pop(item.id, None)
                    self._found[item.id] = item
                elif item.id not in self._found:
                    self._failures[item.id] = item.error
        return nameless

    def _left(self, ids: list[int]) -> list[int]:
        return [it for it in ids if it not in self._found and it not in self._failures]

    async def _failed(self, chunk: list[int], error: LuccaError) -> None:
        """One record may be what Lucca fails over: it must not cost the others."""
        left = self._left(chunk)
        # One by itself is where halving was to lead.
        self._failures_in_a_row += len(chunk) > 1
        concerns_all = not isinstance(error, RequestError) or isinstance(
            error, AuthenticationError | PermissionDeniedError | NotFoundError
        )
        if concerns_all or self._run.stopped is not None:
            self._stopped = self._run.stopped or error
            error = self._stopped
        if self._stopped or len(left) < 2 or self._failures_in_a_row > _MOST_FAILURES_IN_A_ROW:
            self._failures |= dict.fromkeys(left, error)
            return
        await self._introduce(error)
        half = len(left) // 2
        await self._ask_for(left[:half])
        await self._ask_for(left[half:])

    async def _introduce(self, error: LuccaError) -> None:
        """Have one answer, if there was none, before more is asked for that may fail.

        A host that has answered nothing but 500 is soon given up, and all ids with it.
        """
        is_strange = not self._pages and not self._is_introduced
        if is_strange and isinstance(error, RequestError) and error.transient:
            self._is_introduced = True
            with suppress(LuccaError):  # which the next request meets as well
                await self._endpoint.count(self._run)


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[n : n + MOST_ITEMS] for n in range(0, len(ids), MOST_ITEMS))
