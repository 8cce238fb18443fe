"""What most socket tests need: a sandbox and a client of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from lucca_training_async import LuccaTrainingClient, RetryPolicy
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox import Sandbox

QUICK = RetryPolicy(backoff_initial=0.01, backoff_max=0.02)


class Stage(NamedTuple):
    sandbox: Sandbox
    client: LuccaTrainingClient

    @property
    def trainings(self) -> RealizedTrainings:
        return self.client.realized_trainings

    @property
    def statuses(self) -> list[int | None]:
        return [arrival.status for arrival in self.sandbox.arrivals]

    @property
    def ids(self) -> list[str]:
        return [arrival.id for arrival in self.sandbox.arrivals]


@asynccontextmanager
async def stage(
    sandbox: Sandbox | None = None, /, *, api_key: str | None = None, **settings: Any
) -> AsyncGenerator[Stage, None]:
    """A running sandbox (without a budget, unless given) and a client of it."""
    async with sandbox or Sandbox(rate_limit=None) as running:
        settings = {"rate_limit": None, "retry": QUICK} | settings
        client = LuccaTrainingClient(running.url, api_key or running.api_key, **settings)
        async with client:
            yield Stage(running, client)
