"""What CI checks, a session for each concern: ``nox`` runs all but those that take very long."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nox

# The first that takes a version manager's shim without a Python behind it for a missing Python.
nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
# A tool that happens to be on the PATH is another version than the one we ask for, or none.
nox.options.error_on_external_run = True
nox.options.sessions = [
    *("tests", "lowest", "integrations", "endurance", "lint", "types", "docs", "package"),
]

PYPROJECT = nox.project.load_toml("pyproject.toml")
# Those that this machine lacks are skipped, but .ci/run makes them an error.
PYTHONS = nox.project.python_versions(PYPROJECT)


def is_here(python: str) -> bool:
    """Whether this machine has that Python; a version manager's shim alone doesn't count."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return True
    found = shutil.which(f"python{python}")
    command = [found, "--version"] if found else ["py", f"-{python}", "--version"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# Not in the classifiers, so that a machine without them passes all the same.
ALSO = PYPROJECT["tool"]["lucca-training-async"]["pythons-where-present"]
PRESENT = [python for python in ALSO if is_here(python)]

# In .ci/run, on the Python on which the README's command has just installed all of it and run the
# suite: what needs no more than that is run there, as each installation takes the better part of a
# minute.
TESTED = os.environ.get("LUCCA_TESTED")
BACKEND = "none" if TESTED else None

ON_ALL_CORES = ["-n", "auto"]
# What kills and restarts real processes takes long, and is the same on each Python.
QUICK = ["-m", "not processes"]

# Bodies and answers, read in whatever state they come.
FUZZED = [f"tests/test_{name}.py" for name in ("fuzz", "wire", "page_reader", "record")]

# What only the session "integrations" can check the types of.
WITH_DLT = ["lucca_training_async/integrations", "tests/integrations"]

# For a session's own Python to run: what counts is what the tests will import.
INSTALLED = """
import sys
from importlib.metadata import version
from packaging.requirements import Requirement
for pin in map(Requirement, sys.argv[1:]):
    assert version(pin.name) in pin.specifier, f"{pin}, but installed is {version(pin.name)}"
"""


@nox.session(python=[*PYTHONS, *PRESENT])
def tests(session: nox.Session) -> None:
    """The suite, on every supported Python; on the newest, how much of the package it reaches."""
    if session.python != PYTHONS[-1]:
        if session.python == TESTED:
            session.skip("the README's command has just run it on this Python")
        session.install("-e", ".[dev]")
        session.run("pytest", *ON_ALL_CORES, *QUICK, *session.posargs)
        return
    session.install("-e", ".[dev]")
    # What an earlier run has left would count as this one's.
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *ON_ALL_CORES, *session.posargs)
    if session.posargs:
        session.warn("The arguments may have narrowed the run, so its coverage isn't checked.")
        return
    if sys.platform != "linux":
        session.warn("What only Linux or POSIX has is left out, so the coverage isn't checked.")
        return
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS[:1])
def lowest(session: nox.Session) -> None:
    """The suite, with the oldest versions of the dependencies that we claim to support."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    optional = [*extras["cli"], *extras["fastapi"], *extras["redis"]]
    claimed = [*project["dependencies"], *optional]
    # Fails on a dependency that has no lower bound, which would not be pinned.
    bounds = [dependency.split(">=", 1) for dependency in claimed]
    pins = [f"{name}=={version}" for name, version in bounds]
    # Together, so that pip refuses what does not go together. The oldest FastAPI's TestClient
    # warns with an anyio that is newer than itself.
    session.install("-e", ".[dev]", *pins, "anyio<4.12")
    session.run("python", "-c", INSTALLED, *pins)
    session.run("pytest", *ON_ALL_CORES, *QUICK, *session.posargs)


@nox.session
def integrations(session: nox.Session) -> None:
    """What needs pandas, polars or dlt: its tests, its types, and the oldest dlt that we claim."""
    (bound,) = PYPROJECT["project"]["optional-dependencies"]["dlt"]
    oldest = bound.replace(">=", "==")
    # Without this the tests would be left out where something is missing.
    env = {"LUCCA_INTEGRATIONS": "1"}
    session.install("-e", ".[dev,dlt]", "duckdb", "pandas", "polars")
    session.run("pytest", "tests/integrations", *session.posargs, env=env)
    session.run("mypy", *WITH_DLT)
    session.run("pyright", "--warnings", "--project", "tests/integrations")
    session.install(oldest)
    session.run("python", "-c", INSTALLED, oldest)
    session.run("pytest", "tests/integrations", *session.posargs, env=env)


def tools(session: nox.Session) -> Callable[..., object]:
    """What runs a module of the development tools: in the session's environment, or in ours."""
    if not TESTED:
        session.install("-e", ".[dev]")
    python = sys.executable if TESTED else "python"

    def run(module: str, *args: str, **env: str) -> object:
        return session.run(python, "-m", module, *args, env=env, external=bool(TESTED))

    return run


@nox.session(venv_backend=BACKEND)
def endurance(session: nox.Session) -> None:
    """The outages of the suite with 10,000 ids each, which take hours of simulated time."""
    run, outages = tools(session), "tests/test_outages_table.py"
    run("pytest", *ON_ALL_CORES, outages, *session.posargs, LUCCA_ENDURANCE="1")


@nox.session(venv_backend=BACKEND)
def lint(session: nox.Session) -> None:
    """Style, common mistakes and spelling."""
    run = tools(session)
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    run("codespell_lib")


@nox.session
def types(session: nox.Session) -> None:
    """Both checkers over package and tests, and a public API without an unknown type."""
    # Not editable: --verifytypes looks for an installed package with a py.typed.
    session.install(".[dev]")
    session.run("mypy")
    session.run("pyright", "--warnings")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "lucca_training_async")


@nox.session(venv_backend=BACKEND)
def docs(session: nox.Session) -> None:
    """The documentation site, into docs/_build/html; warnings are errors."""
    run = tools(session)
    # Afresh: a page that was read before would not warn again, and one with source not be written.
    shutil.rmtree("docs/_build/html", ignore_errors=True)
    run("sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")
    run("docs.check", "docs/_build/html")


@nox.session
def picture(session: nox.Session) -> None:
    """The picture of the demo that README shows, docs/demo.svg, anew."""
    session.install("-e", ".[cli]")
    session.run("python", "docs/picture.py")


@nox.session
def package(session: nox.Session) -> None:
    """Sdist and wheel, into dist/: each built, installed and used where there is no source tree."""
    smoke = Path("tests/smoke.py").resolve()
    dist = Path("dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    session.install("hatchling>=1.27")
    session.run("python", "-m", "hatchling", "build", "-d", str(dist))
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    folder = session.create_tmp()
    session.chdir(folder)
    for built, options in (
        (wheel, []),
        # By the hatchling that is there: it has built the other one, too.
        (sdist, ["--force-reinstall", "--no-deps", "--no-build-isolation"]),
    ):
        session.install(*options, str(built))
        session.run("python", "-I", "-W", "error", str(smoke), built.name)
        session.run("lucca-training-async", "--version")


@nox.session
def fuzz(session: nox.Session) -> None:
    """The converter and the reading of answers, with so many examples each: ``-- 20000``."""
    examples, *options = session.posargs or ["5000"]
    session.install("-e", ".[dev]")
    session.run(
        *("pytest", *ON_ALL_CORES, "--timeout=3600", *FUZZED, *options),
        env={"LUCCA_FUZZ": examples},
    )


@nox.session
def mutation(session: nox.Session) -> None:
    """Which changes of the code no test notices: ``-- AREA [MODULE...]``; alone it lists them."""
    session.install("-e", ".[dev]", "cosmic-ray>=8.7")
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ours beside its targets, or, with ``-- peers``, beside other clients: it fails nobody."""
    session.install("-e", ".[dev]")
    part, *options = session.posargs or ["targets"]
    if part == "peers":
        # What is generated isn't typed as strictly as we are, and nobody needs it but this.
        session.install("-r", "tests/bench/peers/requirements.txt")
        session.run("python", "-m", "tests.bench.peers", *options)
    elif part == "targets":
        session.run("python", "-m", "tests.bench", *options)
    else:
        session.error(f"There is no part {part!r}: it is targets or peers.")
