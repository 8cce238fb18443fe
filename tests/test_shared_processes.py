"""Real processes that share a budget, over real sockets and in real time, killed and stopped."""

from __future__ import annotations

import signal
import time

import pytest

from lucca_training_async.sandbox import Sandbox

from .posix import posix
from .processes import LIMIT, LOST, PERIOD, Arrivals, workers
from .processes import arrivals as arrivals
from .processes import sandbox as sandbox
from .processes import shared as shared

pytestmark = pytest.mark.processes


def test_a_killed_process_takes_nothing_with_it(
    sandbox: Sandbox, arrivals: Arrivals, shared: str
) -> None:
    with workers(sandbox, shared, 3) as (killed, *others):
        arrivals.come(2 * LIMIT)
        killed.kill()
        # At most a third of its leases are still held.
        arrivals.come(3 * LIMIT)
        assert [other.told(LOST) for other in others] == [0, 0]
    assert arrivals.most_at_once() <= LIMIT


@posix
def test_a_stopped_process_sends_nothing_late(
    sandbox: Sandbox, arrivals: Arrivals, shared: str
) -> None:
    with workers(sandbox, shared, 2) as (stopped, _):
        for _ in range(3):
            arrivals.come(LIMIT)
            stopped.send(signal.SIGSTOP)
            time.sleep(1.5 * PERIOD)
            stopped.send(signal.SIGCONT)
        arrivals.come(LIMIT)
    assert arrivals.most_at_once() <= LIMIT
