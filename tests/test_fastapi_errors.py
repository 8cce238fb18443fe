"""What a browser is told of an error, and what it is never told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from lucca_training_async import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimit,
    RateLimitedError,
    RealizedTraining,
    ResponseError,
    RetryPolicy,
    ServerError,
    SharedBudgetError,
    Timeouts,
    UsageError,
    WrongRecordError,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .web_server import Answer, asked, served

if TYPE_CHECKING or pytest.importorskip("fastapi"):
    from fastapi import FastAPI, Path, Request, WebSocket
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import PlainTextResponse
    from fastapi.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    from lucca_training_async.integrations.fastapi import (
        LuccaClient,
        install_error_handlers,
        lucca_lifespan,
    )

pytestmark = pytest.mark.real_time

KEY = "5ec4e7a0-1111-2222-3333-444455556666"
INNER = "INNER-WORDS"
ONCE = RetryPolicy(max_attempts=1, retry_after_max=0.0)


def told(answer: Answer) -> tuple[int, str | None]:
    """Status and Retry-After of an answer that is a Problem Details and nothing else."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == ("about:blank", answer.status)
    assert all(problem.values())
    return answer.status, answer.headers.get("Retry-After")


def backend(make_client: Any, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=lucca_lifespan(make_client), **options)
    install_error_handlers(app)

    @app.get("/trainings/{id}")
    async def training(id: int, lucca: LuccaClient) -> RealizedTraining:
        return await lucca.realized_trainings.get(id)

    @app.get("/trainings")
    async def trainings(id: int, other: int, lucca: LuccaClient) -> list[RealizedTraining]:
        return [await lucca.realized_trainings.get(each) for each in (id, other)]

    @app.get("/bulk")
    async def bulk(id: int, other: int, lucca: LuccaClient) -> dict[int, RealizedTraining]:
        result = await lucca.realized_trainings.get_many([id, other])
        result.raise_for_failures()
        return result.items

    @app.get("/patient/{id}")
    async def patient(id: int, lucca: LuccaClient) -> RealizedTraining:
        async with asyncio.timeout(0.01):
            return await lucca.realized_trainings.get(id)

    return app


@asynccontextmanager
async def stage(**settings: Any) -> AsyncGenerator[tuple[Sandbox, Any], None]:
    async with Sandbox(rate_limit=None, api_key=KEY, missing={13}) as sandbox:
        options: dict[str, Any] = {"rate_limit": None, "retry": ONCE, "api_key": KEY} | settings
        app = backend(lambda: LuccaTrainingClient(sandbox.url, **options))
        async with served(app) as web:
            yield sandbox, web


def inner(status: int, **headers: str) -> Fault:
    words = {"title": INNER, "detail": f"{INNER} {KEY}", "traceId": INNER, "instance": f"/{INNER}"}
    kind = "application/problem+json"
    return Fault.answer(status, json.dumps(words), content_type=kind, headers=headers)


UNREADABLE = Fault.answer(200, json.dumps({"id": 235, "ownerId": f"{INNER} {KEY}"}))
FAULTS: list[tuple[Fault, tuple[int, str | None]]] = [
    (inner(404), (404, None)),
    (inner(400), (502, None)),
    (inner(401), (502, None)),
    (inner(403), (502, None)),
    (inner(405), (502, None)),
    (inner(429, **{"Retry-After": "7"}), (503, "7")),
    (inner(408), (503, "60")),
    (inner(500), (503, "60")),
    (inner(503, **{"Retry-After": "90"}), (503, "90")),
    (Fault.answer(302, INNER, headers={"Location": f"https://{INNER}/{KEY}"}), (502, None)),
    (Fault.html(), (502, None)),
    (Fault.answer(200, f"<p>{INNER} {KEY}", content_type="text/plain"), (502, None)),
    (UNREADABLE, (502, None)),
    (Fault.drop(), (503, "60")),
    (Fault.truncate(), (503, "60")),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda it: getattr(it, "name", ""))
async def test_a_fault_becomes_a_problem_without_anybodys_words(
    fault: Fault, expected: tuple[int, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    async with stage() as (sandbox, web):
        sandbox.inject_always(fault, id=235)
        answer, address = await asked(web, "/trainings/235"), sandbox.url.removeprefix("http://")
    assert told(answer) == expected
    sent = f"{answer.text} {dict(answer.headers)}"
    for secret in (INNER, KEY, KEY[:8], address, "talent-training", "realized-trainings"):
        assert secret not in sent
    logged = [it for it in caplog.records if it.levelno >= logging.WARNING]
    by_us = [it for it in logged if "is answered with" in it.getMessage()]
    assert len(by_us) == (0 if expected[0] == 404 else 1)
    for record in by_us:
        assert record.levelno == (logging.ERROR if expected[0] == 502 else logging.WARNING)
        assert "/trainings/235" in record.getMessage()
    assert KEY not in caplog.text


async def test_a_refused_key_is_a_502(caplog: pytest.LogCaptureFixture) -> None:
    async with stage(api_key="another-key-than-theirs") as (_, web):
        answer = await asked(web, "/trainings/235")
    assert told(answer) == (502, None)
    assert "AuthenticationError" in caplog.text
    assert "another-key" not in caplog.text + answer.text


async def test_an_id_out_of_range_is_answered_as_fastapi_does() -> None:
    own = FastAPI()

    @own.get("/trainings/{id}")
    async def training(id: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> int:
        return id

    async with served(own) as fastapis, stage() as (sandbox, web):
        for id in ("0", "-1", str(2**31)):
            path = f"/trainings/{id}"
            answer, theirs = await asked(web, path), await asked(fastapis, path)
            assert (answer.status, answer.json) == (422, theirs.json)
            assert answer.headers["Content-Type"] == theirs.headers["Content-Type"]
        query = await asked(web, "/trainings?id=7&other=0")
        assert query.json["detail"][0]["loc"] == ["query", "other"]
        assert {arrival.id for arrival in sandbox.arrivals} == {"7"}


async def test_an_id_that_is_no_parameter_is_blamed_on_none() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/{name}")
    async def mine(name: str, page: int = 1) -> None:
        raise InvalidIdError(f"{INNER} is no id")

    async with served(app) as web:
        answer = await asked(web, "/somebody?page=3")
    assert answer.status == 422
    (fault,) = answer.json["detail"]
    assert (fault["type"], fault["loc"], fault["input"]) == ("value_error", [], None)
    assert INNER not in answer.text


@pytest.mark.parametrize("is_async", [True, False])
async def test_an_applications_own_validation_handler_is_asked(is_async: bool) -> None:
    async def asynchronous(_: Request, error: Any) -> PlainTextResponse:
        return PlainTextResponse(error.errors()[0]["loc"][1], 400)

    def plain(_: Request, error: Any) -> PlainTextResponse:
        return PlainTextResponse(error.errors()[0]["loc"][1], 400)

    async with Sandbox(rate_limit=None) as sandbox:
        app = backend(lambda: LuccaTrainingClient(sandbox.url, sandbox.api_key))
        app.add_exception_handler(RequestValidationError, asynchronous if is_async else plain)
        async with served(app) as web:
            answer = await asked(web, "/trainings/0")
    assert (answer.status, answer.text) == (400, "id")


async def test_an_applications_own_handlers_are_kept() -> None:
    app = FastAPI()

    async def mine(_: Request, __: Exception) -> PlainTextResponse:
        return PlainTextResponse("mine", 418)

    app.add_exception_handler(TimeoutError, mine)
    install_error_handlers(app)
    app.add_exception_handler(NotFoundError, mine)

    @app.get("/late")
    async def late() -> None:
        raise TimeoutError

    @app.get("/missing")
    async def missing() -> None:
        raise NotFoundError("", url="", status=404)

    async with served(app) as web:
        assert (await asked(web, "/late")).text == "mine"
        assert (await asked(web, "/missing")).text == "mine"


async def test_asyncio_timeout_and_the_clients_own_are_503s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with stage(timeouts=Timeouts(total=0.01)) as (sandbox, web):
        sandbox.inject_always(Fault.slow(1000), id=235)
        assert told(await asked(web, "/patient/235")) == (503, "60")
        assert "TimeoutError" in caplog.text
        assert told(await asked(web, "/trainings/235")) == (503, "60")
        assert "LuccaTimeoutError" in caplog.text


async def test_the_budget_tells_when_to_come_back() -> None:
    async with stage(rate_limit=RateLimit(50, 60.0)) as (sandbox, web):
        sandbox.inject(Fault.too_many_requests(1000))
        first, second = [await asked(web, f"/trainings/{id}") for id in (1, 2)]
    assert told(first) == (503, "1000")
    # The client knows now, and sends nothing.
    status, wait = told(second)
    assert status == 503
    assert 0 < int(wait or 0) <= 1000
    assert len(sandbox.arrivals) == 1


async def test_a_bulk_result_raises_what_is_the_hardest_to_mend() -> None:
    async with stage() as (sandbox, web):
        sandbox.inject_always(UNREADABLE, id=7)
        sandbox.inject_always(inner(500), id=8)
        assert told(await asked(web, "/bulk?id=8&other=7")) == (502, None)
        assert told(await asked(web, "/bulk?id=8&other=9")) == (503, "60")
        assert (await asked(web, "/bulk?id=0&other=9")).status == 422
        assert (await asked(web, "/bulk?id=13&other=9")).json.keys() == {"9"}


def request(kind: Any, **more: Any) -> Exception:
    error: Exception = kind(f"{INNER} [{KEY}]", url=f"https://{INNER}", **more)
    return error


RAISED: list[tuple[Exception, tuple[int, str | None] | None]] = [
    (request(NotFoundError, status=404), (404, None)),
    (request(BadRequestError, status=400), (502, None)),
    (request(AuthenticationError, status=401), (502, None)),
    (request(PermissionDeniedError, status=403), (502, None)),
    (request(ResponseError, status=413), (502, None)),
    (request(ResponseError, status=404, transient=True), (503, "60")),
    (request(ServerError, status=503, retry_after=2.0001), (503, "3")),
    (request(RateLimitedError, status=429, retry_after=0.2), (503, "1")),
    (request(RateLimitedError, status=429, retry_after=0.0), (503, "1")),
    (request(RateLimitedError, status=429, retry_after=float("inf")), (503, "60")),
    (request(RateLimitedError, status=429), (503, "60")),
    (request(OutageError, retry_after=41.5), (503, "42")),
    (request(OutageError, transient=False), (503, "60")),
    (request(LuccaTimeoutError), (503, "60")),
    (request(LuccaConnectionError), (503, "60")),
    (request(LuccaConnectionError, transient=False), (502, None)),
    (request(DecodeError, path="$", excerpt=INNER), (502, None)),
    (request(WrongRecordError, path="$.id", excerpt="", transient=True), (502, None)),
    (SharedBudgetError(INNER), (503, "60")),
    (ClientClosedError(INNER), (503, "60")),
    (TimeoutError(INNER), (503, "60")),
    (ExceptionGroup(INNER, [ExceptionGroup("", [SharedBudgetError(INNER)])]), (503, "60")),
    (ConfigurationError(INNER), None),
    (UsageError(INNER), None),
    (ValueError(INNER), None),
    (ExceptionGroup(INNER, [ValueError(INNER), SharedBudgetError()]), None),
]


async def test_each_error_has_its_status() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/{number}")
    async def fail(number: int) -> None:
        raise RAISED[number][0]

    async with served(app) as web:
        for number, (_, expected) in enumerate(RAISED):
            answer = await asked(web, f"/{number}")
            if expected is None:
                # A fault of the program: as any other.
                assert (answer.status, answer.text) == (500, "Internal Server Error")
            else:
                assert told(answer) == expected
            assert INNER not in answer.text + str(dict(answer.headers))


def test_a_websocket_is_closed_with_a_code_of_its_own() -> None:
    with Sandbox(rate_limit=None, missing={13}) as sandbox:
        sandbox.inject_always(inner(500), id=500)
        app = backend(lambda: LuccaTrainingClient(sandbox.url, sandbox.api_key, retry=ONCE))

        @app.websocket("/live/{id}")
        async def live(websocket: WebSocket, id: int, lucca: LuccaClient) -> None:
            await websocket.accept()
            training = await lucca.realized_trainings.get(id)
            await websocket.send_text(training.to_json())
            await websocket.close()

        with TestClient(app) as web:
            with web.websocket_connect("/live/235") as connection:
                assert RealizedTraining.from_json(connection.receive_text()).id == 235
            for id, code in ((13, 1011), (500, 1013), (0, 1011)):
                with web.websocket_connect(f"/live/{id}") as connection:
                    with pytest.raises(WebSocketDisconnect) as caught:
                        connection.receive_text()
                assert caught.value.code == code
                assert INNER not in caught.value.reason
