"""The shared budgets that are compared: all that can be had on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from tests.redis_server import HAS_REDIS, redis_server


@contextmanager
def shared_budgets() -> Generator[dict[str, str], None, None]:
    """Their URLs, by the name of what keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        budgets = {"SQLite": f"sqlite://{folder}/lucca.db"}
        if not HAS_REDIS:
            print("(Redis: there is no server here)\n")
            yield budgets
            return
        with redis_server() as server:
            yield {**budgets, "Redis": server.url}
