"""The facts of the tenant: how many requests Lucca may be counting, and until when it is closed.

Lucca counts the requests that *arrive* in any 60 s. A request arrives at some unknown
moment between being sent and being answered, so the only window that is safe to count on
is one that starts at the answer: **a slot becomes free one period after its request
completed**. If no slot is reused sooner, any two arrivals through the same slot are a
period apart, and no window of one period can hold more arrivals than there are slots,
whatever the latency does. Counting from the moment of sending would let a slow request
and its successor arrive together; a leaky bucket admits its burst plus its refill, nearly
twice the limit.

A request that was cut off (cancelled, timed out, dropped, given up by a gateway) may still be
on its way when we stop listening: a server that stood still reads it when it goes on, and TCP
sends it again. It is counted for two periods, and that rests on an assumption, since nothing
could be promised without one: **no request arrives later than one period after the client let
go of it.**

After a 429 the budget is known to be shared with somebody else, and nobody can say how
much of it is left: the ledger is closed for as long as Lucca asks. It is closed as well while
the host gives no sign of life. Then one lease probes,
and each answer that closes nothing lets one more be under way than before, as TCP's
slow start does. What happens between two closures is a *round*; only its own leases open
it further.

A ledger knows no queue, no call, no retry and no answer: that is the gate's and the
call's. Any ledger that passes the contract tests (``tests/test_ledger.py``) will do.
"""

from enum import Enum, auto
from typing import Protocol, runtime_checkable

import attrs


class Sent(Enum):
    """How far a request got, as far as Lucca's count goes."""

    NEVER = auto()
    ANSWERED = auto()
    CUT_OFF = auto()


class Cause(Enum):
    """Why a ledger is closed: Lucca has asked to wait, nobody answers, or that is to be seen."""

    PAUSE = "pause"
    OUTAGE = "outage"
    DOUBT = "doubt"


class Lane(Enum):
    """For whom a slot is: people go first, and a bulk request leaves room for them."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    LONG_BULK = "long bulk"


@attrs.define(eq=False)
class Lease:
    """One slot of the budget, taken in one round."""

    round: int

    def is_fresh(self) -> bool:
        """Whether an attempt may still begin; of one that ends by itself, it must end before."""
        return True

    def is_valid(self) -> bool:
        """Whether the request of an attempt that has begun may still be written."""
        return True


@attrs.frozen
class Wait:
    """No slot now.

    Attributes:
        seconds: Ask again so much later; infinity if one of the leases that whoever asks
            holds must be settled first.
        closed: Why the ledger is closed, perhaps by another process, or None if it is not.
        probing: Whether one request is under way to see whether more may be.
    """

    seconds: float
    closed: Cause | None = None
    probing: bool = attrs.field(default=False, eq=False)


@attrs.frozen
class Sharing:
    """With whom a budget is shared.

    Attributes:
        ledger: Which ledger, without a password.
        clients: How many share it, this one included; as last seen, if it can't be reached.
        limit: How many requests they may have counted together; this client's share, while
            it is on its own. None for no limit.
        alone: Whether the ledger can't be reached, so that this client goes on within its share.
    """

    ledger: str
    clients: int
    limit: int | None
    alone: bool = False


@attrs.frozen
class Standing:
    """What is known of the tenant without asking anybody.

    Attributes:
        in_use: Slots that are taken, or not yet free again.
        next_slot_in: Seconds until one is free; 0 if one is, infinity if an answer must come
            first.
        closed_for: Seconds for which nothing is to be sent; 0 if something may be.
        closed_by: Why, or None.
        sharing: With whom the budget is shared, or None.
    """

    in_use: int = 0
    next_slot_in: float = 0.0
    closed_for: float = 0.0
    closed_by: Cause | None = None
    sharing: Sharing | None = attrs.field(default=None, eq=False)


@runtime_checkable
class Ledger(Protocol):
    """What a gate asks of whoever keeps the tenant's budget."""

    async def take(self, lane: Lane = Lane.INTERACTIVE) -> Lease | Wait:
        """A slot for a request of this lane, or how long to wait for one.

        Cancelled, it leaves none taken. A lane that is held back waits longer than one that isn't.
        """
        ...

    def settle(self, lease: Lease, sent: Sent) -> None:
        """The request of this lease is over.

        Not awaited: it is called from the ``finally`` of a task that may be cancelled.
        """
        ...

    def close_for(self, seconds: float, lease: Lease, cause: Cause) -> None:
        """Give nobody a slot for so long; of several closures the longest counts.

        Args:
            seconds: From now.
            lease: That of the request that has shown it, not yet settled.
            cause: Why.
        """
        ...

    def standing(self) -> Standing: ...

    async def aclose(self) -> None:
        """Let go of whatever connects it to other processes; idempotent."""
        ...


@runtime_checkable
class SharedBudget(Protocol):
    """What opens the ledger of a host for each of the clients that share it.

    ``shared_budget`` of a client takes one, such as a :class:`~lucca_training_async.MemoryLedger`.
    """

    def ledger_for(
        self, host: str, requests: int | None, period: float, longest_attempt: float
    ) -> Ledger:
        """A ledger for one client; to be called in the client's event loop.

        Args:
            host: The tenant, as a host with its port if that is an unusual one.
            requests: How many requests are allowed in any period; None for no limit.
            period: In seconds.
            longest_attempt: Seconds after which an attempt is over, answered or not.
        """
        ...
