"""Real processes that share a budget, over real sockets and in real time, killed and stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.window import busiest_window

WORKER = Path(__file__).with_name("budget_worker.py")
LIMIT, PERIOD = 20, 0.5


@contextlib.contextmanager
def worker(sandbox: Sandbox, shared: str) -> Generator[subprocess.Popen[str]]:
    arguments = [sandbox.url, sandbox.api_key, shared, str(LIMIT), str(PERIOD)]
    with subprocess.Popen(
        [sys.executable, str(WORKER), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def most_at_once(sandbox: Sandbox) -> int:
    """How many requests arrived within one period, at the most."""
    times = sorted(arrival.at for arrival in sandbox.arrivals)
    assert len(times) > LIMIT
    return busiest_window(times, PERIOD)


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with Sandbox(rate_limit=None, size=200) as sandbox:
        # A slow way, now and then.
        sandbox.inject(*[Fault.slow(0.1 * (number % 3)) for number in range(1, 400)])
        yield sandbox


@pytest.fixture
def shared(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/lucca.db"


def test_processes_together_stay_within_the_limit(sandbox: Sandbox, shared: str) -> None:
    with worker(sandbox, shared), worker(sandbox, shared), worker(sandbox, shared):
        time.sleep(3)
    assert most_at_once(sandbox) <= LIMIT


def test_a_killed_process_takes_nothing_with_it(sandbox: Sandbox, shared: str) -> None:
    with worker(sandbox, shared), worker(sandbox, shared) as killed:
        time.sleep(1)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        before = len(sandbox.arrivals)
        time.sleep(2)
    assert most_at_once(sandbox) <= LIMIT
    # At most ten of its leases are still held.
    assert len(sandbox.arrivals) - before >= LIMIT // 2 * (2 / PERIOD - 1)


def test_a_stopped_process_sends_nothing_late(sandbox: Sandbox, shared: str) -> None:
    with worker(sandbox, shared), worker(sandbox, shared) as stopped:
        for _ in range(3):
            time.sleep(0.4)
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(0.8)
            stopped.send_signal(signal.SIGCONT)
        time.sleep(1)
    assert most_at_once(sandbox) <= LIMIT
