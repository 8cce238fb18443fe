"""What one client knows of its tenant, and has still to tell: its copy of the shared budget."""

from __future__ import annotations

import math

from ..ledger import Cause, Wait
from .alone import meeting, restoring, what_was_kept
from .closures import logger
from .steps import Close, Step, Store
from .tenant import Member, Slot, Tenant, slots_of


class Replica:
    """A copy, as of the last question, with all that has happened here since.

    Args:
        store: Where the budget is kept.
        host: The tenant.
        client: The client.
        requests: Its limit; None for none.
        period: In seconds.
        grain: How far, in seconds, the clock may be behind.

    Attributes:
        pending: What is still to be told.
        told_at: When the store was reached last.
        is_in_doubt: Whether it may not have heard what it was told last.
    """

    def __init__(
        self,
        store: Store,
        host: str,
        client: str,
        requests: int | None,
        period: float,
        grain: float,
    ) -> None:
        self.pending: list[Step] = []
        self.told_at = -math.inf
        self.is_in_doubt = False
        self._store = store
        self._host = host
        self._client = client
        self._requests = requests
        self._limit_is_told = False
        self._period = period
        self._grain = grain
        now = store.clock()
        self._tenant = Tenant("", now, now)
        self._others: dict[str, Member] = {}

    @property
    def clients(self) -> int:
        """How many shared the budget when the store was reached last."""
        return 1 + len(self._others)

    def tenant(self) -> Tenant:
        """As it is now."""
        self._tenant.come_to(self._store.clock())
        return self._tenant

    def mine(self) -> dict[str, Slot]:
        """What this client has."""
        return slots_of(self.tenant(), self._client)

    def longest_period(self) -> float:
        """The strictest of those that its members have, in seconds."""
        return max([self._period, *(one.period for one in self._tenant.members.values())])

    def forget_others(self) -> None:
        """Be on its own."""
        self._tenant.slots = self.mine()
        self._tenant.members.clear()
        self.pending.clear()
        self.is_in_doubt = True

    async def reach(self, step: Step) -> None:
        """Find out whether the store can be told anything; what it knows is not looked at.

        Raises:
            UnreachableError: It can't.
            ConfigurationError: It never will.
        """
        await self._store.apply(self._host, [step])

    async def tell(self, *last: Step) -> Wait | None:
        """Tell all that has happened, and this; what the store says to the last of it.

        Args:
            last: What else.

        Raises:
            UnreachableError: It can't be told whether it has heard.
            ConfigurationError: It never will.
        """
        before = self.tenant()
        kept = what_was_kept(before, self._client) if self.is_in_doubt else []
        steps = [*kept, *self.pending, *last]
        self.pending.clear()
        self.is_in_doubt = True
        tenant, answer = await self._store.apply(self._host, steps)
        closed_for = tenant.born_at + self.longest_period() + self._grain - tenant.touched_at
        if before.born not in ("", tenant.born) and closed_for > 0:
            # Who has sent what before can't be known, however long we have been silent.
            known = meeting(self._others)
            known.append(restoring(self.tenant(), self._client))
            known.append(Close(closed_for, Cause.DOUBT))
            tenant, _ = await self._store.apply(self._host, known)
            answer = Wait(closed_for, closed=Cause.DOUBT)
            told = "the shared budget may have been lost (%s): nothing is sent for %.0f s"
            logger.warning(told, self._store.name, closed_for)
        self.is_in_doubt = False
        self._tenant, self.told_at = tenant, tenant.touched_at
        self._others = {**tenant.members}
        self._others.pop(self._client, None)
        for step in self.pending:
            step.on(self.tenant())  # it has happened meanwhile
        self._tell_other_limit()
        return answer

    def _tell_other_limit(self) -> None:
        if self._requests is None or self._limit_is_told:
            return
        if (limit := self._tenant.limit(self._requests)) != self._requests:
            self._limit_is_told = True
            logger.warning(
                "clients that share a budget have different limits, of which the strictest counts: "
                "%s requests per %g s. Give all of them the same rate_limit",
                int(limit),
                self._period,
            )
