"""One line per attempt, one per retry, one warning for an announced end."""

from __future__ import annotations

import logging

import pytest

from lucca_training_async.sandbox import Fault

from .support import stage

LOGGER = "lucca_training_async"


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == LOGGER and record.levelno == level
    ]


async def test_attempts_and_retries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with stage() as on:
        on.sandbox.inject(Fault.internal_error(), Fault.drop(), Fault.too_many_requests(2))
        await on.trainings.get(5)
    attempts = lines(caplog, logging.DEBUG)
    assert [line.split(" -> ")[1].split(" in ")[0] for line in attempts] == [
        "500",
        "LuccaConnectionError",
        "429",
        "200",
    ]
    assert "realized-trainings/5" in attempts[0]
    assert attempts[3].endswith("(attempt 4)")
    retries = lines(caplog, logging.INFO)
    assert len(retries) == 3
    assert "attempt 1 of 5 failed: 500 Internal Server Error" in retries[0]
    assert "in 2.00 s" in retries[2]


async def test_nothing_is_logged_at_info_when_all_goes_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    async with stage() as on:
        await on.trainings.get_many(range(1, 21))
    assert lines(caplog, logging.INFO) == []


async def test_an_announced_end_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    async with stage() as on:
        for id in range(1, 6):
            headers = {"Deprecation": f"@179560800{id}", "Sunset": "Thu, 25 Nov 2027 12:00:00 GMT"}
            on.sandbox.inject(Fault.answer(404, headers=headers), id=id)
        await on.trainings.get_many(range(1, 6))
    (warning,) = lines(caplog, logging.WARNING)
    assert "/talent-training/api/v2/realized-trainings:" in warning
    assert "Sunset: Thu, 25 Nov 2027 12:00:00 GMT" in warning
    assert "Deprecation: 2026-11-25" in warning
