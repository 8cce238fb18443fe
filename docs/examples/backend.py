"""A backend that shows trainings: a page for a person, lists, and an export in the background."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse

from lucca_training_async import Budget, LuccaTrainingClient, RealizedTraining, Timeouts
from lucca_training_async.integrations.fastapi import (
    LuccaClient,
    install_error_handlers,
    lucca_lifespan,
)

EXPORTS = Path(os.environ.get("EXPORTS", "exports"))


def make_client() -> LuccaTrainingClient:
    """One for each worker; LUCCA_SHARED_BUDGET names the file that they all share."""
    # Less than a person waits, so that an outage is noticed.
    return LuccaTrainingClient.from_env(timeouts=Timeouts(total=4))


@asynccontextmanager
async def exporting(app: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
    """The exports under way, which the end of the worker ends."""
    await asyncio.to_thread(EXPORTS.mkdir, exist_ok=True)
    exports: set[asyncio.Task[None]] = set()
    yield {"exports": exports}
    for task in exports:
        task.cancel()
    await asyncio.gather(*exports, return_exceptions=True)


app = FastAPI(title="Trainings", lifespan=lucca_lifespan(make_client, exporting))
install_error_handlers(app)


@app.get("/trainings/{id}")
async def training(id: int, lucca: LuccaClient) -> RealizedTraining:
    """A person's page: somebody is waiting, but not for ever."""
    async with asyncio.timeout(5):
        return await lucca.realized_trainings.get(id)


@app.get("/trainings")
async def trainings(
    id: Annotated[list[int], Query(max_length=50)], lucca: LuccaClient
) -> dict[int, RealizedTraining]:
    """Several by their ids; those that are missing are left out."""
    result = await lucca.realized_trainings.get_many(id, priority="interactive")
    result.raise_for_failures()
    return result.items


@app.get("/employees/{owner_id}/trainings")
async def trainings_of(owner_id: int, lucca: LuccaClient) -> list[RealizedTraining]:
    """A list: all that an employee has done. Somebody waits for it, so it goes before an export."""
    mine = lucca.realized_trainings.list(owner_ids=[owner_id], priority="interactive")
    return [it async for it in mine]


@app.post("/exports", status_code=202)
async def begin_export(request: Request, lucca: LuccaClient) -> dict[str, UUID]:
    """All trainings into a file, in the background."""
    name = uuid4()
    task = asyncio.create_task(export(lucca, EXPORTS / f"{name}.jsonl"))
    exports: set[asyncio.Task[None]] = request.state.exports
    exports.add(task)
    task.add_done_callback(exports.discard)
    return {"export": name}


async def export(lucca: LuccaTrainingClient, path: Path) -> None:
    """A record a line; the file has its name when it is whole."""
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            async for it in lucca.realized_trainings.list():
                file.write(it.to_json() + "\n")
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


@app.get("/exports/{name}")
def finished_export(name: UUID) -> FileResponse:
    """The file, from whichever worker."""
    path = EXPORTS / f"{name}.jsonl"
    if not path.exists():
        raise HTTPException(404, "It is not finished, or there is none.")
    return FileResponse(path, media_type="application/jsonl")


@app.get("/budget")
async def budget(lucca: LuccaClient) -> dict[str, Any]:
    """What the workers have used of the tenant's budget, for those who watch."""
    now: Budget = lucca.budget
    return {"limit": now.limit, "inUse": now.in_use, "clients": now.clients, "alone": now.alone}
