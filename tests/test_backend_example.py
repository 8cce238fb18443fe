"""The backend of the documentation, under uvicorn with two workers, asked over HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from queue import Queue
from typing import Any

import aiohttp
import pytest

from lucca_training_async import RealizedTraining
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training

from .posix import posix
from .web_server import asked

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.real_time

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
README = Path(__file__).parent.parent / "README.md"


class Uvicorn:
    """The example in processes of its own.

    Attributes:
        url: Where it listens: on a port that the system gave it.
        log: The lines that it has written.
    """

    def __init__(self, *arguments: str, **env: str) -> None:
        command = [sys.executable, "-m", "uvicorn", *arguments, "--port", "0"]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | env
        )
        self._lines: Queue[str | None] = Queue()
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.told(r"running on (http://\S+)")[0]

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def told(self, pattern: str) -> list[str]:
        """What a line tells, which is waited for."""
        while (line := self._lines.get(timeout=60)) is not None:
            self.log.append(line)
            if match := re.search(pattern, line):
                return list(match.groups())
        raise AssertionError("".join(self.log))

    def end(self) -> int:
        """The exit code, once it has ended as it is meant to end."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._finish()
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._finish()

    def _finish(self) -> None:
        self._reader.join(60)
        while not self._lines.empty():
            line = self._lines.get()
            self.log += [] if line is None else [line]


@contextmanager
def backend(sandbox: Sandbox, folder: Path) -> Generator[Uvicorn, None, None]:
    """Two workers that have started."""
    server = Uvicorn(
        "backend:app",
        *("--app-dir", str(EXAMPLES), "--workers", "2"),
        LUCCA_HOST=sandbox.url,
        LUCCA_API_KEY=sandbox.api_key,
        LUCCA_SHARED_BUDGET=f"sqlite://{folder / 'lucca.db'}",
        EXPORTS=str(folder / "exports"),
    )
    try:
        for _ in range(2):
            server.told("(Application startup complete)")
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def asking(url: str) -> AsyncGenerator[aiohttp.ClientSession, None]:
    # A connection for each request, so that both workers get some.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        yield session


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(missing={13}, size=300, keep_alive=False) as running:
        yield running


@posix
async def test_the_backend_of_the_documentation(sandbox: Sandbox, tmp_path: Path) -> None:
    with backend(sandbox, tmp_path) as server:
        async with asking(server.url) as web:
            await the_pages_are_right(web)
            await the_errors_are_right(web, sandbox)
            await an_export_is_made(web)
            await two_workers_share_the_budget(web)
            await the_schema_is_right(web)
            await an_export_is_under_way(web, sandbox)
            assert list((tmp_path / "exports").glob("*.part"))
        assert sandbox.busiest_window() <= 50
        assert server.end() == 0
    assert not list((tmp_path / "exports").glob("*.part"))
    log = "".join(server.log)
    assert log.count("Application shutdown complete") == 2
    assert "Traceback" not in log
    assert sandbox.api_key not in log


async def the_pages_are_right(web: aiohttp.ClientSession) -> None:
    page = await asked(web, "/trainings/235")
    assert (page.status, page.json["durationInHours"]) == (200, 14)
    several = await asked(web, "/trainings?id=7&id=8&id=13")
    assert several.json.keys() == {"7", "8"}
    for id, told in several.json.items():
        hours = realized_training(int(id))["durationInHours"]
        assert told["durationInHours"] == Decimal(str(hours))
    some = await asked(web, "/employees/416/trainings")
    assert [it["ownerId"] for it in some.json] == [416] * len(some.json)
    assert 235 in [it["id"] for it in some.json]


async def the_errors_are_right(web: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert (await asked(web, "/trainings/0")).status == 422
    assert (await asked(web, "/employees/0/trainings")).status == 422
    assert (await asked(web, "/trainings/13")).status == 404
    sandbox.inject(Fault.error(401, detail="INNER"), id=8)
    refused = await asked(web, "/trainings/8")
    assert (refused.status, refused.headers["Content-Type"]) == (502, "application/problem+json")
    assert "INNER" not in refused.text


async def an_export_is_made(web: aiohttp.ClientSession) -> None:
    begun = await asked(web, "/exports", method="POST")
    assert begun.status == 202
    path = f"/exports/{begun.json['export']}"
    while (file := await asked(web, path)).status == 404:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    records = [RealizedTraining.from_json(line) for line in file.text.splitlines()]
    assert len(records) == 299
    assert (await asked(web, "/exports/00000000-0000-0000-0000-000000000000")).status == 404


async def an_export_is_under_way(web: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    sandbox.inject(Fault.slow(1000))
    before = len(sandbox.arrivals)
    assert (await asked(web, "/exports", method="POST")).status == 202
    while len(sandbox.arrivals) == before:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def two_workers_share_the_budget(web: aiohttp.ClientSession) -> None:
    async def told() -> dict[str, Any]:
        answer: dict[str, Any] = (await asked(web, "/budget")).json
        return answer

    # Each worker knows what it has seen when it asked last.
    while (budget := await told())["clients"] < 2 or budget["inUse"] <= 5:
        await asked(web, "/trainings/13")
    assert (budget["limit"], budget["alone"]) == (50, False)


async def the_schema_is_right(web: aiohttp.ClientSession) -> None:
    openapi = (await asked(web, "/openapi.json")).json
    (content,) = openapi["paths"]["/trainings/{id}"]["get"]["responses"]["200"]["content"].values()
    assert content["schema"] == {"$ref": "#/components/schemas/RealizedTraining"}
    members = openapi["components"]["schemas"]["RealizedTraining"]["properties"]
    assert members["durationInHours"]["type"] == "number"
    assert members["sessionEndsOn"]["format"] == "date"
    page = await asked(web, "/docs")
    assert (page.status, "swagger-ui" in page.text) == (200, True)


def test_the_tests_of_the_documentation(tmp_path: Path) -> None:
    settings = "filterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}")
    theirs = str(EXAMPLES / "test_backend.py")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-c", str(tmp_path / "pytest.ini"), theirs),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


async def test_the_lines_in_the_readme(sandbox: Sandbox, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```py\n(.*?)```", README.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "main.py").write_text(code)
    server = Uvicorn(
        *("main:app", "--app-dir", str(tmp_path)),
        LUCCA_HOST=sandbox.url,
        LUCCA_API_KEY=sandbox.api_key,
    )
    try:
        async with asking(server.url) as web:
            assert (await asked(web, "/trainings/235")).json["durationInHours"] == 14
            assert (await asked(web, "/trainings/0")).status == 422
        server.end()
    finally:
        server.kill()
