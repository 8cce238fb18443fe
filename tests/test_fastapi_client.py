"""One client for the life of an application of FastAPI's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lucca_training_async import (
    ClientClosedError,
    ConfigurationError,
    LuccaTrainingClient,
    RealizedTraining,
    UsageError,
)
from lucca_training_async.sandbox import Sandbox

if TYPE_CHECKING or pytest.importorskip("fastapi"):
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.testclient import TestClient

    from lucca_training_async.integrations.fastapi import (
        LuccaClient,
        LuccaState,
        get_lucca_client,
        install_error_handlers,
        lucca_lifespan,
    )

pytestmark = pytest.mark.real_time


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rate_limit=None, keep_alive=False) as running:
        yield running


def add_route(app: FastAPI) -> None:
    @app.get("/trainings/{id}")
    async def training(id: int, lucca: LuccaClient) -> RealizedTraining:
        return await lucca.realized_trainings.get(id)


def test_the_client_is_from_the_environment_unless_it_is_made(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCCA_HOST", sandbox.url)
    monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
    app = FastAPI(lifespan=lucca_lifespan())
    add_route(app)
    with TestClient(app) as web:
        assert web.get("/trainings/235").json()["id"] == 235


async def test_a_setting_that_can_not_work_fails_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LUCCA_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="LUCCA_HOST"):
        async with lucca_lifespan()(FastAPI()):
            raise AssertionError("it started")


def test_another_lifespan_runs_within_and_keeps_its_state(sandbox: Sandbox) -> None:
    clients: list[LuccaTrainingClient] = []
    closed_before_its_end: list[bool] = []

    def make_client() -> LuccaTrainingClient:
        clients.append(LuccaTrainingClient(sandbox.url, sandbox.api_key))
        return clients[-1]

    @asynccontextmanager
    async def mine(_: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
        yield {"mine": "kept"}
        await clients[0].realized_trainings.get(235)
        closed_before_its_end.append(False)

    app = FastAPI(lifespan=lucca_lifespan(make_client, lifespan=mine))

    @app.get("/state")
    async def state(request: Request, lucca: LuccaClient) -> list[Any]:
        return [request.state.mine, request.state.lucca is lucca, lucca is clients[0]]

    with TestClient(app) as web:
        assert web.get("/state").json() == ["kept", True, True]
        assert len(clients) == 1
    assert closed_before_its_end == [False]
    with pytest.raises(ClientClosedError):
        asyncio.run(clients[0].realized_trainings.get(235))
    assert not hasattr(app.state, "lucca")


def test_a_lifespan_without_a_state(sandbox: Sandbox) -> None:
    @asynccontextmanager
    async def mine(_: FastAPI) -> AsyncGenerator[None, None]:
        yield

    make = lambda: LuccaTrainingClient(sandbox.url, sandbox.api_key)  # noqa: E731
    app = FastAPI(lifespan=lucca_lifespan(make, mine))
    add_route(app)
    with TestClient(app) as web:
        assert web.get("/trainings/235").status_code == 200


async def test_a_client_of_the_same_name_is_refused(sandbox: Sandbox) -> None:
    @asynccontextmanager
    async def mine(_: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
        yield {"lucca": "another"}

    client = LuccaTrainingClient(sandbox.url, sandbox.api_key)
    with pytest.raises(UsageError, match="'lucca'"):
        async with lucca_lifespan(lambda: client, mine)(FastAPI()):
            raise AssertionError("it started")
    with pytest.raises(ClientClosedError):
        await client.realized_trainings.get(235)


def test_after_the_start_it_is_too_late_for_the_handlers() -> None:
    app = FastAPI()
    with TestClient(app), pytest.raises(UsageError, match="before"):
        install_error_handlers(app)


def test_the_state_is_typed(sandbox: Sandbox) -> None:
    client = LuccaTrainingClient(sandbox.url, sandbox.api_key)
    state: LuccaState = {"lucca": client}
    assert state["lucca"] is client


@pytest.mark.parametrize("is_entered", [True, False])
def test_without_the_lifespan_it_says_what_is_missing(is_entered: bool) -> None:
    app = FastAPI()
    if not is_entered:
        app = FastAPI(lifespan=lucca_lifespan())
    add_route(app)
    with pytest.raises(UsageError, match="lucca_lifespan"):
        TestClient(app).get("/trainings/235")


def test_tests_put_the_sandbox_in_its_place(sandbox: Sandbox) -> None:
    app = FastAPI(lifespan=lucca_lifespan())
    install_error_handlers(app)
    add_route(app)

    async def client_of_the_sandbox() -> AsyncIterator[LuccaTrainingClient]:
        async with LuccaTrainingClient(sandbox.url, sandbox.api_key) as client:
            yield client

    app.dependency_overrides[get_lucca_client] = client_of_the_sandbox
    web = TestClient(app)
    assert web.get("/trainings/235").json()["durationInHours"] == 14
    assert web.get("/trainings/2000000").status_code == 404


def test_a_websocket_and_a_mounted_application_have_it(sandbox: Sandbox) -> None:
    app = FastAPI(
        lifespan=lucca_lifespan(lambda: LuccaTrainingClient(sandbox.url, sandbox.api_key))
    )
    inner = FastAPI()
    install_error_handlers(inner)
    add_route(inner)
    app.mount("/inner", inner)

    @app.websocket("/live")
    async def live(websocket: WebSocket, lucca: LuccaClient) -> None:
        await websocket.accept()
        training = await lucca.realized_trainings.get(int(await websocket.receive_text()))
        await websocket.send_text(training.to_json())
        await websocket.close()

    with TestClient(app) as web:
        assert web.get("/inner/trainings/235").json()["durationInHours"] == 14
        assert web.get("/inner/trainings/2000000").status_code == 404
        with web.websocket_connect("/live") as connection:
            connection.send_text("235")
            assert RealizedTraining.from_json(connection.receive_text()).id == 235


def test_every_name_is_in_the_reference() -> None:
    from lucca_training_async.integrations import fastapi

    reference = (Path(__file__).parent.parent / "docs" / "api" / "integrations.rst").read_text()
    for name in fastapi.__all__:
        assert f":: {fastapi.__name__}.{name}" in reference
