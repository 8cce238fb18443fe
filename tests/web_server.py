"""An application of FastAPI's under a real server, and somebody who asks it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

if TYPE_CHECKING:
    from fastapi import FastAPI


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session whose paths are the application's, which has started and will be ended."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan="on", log_config=None, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            assert not serving.done(), "the application did not start"
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            async with aiohttp.ClientSession(url) as session:
                yield session
        finally:
            server.should_exit = True
            await serving


async def asked(session: aiohttp.ClientSession, path: str, **options: Any) -> Answer:
    async with session.request(options.pop("method", "GET"), path, **options) as response:
        return Answer(response.status, response.headers, await response.text())
