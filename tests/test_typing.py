"""What type checkers see of the public API; mypy and pyright check the assertions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import assert_type

from lucca_training_async import (
    Budget,
    BulkResult,
    BulkStats,
    Failed,
    Found,
    LuccaError,
    LuccaTrainingClient,
    Missing,
    OutcomeStream,
    Progress,
    RealizedTraining,
    RealizedTrainings,
    Refused,
    Settings,
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
        assert_type(result.refused, list[Refused])
        assert_type(result.stopped, LuccaError | None)
        assert_type(result.stats, BulkStats)
        assert_type(client.budget, Budget)
        assert_type(client.settings, Settings)
        assert_type(client.with_options(), LuccaTrainingClient)
        assert_type(client.realized_trainings, RealizedTrainings)

        def tell(progress: Progress) -> None:
            assert_type(progress.done, int)
            assert_type(progress.total, int | None)

        await client.realized_trainings.get_many([1], on_progress=tell, on_outcome=print)

        async def lazily() -> AsyncIterator[int]:
            yield 235

        stream = assert_type(client.realized_trainings.stream(lazily()), OutcomeStream)
        async with stream as outcomes:
            assert_type(outcomes, OutcomeStream)
            async for outcome in outcomes:
                assert_type(outcome, Found | Missing | Failed | Refused)
                if outcome.error is None:
                    assert_type(outcome, Found)
                    assert_type(outcome.training, RealizedTraining)
                else:
                    assert_type(outcome, Missing | Failed | Refused)
                    assert_type(outcome.training, None)
