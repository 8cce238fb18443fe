"""The ids of a bulk run: checked, each once, and read no faster than they are used."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import NamedTuple, cast

from ..errors import InvalidIdError

_BITS_PER_PAGE = 6
_IDS_PER_TURN = 100
_END = object()


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
    """A value handed to a worker, and the id that it is."""

    position: int
    value: object
    id: int | InvalidIdError


class IdSource:
    """Hands out distinct ids, one at a time, to several workers.

    Args:
        ids: The caller's iterable.
        check: Gives the id that a value is, or raises InvalidIdError.

    Attributes:
        taken: How many values were read, duplicates included.
        duplicates: How many of them had been read before.
        exhausted: Whether there are no more.
        failure: What the caller's iterable raised, or None. It ends the run only after
            the results under way were delivered.
        waits: Whether reading may have to wait for something.
    """

    def __init__(
        self, ids: Iterable[object] | AsyncIterable[object], check: Callable[[object], int]
    ) -> None:
        self.taken: int = 0
        self.duplicates: int = 0
        self.exhausted: bool = False
        self.failure: BaseException | None = None
        self._check = check
        self.waits: bool = isinstance(ids, AsyncIterable)
        self._sync: Iterator[object] = iter(()) if isinstance(ids, AsyncIterable) else iter(ids)
        self._async: AsyncIterator[object] | None = (
            aiter(ids) if isinstance(ids, AsyncIterable) else None
        )
        # An async generator can't be advanced by two workers at once.
        self._turn = asyncio.Lock()
        self._seen = IdSet()
        self._seen_refused: set[object] = set()
        self._given_back: deque[TakenId] = deque()

    async def next(self) -> TakenId | None:
        """The next distinct id, or None when there is none left."""
        if self._given_back:
            return self._given_back.popleft()
        while not self.exhausted:
            if self.taken % _IDS_PER_TURN == _IDS_PER_TURN - 1:
                # Duplicates, refused values and ids after a stop await nothing by themselves.
                await asyncio.sleep(0)
                if self.exhausted:
                    break
            try:
                value = await self._read() if self.waits else next(self._sync, _END)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Not this worker is meant, but something that the source awaits.
                self.failure, value = error, _END
            except Exception as error:
                self.failure, value = error, _END
            if value is _END:
                self.exhausted = True
                break
            taken = TakenId(self.taken, value, self._checked(value))
            self.taken += 1
            # No await since the value was read: a later duplicate must not pass for the first.
            if self._is_new(taken):
                return taken
            self.duplicates += 1
        return None

    @property
    def taken_for_good(self) -> int:
        """How many values were read and not given back, duplicates included."""
        return self.taken - len(self._given_back)

    def give_back(self, taken: Iterable[TakenId]) -> None:
        """Hand these out again, before anything else."""
        self._given_back = deque(taken)

    async def aclose(self) -> None:
        """Close the caller's generator, if it is one: a run that ends early leaves it half read.

        Nothing else is closed: what has a ``close`` of another kind is the caller's own.
        """
        self.exhausted = True
        # Taken away first: two may close at once, and a generator closes for one only.
        given_sync, self._sync = self._sync, iter(())
        given_async, self._async = self._async, None
        if inspect.isgenerator(given_sync):
            given_sync.close()
        if inspect.isasyncgen(given_async):
            await given_async.aclose()

    async def _read(self) -> object:
        async with self._turn:
            # Another worker may have met the end while this one waited for its turn.
            if self.exhausted or self._async is None:
                return _END
            return await anext(self._async, _END)

    def _checked(self, value: object) -> int | InvalidIdError:
        try:
            return self._check(value)
        except InvalidIdError as error:
            return error.with_traceback(None)

    def _is_new(self, taken: TakenId) -> bool:
        if isinstance(taken.id, int):
            return self._seen.add(taken.id)
        key = refused_key(taken.value)
        try:
            is_new = key is None or key not in self._seen_refused
        except Exception:  # somebody's __eq__
            return True
        self._seen_refused.add(key)
        return is_new


def refused_key(value: object) -> object:
    """What tells one refused value from another: ``True`` is not 1, and a list has no hash.

    None for a value that can't be told from any other.
    """
    try:
        hash(value)
    except Exception:
        try:
            return type(value), repr(value)
        except Exception:
            return None
    return type(value), value
