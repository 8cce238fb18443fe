"""A call that nobody waits for is given up, and leaves nothing taken: under a real server."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest
from aiohttp import ClientSession

from lucca_training_async import (
    ClientClosedError,
    LuccaTrainingClient,
    RateLimit,
    RealizedTraining,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .web_server import asked, served

if TYPE_CHECKING or pytest.importorskip("fastapi"):
    from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Request
    from fastapi.responses import StreamingResponse

    from lucca_training_async.integrations.fastapi import (
        LuccaClient,
        install_error_handlers,
        lucca_lifespan,
    )

pytestmark = pytest.mark.real_time


@attrs.define
class Stage:
    sandbox: Sandbox
    client: LuccaTrainingClient
    web: ClientSession
    seen: list[Any]

    async def leave(self, path: str, *, until: Any, **options: Any) -> None:
        """Ask, and go when something has come about."""
        asking = asyncio.create_task(asked(self.web, path, **options))
        await eventually(lambda: asking.done() or until())
        assert not asking.done()
        asking.cancel()
        await asyncio.wait([asking])

    def is_idle(self) -> bool:
        return (self.client.budget.in_flight, self.client.budget.waiting) == (0, 0)


async def eventually(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def stage(with_middleware: bool = False, **settings: Any) -> AsyncGenerator[Stage, None]:
    seen: list[Any] = []
    async with Sandbox(rate_limit=None) as sandbox:
        # Who is asked for it does not answer while a test lasts.
        sandbox.inject_always(Fault.slow(1000), id=235)
        options: dict[str, Any] = {"rate_limit": None} | settings
        client = LuccaTrainingClient(sandbox.url, sandbox.api_key, **options)
        app = FastAPI(lifespan=lucca_lifespan(lambda: client))
        install_error_handlers(app)
        if with_middleware:

            @app.middleware("http")
            async def statuses(request: Request, call_next: Any) -> Any:
                response = await call_next(request)
                seen.append(response.status_code)
                return response

        app.state.seen = seen
        app.include_router(router)
        async with served(app) as web:
            yield Stage(sandbox, client, web, seen)


def get_seen(request: Request) -> list[Any]:
    seen: list[Any] = request.app.state.seen
    return seen


Seen = Annotated[list[Any], Depends(get_seen)]


async def within(lucca: LuccaClient) -> LuccaTrainingClient:
    return lucca


router = APIRouter()


@router.get("/trainings/{id}")
async def training(id: int, lucca: LuccaClient) -> RealizedTraining:
    return await lucca.realized_trainings.get(id)


@router.get("/bulk")
async def bulk(lucca: LuccaClient) -> dict[int, RealizedTraining]:
    return (await lucca.realized_trainings.get_many([235, 236, 237], plan="each")).items


@router.get("/stream")
async def stream(lucca: LuccaClient) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        yield "begun\n"
        yield (await lucca.realized_trainings.get(235)).to_json()

    return StreamingResponse(lines())


@router.get("/background")
async def background(lucca: LuccaClient, seen: Seen, tasks: BackgroundTasks) -> str:
    async def run() -> None:
        for id in range(1, 4):
            seen.append((await lucca.realized_trainings.get(id)).id)

    tasks.add_task(run)
    return "begun"


@router.get("/other")
async def other(seen: Seen) -> None:
    seen.append("begun")
    while "go on" not in seen:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    seen.append("done")


def cleaned_up(seen: Seen) -> Iterator[None]:
    yield
    seen.append("cleaned up")


@router.get("/in-a-thread", dependencies=[Depends(cleaned_up)])
def in_a_thread(lucca: LuccaClient, seen: Seen) -> None:
    seen.append("begun")
    while "go on" not in seen:
        time.sleep(0.01)
    seen.append("done")


@router.post("/read")
async def read(request: Request, lucca: LuccaClient, seen: Seen) -> int:
    seen.append(len(await request.body()))
    await lucca.realized_trainings.get(235)
    return 0


@router.post("/parsed")
async def parsed(body: Annotated[list[int], Body()], lucca: LuccaClient, seen: Seen) -> int:
    seen.append(sum(body))
    await lucca.realized_trainings.get(235)
    return 0


@router.get("/stubborn")
async def stubborn(request: Request, lucca: LuccaClient, seen: Seen) -> str:
    try:
        await lucca.realized_trainings.get(235)
    except asyncio.CancelledError:
        seen.append(await request.is_disconnected())
    return "still here"


@router.get("/failing")
async def failing(lucca: LuccaClient, seen: Seen) -> str:
    try:
        await lucca.realized_trainings.get(235)
    except asyncio.CancelledError:
        seen.append("cleaning up")
        raise ClientClosedError("while it was cancelled") from None
    return ""


@router.get("/within")
async def by_another_dependency(
    lucca: Annotated[LuccaTrainingClient, Depends(within)],
) -> RealizedTraining:
    async with asyncio.timeout(1000):
        return await lucca.realized_trainings.get(235)


@pytest.mark.parametrize("with_middleware", [False, True])
@pytest.mark.parametrize("path", ["/trainings/235", "/bulk", "/stream", "/within"])
async def test_a_call_that_nobody_waits_for_is_given_up(
    path: str, with_middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(with_middleware) as on:
        await on.leave(path, until=lambda: any(it.id == "235" for it in on.sandbox.arrivals))
        await eventually(on.is_idle)
        if with_middleware:
            await eventually(lambda: on.seen)
            assert on.seen == [200 if path == "/stream" else 499]
        # Whoever comes next is served.
        assert (await asked(on.web, "/trainings/7")).status == 200
    assert [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING] == []


async def test_who_waits_for_the_budget_leaves_no_place_taken() -> None:
    async with stage(rate_limit=RateLimit(1, 1000.0)) as on:
        assert (await asked(on.web, "/trainings/7")).status == 200
        await on.leave("/trainings/8", until=lambda: on.client.budget.waiting == 1)
        await eventually(on.is_idle)
        assert [arrival.id for arrival in on.sandbox.arrivals] == ["7"]


async def test_what_follows_the_answer_goes_on() -> None:
    async with stage() as on:
        assert (await asked(on.web, "/background", headers={"Connection": "close"})).status == 200
        await eventually(lambda: len(on.seen) == 3)
    assert on.seen == [1, 2, 3]


async def test_a_route_that_has_not_asked_for_the_client_is_left_alone() -> None:
    async with stage() as on:
        await on.leave("/other", until=lambda: on.seen)
        on.seen.append("go on")
        await eventually(lambda: on.seen[-1] == "done")


async def test_a_route_in_a_thread_has_its_things_until_it_has_ended() -> None:
    async with stage() as on:
        await on.leave("/in-a-thread", until=lambda: on.seen)
        await asked(on.web, "/trainings/7")  # time enough to clean up too early
        on.seen.append("go on")
        await eventually(lambda: on.seen[-1] == "cleaned up")
    assert on.seen == ["begun", "go on", "done", "cleaned up"]


@pytest.mark.parametrize("path", ["/read", "/parsed"])
async def test_a_body_is_read_whole(path: str) -> None:
    body = f"[{'1,' * 1_000_000}1]"
    async with stage() as on:
        await on.leave(
            path,
            until=lambda: on.sandbox.arrivals,
            method="POST",
            data=io.BytesIO(body.encode()),
            headers={"Content-Type": "application/json"},
        )
        await eventually(on.is_idle)
    assert on.seen == [len(body) if path == "/read" else 1_000_001]


@pytest.mark.parametrize(("path", "seen"), [("/stubborn", True), ("/failing", "cleaning up")])
async def test_a_route_may_clean_up(path: str, seen: object) -> None:
    async with stage() as on:
        await on.leave(path, until=lambda: on.sandbox.arrivals)
        await eventually(lambda: on.seen)
        assert on.seen == [seen]
        await eventually(on.is_idle)
        assert (await asked(on.web, "/trainings/7")).status == 200


async def test_the_server_goes_on_cancelling_by_itself() -> None:
    """A cancellation from elsewhere is none of ours, and goes on."""
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def forever() -> None:
        await asyncio.sleep(1000)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(_: Any) -> None:
        raise AssertionError("nothing is sent")

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}
    scope |= {"query_string": b"", "raw_path": b"/", "root_path": "", "http_version": "1.1"}
    running = asyncio.create_task(app(scope, receive, send))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
