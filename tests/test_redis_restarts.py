"""Processes whose server dies, comes back with nothing, or stands still for a while."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest

from lucca_training_async.sandbox import Sandbox

from .processes import FOUND, LIMIT, LOST, Arrivals, all_tell, workers
from .processes import arrivals as arrivals
from .processes import sandbox as sandbox
from .redis_server import HAS_REDIS, RedisServer, redis_server

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not HAS_REDIS, reason="redis, or a server for it, is missing"),
]


@pytest.fixture
def server() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


def test_a_server_that_was_killed_is_done_without_and_found_again(
    sandbox: Sandbox, arrivals: Arrivals, server: RedisServer
) -> None:
    with workers(sandbox, server.url, 2) as both:
        arrivals.come(2 * LIMIT)
        server.stop()
        all_tell(both, LOST)
        arrivals.come(LIMIT)
        server.start()
        all_tell(both, FOUND)
        arrivals.come(2 * LIMIT)
        assert sum(worker.told("may have been lost") for worker in both) >= 1
        assert [worker.told("WARNING") for worker in both] == [
            1 + worker.told("may have been lost") for worker in both
        ]
    assert arrivals.most_at_once() <= LIMIT


def test_a_server_that_restarts_at_once_has_lost_everything(
    sandbox: Sandbox, arrivals: Arrivals, server: RedisServer
) -> None:
    with workers(sandbox, server.url, 2) as both:
        for _ in range(2):
            arrivals.come(2 * LIMIT)
            server.stop()
            server.start()
        arrivals.come(2 * LIMIT)
        assert sum(worker.told("may have been lost") for worker in both) >= 1
    assert arrivals.most_at_once() <= LIMIT


def test_a_server_that_stands_still_is_done_without_and_found_again(
    sandbox: Sandbox, arrivals: Arrivals, server: RedisServer
) -> None:
    with workers(sandbox, server.url, 2) as both:
        arrivals.come(2 * LIMIT)
        server.send(signal.SIGSTOP)
        all_tell(both, LOST)
        arrivals.come(2 * LIMIT)
        server.send(signal.SIGCONT)
        all_tell(both, FOUND)
        arrivals.come(2 * LIMIT)
        assert [worker.told("WARNING") for worker in both] == [1, 1]
    assert arrivals.most_at_once() <= LIMIT
