"""A lease that ends by itself, since the process that holds it may be killed.

So a request must not be sent on one that has ended: a process may be stopped between being admitted
and sending, or a laptop closed. Its attempt must begin soon, by a clock that goes on meanwhile, and
its request is not written when an attempt that began in time would be over. Whatever is done before
a process dies, then, is over when its lease says so.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..ledger import Lease

TIME_TO_BEGIN = 3.0
"""Seconds between asking and beginning an attempt that are no suspension, but an answer of the
store's and a busy event loop."""


@attrs.define(eq=False)
class SharedLease(Lease):
    """One of a shared ledger's.

    Attributes:
        token: Its name.
        begin_by: Until when its attempt may begin.
        end_by: When that must be over.
        clock: By which clock.
    """

    token: str
    begin_by: float
    end_by: float
    clock: Callable[[], float]

    def is_fresh(self) -> bool:
        return self.clock() <= self.begin_by

    def is_valid(self) -> bool:
        return self.clock() <= self.end_by
