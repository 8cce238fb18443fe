"""What a client can see of its budget."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from typing import Literal

import attrs


@attrs.frozen
class Budget:
    """What a client knows of its tenant's budget at one moment, without asking anybody.

    Attributes:
        limit: Requests that are allowed in any period; None for no limit of our own.
        in_use: How many of them are taken: under way, or still counted by Lucca.
        next_slot_in: Seconds until a request could be sent, 0 if one could be now; None if
            that depends on the answers under way.
        closed_for: Seconds for which nothing will be sent, whatever waits; 0 if something may be.
        waiting: Requests that wait to be sent.
        in_flight: Requests under way.
        closed_by: What keeps requests back: a ``"pause"`` that Lucca has asked for, an
            ``"outage"`` of the host (until the first sign of life), or None.
    """

    limit: int | None
    in_use: int = 0
    next_slot_in: float | None = 0.0
    closed_for: float = 0.0
    waiting: int = 0
    in_flight: int = 0
    closed_by: Literal["pause", "outage"] | None = None

    def __str__(self) -> str:
        limit = "no limit" if self.limit is None else f"{self.in_use} of {self.limit} in use"
        told = [limit, f"{self.waiting} waiting", f"{self.in_flight} in flight"]
        if self.closed_by == "outage":
            told.append(self.closed_by)
        if self.closed_for:
            told.append(f"closed for {self.closed_for:.1f} s")
        elif self.next_slot_in:
            told.append(f"next slot in {self.next_slot_in:.1f} s")
        return ", ".join(told)
