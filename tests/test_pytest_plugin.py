"""The pytest plugin, in runs of its own: what it costs who doesn't use it, and who does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULE = "_lucca_training_async_pytest.py"

NOTHING_OF_OURS = """
import sys

def test_nothing_heavy_is_there(pytestconfig):
    assert "_lucca_training_async_pytest" in sys.modules
    assert "aiohttp" not in sys.modules
    assert "lucca_training_async" not in sys.modules
"""
SYNCHRONOUS = """
import json
import urllib.request

def test_the_sandbox(lucca_sandbox):
    request = urllib.request.Request(
        lucca_sandbox.url + "/talent-training/api/v2/realized-trainings/7",
        headers={"Authorization": f"lucca application={lucca_sandbox.api_key}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["id"] == 7
    assert [arrival.id for arrival in lucca_sandbox.arrivals] == ["7"]
"""
A_LOOP_OF_ITS_OWN = """
import asyncio

def test_the_client(lucca_client):
    async def main():
        return (await lucca_client.realized_trainings.get(235)).owner_id

    assert asyncio.run(main()) == 416

def test_a_client_that_is_not_used(lucca_client):
    assert lucca_client.budget.in_use == 0
"""
PYTEST_ASYNCIO = """
import pytest
from lucca_training_async import ServerError
from lucca_training_async.sandbox import Fault

@pytest.mark.asyncio
async def test_the_client(lucca_client, lucca_sandbox):
    lucca_sandbox.inject(Fault.internal_error(), Fault.internal_error(), id=7)
    assert (await lucca_client.realized_trainings.get(7)).id == 7
    assert [arrival.status for arrival in lucca_sandbox.arrivals] == [500, 500, 200]

@pytest.mark.asyncio
async def test_the_attempts_have_an_end(lucca_client, lucca_sandbox):
    lucca_sandbox.inject_always(Fault.internal_error(), id=7)
    with pytest.raises(ServerError) as caught:
        await lucca_client.realized_trainings.get(7)
    assert caught.value.attempts == lucca_client.settings.retry.max_attempts

@pytest.mark.asyncio
async def test_a_client_that_the_test_has_closed(lucca_client):
    async with lucca_client:
        await lucca_client.realized_trainings.get(7)

@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_loop_that_lives_on(lucca_client):
    await lucca_client.realized_trainings.get(7)

@pytest.mark.asyncio(loop_scope="module")
async def test_in_the_same_loop(lucca_client):
    await lucca_client.realized_trainings.get(7)
"""
ANYIO = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_the_client(lucca_client):
    assert (await lucca_client.realized_trainings.get(7)).id == 7
"""
FASTAPI = """
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lucca_training_async import LuccaTrainingClient
from lucca_training_async.sandbox import Sandbox

@asynccontextmanager
async def lifespan(app):
    async with LuccaTrainingClient.from_env() as app.state.lucca:
        yield

app = FastAPI(lifespan=lifespan)

@app.get("/{id}")
async def hours(id: int):
    return str((await app.state.lucca.realized_trainings.get(id)).duration_in_hours)

def test_a_backend(monkeypatch):
    with Sandbox(rate_limit=None) as sandbox:
        monkeypatch.setenv("LUCCA_HOST", sandbox.url)
        monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
        with TestClient(app) as web:
            assert web.get("/235").json() == "14"

@pytest.fixture
def web(lucca_client):
    backend = FastAPI()

    @backend.get("/{id}")
    async def hours(id: int):
        return str((await lucca_client.realized_trainings.get(id)).duration_in_hours)

    with TestClient(backend) as web:
        yield web

def test_a_backend_with_the_fixtures(web):
    assert web.get("/235").json() == "14"
"""
MY_BACKEND = """
from contextlib import asynccontextmanager

from fastapi import FastAPI
from lucca_training_async import LuccaTrainingClient

async def hours_of(client, id):
    return (await client.realized_trainings.get(id)).duration_in_hours

@asynccontextmanager
async def lifespan(app):
    async with LuccaTrainingClient.from_env() as app.state.lucca:
        yield

app = FastAPI(lifespan=lifespan)

@app.get("/trainings/{id}")
async def training(id: int):
    return {"hours": str(await hours_of(app.state.lucca, id))}
"""
WHERE_FROM = """
import sys

async def ask(client):
    return (await client.realized_trainings.get(235)).id

def test_it_comes_from_there(lucca_client):
    import asyncio
    assert asyncio.run(ask(lucca_client)) == 235
    for name in ("_lucca_training_async_pytest", "lucca_training_async"):
        assert sys.modules[name].__file__.startswith({installed!r})
"""


def run_pytest(folder: Path, test: str, *options: str, path: Path | None = None) -> None:
    """A run in a process of its own, with warnings as errors, in which all must pass."""
    (folder / "test_theirs.py").write_text(test)
    settings = "filterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *options,
            "test_theirs.py",
        ],
        cwd=folder,
        env=os.environ if path is None else os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_run_that_does_not_use_it_imports_nothing_heavy(tmp_path: Path) -> None:
    run_pytest(tmp_path, NOTHING_OF_OURS)


@pytest.mark.parametrize(
    "test",
    [SYNCHRONOUS, A_LOOP_OF_ITS_OWN, PYTEST_ASYNCIO, ANYIO, FASTAPI],
    ids=["sync", "asyncio.run", "pytest-asyncio", "anyio", "FastAPI"],
)
def test_the_fixtures(test: str, tmp_path: Path) -> None:
    run_pytest(tmp_path, test)


def test_pytest_asyncio_in_auto_mode(tmp_path: Path) -> None:
    run_pytest(tmp_path, PYTEST_ASYNCIO, "--asyncio-mode=auto")


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    (example,) = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_backend.py").write_text(MY_BACKEND)
    run_pytest(tmp_path, example, "--asyncio-mode=auto")


def test_pytest_shows_the_fixtures(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "lucca_sandbox" in done.stdout
    assert "lucca_client" in done.stdout


def build(source: Path, to: Path, target: str) -> Path:
    """What hatchling makes of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(to)]
    subprocess.run(command, cwd=source, check=True, timeout=100, capture_output=True)
    (built,) = to.iterdir()
    return built


@pytest.mark.parametrize("by_way_of_an_sdist", [False, True], ids=["wheel", "sdist to wheel"])
def test_a_built_wheel_has_it_once_and_works(by_way_of_an_sdist: bool, tmp_path: Path) -> None:
    source = ROOT
    if by_way_of_an_sdist:
        with tarfile.open(build(ROOT, tmp_path / "sdist", "sdist")) as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
        (source,) = (tmp_path / "unpacked").iterdir()
        for needed in (".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml"):
            assert (source / needed).is_file()  # its tests read it
    installed = tmp_path / "installed"
    with zipfile.ZipFile(build(source, tmp_path / "wheel", "wheel")) as wheel:
        names = wheel.namelist()
        assert [name for name in names if "_lucca_training_async_pytest" in name] == [MODULE]
        wheel.extractall(installed)
    # It comes before the package that these tests have installed.
    run_pytest(tmp_path, WHERE_FROM.format(installed=str(installed)), path=installed)
    run_pytest(tmp_path, NOTHING_OF_OURS, path=installed)
