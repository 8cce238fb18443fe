"""Processes that share a budget, for tests to kill and to stop; what they tell, what they send."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Self

import pytest

from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.window import busiest_window

from .redis_server import HAS_REDIS, redis_server

WORKER = Path(__file__).with_name("budget_worker.py")
LIMIT, PERIOD = 10, 0.25
LOST, FOUND = "can't be reached", "is reached again"
_PATIENCE = 30.0


def wait_until(so: Callable[[], bool], what: object) -> None:
    """However busy the machine is."""
    end = time.monotonic() + _PATIENCE
    while not so():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Worker:
    """A process that fetches as much as it may, until its block is left.

    Attributes:
        lines: What it has told so far.
        pid: Its number.
    """

    def __init__(self, sandbox: Sandbox, shared: str) -> None:
        arguments = [sandbox.url, sandbox.api_key, shared, str(LIMIT), str(PERIOD)]
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid: int = self._process.pid
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self.lines.extend(line.strip() for line in lines)

    def told(self, text: str) -> int:
        """In how many lines."""
        return sum(text in line for line in self.lines)

    def tells(self, text: str, *, times: int = 1) -> None:
        """Wait until it has."""
        wait_until(lambda: self.told(text) >= times, (text, self.lines))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.contextmanager
def workers(sandbox: Sandbox, shared: str, number: int) -> Generator[list[Worker]]:
    """So many that know of each other; none may have failed at the end."""
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(Worker(sandbox, shared)) for _ in range(number)]
        for worker in started:
            worker.tells("ready")
        yield started
    for worker in started:
        assert worker.told("Traceback") == 0, worker.lines


def all_tell(told: Iterable[Worker], text: str) -> None:
    """Wait until each of them has."""
    for worker in told:
        worker.tells(text)


class Arrivals:
    """What a sandbox has seen of all of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __len__(self) -> int:
        return len(self._sandbox.arrivals)

    def come(self, number: int) -> None:
        """Wait until so many more have come."""
        before = len(self)
        wait_until(lambda: len(self) >= before + number, "nothing is sent")

    def most_at_once(self) -> int:
        """Within one period."""
        times = sorted(arrival.at for arrival in self._sandbox.arrivals)
        assert len(times) > LIMIT
        return busiest_window(times, PERIOD)


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with Sandbox(rate_limit=None, size=200) as sandbox:
        # A slow way, now and then.
        sandbox.inject(*[Fault.slow(0.05 * (number % 3)) for number in range(1, 400)])
        yield sandbox


@pytest.fixture
def arrivals(sandbox: Sandbox) -> Arrivals:
    return Arrivals(sandbox)


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """A ledger of its own for each test."""
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/lucca.db"
    elif HAS_REDIS:
        with redis_server() as server:
            yield server.url
    else:
        pytest.skip("redis, or a server for it, is missing")
