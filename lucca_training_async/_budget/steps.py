"""What a client tells whoever keeps the budget of its tenant, and what it may get back.

A step carries durations and no times: the clocks of two machines have nothing in common. All of
them may be told twice, as the answer to one can be lost.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from ..ledger import Cause, Wait
from .tenant import Ask, Slot, Tenant


class Step(Protocol):
    """One change of a tenant."""

    def on(self, tenant: Tenant) -> Wait | None: ...


@attrs.frozen
class Take:
    """Give a slot, or say how long to wait."""

    ask: Ask

    def on(self, tenant: Tenant) -> Wait | None:
        return tenant.take(self.ask)


@attrs.frozen
class Meet:
    """Count a client as one of those who share."""

    ask: Ask

    def on(self, tenant: Tenant) -> None:
        tenant.meet(self.ask)


@attrs.frozen
class Settle:
    """A request is over, and counts for so many seconds more."""

    client: str
    token: str
    round: int
    counted_for: float
    answered: bool

    def on(self, tenant: Tenant) -> None:
        tenant.settle(self.client, self.token, self.round, self.counted_for, answered=self.answered)


@attrs.frozen
class Close:
    """Give nobody a slot for so long."""

    seconds: float
    cause: Cause

    def on(self, tenant: Tenant) -> None:
        tenant.close(self.seconds, self.cause)


@attrs.frozen
class Kept:
    """One slot of a client that was on its own, in seconds from now."""

    free_in: float
    round: int
    held_for: float | None = None


@attrs.frozen
class Restore:
    """These are the slots of a client, and it has no others."""

    client: str
    slots: dict[str, Kept]

    def on(self, tenant: Tenant) -> None:
        now = tenant.touched_at
        slots = {
            token: Slot(
                self.client,
                now + kept.free_in,
                kept.round,
                None if kept.held_for is None else now + kept.held_for,
            )
            for token, kept in self.slots.items()
        }
        tenant.restore(self.client, slots)


@attrs.frozen
class Leave:
    """A client is closed. What it has sent still counts."""

    client: str

    def on(self, tenant: Tenant) -> None:
        tenant.members.pop(self.client, None)


PATIENCE = 2.0
"""Seconds that a store may take to answer, before one goes on without it; what comes so late must
still be fresh."""


class UnreachableError(Exception):
    """The store can't be reached, or can't do what it is asked; it may later."""


class Store(Protocol):
    """Keeps the budgets of tenants where several clients find them.

    Attributes:
        name: Which, as it may be shown.
        clock: Gives the time of what ``apply`` returns, in seconds.
    """

    name: str
    clock: Callable[[], float]

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        """Do all of these in one atomic step; how the tenant is then, and what the last says.

        Raises:
            UnreachableError: It can't be told whether that was done.
            ConfigurationError: It never will be.
        """
        ...

    async def aclose(self) -> None: ...


def through(tenant: Tenant | None, now: float, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
    """Let a tenant, a new one if there is none, come to this moment, and do the steps.

    Returns:
        The tenant, and what the last step says.
    """
    if tenant is None:
        tenant = Tenant(secrets.token_hex(8), now, now)
    tenant.come_to(now)
    answer = None
    for step in steps:
        answer = step.on(tenant)
    return tenant, answer


def _uptime() -> Callable[[], float]:
    """The clock that all processes of a machine share, and that goes on while it sleeps."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    if boot_time is None:  # Windows, whose monotonic clock does both
        return time.monotonic
    return lambda: time.clock_gettime(boot_time)


uptime: Callable[[], float] = _uptime()
