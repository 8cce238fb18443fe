"""Each client as its own documentation would have one use it, fetching one record or all of them.

They are imported when they are run, so that each process has what its own client needs and no more.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import attrs

from .generated import ASYNCIO, HTTPX

PATH = "/talent-training/api/v2/realized-trainings"
ATTEMPTS = 5


@attrs.frozen
class Task:
    """What is to be fetched.

    Attributes:
        url: Where from.
        api_key: With which key.
        ids: What.
        concurrency: How many at a time.
        budget: Requests and seconds; None where there is none, and so nothing to try again.
    """

    url: str
    api_key: str
    ids: range
    concurrency: int
    budget: tuple[int, float] | None = None

    @property
    def authorization(self) -> str:
        return f"lucca application={self.api_key}"


Get = Callable[[int], Awaitable[Any]]
"""Fetches a record by one request; raises what the client raises."""
Opened = Callable[[Task], AsyncGenerator[Get, None]]


async def ours(task: Task) -> int:
    from lucca_training_async import LuccaTrainingClient, RateLimit

    limit = None if task.budget is None else RateLimit(*task.budget)
    async with LuccaTrainingClient(
        task.url, task.api_key, rate_limit=limit, max_concurrency=task.concurrency
    ) as client:
        # The same work as the others': not by the list, which would take a hundredth of it.
        result = await client.realized_trainings.get_many(task.ids, plan="each")
        return sum(map(is_right, result.items, result.items.values()))


async def bare_aiohttp(task: Task) -> AsyncGenerator[Get, None]:
    """The least of all: no types, no retry, no budget."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=task.concurrency)
    headers = {"Authorization": task.authorization}
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def get(id: int) -> Any:
            async with session.get(f"{task.url}{PATH}/{id}") as response:
                response.raise_for_status()
                return await response.json()

        yield get


async def httpx_pydantic(task: Task) -> AsyncGenerator[Get, None]:
    import httpx

    from .pydantic_model import RealizedTraining

    limits = httpx.Limits(max_connections=task.concurrency)
    headers = {"Authorization": task.authorization}
    async with httpx.AsyncClient(base_url=task.url, headers=headers, limits=limits) as client:

        async def get(id: int) -> Any:
            response = await client.get(f"{PATH}/{id}")
            response.raise_for_status()
            return RealizedTraining.model_validate_json(response.content)

        yield get


async def openapi_generator(task: Task) -> AsyncGenerator[Get, None]:
    made: Any = importlib.import_module(ASYNCIO)
    configuration = made.Configuration(
        host=task.url, api_key={"key": task.authorization}, connection_pool_maxsize=task.concurrency
    )
    async with made.ApiClient(configuration) as client:
        api = made.TrainingsApi(client)

        async def get(id: int) -> Any:
            return await api.get_realized_training(id)

        yield get


async def openapi_python_client(task: Task) -> AsyncGenerator[Get, None]:
    made: Any = importlib.import_module(HTTPX)
    endpoint: Any = importlib.import_module(f"{HTTPX}.api.trainings.get_realized_training")
    client: Any = made.AuthenticatedClient(
        base_url=task.url,
        token=f"application={task.api_key}",
        prefix="lucca",
        raise_on_unexpected_status=True,
    )
    async with client:

        async def get(id: int) -> Any:
            return await endpoint.asyncio(id, client=client)

        yield get


async def each(task: Task, opened: Opened, get: Callable[[Get], Get] = lambda get: get) -> int:
    """By workers, as many as may be under way; what fails is lost."""
    # All are kept until the end, as our own get_many keeps them.
    records: dict[int, Any] = {}
    ids = iter(task.ids)
    async with AsyncExitStack() as stack:
        fetch = get(await stack.enter_async_context(asynccontextmanager(opened)(task)))

        async def worker() -> None:
            for id in ids:
                try:
                    records[id] = await fetch(id)
                except Exception:  # each client has errors of its own; here they are all a loss
                    if task.budget is None:
                        raise

        async with asyncio.TaskGroup() as workers:
            for _ in range(task.concurrency):
                workers.create_task(worker())
    return sum(map(is_right, records, records.values()))


def is_right(id: int, record: Any) -> bool:
    """Whether something is the record that was asked for; an exception is none."""
    if isinstance(record, dict):
        return bool(cast("dict[str, Any]", record)["id"] == id)
    return bool(getattr(record, "id", None) == id)


async def at_once(task: Task, opened: Opened, get: Callable[[Get], Get]) -> int:
    """Naively: a task for each id, all of them at once."""
    async with asynccontextmanager(opened)(task) as fetch_once:
        fetch = get(fetch_once)
        results = await asyncio.gather(*map(fetch, task.ids), return_exceptions=True)
    return sum(map(is_right, task.ids, results))


def patiently(task: Task) -> Callable[[Get], Get]:
    """With tenacity, as one finds it in many a guide: jittered, exponential, five attempts."""
    import tenacity

    # As the budget is shorter than Lucca's minute, so are a wait of 1 s at first, of 60 s at most.
    minute = 60.0 if task.budget is None else task.budget[1]
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=minute / 60, max=minute),
        reraise=True,
    )


def paced(task: Task) -> Callable[[Get], Get]:
    """The same, behind a limiter that lets requests go evenly, at the budget's rate."""
    requests, period = task.budget or (1_000_000, 1.0)
    # Not by an import statement: nobody has it but the session.
    limiter: Any = importlib.import_module("aiolimiter").AsyncLimiter(1, period / requests)

    def limited(get: Get) -> Get:
        async def one(id: int) -> Any:
            async with limiter:
                return await get(id)

        return patiently(task)(one)

    return limited


def worked(opened: Opened) -> Callable[[Task], Awaitable[int]]:
    """Without a budget as it is; with one, tried again by tenacity like all the others."""

    async def fetch(task: Task) -> int:
        if task.budget is None:
            return await each(task, opened)
        return await each(task, opened, patiently(task))

    return fetch


CLIENTS: dict[str, Callable[[Task], Awaitable[int]]] = {
    "lucca-training-async": ours,
    "bare aiohttp": worked(bare_aiohttp),
    "gather + tenacity": lambda task: at_once(task, bare_aiohttp, patiently(task)),
    "aiolimiter + tenacity": lambda task: each(task, bare_aiohttp, paced(task)),
    "openapi-generator": worked(openapi_generator),
    "openapi-python-client": worked(openapi_python_client),
    "httpx + pydantic": worked(httpx_pydantic),
}
"""By name: fetches all ids and gives how many records came that were asked for."""

# What compares nothing: a limiter without a limit, and retries that "gather" has already.
WITHOUT_A_BUDGET = [name for name in CLIENTS if name != "aiolimiter + tenacity"]
WITH_A_BUDGET = [name for name in CLIENTS if name != "bare aiohttp"]
NEEDS = {"openapi-generator": ASYNCIO, "openapi-python-client": HTTPX}
