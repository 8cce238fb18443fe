"""From what a client was told to the ledger that it asks."""

from __future__ import annotations

from yarl import URL

from .._budget_url import SQLITE, sqlite_path
from ..ledger import Ledger, SharedBudget
from ..settings import RateLimit
from .shared import SharedLedger
from .steps import Store


def open_ledger(
    shared: str | Ledger | SharedBudget,
    origin: URL,
    limit: RateLimit | None,
    longest_attempt: float,
    *,
    required: bool,
) -> Ledger:
    """The ledger of one client of a shared budget, in the running loop.

    Args:
        shared: What the client was told.
        origin: Where its requests go.
        limit: The budget.
        longest_attempt: Seconds after which an attempt is over.
        required: Whether to fail where the budget can't be reached.
    """
    if isinstance(shared, Ledger):
        return shared
    requests, period = (
        (None, RateLimit().period) if limit is None else (limit.requests, limit.period)
    )
    host = _tenant(origin)
    if isinstance(shared, str):
        ledger: Ledger = SharedLedger(_store(shared), host, requests, period, longest_attempt)
    else:
        ledger = shared.ledger_for(host, requests, period, longest_attempt)
    if isinstance(ledger, SharedLedger):
        ledger.required = required
        ledger.reserved = 0 if limit is None else limit.reserved
    return ledger


def _tenant(origin: URL) -> str:
    """Lucca counts for each host, whatever it is reached by."""
    host = origin.host or ""
    return host if origin.is_default_port() else f"{host}:{origin.port}"


def _store(url: str) -> Store:
    # Each is imported when it is used: what one needs, another does without.
    if url.startswith(SQLITE):
        from .sqlite import SqliteStore

        return SqliteStore(str(sqlite_path(url)))
    from .redis import RedisStore

    return RedisStore(url)
