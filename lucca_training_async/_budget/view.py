"""What a client can see of its budget."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import math
from typing import Literal

import attrs

from ..ledger import Standing
from ..settings import RateLimit


@attrs.frozen
class Budget:
    """What a client knows of its tenant's budget at one moment, without asking anybody.

    Attributes:
        limit: Requests that are allowed in any period; None for no limit of our own.
        in_use: How many of them are taken: under way, or still counted by Lucca.
        next_slot_in: Seconds until a request could be sent, 0 if one could be now; None if
            that depends on the answers under way.
        closed_for: Seconds for which nothing will be sent, whatever waits; 0 if something may be.
        waiting: Requests that wait to be sent, in both lanes.
        in_flight: Requests under way.
        closed_by: What keeps requests back: a ``"pause"`` that Lucca has asked for, an
            ``"outage"`` of the host (until the first sign of life), or None.
        ledger: The ledger that it is shared in, without a password; None if it is not.
        clients: How many clients share it, this one included; as last seen, if ``alone``.
            Of a shared budget, ``in_use`` counts the requests of them all.
        alone: Whether the ledger can't be reached, so that this client keeps to its part:
            ``limit`` and ``in_use`` are then its own.
        waiting_bulk: Those of ``waiting`` that are of bulk runs and lists.
        next_bulk_slot_in: As ``next_slot_in``, for a bulk request, which may be held back so that
            people find a slot; as last seen.
    """

    limit: int | None
    in_use: int = 0
    next_slot_in: float | None = 0.0
    closed_for: float = 0.0
    waiting: int = 0
    in_flight: int = 0
    closed_by: Literal["pause", "outage"] | None = None
    ledger: str | None = None
    clients: int = 1
    alone: bool = False
    waiting_bulk: int = 0
    next_bulk_slot_in: float | None = attrs.field(default=0.0, eq=False)

    @property
    def waiting_interactive(self) -> int:
        """Those of ``waiting`` that go first, since a person waits for them."""
        return self.waiting - self.waiting_bulk

    def __str__(self) -> str:
        limit = "no limit" if self.limit is None else f"{self.in_use} of {self.limit} in use"
        if self.ledger is not None:
            many = "client" if self.clients == 1 else "clients"
            limit += " alone" if self.alone else f" by {self.clients} {many}"
        waiting = f"{self.waiting} waiting"
        if 0 < self.waiting_bulk < self.waiting:
            waiting += f" ({self.waiting_interactive} of them interactive)"
        told = [limit, waiting, f"{self.in_flight} in flight"]
        if self.closed_by == "outage":
            told.append(self.closed_by)
        if self.closed_for:
            told.append(f"closed for {self.closed_for:.1f} s")
        elif self.next_slot_in:
            told.append(f"next slot in {self.next_slot_in:.1f} s")
        return ", ".join(told)


def budget_of(
    standing: Standing,
    limit: RateLimit | None,
    *,
    waiting: int,
    waiting_bulk: int,
    bulk_waits_for: float,
    in_flight: int,
    is_full: bool,
    closed_by: Literal["pause", "outage"] | None,
) -> Budget:
    """What a ledger's standing and a gate tell together."""
    requests, sharing = None if limit is None else limit.requests, standing.sharing
    next_slot_in = None if is_full or standing.next_slot_in == math.inf else standing.next_slot_in
    next_bulk_slot_in = None
    if next_slot_in is not None and bulk_waits_for < math.inf:
        next_bulk_slot_in = max(next_slot_in, bulk_waits_for)
    budget = Budget(
        requests,
        standing.in_use,
        next_slot_in,
        standing.closed_for,
        waiting,
        in_flight,
        closed_by,
        waiting_bulk=waiting_bulk,
        next_bulk_slot_in=next_bulk_slot_in,
    )
    if sharing is None:
        return budget
    return attrs.evolve(
        budget,
        limit=sharing.limit,
        ledger=sharing.ledger,
        clients=sharing.clients,
        alone=sharing.alone,
    )
