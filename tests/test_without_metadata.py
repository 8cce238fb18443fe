"""The package imports where nobody has kept its metadata: a zip, a copied folder, a bundle."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import lucca_training_async

PACKAGE = Path(lucca_training_async.__file__).parent
NAME = PACKAGE.name

# As a bundler leaves it out: everything else is as it was installed.
HIDE = """
import importlib.metadata as metadata, sys
discover = metadata.Distribution.discover.__func__
def hidden(cls, **options):
    found = discover(cls, **options)
    return (one for one in found if one.name.lower().replace("_", "-") != "lucca-training-async")
metadata.Distribution.discover = classmethod(hidden)
"""
USE = """
import asyncio
import lucca_training_async as package
from lucca_training_async import LuccaTrainingClient, cli, sandbox
from lucca_training_async._http.session import USER_AGENT

async def main():
    async with sandbox.Sandbox() as running:
        async with LuccaTrainingClient(running.url, running.api_key) as client:
            return (await client.realized_trainings.get(235)).id

print(package.__file__, package.__version__, asyncio.run(main()), USER_AGENT, sep="|")
"""


def used(*paths: Path, hide: bool) -> list[str]:
    """What a new process tells that imports the package from there, and uses it."""
    first = f"import sys\nsys.path[:0] = {[str(path) for path in paths]!r}\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", first + (HIDE if hide else "") + USE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


def folder(at: Path) -> Path:
    shutil.copytree(PACKAGE, at / NAME, ignore=shutil.ignore_patterns("__pycache__"))
    return at


def zipped(at: Path) -> Path:
    archive = at / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        for path in sorted(PACKAGE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                bundle.write(path, path.relative_to(PACKAGE.parent))
    return archive


@pytest.mark.parametrize("make", [folder, zipped])
def test_it_works_without_its_metadata(make: Callable[[Path], Path], tmp_path: Path) -> None:
    where = make(tmp_path)
    file, version, id, agent = used(where, hide=True)
    assert file.startswith(str(where))
    assert (version, id) == ("unknown", "235")
    assert agent.startswith("lucca-training-async/unknown aiohttp/")


@pytest.mark.parametrize("make", [folder, zipped])
def test_the_test_above_would_notice_the_metadata(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    file, version, *_ = used(make(tmp_path), hide=False)
    assert file.startswith(str(tmp_path))
    assert version == lucca_training_async.__version__


def test_the_installed_package_knows_its_version() -> None:
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+.*", lucca_training_async.__version__)
