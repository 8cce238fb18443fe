"""A budget that the clients of one process share, in whatever threads and event loops they are."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import threading
from collections.abc import Callable, Sequence

from ..ledger import Ledger, Wait
from .shared import SharedLedger
from .steps import Step, through, uptime
from .tenant import Tenant


class MemoryStore:
    """Keeps tenants in this process; see :class:`~lucca_training_async._budget.steps.Store`."""

    name: str = "memory"

    def __init__(self, clock: Callable[[], float] = uptime) -> None:
        self.clock: Callable[[], float] = clock
        self._tenants: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        with self._lock:
            tenant, answer = through(self._tenants.get(host), self.clock(), steps)
            self._tenants[host] = tenant
            return tenant.copy(), answer

    async def aclose(self) -> None:
        """There is nothing to let go of."""


class MemoryLedger:
    """A request budget that the clients of one process share.

    Pass the same object to each of them as ``shared_budget``. They may be in different threads and
    event loops, and of several hosts, each of which has a budget of its own.
    """

    def __init__(self) -> None:
        self._store = MemoryStore()

    def ledger_for(
        self, host: str, requests: int | None, period: float, longest_attempt: float
    ) -> Ledger:
        """The ledger of one client; a client calls this itself."""
        return SharedLedger(self._store, host, requests, period, longest_attempt)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
