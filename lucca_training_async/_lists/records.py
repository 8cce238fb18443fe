"""The records of a list, one after the other or by the page."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager, suppress
from typing import Generic, Literal, TypeVar

import attrs

from .._budget import Priority, check_priority
from .._bulk.stops import StoppableRun
from .._callbacks import call_plain, check_plain_function
from .._http.call import Caller
from ..errors import BadRequestError, DecodeError, LuccaError
from ..models import Record
from .endpoint import Bad, Endpoint
from .pager import MOST_ITEMS, Pager, Sifted, ahead
from .query import Filters, split

R = TypeVar("R", bound=Record)

OnError = Literal["raise"] | Callable[[DecodeError], object]
"""What becomes of an item that is no record: it is raised, or given to a plain function."""


@attrs.frozen
class Page(Generic[R]):
    """One page of a list.

    Attributes:
        items: The list's records on it, without those of the pages before.
        next: The cursor of the page after it, for ``pages(start=...)``; None after the last.
        prev: The cursor of the page before it, or None.
        count: How many records the list has, by Lucca's count, or None where it isn't known (of
            a list in several parts, as with very many ids). It may include the days around
            ``ended_from`` and ``ended_to``.
    """

    items: list[R]
    next: str | None
    prev: str | None
    count: int | None


class RecordList(Generic[R]):
    """The records of a list: an async iterable, read anew by each ``async for``.

    The next page is fetched while the last one is being used, and no more than that is held. Each
    page is a request like any other: within the budget, tried again, and waiting for the
    end of an outage for as long as a bulk run does (``RetryPolicy.patience``).
    """

    def __init__(
        self,
        endpoint: Endpoint[R],
        filters: Filters[R] | None,
        page_size: int,
        on_error: OnError,
        priority: Priority,
    ) -> None:
        if on_error != "raise":
            check_plain_function("on_error ('raise' apart)", on_error)
            if not callable(on_error):
                raise TypeError("on_error must be 'raise' or a function")
        if type(page_size) is not int or not 1 <= page_size <= MOST_ITEMS:
            raise ValueError(f"page_size must be an integer from 1 to {MOST_ITEMS}")
        self._endpoint = endpoint
        # None at all, where nothing can answer the filters.
        self._parts = [] if filters is None else split(filters)
        self._page_size = page_size
        self._on_error: OnError = on_error
        self._priority: Priority = check_priority(priority)

    async def __aiter__(self) -> AsyncGenerator[R, None]:
        """The records; see :meth:`pages` for what is raised."""
        async with aclosing(self._sheets(None)) as sheets:
            async for sheet in sheets:
                for item in sheet.items:
                    if isinstance(item, Bad):
                        self._tell(item.error)
                    else:
                        yield item

    async def pages(self, start: str | None = None) -> "AsyncGenerator[Page[R], None]":
        """The records by the page.

        Args:
            start: The ``next`` of a page of an earlier run with the same filters and
                ``page_size``, to go on after it.

        Raises:
            DecodeError: A page is none, an item is no record (unless ``on_error`` is a function),
                or the list can't be followed to its end: its cursor has come before, say, or
                there is none although the count says that there is more.
            LuccaError: As for a single get; OutageError only after ``RetryPolicy.patience``.
            ValueError: ``start`` is not of such a list.
            TypeError: ``start`` is no string.
        """
        if start is not None and not isinstance(start, str):  # pyright: ignore
            raise TypeError(f"start must be a str or None, not {type(start).__name__}")
        if start == "":
            raise ValueError("start must be a cursor or None, not an empty string")
        async with aclosing(self._sheets(start)) as sheets:
            async for sheet in sheets:
                records: list[R] = []
                for item in sheet.items:
                    if isinstance(item, Bad):
                        self._tell(item.error)
                    else:
                        records.append(item)
                yield Page(records, sheet.next, sheet.prev, sheet.count)

    async def _sheets(self, start: str | None) -> AsyncGenerator[Sifted[R], None]:
        if not self._parts:
            return
        caller = self._endpoint.caller
        with ListRun(caller, self._priority).under_way() as run:
            pager = Pager(
                self._endpoint, self._parts, owner=run, limit=self._page_size, start=start
            )
            async with aclosing(ahead(pager.fetch)) as sheets:
                async for sheet in sheets:
                    yield sheet

    def _tell(self, error: DecodeError) -> None:
        if self._on_error == "raise":
            raise error
        call_plain("on_error", self._on_error, error)


class ListRun(StoppableRun):
    """On whose behalf the pages of a list are fetched."""

    # A page that is refused is told by its error; there is nothing else to be ended by it.
    fatal: tuple[type[LuccaError], ...] = ()
    name: str = "a list"

    def __init__(self, caller: Caller, priority: Priority) -> None:
        super().__init__(caller.patience, priority)
        self._caller = caller

    def now(self) -> float:
        """The time, in seconds, by the clock that it goes by while it is under way."""
        assert self._gate is not None
        return self._gate.now()

    @contextmanager
    def under_way(self) -> Generator["ListRun", None, None]:
        """While the block lasts, closing the client ends it.

        Raises:
            ClientClosedError: The client is closed.
            UsageError: It belongs to another event loop.
        """
        gate = self._gate = self._caller.bind()
        gate.enter(self)
        self._started_at = gate.now()
        self.begins_one()
        try:
            yield self
        finally:
            self.ends_one()
            gate.leave(self)
            self.stop_watching()


async def count(endpoint: Endpoint[R], filters: Filters[R] | None, priority: Priority) -> int:
    """How many records a list would give."""
    check_priority(priority)
    if filters is None:
        return 0
    with ListRun(endpoint.caller, priority).under_way() as run:
        if not filters:
            with suppress(BadRequestError):  # the list may be read all the same
                if (number := await endpoint.count(run)) is not None:
                    return number
        total = 0
        for part in split(filters):
            total += await _counted(endpoint, part, run)
        return total


async def _counted(endpoint: Endpoint[R], filters: Filters[R], run: ListRun) -> int:
    pager = Pager(endpoint, [filters], owner=run)
    total = 0
    while (sheet := await pager.fetch()) is not None:
        if (
            sheet.is_first
            and sheet.count is not None
            and sheet.count > sheet.received
            and not sheet.was_sifted
            and await _is_to_be_believed(endpoint, filters, run, sheet.count)
        ):
            return sheet.count
        total += len(sheet.items)
    return total


async def _is_to_be_believed(
    endpoint: Endpoint[R], filters: Filters[R], run: ListRun, number: int
) -> bool:
    """Whether all filters have been read, so that none of the records has to be looked at.

    The records of one page may answer a filter that Lucca has ignored, and its bounds may not be
    those asked for.
    """
    if any(each.wants is not None for each in filters):
        return False
    for each in filters:
        others = tuple(other for other in filters if other is not each)
        without = await endpoint.count(run, filters=others)
        if without is None or without <= number:
            return False
    return True
