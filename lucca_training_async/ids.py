"""The ids of a bulk run: checked, each once, and read no faster than they are used."""

from __future__ import annotations

import asyncio
import operator
import reprlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import NamedTuple, cast

from ._validators import is_int
from .errors import InvalidIdError
from .run import is_being_cancelled

MAX_ID = 2**31 - 1
"""Ids are int32 in Lucca's documentation ("Get a realized-training")."""

_BITS_PER_PAGE = 6
_IDS_PER_TURN = 100
_END = object()


def check_id(value: object) -> int:
    """The value as a plain int.

    Raises:
        InvalidIdError: It is no int (a bool is none), or outside 1 to 2**31 - 1.
    """
    if not is_int(value):
        hint = "; convert it with int()" if _looks_like_int(value) else ""
        raise InvalidIdError(f"an id is an int from 1 to {MAX_ID}, not {describe(value)}{hint}")
    if not 1 <= value <= MAX_ID:
        raise InvalidIdError(f"an id is an int from 1 to {MAX_ID}, not {_shown(value)}")
    return operator.index(value)


def describe(value: object) -> str:
    """Type and value, short, whatever a caller may have put among the ids."""
    return f"{type(value).__name__} {_shown(value)}"


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # somebody's __repr__, or an int of more digits than Python will print
        return "(not printable)"


def _looks_like_int(value: object) -> bool:
    return not isinstance(value, bool) and (
        hasattr(value, "__index__") or (isinstance(value, str) and value.isdecimal())
    )


def check_ids(ids: object) -> Iterable[object] | AsyncIterable[object]:
    """The argument of a bulk call, if it can hold ids at all.

    Raises:
        TypeError: It is not iterable, or it is a string, whose items are characters.
    """
    if isinstance(ids, (str, bytes, bytearray)) or not isinstance(ids, (Iterable, AsyncIterable)):
        raise TypeError(
            f"ids must be an iterable or async iterable of int, not {type(ids).__name__}"
        )
    return cast("Iterable[object] | AsyncIterable[object]", ids)


def length_of(ids: object) -> int | None:
    """How many ids there are, duplicates included, or None where they don't say."""
    try:
        return len(cast(Sized, ids))
    except (TypeError, OverflowError):
        return None


class IdSet:
    """A set of valid ids in little memory: a bit each, in pages of 64.

    Ids come from a database sequence and lie close together: a million of them take about
    3 MB here, 65 MB in a ``set``. Scattered at random over all of int32, they take 100 MB.
    """

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}

    def add(self, id: int) -> bool:
        """Add an id; False if it was in the set already."""
        page, bit = id >> _BITS_PER_PAGE, 1 << (id & (1 << _BITS_PER_PAGE) - 1)
        bits = self._pages.get(page, 0)
        if bits & bit:
            return False
        self._pages[page] = bits | bit
        return True


class TakenId(NamedTuple):
    """An id handed to a worker."""

    position: int
    given: object
    checked: int | InvalidIdError


class IdSource:
    """Hands out distinct ids, one at a time, to several workers.

    Attributes:
        taken: How many ids were read, duplicates included.
        duplicates: How many of them had been read before.
        failure: What the caller's iterable raised, or None. It ends the run only after
            the results under way were delivered.
    """

    def __init__(self, ids: Iterable[object] | AsyncIterable[object]) -> None:
        self.taken: int = 0
        self.duplicates: int = 0
        self.failure: BaseException | None = None
        self._sync: Iterator[object] | None = None
        self._async: AsyncIterator[object] | None = None
        if isinstance(ids, AsyncIterable):
            self._async = aiter(ids)
        else:
            self._sync = iter(ids)
        # An async generator can't be advanced by two workers at once.
        self._turn = asyncio.Lock()
        self._exhausted = False
        self._seen = IdSet()
        self._seen_invalid: set[object] = set()

    async def next(self) -> TakenId | None:
        """The next distinct id, or None when there is none left."""
        while not self._exhausted:
            try:
                given = next(self._sync, _END) if self._sync is not None else await self._read()
            except asyncio.CancelledError as error:
                if is_being_cancelled():
                    raise
                self.failure, given = error, _END
            except Exception as error:
                self.failure, given = error, _END
            if given is _END:
                self._exhausted = True
                break
            taken = TakenId(self.taken, given, _checked(given))
            self.taken += 1
            if self.taken % _IDS_PER_TURN == 0:
                # Duplicates, invalid ids and those after a stop await nothing by themselves.
                await asyncio.sleep(0)
            if self._is_new(taken):
                return taken
            self.duplicates += 1
        return None

    async def _read(self) -> object:
        assert self._async is not None
        async with self._turn:
            # Another worker may have met the end while this one waited for its turn.
            return _END if self._exhausted else await anext(self._async, _END)

    def _is_new(self, taken: TakenId) -> bool:
        if isinstance(taken.checked, int):
            return self._seen.add(taken.checked)
        key = invalid_key(taken.given)
        if key in self._seen_invalid:
            return False
        self._seen_invalid.add(key)
        return True


def invalid_key(given: object) -> object:
    """What tells one refused id from another: ``True`` is not 1, and a list has no hash."""
    try:
        hash(given)
    except Exception:
        return type(given), id(given) if (text := _full_repr(given)) is None else text
    return type(given), given


def _full_repr(value: object) -> str | None:
    try:
        return repr(value)
    except Exception:
        return None


def _checked(given: object) -> int | InvalidIdError:
    try:
        return check_id(given)
    except InvalidIdError as error:
        return error.with_traceback(None)
