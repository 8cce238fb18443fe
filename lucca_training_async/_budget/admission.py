"""One request that may be sent, until it is over."""

from __future__ import annotations

from typing import Protocol, Self

import attrs

from ..errors import RequestError
from ..ledger import Cause, Lease, Sent
from .closures import Closure


class Admitting(Protocol):
    """The gate, as far as a request that it has admitted needs it."""

    def now(self) -> float: ...

    def close_for(self, closure: Closure, lease: Lease) -> None: ...

    def settle(self, lease: Lease, sent: Sent) -> None: ...


@attrs.define(eq=False)
class Admission:
    """A request that may be sent. Leaving the block settles it.

    Attributes:
        sent: How far the request got; cut off, unless told otherwise.
    """

    _gate: Admitting
    _lease: Lease
    sent: Sent = Sent.CUT_OFF

    @property
    def is_fresh(self) -> bool:
        """Whether its attempt may still begin: not if this process has stood still since."""
        return self._lease.is_fresh()

    @property
    def is_valid(self) -> bool:
        """Whether the request of an attempt that has begun may still be written."""
        return self._lease.is_valid()

    def close_for(self, seconds: float, cause: Cause, *, since: float, seen: RequestError) -> None:
        """Close the gate: this request has shown that there is no use in more.

        The calls that won't wait so long fail at once.

        Args:
            seconds: For how long.
            cause: Why.
            since: When it first showed.
            seen: What the request came to.
        """
        now = self._gate.now()
        closure = Closure(cause, since, now, now + seconds, seen)
        self._gate.close_for(closure, self._lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.settle(self._lease, self.sent)
