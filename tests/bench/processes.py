"""Four processes that share a budget, beside one that has it alone.

All of them have endless work, and the way to the server takes each request some time from none to
``JITTER``. What counts is how many requests arrive in the worst period, and how many of them are
answered a second, compared with one process that shares with nobody.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from lucca_training_async import RateLimit

from .server import Served, served

PROCESSES = 4
JITTER = 0.4
WARM_UP, MEASURED = 3.0, 12.0
LEAST_GOODPUT = 0.95


def worker(server: Served, limit: RateLimit, shared: str) -> subprocess.Popen[str]:
    arguments = [server.url, server.api_key, shared, str(limit.requests), str(limit.period)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.worker", *arguments], stdout=subprocess.PIPE, text=True
    )


def goodput(limit: RateLimit, budgets: Sequence[str]) -> tuple[float, int, int]:
    """Records a second of processes with these budgets, the 429s, and the worst window."""
    with served(limit, jitter=JITTER) as server, ExitStack() as stack:
        for budget in budgets:
            process = stack.enter_context(worker(server, limit, budget))
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(WARM_UP)
        began, before = time.perf_counter(), server.answers()
        time.sleep(MEASURED)
        answered, taken = server.answers() - before, time.perf_counter() - began
        return answered / taken, *server.refusals_and_busiest_window()


def compare_processes(limit: RateLimit, budgets: dict[str, str]) -> None:
    print(
        f"{PROCESSES} processes, one budget of {limit.requests} per {limit.period:g} s, "
        f"0 to {JITTER:g} s of jitter, {MEASURED:g} s of endless work"
    )
    alone, refusals, busiest = goodput(limit, [""])
    print(
        f"  one, on its own {alone:6.1f} records/s; busiest window: {busiest} of "
        f"{limit.requests}; 429s: {refusals}"
    )
    for name, url in budgets.items():
        together, refusals, busiest = goodput(limit, [url] * PROCESSES)
        print(
            f"  {PROCESSES}, by {name:<11} {together:6.1f} records/s; busiest window: {busiest} of "
            f"{limit.requests} (target: never more); 429s: {refusals} (target: none); "
            f"ratio {together / alone:.3f} (target: at least {LEAST_GOODPUT})"
        )
