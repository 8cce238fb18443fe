"""One list of Lucca's, page by page; how it reads arrays is found out on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs

from .._budget import Owner
from .._http.answers import Reply, item_error, quoted
from .._http.call import Caller
from .._http.retry import asks_to_wait
from ..errors import BadRequestError, DecodeError, ResponseError, ServerError
from ..models import BadItem, Fault, WireError, WirePage, page_reader
from .query import ArrayStyle, Filters, encoded, pairs_of

R = TypeVar("R")
_ROOT = "fields.root"
_MEMBERS = ("count", "next", "prev")


Styles = dict[str, ArrayStyle]
"""How arrays are written, by their names."""


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
        styles: How it was asked for.
    """

    items: list[R | Bad]
    wire: WirePage[R]
    url: str
    styles: Styles = attrs.field(factory=dict[str, ArrayStyle])


class Endpoint(Generic[R]):
    """A list, as far as it can be asked for.

    Args:
        caller: The way to it.
        path: Its path.
        record: What it lists.
        keep: Called with each record that comes.
    """

    def __init__(
        self,
        caller: Caller,
        path: str,
        record: type[R],
        keep: Callable[[R], None] | None = None,
    ) -> None:
        self.caller: Caller = caller
        self.path: str = path
        self._keep = keep
        self._parse: Callable[[bytes], WirePage[R]] = page_reader(record)
        # By commas, unless something else is known.
        self._default = ArrayStyle.COMMAS
        self._styles: Styles = {}
        self._proven: set[str] = set()
        self._names_root: bool = False

    async def count(
        self, owner: Owner, caller: Caller | None = None, filters: Filters[R] = ()
    ) -> int | None:
        """How many there are by Lucca's count, or None where that isn't told."""
        pairs = [*pairs_of(filters), (_ROOT, ["count"]), ("limit", ["0"])]
        query = encoded(pairs, self._styles, self._default)
        return (await self._get(query, owner, caller)).wire.count

    async def sheet(
        self,
        filters: Filters[R],
        page: str,
        limit: int,
        owner: Owner,
        *,
        styles: Styles | None = None,
        caller: Caller | None = None,
    ) -> Sheet[R]:
        """One page, by another way to it if one is given.

        Until something shows how arrays are read, a first page that looks as if they were not
        is asked for again in the other style.

        Args:
            filters: What is asked for.
            page: The cursor.
            limit: The most items.
            owner: On whose behalf.
            styles: How the first page was asked for; None for the first page itself.
            caller: The other way.

        Raises:
            LuccaError: As for any request.
        """

        async def asked(styles: Styles, way: Caller | None = caller) -> Sheet[R]:
            pairs: list[tuple[str, Sequence[str]]] = [
                *pairs_of(filters),
                (_ROOT, _MEMBERS),
                ("limit", (str(limit),)),
                ("page", (page,)),
            ]
            sheet = await self._get(encoded(pairs, styles), owner, way)
            return attrs.evolve(sheet, styles=styles)

        if styles is not None:
            return await asked(styles)
        several = [each.name for each in filters if each.has_several]
        usual = {name: self._styles.get(name, self._default) for name in (*several, _ROOT)}
        first = await _unless_refused(asked(usual))
        shown = None if isinstance(first, ResponseError) else _shown_by(first, filters)
        if shown is not None and self._is_clear(shown):
            self._learn(shown, usual)
            return shown.sheet
        if isinstance(first, ResponseError) and not several and self._names_root:
            raise first
        others = {name: _other(usual[name]) for name in several}
        if not self._names_root:
            others[_ROOT] = _other(usual[_ROOT])
        # What fails in both styles has had its attempts in the first.
        once = (caller or self.caller).with_attempts(1)
        second = await _unless_refused(asked(usual | others, once))
        if not isinstance(second, ResponseError):
            instead = _shown_by(second, filters)
            if shown is None or instead.is_better_than(shown):
                # The other names are likely to be read alike.
                self._default = next(iter(others.values()))
                self._styles |= others
                self._learn(instead, others)
                return second
        if isinstance(first, ResponseError):
            raise first
        self._names_root = True  # or it names it in neither style
        return first

    def _is_clear(self, shown: _Shown[R]) -> bool:
        """Whether nothing speaks for the other style."""
        knows = all(number > 1 or name in self._proven for name, number in shown.values.items())
        return (shown.names_root or self._names_root) and shown.is_inside and knows

    def _learn(self, shown: _Shown[R], styles: Styles) -> None:
        """Keep the style of what was read: one that shows several of the values asked for."""
        self._names_root = self._names_root or shown.names_root
        for name, number in shown.values.items():
            if shown.is_inside and number > 1:
                self._proven.add(name)
                self._styles[name] = styles[name]

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
        for name, cursor in (("next", page.next), ("prev", page.prev)):
            if cursor is not None and key.redact(cursor) != cursor:
                # It would be part of the next URL, and so of errors and of the log.
                raise WireError([Fault(f"$.{name}", "holds the API key")])
        items: list[R | Bad] = [
            Bad(item_error(reply, item, key), item.id) if isinstance(item, BadItem) else item
            for item in page.items
        ]
        if self._keep is not None:
            for item in items:
                if not isinstance(item, Bad):
                    self._keep(item)
        return Sheet(items, page, str(reply.url))


@attrs.frozen
class _Shown(Generic[R]):
    """What a page shows of whether its arrays were read.

    Attributes:
        sheet: The page.
        is_inside: Whether all its records answer them.
        values: How many of its values are there, by the name of the filter.
        names_root: Whether it has any of the members that were asked for besides its items.
    """

    sheet: Sheet[R]
    is_inside: bool
    values: dict[str, int]
    names_root: bool

    def is_better_than(self, first: _Shown[R]) -> bool:
        """Whether this is the answer to the question, where the first may be."""
        if not self.sheet.items:
            return False  # which shows nothing
        if self.is_inside != first.is_inside:
            return self.is_inside
        return self.is_inside and self._extent > first._extent

    @property
    def _extent(self) -> tuple[int, int, bool]:
        count = self.sheet.wire.count
        length = len(self.sheet.items) if count is None else count
        return length, sum(self.values.values()), self.names_root


def _shown_by(sheet: Sheet[R], filters: Filters[R]) -> _Shown[R]:
    records = [item for item in sheet.items if not isinstance(item, Bad)]
    arrays = [each for each in filters if each.has_several and each.shows is not None]
    values = {
        each.name: len({each.shows(it) for it in records if each.shows and each.admits(it)})
        for each in arrays
    }
    is_inside = all(each.admits(it) for each in arrays for it in records)
    names_root = sheet.wire.names_next or sheet.wire.count is not None
    return _Shown(sheet, is_inside, values, names_root)


def _other(style: ArrayStyle) -> ArrayStyle:
    return ArrayStyle.COMMAS if style is ArrayStyle.REPEATED else ArrayStyle.REPEATED


async def _unless_refused(asked: Awaitable[Sheet[R]]) -> Sheet[R] | ResponseError:
    """What a server answers that can't read the question, or fails over it, is no answer yet.

    One that asks to wait would have any question wait.
    """
    try:
        return await asked
    except (BadRequestError, ServerError) as error:
        if asks_to_wait(error):
            raise
        return error.with_traceback(None)
