"""The strict window of the sandbox, and the measure that the tests of the budget go by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import RateLimit
from lucca_training_async.sandbox.window import SlidingWindow, busiest_window


@pytest.mark.parametrize(
    ("times", "busiest"),
    [
        ([], 0),
        ([1.0], 1),
        ([0.0, 59.0, 60.0], 2),
        ([0.0, 60.0], 1),
        ([0.0, 0.0, 59.9], 3),
        ([0.0, 30.0, 60.0, 90.0, 119.0], 3),
    ],
)
def test_busiest_window(times: list[float], busiest: int) -> None:
    assert busiest_window(times, 60.0) == busiest


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(1, 5))
def test_the_servers_window_admits_the_limit_and_no_more(times: list[float], limit: int) -> None:
    window = SlidingWindow(RateLimit(limit, 10.0))
    admitted: list[float] = []
    for time in sorted(times):
        seconds = window.refused_for(time)
        if seconds is None:
            admitted.append(time)
        else:
            assert sum(time - 10.0 < at for at in admitted) == limit
            assert 0 <= seconds <= 10.0 + 1e-9
    assert busiest_window(admitted, 10.0) <= limit
