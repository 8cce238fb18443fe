"""No command writes the key anywhere, whatever the other side does with it."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from aiohttp import web

from lucca_training_async.sandbox import Fault, Sandbox

from .command_line import KEY, Told, call, run

pytestmark = pytest.mark.processes

COMMANDS = [["check"], ["get", "1", "2"], ["get", "1", "--json"]]
LOUD = [[], ["--verbose"], ["--verbose", "--log-json"]]


def echo(status: int, content_type: str) -> Fault:
    """A server, or a proxy, that repeats the headers it was sent."""

    async def apply(request: web.Request, _: web.Response) -> web.StreamResponse:
        said = request.headers["Authorization"]
        problem = json.dumps({"title": said, "detail": said.replace(" ", "\\u0020"), said: said})
        body = problem if "json" in content_type else f"<p>{said}"
        headers = {"X-Request-Id": said, "Location": f"/{said}", "Deprecation": said}
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return Fault("echo", apply)


ECHOES = {
    "none": None,
    "refused": echo(401, "application/problem+json"),
    "no right": echo(403, "application/problem+json"),
    "failed": echo(400, "application/json"),
    "page": echo(200, "text/html"),
    "record": echo(200, "application/json"),
    "redirect": echo(302, "text/html"),
}


@pytest.fixture(params=ECHOES)
def sandbox(request: pytest.FixtureRequest) -> Generator[Sandbox, None, None]:
    fault = ECHOES[request.param]
    with Sandbox(api_key=KEY, rate_limit=None, fault=lambda: fault) as running:
        yield running


def assert_is_clean(told: Told) -> None:
    everything = told.out + told.err
    assert KEY not in everything
    assert KEY[:8] not in everything
    assert "Traceback" not in everything


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_from_the_environment(command: list[str], sandbox: Sandbox) -> None:
    told = call(*command, "--verbose", LUCCA_HOST=sandbox.url, LUCCA_API_KEY=KEY)
    assert told.out + told.err
    assert sandbox.arrivals
    assert_is_clean(told)


@pytest.mark.parametrize("loud", LOUD, ids=" ".join)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_from_a_file(command: list[str], loud: list[str], tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text(f"{KEY}\n")
    with Sandbox(api_key=KEY) as sandbox:
        told = call(*command, *loud, "--host", sandbox.url, "--api-key-file", str(file))
    assert told.code == 0
    assert_is_clean(told)


def test_the_demo_and_the_help_know_no_key() -> None:
    for command in (["demo", "--ids", "20", "--period", "0.1"], ["check", "--help"], ["--help"]):
        assert_is_clean(run(*command, LUCCA_API_KEY=KEY))


def test_a_process_with_all_that_there_is_to_say() -> None:
    with Sandbox(api_key=KEY, fault=lambda: ECHOES["refused"]) as sandbox:
        options = ["--verbose", "--log-json", "--host", sandbox.url]
        told = run("get", "1", *options, LUCCA_API_KEY=KEY)
    assert told.code == 3
    assert_is_clean(told)
