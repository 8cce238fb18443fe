"""How a backend is tested: with the sandbox, in the place of Lucca."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from backend import app
from fastapi.testclient import TestClient

from lucca_training_async import LuccaTrainingClient
from lucca_training_async.integrations.fastapi import get_lucca_client
from lucca_training_async.sandbox import Fault, Sandbox


@pytest.fixture
def web(lucca_sandbox: Sandbox) -> Iterator[TestClient]:
    """The application, whose client is one of the sandbox."""

    async def client_of_the_sandbox() -> AsyncGenerator[LuccaTrainingClient, None]:
        url, key = lucca_sandbox.url, lucca_sandbox.api_key
        async with LuccaTrainingClient(url, key, rate_limit=None) as client:
            yield client

    app.dependency_overrides[get_lucca_client] = client_of_the_sandbox
    yield TestClient(app)  # without "with": the lifespan, and its own client, stays out
    app.dependency_overrides.clear()


def test_a_persons_page(web: TestClient) -> None:
    page = web.get("/trainings/235")
    assert page.status_code == 200
    assert page.json()["durationInHours"] == 14


def test_what_is_not_there(web: TestClient) -> None:
    assert web.get("/trainings/2000000").status_code == 404
    assert web.get("/trainings/0").status_code == 422


def test_a_budget_that_is_spent(web: TestClient, lucca_sandbox: Sandbox) -> None:
    lucca_sandbox.inject_always(Fault.too_many_requests(retry_after=300), id=235)
    page = web.get("/trainings/235")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "300")


def test_the_whole_application(
    lucca_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUCCA_HOST", lucca_sandbox.url)
    monkeypatch.setenv("LUCCA_API_KEY", lucca_sandbox.api_key)
    with TestClient(app) as web:
        assert len(web.get("/trainings", params={"id": [1, 2, 2_000_000]}).json()) == 2
