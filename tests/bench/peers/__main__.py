"""Runs every client in turn, again and again, and prints the tables of docs/peers.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from lucca_training_async import RateLimit

from ..server import Served, served
from .clients import ATTEMPTS, NEEDS, WITH_A_BUDGET, WITHOUT_A_BUDGET
from .generated import generate

CONCURRENCY, CONCURRENCY_WITH_A_BUDGET = 10, 30
BASELINE = "bare aiohttp"
# A hundred and twenty times as fast as Lucca's, and the jitter is about as much of it as that of
# a bad line would be of ten seconds.
LIMIT = RateLimit(50, 0.5)
JITTER = 0.2
FAULTS = 0.02
PACKAGES = [
    *("aiohttp", "httpx", "pydantic", "tenacity", "aiolimiter"),
    *("openapi-generator-cli", "openapi-python-client"),
]


class Run(NamedTuple):
    """What a run of one client came to; the worst window and the 429s as the server saw them."""

    found: int
    cpu: float
    seconds: float
    peak: float
    growth: float
    refused: int = 0
    busiest: int = 0


def run(name: str, server: Served, count: int, generated: Path, limit: RateLimit | None) -> Run:
    budget = (0, 0) if limit is None else (limit.requests, limit.period)
    concurrency = CONCURRENCY if limit is None else CONCURRENCY_WITH_A_BUDGET
    arguments = [name, server.url, server.api_key, count, concurrency, *budget]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.peers.worker", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(generated)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured = Run(**json.loads(done.stdout.splitlines()[-1]))
    if limit is None:
        return measured
    refused, busiest = server.refusals_and_busiest_window()
    return measured._replace(refused=refused, busiest=busiest)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and the least and the most if they differ."""
    low, middle, high = (
        f"{it:,.{digits}f}" for it in (min(values), statistics.median(values), max(values))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def without_a_budget(names: list[str], count: int, rounds: int, generated: Path) -> None:
    taken: dict[str, list[Run]] = {name: [] for name in names}
    with served(None) as server:
        for _ in range(rounds):
            for name in names:
                taken[name].append(run(name, server, count, generated, None))
    print(f"\n{count:,} ids, no budget, no faults, {CONCURRENCY} at a time, {rounds} rounds\n")
    row("client", "CPU per request, µs", f"of {BASELINE}", "memory, MB", "of it for the ids, MB")
    row("---", "--:", "--:", "--:", "--:")
    for name, runs in taken.items():
        assert all(it.found == count for it in runs), f"{name} found {[it.found for it in runs]}"
        ratios = [it.cpu / bare.cpu for it, bare in zip(runs, taken[BASELINE], strict=True)]
        cpu = spread([it.cpu for it in runs])
        memory = [spread([it.peak for it in runs]), spread([it.growth for it in runs], 1)]
        row(name, cpu, spread(ratios, 2), *memory)


def with_a_budget(names: list[str], count: int, rounds: int, generated: Path) -> None:
    taken: dict[tuple[float, str], list[Run]] = {}
    for number in range(rounds):
        # The same for all clients of a round.
        faulty = random.Random(number).sample(range(1, count + 1), round(count * FAULTS))
        for jitter in (0.0, JITTER):
            for name in names:
                with served(LIMIT, jitter=jitter, faulty=faulty) as server:
                    found = run(name, server, count, generated, LIMIT)
                taken.setdefault((jitter, name), []).append(found)
    print(
        f"\n{count:,} ids, at most {LIMIT.requests} in any {LIMIT.period:g} s, "
        f"{FAULTS:.0%} faults, "
        f"{CONCURRENCY_WITH_A_BUDGET} at a time, {ATTEMPTS} attempts, rounds: {rounds}; "
        f"ideal: {(count - 1) // LIMIT.requests * LIMIT.period:g} s\n"
    )
    row("latency jitter", "client", "lost", "429s", "worst window", "seconds")
    row("---", "---", "--:", "--:", "--:", "--:")
    for (jitter, name), runs in taken.items():
        lost = spread([count - it.found for it in runs])
        seen = [spread([it.refused for it in runs]), spread([it.busiest for it in runs])]
        seconds = spread([it.seconds for it in runs], 1)
        row(f"0 to {jitter:g} s" if jitter else "none", name, lost, *seen, seconds)


def main() -> None:
    asked = argparse.ArgumentParser(prog="nox -s bench -- peers", description=__doc__)
    asked.add_argument("--ids", type=int, default=5000)
    asked.add_argument("--rounds", type=int, default=5, help="without a budget")
    asked.add_argument("--budget-rounds", type=int, default=1, help="with one; 11 minutes each")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        missing = generate(Path(folder))
        left_out = {name: missing[it] for name, it in NEEDS.items() if it in missing}
        for name, reason in left_out.items():
            print(f"Left out: {name}, since {reason}")
        versions = [f"{name} {version(name)}" for name in PACKAGES if name not in left_out]
        print(f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores")
        names = [name for name in WITHOUT_A_BUDGET if name not in left_out]
        without_a_budget(names, options.ids, options.rounds, Path(folder))
        names = [name for name in WITH_A_BUDGET if name not in left_out]
        with_a_budget(names, options.ids, options.budget_rounds, Path(folder))


if __name__ == "__main__":
    main()
