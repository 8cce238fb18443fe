"""The comparison with other clients: it counts what it says, and tells what it leaves out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from lucca_training_async import RealizedTraining, TrainingSummary
from lucca_training_async.models._converter import camel
from lucca_training_async.sandbox import Fault, Sandbox

from .bench.peers.clients import (
    ATTEMPTS,
    NEEDS,
    Task,
    at_once,
    bare_aiohttp,
    each,
    httpx_pydantic,
    ours,
    patiently,
)
from .bench.peers.generated import ASYNCIO, HTTPX, SPEC, generate

IDS = range(1, 21)


def task_of(sandbox: Sandbox, budget: tuple[int, float] | None = (1000, 1.0)) -> Task:
    return Task(sandbox.url, sandbox.api_key, IDS, 4, budget)


def test_the_spec_tells_of_the_records_that_we_read() -> None:
    schemas: dict[str, Any] = json.loads(SPEC.read_text())["components"]["schemas"]
    for name, cls in (("RealizedTraining", RealizedTraining), ("Training", TrainingSummary)):
        told = set(schemas[name]["properties"])
        assert told == {camel(field.name) for field in attrs.fields(cls)}


@pytest.mark.parametrize("opened", [bare_aiohttp, httpx_pydantic])
async def test_a_client_finds_all_where_nothing_is_wrong(opened: Any) -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        assert await each(task_of(sandbox, None), opened) == len(IDS)
        assert len(sandbox.arrivals) == len(IDS)


async def test_without_a_budget_no_loss_is_hidden() -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        sandbox.inject(Fault.internal_error(), id=7)
        with pytest.RaisesGroup(aiohttp.ClientResponseError):
            await each(task_of(sandbox, None), bare_aiohttp)


async def test_what_fails_too_often_or_is_another_record_is_lost() -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        task = task_of(sandbox)
        sandbox.inject(*[Fault.internal_error()] * (ATTEMPTS - 1), id=7)
        sandbox.inject(*[Fault.internal_error()] * ATTEMPTS, id=8)
        sandbox.put({"id": 10}, id=9)
        assert await each(task, bare_aiohttp, patiently(task)) == len(IDS) - 2


async def test_at_once_they_are_counted_the_same() -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        task = task_of(sandbox)
        sandbox.inject(*[Fault.internal_error()] * ATTEMPTS, id=8)
        sandbox.inject(Fault.unavailable(), id=7)
        assert await at_once(task, bare_aiohttp, patiently(task)) == len(IDS) - 1


async def test_ours_is_asked_by_id_as_the_others_are() -> None:
    async with Sandbox(rate_limit=None) as sandbox:
        assert await ours(task_of(sandbox, None)) == len(IDS)
        assert sorted(int(arrival.id) for arrival in sandbox.arrivals) == list(IDS)


def test_a_generator_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    missing = generate(tmp_path)
    assert missing == {
        ASYNCIO: "openapi-generator-cli is not installed",
        HTTPX: "openapi-python-client is not installed",
    }
    assert set(NEEDS.values()) == set(missing)


@pytest.mark.skipif(sys.platform == "win32", reason="its scripts are no programs there")
def test_a_generator_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name, script in (
        ("openapi-generator-cli", "echo 'no Java' >&2; exit 3"),
        ("openapi-python-client", "exit 1"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    assert generate(tmp_path) == {
        ASYNCIO: "openapi-generator-cli ended with 3: no Java",
        HTTPX: "openapi-python-client ended with 1: it says nothing",
    }
