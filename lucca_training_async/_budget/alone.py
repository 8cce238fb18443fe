"""A client that can't reach the budget it shares: what is its part, and what it tells later."""

from __future__ import annotations

from typing import Self

import attrs

from .steps import Close, Kept, Meet, Restore, Step
from .tenant import Ask, Member, Tenant, slots_of


@attrs.frozen
class Alone:
    """On its own.

    Each of the clients keeps to an equal part, so that all of them together stay within the limit.
    While what was sent before may still be counted, a client reuses its own slots only, and an
    equal part of those that were free.

    Attributes:
        clients: How many shared the budget when it was last seen.
        share: An equal part of it, at least 1; None if there is no limit.
        at_first: The part of this client until then.
        until: Until when requests from before may be counted.
        period: In seconds.
    """

    clients: int
    share: int | None
    at_first: int | None
    until: float
    period: float

    @classmethod
    def when(
        cls, tenant: Tenant, client: str, clients: int, requests: int | None, period: float
    ) -> Self:
        """From this moment on, in which the tenant was like that, and had so many clients."""
        # What is under way counts from when it arrives, which may be at its very end.
        others = [slot for slot in tenant.slots.values() if slot.client != client]
        held = [slot.held_until for slot in others if slot.held_until is not None]
        until = max([tenant.touched_at, *held]) + period
        if requests is None:
            return cls(clients, None, None, until, period)
        limit = int(tenant.limit(requests))
        share = max(1, limit // clients)
        spare = max(0, limit - len(tenant.slots)) // clients
        at_first = min(share, len(slots_of(tenant, client)) + spare)
        return cls(clients, share, at_first, until, period)

    def limit(self, now: float) -> int | None:
        """How many requests of this client may be counted just now."""
        return self.at_first if now < self.until else self.share

    def __str__(self) -> str:
        if self.share is None:
            return "without a limit"
        part = f"within {self.share} requests per {self.period:g} s"
        return part if self.clients == 1 else f"{part}, the part of one of {self.clients} clients"


def restoring(tenant: Tenant, client: str) -> Restore:
    """What this client has, to be told as it is."""
    now = tenant.touched_at
    return Restore(
        client,
        {
            token: Kept(
                slot.free_at - now,
                slot.round,
                None if slot.held_until is None else slot.held_until - now,
            )
            for token, slot in slots_of(tenant, client).items()
        },
    )


def meeting(members: dict[str, Member]) -> list[Step]:
    """Clients that were seen lately, each of which has still its part."""
    return [
        Meet(Ask(name, "", one.requests, one.period, 0.0, 0.0)) for name, one in members.items()
    ]


def what_was_kept(tenant: Tenant, client: str) -> list[Step]:
    """What was not told, or was perhaps not heard."""
    steps: list[Step] = [restoring(tenant, client)]
    if (seconds := tenant.opens_at - tenant.touched_at) > 0:
        steps.append(Close(seconds, tenant.closed_by))
    return steps
