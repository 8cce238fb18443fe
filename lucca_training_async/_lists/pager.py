"""A whole list: its parts, their pages, and what of them was asked for, each record once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs

from .._budget import Owner, logger
from .._bulk.ids import IdSet
from .._http.call import Caller
from ..errors import BadRequestError, DecodeError, NotFoundError
from ..models import Record
from .endpoint import Bad, Endpoint, Sheet, Styles
from .query import Filter, Filters
from .walk import Walk

R = TypeVar("R", bound=Record)
T = TypeVar("T")
MOST_ITEMS = 100
_BETWEEN_PART_AND_CURSOR = "/"


@attrs.frozen
class Sifted(Generic[R]):
    """A page without what had come before or was not asked for.

    Attributes:
        items: What is left of its items.
        next: Where to go on from, to be given to another pager of the same list; None after the
            last page.
        prev: The cursor of the page before, as it came.
        count: How many items the list has, as far as the page tells.
        received: How many items there were on it.
        is_first: Whether it is the first page of its part.
        was_sifted: Whether anything on it was not asked for.
    """

    items: list[R | Bad]
    next: str | None
    prev: str | None
    count: int | None
    received: int
    is_first: bool
    was_sifted: bool


class Pager(Generic[R]):
    """Gets the pages of one list, one after the other.

    Args:
        endpoint: The list.
        parts: What is asked for, as :func:`~.query.split` has it.
        limit: The most items of a page.
        owner: On whose behalf; it has entered the gate.
        start: Where an earlier pager has left off, or None.

    Raises:
        ValueError: ``start`` is not from a list of these parts.
    """

    def __init__(
        self,
        endpoint: Endpoint[R],
        parts: Sequence[Filters[R]],
        *,
        owner: Owner,
        limit: int = MOST_ITEMS,
        start: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._owner = owner
        self._limit = limit
        self._parts = parts
        self._last: Sheet[R] | None = None
        self._seen = IdSet()
        self._seen_bad = IdSet()  # no reason to leave out a record
        self._has_warned = False
        self._problem: DecodeError | None = None
        part = 0
        if start is not None and len(parts) > 1:
            part, start = _part_and_cursor(start, len(parts))
        self._begin(part, start or None)

    def _begin(self, part: int, start: str | None = None) -> None:
        self._part = part
        self._walk = Walk(self._limit, start)
        self._seen_in_part = IdSet()
        # Those of its first page, once that has come.
        self._styles: Styles | None = None

    async def fetch(self, caller: Caller | None = None) -> Sifted[R] | None:
        """The next page, by another way to it if one is given; None after the last.

        Raises:
            DecodeError: The list can't be followed any further.
            LuccaError: As for any request. The page may be asked for again.
        """
        if self._problem is not None:
            raise self._problem
        if self._walk.page is None:
            if self._part + 1 >= len(self._parts):
                return None
            self._begin(self._part + 1)
        walk, is_first = self._walk, self._styles is None
        assert walk.page is not None
        sheet: Sheet[R] | None = None
        try:
            sheet = await self._endpoint.sheet(
                self._parts[self._part],
                walk.page,
                self._limit,
                self._owner,
                styles=self._styles,
                caller=caller,
            )
        except (BadRequestError, NotFoundError):
            if not walk.is_guess:
                raise
            walk.end()
        if sheet is None:
            if walk.problem is not None and self._last is not None:
                self._problem = self._endpoint.problem(walk.problem, self._last)
            return await self.fetch(caller)
        self._last, self._styles = sheet, sheet.styles
        items, news, was_sifted = self._sift(sheet)
        wire = sheet.wire
        walk.after(
            len(sheet.items),
            news,
            next=wire.next,
            names_next=wire.names_next,
            count=wire.count,
        )
        if walk.problem is not None:
            # What has come until here is not lost.
            self._problem = self._endpoint.problem(walk.problem, sheet)
            # Whoever reads but one page would take it for the last.
            logger.warning("%s", self._problem)
        is_whole = len(self._parts) == 1
        return Sifted(
            items,
            self._token(),
            wire.prev if is_whole else None,
            wire.count if is_whole else None,
            len(sheet.items),
            is_first,
            was_sifted,
        )

    def _token(self) -> str | None:
        page = self._walk.page
        if len(self._parts) == 1:
            return page
        if page is not None:
            return f"{self._part}{_BETWEEN_PART_AND_CURSOR}{page}"
        is_last = self._part + 1 == len(self._parts) or self._problem is not None
        return None if is_last else f"{self._part + 1}{_BETWEEN_PART_AND_CURSOR}"

    # -- what was asked for

    def _sift(self, sheet: Sheet[R]) -> tuple[list[R | Bad], int, bool]:
        kept: list[R | Bad] = []
        news, was_sifted = 0, False
        for item in sheet.items:
            news += item.id is not None and self._seen_in_part.add(item.id)
            if not isinstance(item, Bad) and not self._is_wanted(item, sheet):
                was_sifted = True  # another part may be the one that asks for it
            elif item.id is None or self._seen_as(item).add(item.id):
                kept.append(item)
        return kept, news, was_sifted

    def _seen_as(self, item: R | Bad) -> IdSet:
        return self._seen_bad if isinstance(item, Bad) else self._seen

    def _is_wanted(self, record: R, sheet: Sheet[R]) -> bool:
        for each in self._parts[self._part]:
            if not each.admits(record):
                self._warn(each, record, sheet)
                return False
            if each.wants is not None and not each.wants(record):
                return False
        return True

    def _warn(self, broken: Filter[R], record: R, sheet: Sheet[R]) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Lucca ignored the filter %s (the record %s is not, or can't be shown to be, "
                "what was asked for); such records are left out [%s]",
                broken.name,
                record.id,
                sheet.url,
            )


def _part_and_cursor(token: str, parts: int) -> tuple[int, str]:
    number, separator, cursor = token.partition(_BETWEEN_PART_AND_CURSOR)
    if not separator or not number.isdecimal() or int(number) >= parts:
        raise ValueError("start is no cursor of a list with these filters")
    return int(number), cursor


async def ahead(fetch: Callable[[], Awaitable[T | None]]) -> AsyncGenerator[T, None]:
    """What ``fetch`` gives until None, the next being fetched while the last is being used."""
    got = await fetch()
    while got is not None:
        task = asyncio.ensure_future(fetch())
        try:
            yield got
            got = await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen, though nobody wants to know any more
