"""The pytest plugin, outside of the package: pytest imports it wherever we are installed.

Importing anything below ``lucca_training_async`` would import the package, and aiohttp with it,
at the start of test runs that have nothing to do with Lucca. So this module is installed beside
the package, and imports it in the fixtures.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lucca_training_async import LuccaTrainingClient
    from lucca_training_async.sandbox import Sandbox

_LONGEST_CLOSE = 10.0


@pytest.fixture
def lucca_sandbox() -> Generator[Sandbox, None, None]:
    """An embedded Lucca with 1,000 realized trainings and no budget, in a thread of its own."""
    from lucca_training_async.sandbox import Sandbox

    # A test's event loop may be gone before its fixtures end, and with it the way to close what
    # is still connected.
    with Sandbox(rate_limit=None, size=1_000, keep_alive=False) as sandbox:
        yield sandbox


@pytest.fixture
def lucca_client(lucca_sandbox: Sandbox) -> Generator[LuccaTrainingClient, None, None]:
    """A client of ``lucca_sandbox`` that retries without waiting, and is closed at the end."""
    from lucca_training_async import LuccaTrainingClient, RetryPolicy

    # The backoff is what a pause without Retry-After takes.
    retry = RetryPolicy(
        wait=lambda _: 0.0,
        backoff_initial=0.001,
        backoff_max=0.001,
        # A test of a host that stays down is over soon, and not in a quarter of an hour.
        retry_after_max=10.0,
        patience=10.0,
    )
    client = LuccaTrainingClient(
        lucca_sandbox.url, lucca_sandbox.api_key, rate_limit=None, retry=retry
    )
    yield client
    _close(client)


def _close(client: LuccaTrainingClient) -> None:
    """Close the client where it may be closed: which loop a test used, only the client knows."""
    home = client._link.session._loop  # pyright: ignore[reportPrivateUsage]
    if home is None or home.is_closed():
        # Any loop will do, and in a thread nothing is in its way: not even one that runs here.
        thread = threading.Thread(target=lambda: asyncio.run(client.aclose()))
        thread.start()
        thread.join(_LONGEST_CLOSE)
    elif home.is_running():
        # A test's own thread keeps it, or an outer fixture's, such as FastAPI's TestClient.
        asyncio.run_coroutine_threadsafe(client.aclose(), home).result(_LONGEST_CLOSE)
    else:
        # pytest-asyncio's and anyio's loops rest between a test and the end of its fixtures.
        home.run_until_complete(client.aclose())
