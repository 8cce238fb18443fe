"""What CI checks, a session for each concern: ``nox`` runs them all but the benchmark."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
# A tool that happens to be on the PATH is another version than the one we ask for, or none.
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lowest", "lint", "types", "docs"]

ROOT = Path(__file__).parent


def _runs(python: str) -> bool:
    """Whether this machine has it; a version manager's shim may be there and not work."""
    try:
        return subprocess.run([f"python{python}", "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


SUPPORTED = ["3.11", "3.12", "3.13"]
PYTHONS = [python for python in SUPPORTED if _runs(python)]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite, on every supported Python, and how much of the package it reaches."""
    session.install("-e", ".[dev]")
    # What an earlier run has left would count as this one's.
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    if session.posargs:
        session.warn("The arguments may have narrowed the run, so its coverage isn't checked.")
        return
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS[:1])
def lowest(session: nox.Session) -> None:
    """The suite, with the oldest versions of the core's dependencies that we claim to support."""
    session.install("-e", ".[dev]")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    session.install(*(re.sub(">=", "==", dependency) for dependency in project["dependencies"]))
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Both checkers over package and tests, and a public API without an unknown type."""
    # Not editable: --verifytypes looks for an installed package with a py.typed.
    session.install(".[dev]")
    session.run("mypy")
    session.run("pyright", "--warnings")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "lucca_training_async")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, into docs/_build/html; warnings are errors."""
    session.install("-e", ".[dev]")
    # Afresh: a page that was read before would not warn again.
    session.run(
        *("sphinx-build", "-W", "--keep-going", "--fresh-env"),
        *("-b", "html", "docs", "docs/_build/html"),
    )


@nox.session
def bench(session: nox.Session) -> None:
    """CPU, memory and time beside their targets, to be read: a busy machine must not fail us."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.bench")
