"""One realized training by its id: from the cache, from a call that is under way, or from Lucca."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .._budget import Owner, Priority
from .._cache import Cache
from .._http.answers import Reply
from .._http.call import Caller
from .._http.flights import Flights
from ..errors import NotFoundError
from ..models import RealizedTraining, reader

PATH = "/talent-training/api/v2/realized-trainings"
_read = reader(RealizedTraining)


class Single:
    """Single records, as one view of a client gets them.

    Args:
        caller: The way to Lucca.
        flights: What is under way.
        cache: What is known.
        manner: How this view's calls are made, where views differ.
    """

    def __init__(
        self, caller: Caller, flights: Flights, cache: Cache, manner: tuple[Hashable, ...]
    ) -> None:
        self._caller = caller
        self._flights = flights
        self._cache = cache
        self._manner = manner

    async def get(self, id: int, priority: Priority, *, fresh: bool) -> RealizedTraining:
        """One record, for a single call."""
        owner = self._caller.owner(priority)
        self._caller.bind()
        known = None if fresh else self._cache.get(id)
        if known is not None:
            return known

        async def call() -> RealizedTraining:
            with self._caller.on_behalf_of(owner):
                return await self.fetch(id, owner)

        # With another priority or policy it is another call, which waits in another way.
        return await self._flights.join((id, priority, *self._manner), call, anew=fresh)

    async def fetch(self, id: int, owner: Owner) -> RealizedTraining:
        """One record from Lucca, which is kept."""
        path, read = single(id)
        try:
            record = await self._caller.get(path, read, owner)
        except NotFoundError:
            self._cache.drop(id)
            raise
        self._cache.put(record)
        return record


def single(id: int) -> tuple[str, Callable[[Reply], RealizedTraining]]:
    """Path and reader of one record."""

    def read(reply: Reply) -> RealizedTraining:
        return _read(reply.body, asked_for=id)

    return f"{PATH}/{id}", read
