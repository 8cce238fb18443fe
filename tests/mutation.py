"""Changes the code in one place at a time and asks the tests: what ``nox -s mutation`` runs.

cosmic-ray makes the changes, in copies of this repository, one for each core. What no test
notices has "survived": a test is missing, or the change makes no difference, which only a person
can tell. So the score says little by itself, and the list of the survivors is what is to be read.
An area has some thousand changes, which take hours: ``--sample`` tries some of each module.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import attrs

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lucca_training_async"
COPIED = ["lucca_training_async", "tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md"]
# Enough for a change that matters: Hypothesis is run for each of them.
EXAMPLES = "30"
LONGEST_RUN = 180.0
# Here a ``|`` stands between types, nearly always, where a change of it changes nothing; and what
# is compared by ``is`` (None, a type, a member) is equal to itself alone.
NEVER_CHANGED = [
    "core/ReplaceBinaryOperator_BitOr_.*",
    "core/ReplaceComparisonOperator_(Is_Eq|IsNot_NotEq)",
]


class Area(NamedTuple):
    """What is changed, and which tests are asked, the quickest first."""

    modules: list[str]
    tests: list[str]


AREAS = {
    "converter": Area(
        ["models/_converter.py", "models/_hooks.py", "models/_json.py", "models/_readers.py"],
        ["json_text", "list_gaps", "wire", "page_reader", "rows", "record", "fuzz"],
    ),
    "_budget": Area(
        ["_budget/*.py"],
        [
            *("window", "closures", "gate*", "lanes", "ledger*", "budget*", "people_first"),
            *("shared_*", "sqlite_*", "redis_*", "outages", "client"),
        ],
    ),
    "_bulk": Area(
        ["_bulk/*.py"],
        [
            *("ids", "outcomes", "generators", "progress", "bulk*", "stream*", "stops"),
            *("plan*", "hopeless", "outages", "poison"),
        ],
    ),
    "_http": Area(
        ["_http/*.py"],
        [
            *("retry", "responses", "problem", "health", "flights", "redaction*", "get", "errors"),
            *("bodies", "body_cap", "connections", "session", "closing", "on_attempt", "blame"),
            *("logging", "proxies", "right_record", "unreached", "security", "outages", "fuzz"),
        ],
    ),
}


@attrs.frozen
class Tally:
    """What became of the changes of one module."""

    module: str
    changes: int
    survivors: list[dict[str, Any]]
    seconds: float

    def tell(self) -> None:
        for survivor in self.survivors:
            print(f"\n{survivor['operator']}, the {survivor['occurrence'] + 1}. of its kind")
            print("\n".join(survivor["diff"].splitlines()[2:]))
        print(f"\n{shown(self.module, self.changes, len(self.survivors))} ({self.seconds:.0f} s)")


def shown(name: str, changes: int, survived: int) -> str:
    score = 100 * (changes - survived) / changes if changes else 100.0
    return f"{name}: {changes - survived} of {changes} changes noticed, {score:.1f} %"


def modules_of(area: Area, wanted: list[str]) -> list[str]:
    """Those of an area, or the ones among them that somebody asks for by name."""
    found = [path for pattern in area.modules for path in sorted(PACKAGE.glob(pattern))]
    named = [it for it in found if it.stem != "__init__"]
    if wanted:
        named = [it for it in named if it.stem.strip("_") in {name.strip("_") for name in wanted}]
    if not named:
        raise SystemExit(f"There is none of {wanted}; there are {[path.stem for path in found]}.")
    return [path.relative_to(ROOT).as_posix() for path in named]


def tests_of(area: Area) -> list[str]:
    paths = [path for it in area.tests for path in sorted(ROOT.glob(f"tests/test_{it}.py"))]
    return [path.relative_to(ROOT).as_posix() for path in dict.fromkeys(paths)]


def command(tests: list[str]) -> str:
    # Not by the cache: every copy would remember what another change has done.
    options = "-x -q --no-header --tb=no -p no:cacheprovider --timeout=60"
    return f"{sys.executable} -m pytest {options} {' '.join(tests)}"


def run(folder: Path, *arguments: str) -> str:
    """A command of cosmic-ray's in a copy."""
    found = Path(sys.executable).parent / arguments[0]
    # What is changed must be what is imported, also by the processes that tests start.
    env = os.environ | {"LUCCA_FUZZ": EXAMPLES, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [str(found), *arguments[1:]],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def skip_all_but(session: Path, sample: int) -> None:
    """Leave as many changes to try, drawn by chance, the same ones each time."""
    # Not a dependency of the tests, which are to be type-checked without it.
    work_db: Any = importlib.import_module("cosmic_ray.work_db")
    work_item: Any = importlib.import_module("cosmic_ray.work_item")
    skipped = work_item.WorkResult(worker_outcome=work_item.WorkerOutcome.SKIPPED)
    with work_db.use_db(str(session)) as changes:
        pending = [item.job_id for item in changes.pending_work_items]
        for job in random.Random(0).sample(range(len(pending)), max(len(pending) - sample, 0)):
            changes.set_result(pending[job], skipped)


def change(folder: Path, module: str, tests: list[str], sample: int | None) -> Tally:
    """Try the changes of a module in a copy, which is as before afterwards."""
    began = time.monotonic()
    never = "\n".join(f'  "{pattern}",' for pattern in NEVER_CHANGED)
    (folder / "cosmic.toml").write_text(f"""
[cosmic-ray]
module-path = "{module}"
timeout = {LONGEST_RUN}
excluded-modules = []
test-command = "{command(tests)}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [
{never}
]
""")
    (folder / "session.sqlite").unlink(missing_ok=True)
    run(folder, "cosmic-ray", "init", "cosmic.toml", "session.sqlite")
    run(folder, "cr-filter-operators", "session.sqlite", "cosmic.toml")
    if sample is not None:
        skip_all_but(folder / "session.sqlite", sample)
    run(folder, "cosmic-ray", "exec", "cosmic.toml", "session.sqlite")
    survivors: list[dict[str, Any]] = []
    changes = 0
    for line in run(folder, "cosmic-ray", "dump", "session.sqlite").splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        if result["worker_outcome"] != "normal":
            # Of an exception with a dotted name cosmic-ray can't make another, say.
            print(f"{module}: not tried, {result['output'].splitlines()[-1]}")
            continue
        changes += 1
        if result["test_outcome"] == "survived":
            (mutation,) = item["mutations"]
            operator = mutation["operator_name"].removeprefix("core/")
            survivors.append(
                {
                    "operator": operator,
                    "occurrence": mutation["occurrence"],
                    "diff": result["diff"],
                }
            )
    return Tally(module, changes, survivors, time.monotonic() - began)


def copy_to(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__", "_build", ".hypothesis")
            shutil.copytree(source, folder / name, ignore=leave)
        else:
            shutil.copy(source, folder / name)
    return folder


def main(name: str, wanted: list[str], sample: int | None) -> None:
    area = AREAS[name]
    modules, tests = modules_of(area, wanted), tests_of(area)
    with tempfile.TemporaryDirectory() as scratch:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(min(os.cpu_count() or 1, len(modules))):
            copies.put(copy_to(Path(scratch) / str(number)))
        # What fails as it is would "notice" every change.
        first = copies.get()
        run(first, *command(tests).split())
        copies.put(first)

        def in_a_copy(module: str) -> Tally:
            folder = copies.get()
            try:
                return change(folder, module, tests, sample)
            finally:
                copies.put(folder)

        tallies: list[Tally] = []
        with ThreadPoolExecutor(copies.qsize()) as pool:
            for tally in pool.map(in_a_copy, modules):
                tally.tell()
                tallies.append(tally)
    print("\n" + "\n".join(shown(it.module, it.changes, len(it.survivors)) for it in tallies))
    survived = sum(len(it.survivors) for it in tallies)
    print(shown(f"All of {name} that was changed", sum(it.changes for it in tallies), survived))


def asked() -> argparse.Namespace:
    told = {name: [Path(it).stem for it in modules_of(area, [])] for name, area in AREAS.items()}
    parser = argparse.ArgumentParser(
        prog="nox -s mutation --",
        description="Change the code of an area, or of some of its modules, and ask the tests.",
        epilog="\n".join(f"{name}: {' '.join(stems)}" for name, stems in told.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("module", nargs="*", help="all of them by default")
    parser.add_argument("--sample", type=int, metavar="N", help="N changes of each, by chance")
    return parser.parse_args(sys.argv[1:] or ["--help"])


if __name__ == "__main__":
    options = asked()
    main(options.area, options.module, options.sample)
