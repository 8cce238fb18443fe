"""Who may send next: the one place where a call of this process waits, whatever it waits for.

One queue holds everything that waits for the budget, a pause or a free place, so a request
holds a slot only while it is being sent, and being admitted is one atomic step with one
cancellation path. People go first; among them, and among bulk requests, it is ordered by ticket: a
call that is tried again keeps the place it took first, so an old call can't be starved by new ones.
Whoever is first asks the ledger, which may be a database away; nobody else does meanwhile.

Everything else here is synchronous and goes by the event loop's clock (``loop.time``,
``loop.call_at``): a loop with a simulated clock simulates all of this. There is no
background task, only one timer while somebody waits. A gate never sees an answer.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from collections.abc import Callable

from ..errors import LuccaError
from ..ledger import Cause, Lease, Ledger, Sent, Wait
from ..settings import RateLimit
from .admission import Admission
from .closures import NAMES, Closure, Closures, GateClosedError, waiting_for
from .places import Owner, Place
from .view import Budget, budget_of

# A wait that rounding has made shorter than this would not move the clock at all.
_SHORTEST_WAIT = 1e-6
A_MOMENT = 0.001
_LOOK_AGAIN = 0.1


class Gate:
    """Admits the requests of one process to one tenant, in order of their tickets.

    Attributes:
        now: Gives the time that everything here goes by, in seconds.
        closures: Why nobody is admitted, if so.
        owners: On whose behalf it admits anything.
    """

    def __init__(
        self,
        ledger: Ledger,
        limit: RateLimit | None,
        *,
        concurrency: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._ledger = ledger
        self._limit = limit
        self._requests = math.inf if limit is None else limit.requests
        self._concurrency = concurrency
        # Where slots are kept for people, a place is as well: slow batches hold all the others.
        keeps_one = limit is not None and limit.reserved > 0 and concurrency > 1
        self._concurrency_of_bulk = concurrency - 1 if keeps_one else concurrency
        self._loop = loop
        self.now: Callable[[], float] = loop.time
        self.closures: Closures = Closures()
        self.owners: set[Owner] = set()
        self._tickets = 0
        self._queue: list[Place] = []
        self._resting: set[Place] = set()
        self._in_flight = 0
        self._asking = False
        self._ask_again_at = -math.inf
        self._ask_for_bulk_again_at = -math.inf
        self._changes = 0
        self._timer: asyncio.TimerHandle | None = None

    # -- owners

    def enter(self, owner: Owner) -> None:
        """From now on, closing the gate ends this owner; to be undone by ``leave``."""
        self.owners.add(owner)

    def leave(self, owner: Owner) -> None:
        self.owners.discard(owner)

    def abandon(self, owner: Owner, error: LuccaError) -> None:
        """Send nothing more for this owner: its calls that wait, and those to come, fail.

        To be called before the place of the request that met the error is given back, or
        the next request would go out.
        """
        if owner.ended is not None:
            return
        owner.ended = error
        for place in [*self._queue, *self._resting]:
            if place.owner is owner:
                place.wake(error)
        self._queue = [place for place in self._queue if place.owner is not owner]
        self._advance()
        owner.on_end()

    def close(self, error: Callable[[], LuccaError]) -> None:
        """End every owner, each with an error of its own."""
        # In one pass over the queue, however many they are.
        ended = [owner for owner in self.owners if owner.ended is None]
        for owner in ended:
            owner.ended = error()
        for place in [*self._queue, *self._resting]:
            place.wake(place.owner.ended)
        self._queue.clear()
        self._advance()
        for owner in ended:
            owner.on_end()

    async def aclose(self) -> None:
        await self._ledger.aclose()

    # -- one call

    def place(self, owner: Owner) -> Place:
        """The next place in the order."""
        self._tickets += 1
        return Place(owner, self._tickets)

    async def admit(self, place: Place) -> Admission:
        """Wait until this place is the first, and there is a slot for it.

        Raises:
            GateClosedError: The gate is closed for longer than the owner waits.
            LuccaError: The owner's end, if it has been ended.
        """
        now = self.now()
        if place.owner.ended is not None or self.closures:
            self.check(place)
        is_first = not self._queue or place < self._queue[0]
        if is_first and self._is_open(now, place):
            admission = await self._ask(place)
            if admission is not None:
                return admission
        started_at = self.now()
        place.owner.starts_waiting(started_at)
        try:
            while True:
                self.check(place)
                await self._turn(place)
                admission = await self._ask(place)
                if admission is not None:
                    return admission
        finally:
            now = self.now()
            place.owner.stops_waiting(now)
            place.owner.tell_wait("a request has waited for its turn", now - started_at)

    async def rest(self, place: Place, seconds: float) -> None:
        """Sleep outside of the queue; the owner's end ends it at once.

        Raises:
            LuccaError: The owner's end.
        """
        if place.owner.ended is not None:
            raise place.owner.ended.with_traceback(None)
        place.turn = self._loop.create_future()
        timer = self._loop.call_later(seconds, place.wake)
        self._resting.add(place)
        try:
            await place.turn
        finally:
            timer.cancel()
            self._resting.discard(place)
            place.forget()

    def close_for(self, closure: Closure, lease: Lease) -> None:
        """See :meth:`Admission.close_for`."""
        self._ledger.close_for(closure.until - closure.closed_at, lease, closure.cause)
        # If there was no telling when to ask again, there is now.
        self._ask_anew_where(math.inf)
        self._note(closure)
        self._ask_again_at = max(self._ask_again_at, self.closures.until)
        self._changes += 1
        self._advance()

    def last_probe_at(self, since: float) -> float:
        """When the next of the owners ends its wait for the end of such an outage."""
        outage = Closure(Cause.OUTAGE, since, now := self.now(), now, None)
        waits = [owner.waits_until(outage, now, 0.0) for owner in self.owners]
        return min((until for until in waits if until > now + A_MOMENT), default=math.inf)

    def settle(self, lease: Lease, sent: Sent) -> None:
        """The request of this lease is over."""
        self._in_flight -= 1
        self._ledger.settle(lease, sent)
        self._ask_anew_where(-math.inf if sent is Sent.NEVER else math.inf)
        self._changes += 1
        if self._queue:
            self._advance()

    # -- what can be seen

    def budget(self) -> Budget:
        return budget_of(
            self._ledger.standing(),
            self._limit,
            waiting=len(self._queue),
            waiting_bulk=len(self._queue) - bisect_left(self._queue, True, key=_is_bulk),
            bulk_waits_for=self._ask_for_bulk_again_at - self.now(),
            in_flight=self._in_flight,
            is_full=self._in_flight >= self._concurrency,
            closed_by=NAMES[self._closed_by()],
        )

    def __repr__(self) -> str:
        return f"<Gate: {self.budget()}>"

    # -- the queue

    def _is_open(self, now: float, place: Place) -> bool:
        return (
            not self._asking
            and self._in_flight < self._places_for(place)
            and self._again_at(place) <= now
        )

    def _places_for(self, place: Place) -> int:
        return self._concurrency_of_bulk if place.owner.is_bulk else self._concurrency

    def _again_at(self, place: Place) -> float:
        """When the ledger is asked again for this place, if it is the first."""
        if not place.owner.is_bulk:
            return self._ask_again_at
        return max(self._ask_again_at, self._ask_for_bulk_again_at)

    def _ask_anew_where(self, least: float) -> None:
        """Forget when to ask again, where that is so late."""
        if self._ask_again_at >= least:
            self._ask_again_at = -math.inf
        if self._ask_for_bulk_again_at >= least:
            self._ask_for_bulk_again_at = -math.inf

    def check(self, place: Place) -> None:
        """Raise if this place is to wait no longer, as ``admit`` does."""
        ended, refusal = place.owner.ended, self._refusal(place.owner)
        if ended is None and refusal is None:
            return
        self._advance()  # whoever leaves may have been the one who was to come back
        if ended is not None:
            raise ended.with_traceback(None)
        if refusal is not None:
            raise refusal

    def _refusal(self, owner: Owner) -> GateClosedError | None:
        if not self.closures:
            return None
        slot_in = self._ledger.standing().next_slot_in
        return self.closures.refusing(owner, self.now(), slot_in=slot_in)

    async def _turn(self, place: Place) -> None:
        """Queue until it is this place's turn to ask the ledger."""
        turn = place.turn = self._loop.create_future()
        insort(self._queue, place)
        self._advance()
        place.owner.tell_wait(waiting_for(self._closed_by()), self._again_at(place) - self.now())
        try:
            await turn
        except BaseException:
            if place.is_granted():
                self._asking = False
            position = bisect_left(self._queue, place)
            if self._queue[position : position + 1] == [place]:
                del self._queue[position]
            self._advance()
            raise
        finally:
            place.forget()

    async def _ask(self, place: Place) -> Admission | None:
        """Ask the ledger; None if it has no slot now."""
        self._asking = True
        asked_at, changes = self.now(), self._changes
        try:
            answer = await self._ledger.take(place.owner.lane(self._requests))
        except BaseException as error:
            self._asking = False
            if isinstance(error, LuccaError):
                self.abandon(place.owner, error)  # there is nothing to be had for the others either
            self._advance()
            raise
        self._asking = False
        if isinstance(answer, Lease):
            self._in_flight += 1
            if place.owner.ended is not None:
                # Ended while this place asked; the request must not go out any more.
                self.settle(answer, Sent.NEVER)
                raise place.owner.ended.with_traceback(None)
            if self._queue:
                if self.closures.outage is not None:
                    self._refuse_impatient()  # this is the probe
                self._advance()
            return Admission(self, answer)
        if self._changes == changes:  # else the answer may be out of date: ask again
            self._postpone(answer, asked_at, place)
        return None

    def _closed_by(self) -> Cause | None:
        return self.closures.cause(self.now()) or self._ledger.standing().closed_by

    def _postpone(self, answer: Wait, asked_at: float, place: Place) -> None:
        seconds = max(answer.seconds, _SHORTEST_WAIT)
        if seconds == math.inf and not self._in_flight:
            seconds = _LOOK_AGAIN  # another gate of this ledger has what it takes
        if place.owner.is_bulk and not answer.closed:
            self._ask_for_bulk_again_at = self.now() + seconds  # there may be one for a person
        else:
            self._ask_again_at = self.now() + seconds
        if not answer.closed:
            self.closures.heard(self.now(), self.now() + seconds if answer.probing else -math.inf)
        # At the least: the answer may have been long on its way.
        opens_at = asked_at + answer.seconds
        if answer.closed and opens_at > self.closures.until + A_MOMENT:
            # Not our own closure: another process has met it.
            now = self.now()
            self._note(Closure(answer.closed, now, now, opens_at, None))

    def _note(self, closure: Closure) -> None:
        """Close, wake those that won't wait so long, and tell the others of an outage."""
        is_news = self.closures.close(closure)
        self._refuse_impatient()
        if is_news and closure.cause is Cause.OUTAGE:
            for owner in list(self.owners):
                owner.on_outage()

    def _refuse_impatient(self) -> None:
        refused = {place: why for place in self._queue if (why := self._refusal(place.owner))}
        for place, why in refused.items():
            place.wake(why)
        self._queue = [place for place in self._queue if place not in refused]

    def _advance(self) -> None:
        """Let the first in the queue ask the ledger, or see to it that somebody comes back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.now()
        # One that is cancelled in this very moment has not left the queue yet.
        while self._queue and self._is_open(now, self._queue[0]):
            self._asking = self._queue.pop(0).wake()
        if not self._queue or self._asking:
            return
        again_at = self._again_at(self._queue[0])
        if now < again_at < math.inf:
            self._timer = self._loop.call_at(again_at, self._advance)


def _is_bulk(place: Place) -> bool:
    return place.owner.is_bulk
