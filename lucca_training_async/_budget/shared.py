"""The ledger of one client that shares its tenant's budget with others, over a store.

Every question is one step of the store's. What has become of a request is told soon after, since
``settle`` is not awaited, and at the latest with the next question: in order, so that nobody is
asked about what he has not been told. A question is a task of its own: whoever has asked may be
cancelled, and then gives back what it gets.

**A store that can't be reached** stops nobody. The client goes on alone, within an equal part of
the budget; of what was free at that moment it takes no more than its part either. When it is back,
it tells what it has used, and keeps to its part until all the others must be back as well.

**A store that has lost its data** is known by its tenant's name of birth. Then nothing is sent for
one period: who has sent what before that can't be known.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from ..errors import ConfigurationError, SharedBudgetError
from ..ledger import Cause, Lane, Lease, Sent, Sharing, Standing, Wait
from .alone import Alone
from .cancelling import is_being_cancelled
from .closures import logger
from .lease import TIME_TO_BEGIN, SharedLease
from .own import CLOCK_GRAIN
from .replica import Replica
from .steps import PATIENCE, Close, Leave, Meet, Settle, Step, Store, Take, UnreachableError
from .tenant import Ask, poll_every
from .tokens import token_of

T = TypeVar("T")
_LOOK_EVERY = 60.0


@attrs.define(eq=False)
class _Question:
    """One question for a slot.

    Attributes:
        lane: That of the request.
        is_wanted: Whether anybody still waits for the answer.
    """

    lane: Lane
    is_wanted: bool = True


class SharedLedger:
    """The ledger of one client; see :class:`~lucca_training_async.ledger.Ledger`.

    Args:
        store: Where the budget is kept.
        host: The tenant.
        requests: How many are allowed in any period; None for no limit.
        period: In seconds.
        longest_attempt: Seconds after which an attempt is over.
        required: Whether to fail where the store can't be reached.
        grain: How far, in seconds, the clock may be behind.

    Attributes:
        longest_attempt: As given; a view of the client may have longer ones.
        required: As given.
        reserved: How many of the requests are for people alone.
    """

    def __init__(
        self,
        store: Store,
        host: str,
        requests: int | None,
        period: float,
        longest_attempt: float,
        *,
        required: bool = False,
        grain: float = CLOCK_GRAIN,
    ) -> None:
        self.longest_attempt = longest_attempt
        self.required = required
        self.reserved = 0
        self._store = store
        self._clock = store.clock
        self._requests = requests
        self._period = period
        self._grain = grain
        self._client = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._replica = Replica(store, host, self._client, requests, period, grain)
        self._alone: Alone | None = None
        self._careful_until = -math.inf
        self._share: int | None = None
        self._closed = False
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def retry_every(self) -> float:
        """Seconds between two tries to reach the store."""
        return min(5.0, max(0.2, self._period / 10))

    async def open(self) -> None:
        """Find out whether the store can be used, before a request needs it.

        Raises:
            ConfigurationError: It never can.
            SharedBudgetError: It can't now, and is required.
        """
        await self._in_order(self._meet)
        if self._next_look is None:
            self._look_later()

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        question = _Question(lane)
        asking = self._begin(self._answer(question))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            question.is_wanted = False
            if asking.cancelled() and not is_being_cancelled():
                return Wait(math.inf)  # this ledger has been closed, which the gate will tell
            if asking.done() and not asking.cancelled() and asking.exception() is None:
                self._give_back(asking.result())
            raise

    def settle(self, lease: Lease, sent: Sent) -> None:
        assert isinstance(lease, SharedLease)
        is_answered = sent is Sent.ANSWERED
        seconds = 0.0 if self._requests is None else self._counted_for(sent)
        self._note(Settle(self._client, lease.token, lease.round, seconds, is_answered))

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        self._note(Close(seconds, cause))

    def standing(self) -> Standing:
        tenant = self._replica.tenant()
        now, poll = tenant.touched_at, poll_every(self._period)
        slow = tenant.starts_slowly_for(self._client)
        if slow == 0.0 and now - self._replica.told_at < 2 * poll:
            slow = poll  # another client's probe, as far as we know
        next_slot_in = tenant.next_free_in(self._client, self._limit(), poll=poll)
        closed_for = max(0.0, tenant.opens_at - now)
        alone = self._alone
        return Standing(
            len(tenant.slots),
            max(next_slot_in, closed_for, slow or 0.0),
            closed_for,
            tenant.closed_by if closed_for else None,
            Sharing(
                self._store.name,
                max(1, len(tenant.members)) if alone is None else alone.clients,
                self._told_limit(),
                alone is not None,
            ),
        )

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._next_look is not None:
            self._next_look.cancel()
        try:
            if self._loop is asyncio.get_running_loop():
                await self._say_goodbye()
        finally:
            for task in self._tasks:
                task.cancel()
            await self._store.aclose()

    # -- one after the other

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even if whoever has asked was cancelled

    async def _answer(self, question: _Question) -> Lease | Wait:
        async with self._turn:
            answer = await self._reaching(lambda: self._take(question.lane))
            if answer is None:
                answer = self._take_alone(question.lane)
            if not question.is_wanted:
                # Before anybody else asks.
                self._give_back(answer)
            return answer

    async def _in_order(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with self._turn:
            await self._reaching(do)

    async def _reaching(self, do: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What comes of it; None where the store can't be reached."""
        if self._alone is None:
            try:
                return await do()
            except UnreachableError as error:
                self._lose(error)
        return None

    async def _take(self, lane: Lane) -> Lease | Wait:
        if self._clock() < self._careful_until and len(self._replica.mine()) >= (
            self._share or math.inf
        ):
            return Wait(min(self._careful_until - self._clock(), self.retry_every))
        ask = self._ask(self._requests, lane)
        asked_at = self._clock()
        wait = await self._replica.tell(Take(ask))
        if wait is not None:
            return wait
        return self._lease(ask, asked_at)

    async def _meet(self) -> None:
        await self._replica.tell(Meet(self._ask(self._requests)))

    def _look_later(self) -> None:
        """Be seen once in a while, and see how many share, even where nothing is wanted."""
        self._next_look = self._loop.call_later(min(self._period, _LOOK_EVERY), self._look)

    def _look(self) -> None:
        self._look_later()
        if self._alone is None:
            self._begin(self._unless_it_fails(self._meet))

    async def _unless_it_fails(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(SharedBudgetError, ConfigurationError):  # the next question will tell
            await self._in_order(do)

    async def _tell(self) -> None:
        if self._replica.pending:
            await self._replica.tell()

    def _lease(self, ask: Ask, asked_at: float) -> SharedLease:
        begin_by = asked_at + TIME_TO_BEGIN
        slot = self._replica.tenant().slots.get(ask.token)
        # It has ended already if this process has stood still since.
        number = -1 if slot is None else slot.round
        return SharedLease(
            number, ask.token, begin_by, begin_by + self.longest_attempt, self._clock
        )

    def _give_back(self, answer: Lease | Wait) -> None:
        if isinstance(answer, Lease):
            self.settle(answer, Sent.NEVER)

    def _note(self, step: Step) -> None:
        """Something has happened here: known at once, and told as soon as may be."""
        step.on(self._replica.tenant())
        if self._alone is None:
            self._replica.pending.append(step)
            # While it is being closed, that is told with the goodbye.
            if len(self._replica.pending) == 1 and not self._closed:
                self._begin(self._unless_it_fails(self._tell))

    # -- alone

    def _lose(self, error: UnreachableError) -> None:
        if self.required:
            raise SharedBudgetError(
                f"the shared budget can't be reached, and nothing is sent without it: {error}"
            ) from None
        tenant, clients = self._replica.tenant(), self._replica.clients
        alone = Alone.when(tenant, self._client, clients, self._requests, self._period)
        self._alone = alone
        self._replica.forget_others()
        told = "the shared budget can't be reached (%s): going on alone, %s, and trying again"
        logger.warning(told, error, alone)
        if not self._closed:
            self._begin(self._come_back())

    def _take_alone(self, lane: Lane) -> Lease | Wait:
        tenant, alone = self._replica.tenant(), self._alone
        assert alone is not None
        ask = self._ask(self._limit(), lane)
        if (wait := tenant.take(ask)) is None:
            return self._lease(ask, tenant.touched_at)
        if wait.closed is not None:
            return wait
        return Wait(min(wait.seconds, self.retry_every))

    async def _come_back(self) -> None:
        while (alone := self._alone) is not None:
            await asyncio.sleep(self.retry_every)
            with suppress(UnreachableError, ConfigurationError):
                # It may take its time, for which nobody is to wait.
                await self._replica.reach(Meet(self._ask(self._requests)))
                async with self._turn:
                    await self._meet()
                    self._share, self._alone = alone.share, None
                    self._careful_until = self._clock() + 2 * (self.retry_every + PATIENCE)
                    logger.info("the shared budget is reached again (%s)", self._store.name)

    # -- its end

    async def _say_goodbye(self) -> None:
        asking = [task for task in self._tasks if not task.done()]
        if self._alone is not None:
            for task in asking:
                task.cancel()
            if asking:
                await asyncio.wait(asking)
            return
        if asking:
            await asyncio.wait(asking)
        async with self._turn:
            # If it isn't heard, what is held ends by itself.
            with suppress(UnreachableError, ConfigurationError):
                await self._replica.tell(Leave(self._client))

    # -- what is known

    def _ask(self, requests: int | None, lane: Lane = Lane.INTERACTIVE) -> Ask:
        token = token_of(self._client, next(self._numbers), lane)
        held_for = TIME_TO_BEGIN + self.longest_attempt
        # It may be cut off at its end.
        ends_in = held_for + self._counted_for(Sent.CUT_OFF)
        return Ask(
            self._client, token, requests, self._period, held_for, ends_in, lane, self.reserved
        )

    def _counted_for(self, sent: Sent) -> float:
        if sent is Sent.NEVER:
            return 0.0
        periods = 1 if sent is Sent.ANSWERED else 2
        return periods * self._replica.longest_period() + self._grain

    def _limit(self) -> int | None:
        return self._requests if self._alone is None else self._alone.limit(self._clock())

    def _told_limit(self) -> int | None:
        if self._requests is None or self._alone is not None:
            return self._limit()
        return int(self._replica.tenant().limit(self._requests))
