"""What ``export`` tells while it runs, where stderr is no terminal."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from lucca_training_async import Budget
from lucca_training_async.cli.export.progress import Standing, Tally, standing
from lucca_training_async.cli.export.telling import telling

NAME = "lucca_training_async.export"


async def test_a_line_every_30_seconds(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(total=9)

    def look() -> Standing:
        tally.done += 1
        return standing(tally, Budget(50), 60.0, 1, datetime.now(UTC))

    with caplog.at_level(logging.INFO, NAME):
        async with telling(look, wants_bar=True):
            await asyncio.sleep(29)
            assert not caplog.records
            await asyncio.sleep(62)
    lines = [record.getMessage() for record in caplog.records]
    assert [line[:15] for line in lines] == [
        "1 of 9 records,",
        "2 of 9 records,",
        "3 of 9 records,",
    ]
    assert caplog.records[0].__dict__["told"]["progress"]["done"] == 1


async def test_a_look_that_fails_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> Standing:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with telling(look, wants_bar=False):
            await asyncio.sleep(31)
