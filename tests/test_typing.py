"""What type checkers see of the public API; mypy and pyright check the assertions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import assert_type

from lucca_training_async import (
    BulkResult,
    BulkStats,
    LuccaError,
    LuccaTrainingClient,
    Outcome,
    OutcomeStream,
    RealizedTraining,
    TrainingLevel,
    TrainingSummary,
)

from .support import stage


async def test_the_types_are_what_they_say() -> None:
    async with stage() as on:
        client = on.client
        assert_type(client, LuccaTrainingClient)
        training = assert_type(await client.realized_trainings.get(235), RealizedTraining)
        assert_type(training.id, int)
        assert_type(training.session_starts_on, date)
        assert_type(training.duration_in_hours, Decimal)
        assert_type(training.training_demand_id, int | None)
        summary = assert_type(training.training, TrainingSummary | None)
        assert summary is not None
        assert_type(summary.level, TrainingLevel | str | None)

        result = assert_type(await client.realized_trainings.get_many([1, 2]), BulkResult)
        assert_type(result.items, dict[int, RealizedTraining])
        assert_type(result.missing, list[int])
        assert_type(result.failures, dict[int, LuccaError])
        assert_type(result.stats, BulkStats)

        async def lazily() -> AsyncIterator[int]:
            yield 235

        stream = assert_type(client.realized_trainings.stream(lazily()), OutcomeStream)
        async with stream as outcomes:
            assert_type(outcomes, OutcomeStream)
            async for outcome in outcomes:
                assert_type(outcome, Outcome)
                assert_type(outcome.training, RealizedTraining | None)
                assert_type(outcome.error, LuccaError | None)
