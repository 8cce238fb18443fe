"""What all views of one client share: its session, its gate, and what is known of the host."""

from __future__ import annotations

import asyncio

from yarl import URL

from .._budget import Budget, Gate, Ledger, OwnLedger, SharedLedger, logger, open_ledger
from ..errors import ClientClosedError
from ..settings import RateLimit, Settings
from .answers import quoted
from .health import Health
from .session import Session


class Link:
    """One tenant as this client reaches it; closed once, for all its views."""

    def __init__(self, settings: Settings) -> None:
        self.settings: Settings = settings
        self.session: Session = Session(settings)
        self.health: Health = Health()
        self._gate: Gate | None = None
        self._ledger: Ledger | None = None
        self._longest_attempt = settings.longest_attempt
        self._deprecations_told: set[str] = set()

    def bind(self) -> Gate:
        """The gate, in the running loop; to be called once before a call's requests.

        Raises:
            ClientClosedError: The client is closed.
            UsageError: It belongs to another event loop, or its given session is closed.
        """
        loop = self.session.bind()
        if self._gate is None:
            limit = self.settings.rate_limit
            self._gate = Gate(
                self._opened(limit, loop),
                limit,
                concurrency=self.session.max_concurrency,
                loop=loop,
            )
        return self._gate

    def _opened(self, limit: RateLimit | None, loop: asyncio.AbstractEventLoop) -> Ledger:
        settings = self.settings
        if settings.shared_budget is None:
            self._ledger = OwnLedger(limit, loop.time)
        else:
            self._ledger = open_ledger(
                settings.shared_budget,
                settings.base_url,
                limit,
                self._longest_attempt,
                required=settings.shared_budget_required,
            )
        return self._ledger

    def allow(self, longest_attempt: float) -> None:
        """A view of the client has attempts that may take so many seconds."""
        self._longest_attempt = max(self._longest_attempt, longest_attempt)
        if isinstance(self._ledger, SharedLedger):
            self._ledger.longest_attempt = self._longest_attempt

    async def open(self) -> None:
        """Be ready: find out whether a shared budget can be used, before a request needs it.

        Raises:
            ConfigurationError: It can't be.
            SharedBudgetError: It can't be reached, and is required.
            ClientClosedError: The client is closed.
            UsageError: It belongs to another event loop, or its given session is closed.
        """
        self.bind()
        if isinstance(self._ledger, SharedLedger):
            await self._ledger.open()

    @property
    def gate(self) -> Gate:
        """The gate of a client that has been bound."""
        assert self._gate is not None
        return self._gate

    @property
    def budget(self) -> Budget:
        if self._gate is not None:
            return self._gate.budget()
        limit = self.settings.rate_limit
        return Budget(None if limit is None else limit.requests)

    @property
    def closed(self) -> bool:
        return self.session.closed

    def tell_deprecation(self, url: URL, notice: str) -> None:
        """Log, once for each endpoint, that Lucca announces its end."""
        endpoint = str(url.parent if url.name.isdecimal() else url.with_query(None))
        if endpoint not in self._deprecations_told:
            self._deprecations_told.add(endpoint)
            told = quoted(notice, self.settings.api_key)
            logger.warning("Lucca announces the end of %s: %s", endpoint, told)

    async def aclose(self) -> None:
        """Close the session if it is ours, and fail whoever waits; idempotent.

        Raises:
            UsageError: Called in another loop than that of the client, which still lives.
        """
        if self.closed:
            return
        at_home = self.session.mark_closed()
        try:
            if self._gate is not None:
                if at_home:
                    self._gate.close(lambda: ClientClosedError("this client was closed"))
                if self._ledger is not self.settings.shared_budget:  # else it is the caller's
                    await self._gate.aclose()
        finally:
            await self.session.aclose()
