"""One list of Lucca's, page by page; how it reads arrays is found out on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from .._budget import Owner
from .._http.answers import Reply, item_error, quoted
from .._http.call import Caller
from ..errors import BadRequestError, DecodeError, ResponseError, ServerError
from ..models import BadItem, WirePage, page_reader
from .query import ArrayStyle, Filters, encoded, pairs_of

R = TypeVar("R")
_ROOT = ("count", "next", "prev")


@attrs.frozen
class Bad:
    """What should have been a record.

    Attributes:
        error: Why it is none.
        id: Its id, if it has one all the same.
    """

    error: DecodeError
    id: int | None


@attrs.frozen
class Sheet(Generic[R]):
    """A page as it came.

    Attributes:
        items: What is on it.
        wire: The rest of it.
        url: Where it was.
    """

    items: list[R | Bad]
    wire: WirePage[R]
    url: str


class Endpoint(Generic[R]):
    """A list, as far as it can be asked for.

    Args:
        caller: The way to it.
        path: Its path.
        record: What it lists.
    """

    def __init__(self, caller: Caller, path: str, record: type[R]) -> None:
        self.caller: Caller = caller
        self.path: str = path
        self._parse: Callable[[bytes], WirePage[R]] = page_reader(record)
        self._style: ArrayStyle | None = None

    async def count(
        self, owner: Owner, caller: Caller | None = None, filters: Filters[R] = ()
    ) -> int | None:
        """How many there are by Lucca's count, or None where that isn't told."""
        pairs = [*pairs_of(filters), ("fields.root", ["count"]), ("limit", ["0"])]
        query = encoded(pairs, self._style or ArrayStyle.COMMAS)
        return (await self._get(query, owner, caller)).wire.count

    async def sheet(
        self,
        filters: Filters[R],
        page: str,
        limit: int,
        owner: Owner,
        *,
        is_first: bool,
        caller: Caller | None = None,
    ) -> Sheet[R]:
        """One page, by another way to it if one is given.

        Until something shows how arrays are read, a first page that looks as if they were not
        is asked for again in the other style.

        Raises:
            LuccaError: As for any request.
        """

        async def asked(style: ArrayStyle, way: Caller | None = caller) -> Sheet[R]:
            pairs: list[tuple[str, Sequence[str]]] = [
                *pairs_of(filters),
                ("fields.root", _ROOT),
                ("limit", (str(limit),)),
                ("page", (page,)),
            ]
            return await self._get(encoded(pairs, style), owner, way)

        if self._style is not None or not is_first:
            return await asked(self._style or ArrayStyle.COMMAS)
        first = await _unless_refused(asked(ArrayStyle.COMMAS))
        if isinstance(first, Sheet) and (evidence := _evidence(first, filters)).is_clear:
            self._style = ArrayStyle.COMMAS if evidence.is_proof else None
            return first
        # What fails in both styles has had its attempts in the first.
        once = (caller or self.caller).with_attempts(1)
        second = await _unless_refused(asked(ArrayStyle.REPEATED, once))
        if isinstance(first, ResponseError):
            if isinstance(second, ResponseError):
                raise first
            self._style = ArrayStyle.REPEATED
            return second
        if isinstance(second, ResponseError):
            return first
        if _evidence(first, filters).weight < _evidence(second, filters).weight:
            self._style = ArrayStyle.REPEATED
            return second
        if first.items and first.items == second.items:
            self._style = ArrayStyle.COMMAS  # it reads both
        return first

    def problem(self, told: str, sheet: Sheet[R]) -> DecodeError:
        """The error of a list that can't be followed any further."""
        key = self.caller.api_key
        cursor = quoted(sheet.wire.next or "", key)
        return DecodeError(
            f"the list can't be followed: {told} [{sheet.url}]",
            url=sheet.url,
            path="$.next",
            excerpt=cursor,
        )

    async def _get(self, query: str, owner: Owner, caller: Caller | None) -> Sheet[R]:
        return await (caller or self.caller).get(self.path, self._read, owner, query)

    def _read(self, reply: Reply) -> Sheet[R]:
        page = self._parse(reply.body)
        key = self.caller.api_key
        items: list[R | Bad] = [
            Bad(item_error(reply, item, key), item.id) if isinstance(item, BadItem) else item
            for item in page.items
        ]
        return Sheet(items, page, str(reply.url))


@attrs.frozen
class _Evidence:
    """What a page shows of whether its arrays were read.

    Attributes:
        is_clear: Nothing speaks against it.
        is_proof: There was something to read, and it was read.
        weight: To be compared with that of the other style.
    """

    is_clear: bool
    is_proof: bool
    weight: tuple[bool, int, bool]


def _evidence(sheet: Sheet[Any], filters: Filters[Any]) -> _Evidence:
    records = [item for item in sheet.items if not isinstance(item, Bad)]
    arrays = [each for each in filters if each.has_several and each.shows is not None]
    shown = [
        {each.shows(record) for record in records if each.shows and each.admits(record)}
        for each in arrays
    ]
    is_inside = all(each.admits(record) for each in arrays for record in records)
    names_root = sheet.wire.names_next or sheet.wire.count is not None
    is_clear = names_root and is_inside and all(len(values) > 1 for values in shown)
    weight = (is_inside, sum(map(len, shown)), names_root)
    return _Evidence(is_clear, is_clear and bool(arrays), weight)


async def _unless_refused(asked: Awaitable[Sheet[R]]) -> Sheet[R] | ResponseError:
    """What a server answers that can't read the question, or fails over it, is no answer yet."""
    try:
        return await asked
    except (BadRequestError, ServerError) as error:
        return error.with_traceback(None)
